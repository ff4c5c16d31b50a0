"""``python -m bottega``."""

from bottega.cli.main import main

main()
