"""Ctrl-C in the middle of something that can be gone on with."""


class Interrupted(Exception):  # noqa: N818  (not an error: the user's wish)
    """What was going on has stopped in good order. The message says how to go on; the exit code is 130."""
