"""Exported files: formats, passports, the command."""
