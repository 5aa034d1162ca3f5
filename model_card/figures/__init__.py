"""The figures of a card: pure drawings with alternative texts."""
