"""Ours beside a peer's, measured in the same run. ``python -m benchmarks`` runs them all."""

import os

# What contenders run in: as the command was given, without what bottega adds for itself on import.
ENVIRONMENT = dict(os.environ)
