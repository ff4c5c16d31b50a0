from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bottega.data.tokenizer import Tokenizer
from tests.data.corpus import sentences


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(sentences(400), 360)


@pytest.fixture(scope="session")
def transformers_tokenizer(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> object:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Path]:
    """Names of folders that do not exist yet."""
    names = iter(range(1_000_000))
    return lambda: tmp_path / f"folder-{next(names)}"
