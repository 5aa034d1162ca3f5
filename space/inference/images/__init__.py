"""From an untrusted file to pixels, within limits of memory and time."""
