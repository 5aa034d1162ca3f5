"""What runs the network: engines with one interface, and the graph that they run."""
