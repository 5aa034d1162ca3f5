"""The web demo and the inference code that it shares with the evaluation."""
