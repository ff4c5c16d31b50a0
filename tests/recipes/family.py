"""A tiny family, built once for all tests of a folder whose conftest names these fixtures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bottega.lineage.build import build
from bottega.lineage.home import Home
from bottega.lineage.recipe import load
from recipes.tiny import TINY, Heard, tiny_options, write_data


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that $DATA stands for."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The home of the tiny family, built once. Only read it: ``copied`` is for changing."""
    home = Home(tmp_path_factory.mktemp("family"))
    report = build(load(TINY), home, tiny_options(data), Heard(), source=str(TINY))
    assert not report.failed, report.failed
    return home.root


@pytest.fixture
def copied(family: Path, tmp_path: Path) -> Home:
    """The tiny family in a home that a test may change."""
    shutil.copytree(family, tmp_path / "home")
    return Home(tmp_path / "home")
