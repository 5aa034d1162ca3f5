"""What a visitor sees: the page, its panels and its theme."""
