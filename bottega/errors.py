"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something a user can mend: bad input, a bad recipe, a missing file.

    The message says what is wrong, where, and what to do, in one or two lines. The command line prints it
    without a traceback (unless ``--debug``) and exits with code 2.
    """
