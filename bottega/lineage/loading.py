"""A built model, in memory with its tokenizer, on the device that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.decoder import Decoder
    from bottega.model.scorer import Scorer


def load(folder: Path, device: str = "auto") -> tuple[Decoder, Tokenizer]:
    """The model in the precision that ``bottega doctor`` names, ready to generate."""
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.hub import load_model
    from bottega.training.devices import choose_device
    from bottega.training.precision import choose_precision

    chosen = choose_device(device)
    model = load_model(folder, dtype=choose_precision(chosen).dtype)
    return model.to(chosen).eval(), Tokenizer.load(folder)


def load_judge(folder: Path, device: str = "auto") -> tuple[Scorer, Tokenizer]:
    """The reward model in float32, ready to score."""
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.hub import load_scorer
    from bottega.training.devices import choose_device

    return load_scorer(folder, device=choose_device(device)).eval(), Tokenizer.load(folder)


def stop_ids(tokenizer: Tokenizer, *, speaks: bool) -> set[int]:
    """What ends an answer: the text's end and, for a model that was taught to chat, its turn's."""
    marks = (tokenizer.eot, tokenizer.im_end if speaks else None)
    return {mark for mark in marks if mark is not None}


def beginning(tokenizer: Tokenizer, text: str) -> list[int]:
    """A text to continue, as the beginning of a document."""
    mark = [] if tokenizer.eot is None else [tokenizer.eot]
    return mark + tokenizer.encode(text)
