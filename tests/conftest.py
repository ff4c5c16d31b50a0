"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    # In the background of a script commands ignore Ctrl-C, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
