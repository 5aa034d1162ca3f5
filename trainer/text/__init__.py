"""Text for people: names and tables that are safe to print and to open."""
