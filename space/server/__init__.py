"""What stands between the network and Gradio: requests, addresses, time limits, uploads."""
