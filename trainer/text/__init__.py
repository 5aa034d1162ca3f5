"""Text for people: names, terminal output and tables that are safe to print and open."""
