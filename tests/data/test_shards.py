from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bottega.data.encoded import Encoded, encode_documents
from bottega.data.records import Document
from bottega.data.shards import TokenShards, write_shards
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from tests.data.corpus import sentences

WEIGHT = st.sampled_from([0.0, 0.25, 0.5, 1.0])
EXAMPLE = st.lists(st.integers(0, 299), max_size=20).flatmap(
    lambda ids: st.builds(
        Encoded,
        st.just(ids),
        st.none() | st.lists(WEIGHT, min_size=len(ids), max_size=len(ids)),
        st.integers(0, 100),
    )
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(examples=st.lists(EXAMPLE, min_size=1, max_size=8), vocab_size=st.sampled_from([300, 65536, 65537]))
def test_what_is_written_is_read_back(
    fresh: Callable[[], Path], examples: list[Encoded], vocab_size: int
) -> None:
    shards = write_shards(examples, fresh(), vocab_size=vocab_size)
    again = TokenShards(shards.folder)
    assert len(again) == len(examples)
    assert again.tokens.dtype == (np.uint16 if vocab_size <= 65536 else np.uint32)
    weighted = any(w != 1 for e in examples for w in e.weights or [])
    assert (again.folder / "weights.bin").exists() == weighted
    for read, written in zip(map(again.__getitem__, range(len(again))), examples, strict=True):
        assert read.ids == written.ids
        assert read.text_bytes == written.text_bytes
        assert (read.weights or [1.0] * len(read.ids)) == (written.weights or [1.0] * len(written.ids))


def test_documents_begin_with_eot_and_know_their_bytes(
    tokenizer: Tokenizer, fresh: Callable[[], Path]
) -> None:
    texts = [*sentences(30), "中文"]
    shards = write_shards(
        encode_documents(tokenizer, map(Document, texts), batch_documents=7), fresh(), vocab_size=360
    )
    assert [tokenizer.decode(shards[i].ids) for i in range(len(shards))] == texts
    assert {shards[i].ids[0] for i in range(len(shards))} == {tokenizer.eot}
    assert shards.text_bytes.tolist() == [len(text.encode()) for text in texts]
    assert shards[30].text_bytes == 6


def test_weights_that_come_late_are_written_for_what_came_before(fresh: Callable[[], Path]) -> None:
    plain = Encoded([1] * 600_000)
    shards = write_shards([plain, plain, Encoded([2, 3], [0.0, 0.5])], fresh(), vocab_size=8)
    assert shards.weights(np.arange(1_200_000)).min() == 1.0
    assert shards[2].weights == [0.0, 0.5]


def test_the_digest_is_that_of_the_contents(fresh: Callable[[], Path]) -> None:
    def digest(ids: list[int], weights: list[float] | None = None, text_bytes: int = 0) -> str:
        return write_shards([Encoded(ids, weights, text_bytes)], fresh(), vocab_size=9, name="a").digest

    base = digest([1, 2])
    assert base == digest([1, 2]) == digest([1, 2], [1.0, 1.0])
    assert len({base, digest([2, 1]), digest([1, 2], [1.0, 0.0]), digest([1, 2], None, 3)}) == 4


def damage_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def damage_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [damage_end, damage_byte, Path.unlink])
@pytest.mark.parametrize("name", ["tokens.bin", "offsets.bin", "text_bytes.bin", "weights.bin"])
def test_damaged_shards_are_refused(
    fresh: Callable[[], Path], name: str, damage: Callable[[Path], None]
) -> None:
    folder = fresh()
    write_shards([Encoded([1, 2, 3], [0.0, 1.0, 1.0], 5)] * 3, folder, vocab_size=8)
    damage(folder / name)
    with pytest.raises(UserError, match=r"is damaged \(.*\); delete the folder and build it again"):
        TokenShards(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "meta.json is damaged"), ("{}", "keys are missing"), ("[]", "keys are missing")],
)
def test_a_damaged_description_is_refused(fresh: Callable[[], Path], content: str, message: str) -> None:
    folder = fresh()
    write_shards([Encoded([1])], folder, vocab_size=8)
    (folder / "meta.json").write_text(content)
    with pytest.raises(UserError, match=message):
        TokenShards(folder)


def test_another_format_and_a_folder_of_something_else_are_refused(
    fresh: Callable[[], Path], tmp_path: Path
) -> None:
    folder = fresh()
    write_shards([Encoded([1])], folder, vocab_size=8)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(UserError, match="has format 99"):
        TokenShards(folder)
    with pytest.raises(UserError, match=r"holds no token shards: meta\.json is missing"):
        TokenShards(tmp_path / "nowhere")


def test_a_failure_half_way_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[Encoded]:
        yield Encoded([1] * 2_000_000)
        raise UserError("row 2 is bad")

    with pytest.raises(UserError, match="row 2 is bad"):
        write_shards(failing(), tmp_path / "shards", vocab_size=8)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    import resource
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # no file may grow beyond 1 MiB
    try:
        with pytest.raises(UserError, match=r"writing .*shards failed: .*; nothing was left behind"):
            write_shards([Encoded([1] * 2_000_000)], tmp_path / "shards", vocab_size=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("token", [-1, 8])
def test_a_token_outside_the_vocabulary_is_refused(tmp_path: Path, token: int) -> None:
    with pytest.raises(UserError, match=f"token {token} is outside the vocabulary of 8"):
        write_shards([Encoded([1, token])], tmp_path / "shards", vocab_size=8)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_write_and_a_folder_in_the_way_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="shards has no examples"):
        write_shards([], tmp_path / "shards", vocab_size=8)
    (tmp_path / "shards").mkdir()
    with pytest.raises(UserError, match="exists already"):
        write_shards([Encoded([1])], tmp_path / "shards", vocab_size=8)
