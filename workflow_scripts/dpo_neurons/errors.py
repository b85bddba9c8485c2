"""The one exception for mistakes that a user can mend."""


class InputError(Exception):
    """A user's mistake: one sentence that names the file, the key and the remedy.

    Programs print it without a traceback; any other exception is a bug and keeps its own.
    """
