"""From a finished training to the folder that is published."""
