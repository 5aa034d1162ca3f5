"""Tests of the web page, its server and inference."""
