from __future__ import annotations

import json
from pathlib import Path

import pytest

from bottega.data.frozen import FrozenDataset, freeze
from bottega.data.records import Check, Conversation, Document, Message
from bottega.data.sources import ReadOptions, SourceSpec
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.evals.heldout import as_prompt
from bottega.evals.names import dataset_of, expand, names
from bottega.evals.registry import score
from bottega.evals.subject import EvalOptions, Subject
from bottega.model.decoder import Decoder

FEW = EvalOptions(cases=4, documents=4)


@pytest.fixture
def subject(model: Decoder, tokenizer: Tokenizer) -> Subject:
    return Subject(model, tokenizer, chat=True)


def test_a_family_name_stands_for_all_its_tasks() -> None:
    assert expand(["task:icl-en"]) == [f"task:icl-en-{shots}" for shots in (0, 1, 2, 4, 8)]
    assert expand(["task:icl-en-4", "task:icl-en-4"]) == ["task:icl-en-4"]


def test_every_name_offered_is_understood() -> None:
    assert expand(names()) == names()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("task:entailmnt-en", "task:entailment-en"),
        ("bits-per-bite:prose-en", "bits-per-byte:prose-en"),
        ("bits-per-byte:mydta", "bits-per-byte:mydata"),
    ],
)
def test_a_misspelt_evaluation_is_met_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"no evaluation '{name}'; did you mean {nearest}?"):
        expand([name], ["mydata"])


def test_a_task_is_scored_with_its_floors_and_ceiling(subject: Subject) -> None:
    result = score("task:icl-en-1", subject, FEW)
    assert result.n == 4
    assert set(result.floors) == {"majority", "nearest", "5-gram"}
    assert result.ceiling == 1.0
    assert result == score("task:icl-en-1", subject, FEW)


def test_another_world_asks_other_questions(subject: Subject) -> None:
    here, there = (score("task:icl-en-1", subject, EvalOptions(cases=4, world_seed=w)) for w in (0, 1))
    assert here.cases != there.cases


def test_a_request_is_put_in_the_template_only_to_a_model_that_was_taught_it(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    chat, base = (score("task:entailment-en", Subject(model, tokenizer, c), FEW) for c in (True, False))
    assert "chat template" in chat.template
    assert "never taught" in base.template
    assert chat.cases == base.cases


@pytest.mark.parametrize("name", ["task:programs-en", "pass@1:programs-en", "pass@3:code-write-zh"])
def test_programs_are_judged_by_their_tests_and_have_no_floor(subject: Subject, name: str) -> None:
    result = score(name, subject, FEW)
    assert (result.n, result.value, result.floors) == (4, 0.0, {})  # random weights write no program
    assert result.details["tries"] == (6 if "@3" in name else 1)
    assert all("assert " in example.expected[0] for example in result.examples)


def test_pass_at_k_is_of_tasks_that_ask_for_programs() -> None:
    assert expand(["pass@10:programs"]) == ["pass@10:programs-en", "pass@10:programs-zh"]
    for name in ("pass@10:entailment-en", "pass@0:programs-en", "pass@x:programs-en"):
        with pytest.raises(UserError, match="there is no evaluation"):
            expand([name])


def test_bits_of_a_part_of_the_school_stand_beside_a_5_gram_model(subject: Subject) -> None:
    result = score("bits-per-byte:prose-en", subject, FEW)
    assert result.n == 4
    assert 0.5 < result.floors["5-gram-characters"] < 4


def test_bits_of_a_frozen_dataset_are_those_of_its_held_out_side(subject: Subject, tmp_path: Path) -> None:
    rows = [{"text": f"The cat number {i} sat on the mat.", "license": "MIT"} for i in range(50)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = freeze(
        [SourceSpec(uri=f"file:{tmp_path}/a.jsonl")], tmp_path / "frozen", ReadOptions(heldout_fraction=0.2)
    )
    options = EvalOptions(documents=100, datasets={"mine": tmp_path / "frozen"})
    assert score("bits-per-byte:mine", subject, options).n == manifest.records("heldout")


def test_of_a_long_document_the_beginning_is_scored(subject: Subject, tmp_path: Path) -> None:
    rows = [{"text": f"Cat number {i} sat on the mat. " * 20, "license": "MIT"} for i in range(50)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    freeze(
        [SourceSpec(uri=f"file:{tmp_path}/a.jsonl")], tmp_path / "frozen", ReadOptions(heldout_fraction=0.2)
    )
    datasets = {"mine": tmp_path / "frozen"}
    whole = score("bits-per-byte:mine", subject, EvalOptions(datasets=datasets))
    cut = score("bits-per-byte:mine", subject, EvalOptions(datasets=datasets, document_chars=100))
    assert min(whole.sizes) > 500
    assert set(cut.sizes) == {100.0}
    assert cut.cases != whole.cases
    assert cut.floors["5-gram-characters"] > whole.floors["5-gram-characters"]


def test_bits_of_conversations_are_those_of_the_answers_beside_a_floor(
    model: Decoder, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    rows = [{"prompt": f"What is {i} + 1?", "completion": str(i + 1), "license": "MIT"} for i in range(50)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    freeze(
        [SourceSpec(uri=f"file:{tmp_path}/a.jsonl")], tmp_path / "frozen", ReadOptions(heldout_fraction=0.3)
    )
    options = EvalOptions(documents=10, datasets={"talks": tmp_path / "frozen"})
    for chat in (True, False):
        result = score("bits-per-byte:talks", Subject(model, tokenizer, chat=chat), options)
        assert result.n == 10
        assert all(size in (1.0, 2.0) for size in result.sizes)
        assert 0 < result.floors["5-gram-characters"] < 20


def frozen(folder: Path, rows: list[dict[str, str]]) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps({**row, "license": "MIT"}) + "\n" for row in rows))
    freeze(
        [SourceSpec(uri=f"file:{folder}/rows.jsonl")], folder / "frozen", ReadOptions(heldout_fraction=0.3)
    )
    return folder / "frozen"


def test_held_out_answers_are_scored_after_examples_and_after_clumsy_requests(
    subject: Subject, tmp_path: Path
) -> None:
    rows = [{"prompt": f"What is {i} plus 1, please?", "completion": f"{i + 1}."} for i in range(60)]
    options = EvalOptions(documents=12, datasets={"talks": frozen(tmp_path, rows)})
    found = {
        n: score(f"{n}:talks", subject, options) for n in ("bits-per-byte", "shots-0", "shots-3", "clumsy")
    }
    assert {result.n for result in found.values()} == {12}
    assert len({result.cases.split("-")[0] for result in found.values()}) == 1, "the same answers"
    assert found["shots-0"].outcomes == found["bits-per-byte"].outcomes
    assert found["shots-3"].outcomes != found["bits-per-byte"].outcomes != found["clumsy"].outcomes
    with pytest.raises(UserError, match=r"there are \d+ conversations to show, 99 are needed"):
        score("shots-99:talks", subject, options)


def test_a_missing_line_of_held_out_code_is_asked_for(subject: Subject, tmp_path: Path) -> None:
    rows = [
        {"text": f"def f{i}(x):\n    y = x + {i}\n    return y * 2\n\nprint(f{i}(3))\n"} for i in range(40)
    ]
    options = EvalOptions(documents=5, datasets={"code": frozen(tmp_path, rows)})
    result = score("fill:code", subject, options)
    assert result.n == 5
    assert all(example.expected[0].startswith("    ") for example in result.examples)
    with pytest.raises(UserError, match="only conversations can be asked otherwise"):
        score("clumsy:code", subject, options)


@pytest.mark.parametrize("name", ["clumsy:talks", "shots-2:talks", "fill:talks"])
def test_what_is_asked_of_held_out_records_needs_a_dataset(name: str) -> None:
    assert expand([name], ["talks"]) == [name]
    assert dataset_of(name) == "talks"
    with pytest.raises(UserError, match="there is no evaluation"):
        expand([name], ["other"])


def test_every_source_of_a_dataset_is_scored_in_proportion(subject: Subject, tmp_path: Path) -> None:
    sources = []
    for name, count in (("much", 300), ("little", 100)):
        file = tmp_path / f"{name}.jsonl"
        rows = [{"text": f"The {name} cat number {i} sat.", "license": "MIT"} for i in range(count)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        sources.append(SourceSpec(uri=f"file:{file}"))
    freeze(sources, tmp_path / "frozen", ReadOptions(heldout_fraction=0.4))
    options = EvalOptions(documents=20, datasets={"mine": tmp_path / "frozen"})
    result = score("bits-per-byte:mine", subject, options)
    little = score(f"bits-per-byte:mine/{sources[1].uri}", subject, options)
    assert result.n == little.n == 20
    from_little = {round(bits, 2) for bits in result.outcomes} & {round(bits, 2) for bits in little.outcomes}
    assert 3 <= len(from_little) <= 7
    with pytest.raises(UserError, match="has no source 'file:none'"):
        score("bits-per-byte:mine/file:none", subject, options)


def test_prompts_of_a_file_are_scored(model: Decoder, tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    rows = [{"prompt": f"What is {i} + {i}?", "completion": str(2 * i), "license": "MIT"} for i in range(5)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = score(f"exact:file:{file}", Subject(model, tokenizer, chat=False), FEW)
    assert result.n == 4
    assert [(e.prompt, e.expected) for e in result.examples][:2] == [
        ("What is 0 + 0?", ("0",)),
        ("What is 1 + 1?", ("2",)),
    ]


def test_of_a_source_that_was_trained_on_only_held_out_prompts_are_asked(
    model: Decoder, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    file = tmp_path / "sums.jsonl"
    rows = [{"prompt": f"What is {i} + {i}?", "completion": str(2 * i), "license": "MIT"} for i in range(90)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    uri = f"file:{file}"
    freeze([SourceSpec(uri=uri)], tmp_path / "frozen", ReadOptions())
    subject = Subject(model, tokenizer, chat=False)
    alone = score(f"exact:{uri}", subject, EvalOptions(max_new_tokens=2))
    trained = EvalOptions(max_new_tokens=2, datasets={"sums": tmp_path / "frozen"})
    asked = score(f"exact:{uri}", subject, trained)
    heldout = {record.messages[0].content for record in FrozenDataset(tmp_path / "frozen").records("heldout")}  # type: ignore[union-attr]
    assert alone.n == 90
    assert asked.n == len(heldout) < 10
    assert {example.prompt for example in asked.examples} <= heldout


def test_prompts_without_a_licence_may_be_asked(subject: Subject, tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text('{"prompt": "What is 1 + 1?", "completion": "2"}\n', encoding="utf-8")
    assert score(f"exact:file:{file}", subject, FEW).n == 1


def test_prompts_with_rules_are_asked_as_they_stand_and_badly_put(subject: Subject, tmp_path: Path) -> None:
    file = tmp_path / "rules.jsonl"
    row = {"prompt": "Please write about bread without commas.", "license": "MIT"}
    rules = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    file.write_text("".join(json.dumps(row | rules | {"key": i}) + "\n" for i in range(3)))
    well = score(f"exact:file:{file}", subject, FEW)
    badly = score(f"clumsy:file:{file}", subject, FEW)
    assert well.n == badly.n == 3
    assert well.cases.partition("-")[0] == badly.cases.partition("-")[0]  # the same questions, in other words
    assert {e.prompt for e in well.examples} == {row["prompt"]}
    assert row["prompt"] not in {e.prompt for e in badly.examples}
    assert well.examples[0].expected == ("punctuation:no_comma {}",)


def test_a_talk_asks_for_its_last_answer() -> None:
    turns = (
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Bye"),
        Message("assistant", "Ciao"),
    )
    prompt = as_prompt(Conversation(turns))
    assert prompt is not None
    assert prompt.messages == turns[:3]
    assert prompt.check == Check("exact", ("Ciao",))
    assert as_prompt(Conversation(turns[:3])) is None
    assert as_prompt(Document("text")) is None


def test_speed_is_tokens_over_seconds_of_waiting(subject: Subject) -> None:
    result = score("tokens-per-second:icl-en-0", subject, FEW)
    assert (result.unit, result.n, result.higher_is_better) == ("tokens/s", 4, True)
    assert result.value == pytest.approx(sum(result.outcomes) / sum(result.sizes))
    assert 0 < result.low <= result.value <= result.high


def test_the_problems_of_a_file_tell_the_speed_too(subject: Subject, tmp_path: Path) -> None:
    row = {"text": "Write a function that adds one.", "test_list": ["assert f(1) == 2"]}
    (tmp_path / "problems.jsonl").write_text(f"{json.dumps(row)}\n" * 3)
    result = score(f"tokens-per-second:file:{tmp_path}/problems.jsonl", subject, FEW)
    assert (result.unit, result.n) == ("tokens/s", 3)


def test_of_a_worked_answer_the_marked_result_is_asked_for() -> None:
    def asked(answer: str) -> Check:
        prompt = as_prompt(Conversation((Message("user", "How many?"), Message("assistant", answer))))
        assert prompt is not None
        return prompt.check

    assert asked("2 and 2 is 4.\n#### 4") == Check("final", ("4",))
    assert asked("So many.\n#### 1,200") == Check("final", ("1,200", "1200"))
    assert asked("#### 4") == Check("exact", ("#### 4",))
