"""The stages by name: ``get("sft").run(config, inputs, seed)`` makes a model."""

from __future__ import annotations

from bottega.stages.base import get, names, register

__all__ = ["get", "names", "register"]
