"""The tiny family, for the tests of this folder."""

from recipes.family import copied, data, family

__all__ = ["copied", "data", "family"]
