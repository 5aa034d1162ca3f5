"""The typed report of a run; the Hub, the card and the Space read it."""
