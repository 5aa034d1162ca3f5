"""From a published folder to the Hub: checks, upload, errors in words."""
