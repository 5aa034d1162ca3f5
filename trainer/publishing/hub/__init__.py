"""Upload to the Hub: checks beforehand, one commit, explained errors."""
