"""Drawn steel for the demo and the tests."""
