"""Drift: do new images look like those that the model was tested on, and why not?"""
