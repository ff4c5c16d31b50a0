from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.data.frozen import FrozenDataset, Manifest, freeze
from bottega.data.records import (
    Answer,
    Check,
    Comparison,
    Conversation,
    Document,
    Labelled,
    Message,
    Origin,
    Prompt,
    Ranking,
    Rated,
    Record,
)
from bottega.data.sources import ReadOptions, SourceSpec, register_scheme
from bottega.data.splits import content_key
from bottega.data.stored import RecordWriter, body_of, read_stored, record_of
from bottega.errors import UserError
from tests.data.files import ALPACA, documents, write_jsonl

OPTIONS = ReadOptions(heldout_fraction=0.1, include_unclear=True)


def frozen(folder: Path, *uris: str, dedup: str = "exact", **spec: object) -> Manifest:
    specs = [SourceSpec.model_validate({"uri": uri} | spec) for uri in uris]
    return freeze(specs, folder, OPTIONS, dedup=dedup)  # type: ignore[arg-type]


def many(count: int) -> list[dict[str, str]]:
    return documents([f"Document number {i} speaks of {i * i}." for i in range(count)])


def test_a_frozen_dataset_gives_its_records_back_by_side_and_source(tmp_path: Path) -> None:
    path, chats = write_jsonl(tmp_path / "x.jsonl.gz", many(300)), write_jsonl(tmp_path / "y.jsonl", ALPACA)
    manifest = frozen(tmp_path / "out", f"file:{path}", f"file:{chats}")
    dataset = FrozenDataset(tmp_path / "out")
    assert dataset.manifest == manifest and dataset.digest == manifest.digest
    train, heldout = list(dataset.records("train", 0)), list(dataset.records("heldout", f"file:{path}"))
    assert len(train) + len(heldout) == 300 and 10 < len(heldout) < 60
    assert not {content_key(one) for one in train} & {content_key(one) for one in heldout}
    assert train[0] == Document(
        "Document number 0 speaks of 0.", Origin(f"file:{path}", "x.jsonl.gz:1", "MIT")
    )
    assert len(list(dataset.records("train"))) == manifest.records("train")
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.*")) == ["000.parquet"] * 2 + [
        "001.parquet"
    ] * 2 + ["manifest.json"]


def test_the_manifest_says_what_went_in_and_what_did_not(tmp_path: Path) -> None:
    rows = [
        *many(50),
        *many(20),
        {"text": "odd"},
        {"text": "private", "licence": "CC BY-NC 4.0"},
        {"text": "学习中文"},
    ]
    path = write_jsonl(tmp_path / "x.jsonl", [*rows, {"no": "shape"}])
    options = ReadOptions(heldout_fraction=0.1, include_unclear=True, skip_bad_rows=True)
    manifest = freeze([SourceSpec(uri=f"file:{path}", weight=2.0)], tmp_path / "out", options)
    (source,) = manifest.sources
    assert (source.rows, source.records, source.exact_duplicates, source.bad_rows) == (74, 52, 20, 1)
    assert source.licences == {"MIT": 50, "unstated": 2} == manifest.licences
    assert source.left_out == {"CC-BY-NC-4.0": 1}
    assert source.languages == {"en": 51, "zh": 1} and source.shapes == {"document": 73}
    assert source.bad[0].startswith("x.jsonl, line 74: the row fits no known shape")
    assert source.train.bytes + source.heldout.bytes == sum(
        len(row["text"].encode()) for row in [*many(50), {"text": "odd"}, {"text": "学习中文"}]
    )


def test_the_manifest_counts_rows_that_a_filter_left_out(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", many(50))
    spec = SourceSpec(uri=f"file:{path}", without={"text": ["*1*"]})
    (source,) = freeze([spec], tmp_path / "out", ReadOptions()).sources
    left_out = sum("1" in row["text"] for row in many(50))
    assert source.filtered == left_out > 0
    assert (source.rows, source.records) == (50, 50 - left_out)
    file = tmp_path / "out" / "manifest.json"
    written = json.loads(file.read_text())
    del written["sources"][0]["filtered"]  # as datasets were written before there was a filter
    file.write_text(json.dumps(written))
    assert FrozenDataset(tmp_path / "out").manifest.sources[0].filtered == 0


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "here" / "x.jsonl.gz", many(200))
    there = write_jsonl(tmp_path / "there" / "deep" / "x.jsonl.gz", many(200))
    one = frozen(tmp_path / "one", f"file:{path}")
    other = freeze(
        [SourceSpec(uri="file:$DATA/x.jsonl.gz")],
        tmp_path / "elsewhere" / "two",
        ReadOptions(heldout_fraction=0.1, data=there.parent),
        dedup="exact",
    )
    assert one.digest == other.digest
    assert one.sources[0].train == other.sources[0].train


@pytest.mark.parametrize("change", ["text", "order", "weight", "row"])
def test_the_digest_tells_contents_apart(tmp_path: Path, change: str) -> None:
    rows, weight = many(100), 1.0
    path = write_jsonl(tmp_path / "x.jsonl", rows)
    before = frozen(tmp_path / "before", f"file:{path}").digest
    if change == "text":
        rows[50] = {"text": "another", "licence": "MIT"}
    elif change == "order":
        rows.reverse()
    elif change == "row":
        rows.append({"text": "one more", "licence": "MIT"})
    else:
        weight = 3.0
    write_jsonl(path, rows)
    assert frozen(tmp_path / "after", f"file:{path}", weight=weight).digest != before


def test_duplicates_go_across_sources_and_near_ones_when_asked(tmp_path: Path) -> None:
    long = [f"{i} " + " ".join(f"word{i}x{j}" for j in range(80)) for i in range(30)]
    one = write_jsonl(tmp_path / "a.jsonl", documents(long))
    two = write_jsonl(
        tmp_path / "b.jsonl", documents([*(f"{text} and more" for text in long[:20]), long[25], "new"])
    )
    uris = (f"file:{one}", f"file:{two}")
    counts = {
        dedup: [
            (s.records, s.exact_duplicates, s.near_duplicates)
            for s in frozen(tmp_path / dedup, *uris, dedup=dedup).sources
        ]
        for dedup in ("none", "exact", "near")
    }
    assert counts == {
        "none": [(30, 0, 0), (22, 0, 0)],
        "exact": [(30, 0, 0), (21, 1, 0)],
        "near": [(30, 0, 0), (1, 1, 20)],
    }


def test_of_records_that_ask_the_same_one_is_kept_when_asked(tmp_path: Path) -> None:
    pairs = [{"prompt": f"{'Ban it?' if i < 5 else i}", "chosen": f"a{i}", "rejected": "b"} for i in range(8)]
    talk = [{"prompt": text, "completion": "c"} for text in ("ban  it?", "new")]
    uris = [
        f"file:{write_jsonl(tmp_path / f'{name}.jsonl', [row | {'licence': 'MIT'} for row in rows])}"
        for name, rows in (("pairs", pairs), ("talk", talk))
    ]
    for dedup, expected in (("exact", [(8, 0), (2, 0)]), ("prompts", [(4, 4), (1, 1)])):
        manifest = freeze(
            [SourceSpec(uri=uri) for uri in uris],
            tmp_path / dedup,
            ReadOptions(heldout_fraction=0),
            dedup=dedup,  # type: ignore[arg-type]
        )
        assert [(one.records, one.exact_duplicates) for one in manifest.sources] == expected


def test_two_verdicts_on_one_answer_are_both_kept(tmp_path: Path) -> None:
    rows = [
        {"prompt": "A?", "completion": "x", "label": label, "licence": "MIT"} for label in (True, False, True)
    ]
    path = write_jsonl(tmp_path / "x.jsonl", rows)
    manifest = freeze(
        [SourceSpec(uri=f"file:{path}")], tmp_path / "out", ReadOptions(heldout_fraction=0), dedup="near"
    )
    assert (manifest.sources[0].records, manifest.sources[0].exact_duplicates) == (2, 1)


def _leaky(uri: str, options: ReadOptions) -> Iterator[Record]:
    """A source with own splits whose held-out part repeats some of its training, and of another source's."""
    if options.split == "train":
        yield from (Document(f"Own {i}.", Origin(uri, f"t{i}", "MIT")) for i in range(100))
    else:
        said = ["own 7.", "Document number 3 speaks of 9.", "clean"]
        yield from (Document(text, Origin(uri, f"h{i}", "MIT")) for i, text in enumerate(said))


def test_no_held_out_record_has_content_that_training_has(tmp_path: Path) -> None:
    register_scheme("leaky", _leaky, own_splits=True)
    path = write_jsonl(tmp_path / "x.jsonl", [*many(20), *documents([f"own {i}." for i in range(100)])])
    specs = [SourceSpec(uri=f"file:{path}"), SourceSpec(uri="leaky:x", records=100)]
    manifest = freeze(specs, tmp_path / "out", OPTIONS, dedup="none")
    dataset = FrozenDataset(tmp_path / "out")
    train, heldout = ({content_key(one) for one in dataset.records(side)} for side in ("train", "heldout"))  # type: ignore[arg-type]
    assert not train & heldout
    assert manifest.sources[0].leaks > 2
    assert manifest.sources[1].leaks in (1, 2)  # "Document number 3" is held out by content, or not


def test_a_source_with_own_splits_gives_both_in_proportion(tmp_path: Path) -> None:
    manifest = frozen(tmp_path / "out", "school:prose-en", records=200, dedup="none")
    assert (manifest.sources[0].train.records, manifest.sources[0].heldout.records) == (200, 20)
    with pytest.raises(UserError, match="the source is endless; say how many with `records`"):
        frozen(tmp_path / "out2", "school:prose-en")


def test_the_shuffled_order_is_the_seeds(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", many(100))
    orders = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ReadOptions(seed=seed)
        freeze([SourceSpec(uri=f"file:{path}", shuffle=100)], tmp_path / name, options)
        orders.append([one.origin.row for one in FrozenDataset(tmp_path / name).records("train")])
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2])


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [*many(5), {"odd": 1}])
    with pytest.raises(UserError, match="line 6"):
        frozen(tmp_path / "made" / "out", f"file:{path}")
    assert list((tmp_path / "made").iterdir()) == []


def test_a_source_that_gives_nothing_to_train_on_says_why(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [*many(3), {"text": "b", "licence": "MIT"}])
    other = write_jsonl(tmp_path / "y.jsonl", many(3))
    with pytest.raises(UserError, match=r"gives nothing to train on: 3 rows read, .* 3 duplicates"):
        frozen(tmp_path / "out", f"file:{path}", f"file:{other}")


def test_a_source_that_may_not_be_used_is_counted_and_left_out(tmp_path: Path) -> None:
    private = write_jsonl(tmp_path / "x.jsonl", [*many(3), {"odd": 1}])
    free = write_jsonl(tmp_path / "y.jsonl", many(20))
    specs = [SourceSpec(uri=f"file:{private}", licence="CC BY-NC 4.0"), SourceSpec(uri=f"file:{free}")]
    manifest = freeze(specs, tmp_path / "out", ReadOptions())
    assert (manifest.sources[0].records, manifest.sources[0].left_out) == (0, {"CC-BY-NC-4.0": 3})
    assert (
        manifest.licences == {"MIT": 20} and list(FrozenDataset(tmp_path / "out").records("train", 0)) == []
    )
    with pytest.raises(
        UserError, match=r"gives nothing to train on: 4 rows read, .* 3 left out for their licence"
    ):
        freeze(specs[:1], tmp_path / "out2", ReadOptions())


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", many(30))
    spec = [SourceSpec(uri=f"file:{path}")]
    first = freeze(spec, tmp_path / "out", OPTIONS)
    with pytest.raises(UserError, match="a frozen dataset is there already"):
        freeze(spec, tmp_path / "out", OPTIONS)
    write_jsonl(path, many(31))
    second = freeze(spec, tmp_path / "out", OPTIONS, replace_existing=True)
    assert first.digest != second.digest == FrozenDataset(tmp_path / "out").digest
    assert sorted(child.name for child in tmp_path.iterdir()) == ["out", "x.jsonl"]


def test_what_is_no_frozen_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a frozen dataset: there is no manifest\.json"):
        FrozenDataset(tmp_path)
    (tmp_path / "manifest.json").write_text("{", "utf-8")
    with pytest.raises(UserError, match=r"manifest\.json: is damaged"):
        FrozenDataset(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}), "utf-8")
    with pytest.raises(UserError, match="is of format 99"):
        FrozenDataset(tmp_path)


_FREEZE = """
import sys
from pathlib import Path
from bottega.data.frozen import freeze
from bottega.data.sources import ReadOptions, SourceSpec
from bottega.errors import UserError
try:
    freeze([SourceSpec(uri="file:" + sys.argv[1])], Path(sys.argv[2]), ReadOptions(), replace_existing=True)
except UserError as error:
    sys.exit(f"USER ERROR {error}")
"""


def test_a_full_disk_is_a_clear_error_and_the_old_dataset_stays(tmp_path: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    noise = [
        {"text": bytes(rng.integers(33, 126, 2000).astype(np.uint8)).decode(), "licence": "MIT"}
        for _ in range(900)
    ]
    path = write_jsonl(tmp_path / "big.jsonl", noise)
    old = frozen(tmp_path / "out", f"file:{write_jsonl(tmp_path / 'small.jsonl', many(30))}")
    command = [sys.executable, "-c", _FREEZE, str(path), str(tmp_path / "out")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )
    print(done.stderr)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert (
        f"USER ERROR {tmp_path / 'out'}: cannot be written: File too large; nothing was kept; free some space"
        in done.stderr
    )
    assert FrozenDataset(tmp_path / "out").digest == old.digest
    assert sorted(child.name for child in tmp_path.iterdir()) == ["big.jsonl", "out", "small.jsonl"]
    shutil.rmtree(tmp_path / "out")
    assert subprocess.run(command, check=False).returncode == 0  # with room, it is made


MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["system", "user", "assistant"]),
        st.text(),
        st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=4,
).map(tuple)
ANSWERS = st.builds(
    Answer,
    st.builds(Message, st.just("assistant"), st.text()),
    st.none() | st.text(max_size=5),
    st.none() | st.just({"temperature": 0.7}),
    st.none() | st.lists(st.integers(0, 9)).map(tuple),
    st.none() | st.lists(st.floats(-9, 0)).map(tuple),
)
HERE = Origin("s", "r", "MIT", "someone")
RANKINGS = st.builds(
    Ranking, st.text(max_size=5), st.just(((1,), (0, 2))), st.booleans(), st.sampled_from(["human", "model"])
)
RECORDS = st.one_of(
    st.builds(Document, st.text(), st.just(HERE)),
    st.builds(Conversation, MESSAGES, st.just(HERE)),
    st.builds(
        Comparison,
        MESSAGES,
        st.lists(ANSWERS, max_size=3).map(tuple),
        st.lists(RANKINGS, max_size=2).map(tuple),
        st.just(HERE),
    ),
    st.builds(Rated, MESSAGES, ANSWERS, st.floats(-5, 5), st.text(max_size=5), st.just(HERE)),
    st.builds(
        Prompt,
        MESSAGES,
        st.builds(Check, st.sampled_from(["exact", "tests"]), st.lists(st.text()).map(tuple), st.text()),
        st.just(HERE),
    ),
    st.builds(
        Labelled, st.text(), st.dictionaries(st.text(max_size=4), st.none() | st.booleans()), st.just(HERE)
    ),
)


@given(RECORDS)
def test_every_kind_of_record_survives_storage(record: Record) -> None:
    assert record_of(*body_of(record), HERE) == record


def test_records_without_text_are_stored_like_any_other(tmp_path: Path) -> None:
    records = [Document("", Origin("memory", str(row))) for row in range(3)]
    with RecordWriter(tmp_path / "x.parquet") as writer:
        for record in records:
            writer.write(*body_of(record), record.origin)
    assert list(read_stored(tmp_path / "x.parquet", "memory", len(records))) == records


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """One file of records, whole."""
    path = tmp_path_factory.mktemp("stored") / "000.parquet"
    records: list[Record] = [
        Document(f"The {i}th of many texts: {i * 7919 % 1009}.", Origin("s", str(i))) for i in range(700)
    ]
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(*body_of(record), record.origin)
    return path, records


@given(st.data())
def test_a_byte_that_changed_on_disk_is_never_read_as_a_record(
    stored: tuple[Path, list[Record]], data: st.DataObject
) -> None:
    path, records = stored
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = path.with_name("changed.parquet")
    changed.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
    try:
        assert list(read_stored(changed, "s", len(records))) == records
    except UserError as error:
        assert "changed.parquet: is missing or damaged" in str(error)


def test_a_dataset_whose_files_are_cut_gone_or_mixed_up_says_what_to_do(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", documents([f"one {i}" for i in range(60)]))
    other = write_jsonl(tmp_path / "b.jsonl", documents([f"other {i}" for i in range(40)]))
    folder = tmp_path / "frozen"
    freeze([SourceSpec(uri=f"file:{one}") for one in (source, other)], folder, ReadOptions())
    first, second = (folder / "train" / f"00{i}.parquet" for i in range(2))
    whole = first.read_bytes()
    for spoil in (
        lambda: first.write_bytes(whole[:-100]),
        lambda: first.write_bytes(second.read_bytes()),
        lambda: first.unlink(),
    ):
        spoil()
        with pytest.raises(UserError, match=r"000.parquet: is missing or damaged \(.*freeze it again"):
            list(FrozenDataset(folder).records("train"))


@pytest.mark.parametrize("written", ["[]", "{}", '{"format": 1}', '{"format": 1, "sources": [{"other": 1}]}'])
def test_a_manifest_of_other_keys_says_to_freeze_again(tmp_path: Path, written: str) -> None:
    (tmp_path / "manifest.json").write_text(written, "utf-8")
    with pytest.raises(UserError, match=r"manifest\.json: is not a manifest .*freeze the dataset again"):
        FrozenDataset(tmp_path)
