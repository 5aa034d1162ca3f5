"""Errors that a user can fix: each message says what is wrong, where, and what to do."""


class UserError(Exception):
    """Base of all errors meant for the user; `main()` prints it and exits with code 2."""


class DataError(UserError):
    """The images or their folders can't be used as they are."""


class ConfigError(UserError):
    """A setting, or a combination of settings, can't work."""


class HubError(UserError):
    """The Hugging Face Hub refused, or could not be reached."""
