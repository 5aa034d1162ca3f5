"""Filter of the requests to Gradio: events and bodies, rebuilt from validated values."""
