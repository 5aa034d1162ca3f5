"""Corrections by visitors."""
