"""The one exception that is meant for the user's eyes."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that says what is wrong, where, and what to do about it. The doors print it without a
    traceback and end with exit status 2.
    """
