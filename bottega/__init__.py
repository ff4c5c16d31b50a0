"""Bottega: the workshop that turns a GPT into a ChatGPT."""

__version__ = "0.1.0"
