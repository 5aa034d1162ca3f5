"""Turn the report of a training run into figures and a model card for the Hub."""
