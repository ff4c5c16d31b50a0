"""CORRECTNESS 1, 3 and 4 at the door of the stages: what goes in, what does not, and that it is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bottega.data.frozen import freeze
from bottega.data.sources import ReadOptions, SourceSpec
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.stages.base import DatasetInput, StageInputs
from bottega.stages.knobs import MixtureConfig
from bottega.stages.mixing import mix
from bottega.stages.prepare import FillInTheMiddle, prepare

from .workshop import Workshop, talks

CONFIG = MixtureConfig(budget_tokens=1000, context=64, batch_tokens=256)


@pytest.fixture(scope="module")
def tokenizer(workshop: Workshop) -> Tokenizer:
    return Tokenizer.load(workshop.tokenizer)


def masked_talk(number: int) -> dict[str, object]:
    return {
        "messages": [
            {"role": "user", "content": f"Is it {number}?"},
            {"role": "assistant", "content": "It is.", "weight": 0},
        ]
    }


def long_talk(words: int, question_words: int = 2) -> dict[str, object]:
    return {
        "messages": [
            {"role": "user", "content": "cat " * question_words + f"({words})"},
            {"role": "assistant", "content": "dog " * words},
        ]
    }


def test_records_licences_and_sources_are_accounted_for(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    entry = workshop.dataset("prose", weight=2.0)
    data = prepare(workshop.inputs(tmp_path, entry), tokenizer, main=("documents",))
    (use,) = data.use
    (part,) = data.documents
    assert use.records == len(part.shards) == sum(use.licences.values()) == sum(use.sources.values())
    assert set(use.licences) == {"CC0-1.0"}
    assert use.tokens == part.shards.num_tokens
    assert use.text_bytes == int(part.shards.text_bytes.sum())
    assert part.weight == 2.0


def test_tokens_are_encoded_once_and_found_again(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    inputs = workshop.inputs(tmp_path, workshop.dataset("prose"), cache=tmp_path / "cache")
    first = prepare(inputs, tokenizer, main=("documents",))
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*")}
    second = prepare(inputs, tokenizer, main=("documents",))
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*")} == stamps
    assert second.use == first.use


def test_what_a_stage_has_no_use_for_is_counted(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    rows = [{"text": f"The cat is number {i}."} for i in range(60)]
    rows += talks()[:40]
    entry = workshop.dataset("both", rows, mixed=True)
    data = prepare(workshop.inputs(tmp_path, entry), tokenizer, main=("documents",))
    (use,) = data.use
    assert list(use.skipped) == ["conversation"]
    assert 20 < use.skipped["conversation"] <= 40
    assert data.conversations == ()
    both = prepare(workshop.inputs(tmp_path, entry), tokenizer, main=("documents", "conversations"))
    assert both.use[0].skipped == {}
    assert both.use[0].records == use.records + use.skipped["conversation"]


def test_a_dataset_without_a_single_useful_record_is_an_error(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError,
        match="talks: nothing in it is of use here, where documents are wanted; it has conversation x",
    ):
        prepare(workshop.inputs(tmp_path, workshop.dataset("talks")), tokenizer, main=("documents",))


def test_no_data_at_all_is_an_error(workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data to train on"):
        prepare(workshop.inputs(tmp_path), tokenizer, main=("documents",))


def test_a_source_that_is_not_there_is_an_error(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    entry = workshop.dataset("prose", sources=("school:nothing",))
    with pytest.raises(UserError, match="has no source 'school:nothing'"):
        prepare(workshop.inputs(tmp_path, entry), tokenizer, main=("documents",))


def test_a_conversation_in_which_every_token_is_masked_is_skipped_and_counted(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    entry = workshop.dataset("some-masked", talks() + [masked_talk(i) for i in range(10)])
    data = prepare(workshop.inputs(tmp_path, entry), tokenizer, main=("conversations",))
    (use,) = data.use
    assert 0 < use.skipped["nothing to learn: every token is masked"] <= 10
    assert use.records == len(data.conversations[0].shards)


def test_data_in_which_every_token_is_masked_is_an_error(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    entry = workshop.dataset("all-masked", [masked_talk(i) for i in range(40)])
    with pytest.raises(UserError, match="every token is masked x"):
        prepare(workshop.inputs(tmp_path, entry), tokenizer, main=("conversations",))


@pytest.mark.parametrize(
    ("policy", "action"), [("drop", "dropped"), ("truncate", "truncated"), ("split", "split")]
)
def test_a_conversation_beyond_the_context_meets_its_policy_and_is_counted(
    policy: str, action: str, workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    entry = workshop.dataset("some-long", talks() + [long_talk(80 + i) for i in range(10)])
    data = prepare(workshop.inputs(tmp_path, entry), tokenizer, main=("conversations",))
    mixture = mix(data, CONFIG.model_copy(update={"overlong": policy}), tokenizer, 0)
    lengths = np.diff(data.conversations[0].shards.offsets)
    long = int((lengths > CONFIG.context + 1).sum())
    assert long > 5
    assert mixture.use[0].overlong[action] == long
    lost = mixture.report(1)["lost_targets"]
    excess = int(np.maximum(lengths - 1 - CONFIG.context, 0).sum())
    whole = int((lengths[lengths > CONFIG.context + 1] - 1).sum())
    assert lost == {"drop": whole, "truncate": excess, "split": 0}[policy]


def test_conversations_whose_answers_all_lie_beyond_the_context_are_an_error(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    entry = workshop.dataset("late-answers", [long_talk(i, question_words=90) for i in range(1, 30)])
    data = prepare(workshop.inputs(tmp_path, entry), tokenizer, main=("conversations",))
    with pytest.raises(UserError, match="not one has an assistant's token within a context of 64"):
        mix(data, CONFIG.model_copy(update={"overlong": "truncate"}), tokenizer, 0)
    split = mix(data, CONFIG.model_copy(update={"overlong": "split"}), tokenizer, 0)
    assert split.packing[0].split == len(data.conversations[0].shards)


def test_only_the_main_documents_are_turned_round_for_infilling(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    inputs = workshop.inputs(tmp_path, workshop.dataset("programs"), workshop.dataset("prose", role="replay"))
    data = prepare(inputs, tokenizer, main=("documents",), fim=FillInTheMiddle(1.0, 0.5, 0.0, 0))
    code, prose = data.documents
    marks = tokenizer.require("fim_middle")
    assert int((code.shards.tokens == marks).sum()) == len(code.shards)
    assert int((prose.shards.tokens == marks).sum()) == 0
    half = (
        prepare(inputs, tokenizer, main=("documents",), fim=FillInTheMiddle(0.5, 0.5, 0.0, 0))
        .documents[0]
        .shards
    )
    assert 0.25 * len(half) < int((half.tokens == marks).sum()) < 0.75 * len(half)


def test_rows_are_shared_out_by_the_datasets_weights(
    workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    inputs = workshop.inputs(
        tmp_path, workshop.dataset("talks", weight=3.0), workshop.dataset("prose", weight=1.0, role="replay")
    )
    data = prepare(inputs, tokenizer, main=("conversations",))
    mixture = mix(data, CONFIG, tokenizer, 0)
    origins = [
        row.split(":")[1].rsplit("/", 1)[1] for step in range(25) for row in mixture.rows.provenance(step)
    ]
    assert origins.count("talks.jsonl") == 75
    assert origins.count("prose.jsonl") == 25


@pytest.mark.parametrize(
    ("order", "begins"), [("documents-first", "prose"), ("conversations-first", "talks")]
)
def test_one_kind_may_come_before_the_other_each_for_its_share_of_the_steps(
    order: str, begins: str, workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    inputs = workshop.inputs(
        tmp_path, workshop.dataset("talks", weight=3.0), workshop.dataset("prose", weight=2.0, role="replay")
    )
    data = prepare(inputs, tokenizer, main=("conversations",))
    config = MixtureConfig(budget_tokens=20 * 256, context=64, batch_tokens=256, order=order)  # type: ignore[arg-type]
    rows = mix(data, config, tokenizer, 0).rows
    kinds = [{"prose" if "prose" in row else "talks" for row in rows.provenance(step)} for step in range(20)]
    first = {"prose": 8, "talks": 12}[begins]
    assert kinds == [{begins}] * first + [{"prose", "talks"} - {begins}] * (20 - first)
    mixed = mix(data, config.model_copy(update={"order": "mixed"}), tokenizer, 0).rows
    assert rows.epochs(20) == pytest.approx(mixed.epochs(20), rel=0.1), "the same of each, in another order"


def test_an_order_needs_both_kinds(workshop: Workshop, tokenizer: Tokenizer, tmp_path: Path) -> None:
    data = prepare(workshop.inputs(tmp_path, workshop.dataset("talks")), tokenizer, main=("conversations",))
    with pytest.raises(UserError, match="order = documents-first needs documents and conversations"):
        mix(data, CONFIG.model_copy(update={"order": "documents-first"}), tokenizer, 0)


def test_within_a_dataset_records_are_read_equally_often_and_a_weight_multiplies_that(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    sources = []
    for name, rows, weight in (("many", 160, 1.0), ("few", 40, 1.0), ("dear", 40, 3.0)):
        file = tmp_path / f"{name}.jsonl"
        file.write_text(
            "".join(f'{{"text": "The cat number {i} of the {name} sat."}}\n' for i in range(rows))
        )
        sources.append(SourceSpec(uri=f"file:{file}", weight=weight, licence="MIT"))
    freeze(sources, tmp_path / "data", ReadOptions(heldout_fraction=0.0))
    entry = DatasetInput(tmp_path / "data", name="data")
    inputs = StageInputs((), None, (entry,), tmp_path / "work", tmp_path / "out")
    data = prepare(inputs, tokenizer, main=("documents",))
    epochs = mix(data, CONFIG, tokenizer, 0).rows.epochs(200)
    many, few, dear = (epochs[source.uri] for source in sources)
    assert many == pytest.approx(few, rel=0.02)
    assert dear == pytest.approx(3 * few, rel=0.02)
