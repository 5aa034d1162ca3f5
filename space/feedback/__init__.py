"""Corrections by visitors: the record, the folder that keeps them, and the way to the Hub."""
