"""Errors the user can fix: each message states the problem, where it is, and what to do."""


class UserError(Exception):
    """Base of all user errors; `main()` prints the message and exits with code 2."""


class DataError(UserError):
    """The images or their folders can't be used."""


class ConfigError(UserError):
    """A setting, or a combination of settings, is invalid."""


class HubError(UserError):
    """The Hugging Face Hub refused a request, or could not be reached."""
