"""Promotion: is a new model better than the published one that it would replace?"""
