"""From a finished training to the published folder."""
