"""Untrusted text in tables and in the names of files."""
