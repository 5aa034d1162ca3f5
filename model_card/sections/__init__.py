"""The sections of a card, each a template."""
