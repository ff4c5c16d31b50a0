from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from bottega.data.rows import ShapeError
from bottega.data.shapes import SHAPES, FieldMap, find_shape, named_shape, read_row

HERE = Origin("test")
FIRST, SECOND, TIE = ((0,), (1,)), ((1,), (0,)), ((0, 1),)


def chat(*turns: str, system: str | None = None) -> tuple[Message, ...]:
    """User and assistant in turn."""
    opening = (Message("system", system),) if system else ()
    return opening + tuple(
        Message("user" if i % 2 == 0 else "assistant", said) for i, said in enumerate(turns)
    )


def said(text: str, model: str | None = None) -> Answer:
    return Answer(Message("assistant", text), model)


def openai(*messages: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]


def comparison(messages: tuple[Message, ...], good: str, bad: str) -> Comparison:
    return Comparison(messages, (said(good), said(bad)), (Ranking("unknown", FIRST),), HERE)


KNOWN: list[tuple[str, dict[str, Any], Record]] = [
    (
        "openai-chat",
        {"messages": openai(("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"))},
        Conversation(chat("Hi", "Hello", system="Be brief."), HERE),
    ),
    (
        "openai-chat",  # OpenAI's fine-tuning file weighs messages
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": "Hm", "weight": 0},
                {"role": "user", "content": "?"},
                {"role": "assistant", "content": "Hello", "weight": 1},
            ]
        },
        Conversation(
            (
                Message("user", "Hi"),
                Message("assistant", "Hm", 0.0),
                Message("user", "?"),
                Message("assistant", "Hello", 1.0),
            ),
            HERE,
        ),
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "您好"}]},
        Conversation(chat("你好", "您好"), HERE),
    ),
    (
        "alpaca",
        {"instruction": "Add.", "input": "2 and 3", "output": "5", "source": "x"},
        Conversation(chat("Add.\n\n2 and 3", "5"), HERE),
    ),
    ("alpaca", {"instruction": "Sing.", "output": "La"}, Conversation(chat("Sing.", "La"), HERE)),
    (
        "dolly",
        {"instruction": "When?", "context": "In May.", "response": "May", "category": "qa"},
        Conversation(chat("When?\n\nIn May.", "May"), HERE),
    ),
    ("prompt-completion", {"prompt": "2+2=", "completion": "4"}, Conversation(chat("2+2=", "4"), HERE)),
    ("question-answer", {"question": "2+2?", "answer": "#### 4"}, Conversation(chat("2+2?", "#### 4"), HERE)),
    (
        "question-answer",
        {"context": "CREATE TABLE t (a)", "question": "All?", "answer": "SELECT a FROM t"},
        Conversation(chat("CREATE TABLE t (a)\n\nAll?", "SELECT a FROM t"), HERE),
    ),
    (
        "multiple-choice",
        {"question": "Sky?", "choices": ["red", "blue"], "answer": "B"},
        Conversation(chat("Sky?\nA. red\nB. blue", "B. blue"), HERE),
    ),
    (
        "multiple-choice",
        {
            "question": {
                "stem": "Sky?",
                "choices": [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}],
            },
            "answerKey": "A",
        },
        Conversation(chat("Sky?\nA. red\nB. blue", "A. red"), HERE),
    ),
    (
        "openbookqa",
        {
            "question_stem": "Sky?",
            "choices": {"text": ["red", "blue"], "label": ["A", "B"]},
            "answerKey": "B",
        },
        Conversation(chat("Sky?\nA. red\nB. blue", "B. blue"), HERE),
    ),
    (
        "mbpp",
        {"text": "Add one.", "code": "def f(x):\r\n    return x+1", "test_list": ["assert f(1) == 2"]},
        Conversation(
            chat("Add one.\n\nIt has to pass: `assert f(1) == 2`", "def f(x):\n    return x+1"), HERE
        ),
    ),
    ("document", {"text": "Once.", "title": "T", "prompt": "Tell."}, Document("Once.", HERE)),
    (
        "docstring-code",
        {"docstring": "Add one.", "code": "def f(x):\n    return x + 1"},
        Document('def f(x):\n    """Add one."""\n    return x + 1\n', HERE),
    ),
    (
        "docstring-code",  # a one-line body has no place for the documentation
        {"docstring": "Add one.", "code": "def f(x): return x + 1"},
        Document("# Add one.\ndef f(x): return x + 1\n", HERE),
    ),
    ("labelled", {"text": "bad", "label": 1}, Labelled("bad", {"label": True}, HERE)),
    ("labelled", {"text": "fine", "is_toxic": "Not Toxic"}, Labelled("fine", {"is_toxic": False}, HERE)),
    ("labelled", {"text": "x", "label": "hate"}, Labelled("x", {"hate": True}, HERE)),
    (
        "labelled",
        {"text": "x", "categories": {"a": True, "b": None}},
        Labelled("x", {"a": True, "b": None}, HERE),
    ),
    (
        "openai-moderation",
        {"prompt": "x", "S": 1, "V": 0},
        Labelled(
            "x", dict.fromkeys(("S", "H", "V", "HR", "SH", "S3", "H2", "V2")) | {"S": True, "V": False}, HERE
        ),
    ),
    (
        "hh-rlhf",
        {
            "chosen": "\n\nHuman: A?\n\nAssistant: B.\n\nHuman: C?\n\nAssistant: good",
            "rejected": "\n\nHuman: A?\n\nAssistant: B.\n\nHuman: C?\n\nAssistant: bad",
        },
        comparison(chat("A?", "B.", "C?"), "good", "bad"),
    ),
    (
        "prompt-chosen-rejected",
        {"prompt": "A?", "chosen": "good", "rejected": "bad"},
        comparison(chat("A?"), "good", "bad"),
    ),
    (
        "prompt-chosen-rejected",  # the hub often repeats the prompt in both
        {
            "prompt": "A?",
            "chosen": openai(("user", "A?"), ("assistant", "good")),
            "rejected": openai(("user", "A?"), ("assistant", "bad")),
        },
        comparison(chat("A?"), "good", "bad"),
    ),
    (
        "chosen-rejected",
        {
            "chosen": openai(("user", "A?"), ("assistant", "good")),
            "rejected": openai(("user", "A?"), ("assistant", "bad")),
        },
        comparison(chat("A?"), "good", "bad"),
    ),
    (
        "openai-dpo",
        {
            "input": {"messages": openai(("user", "A?")), "tools": []},
            "preferred_output": openai(("assistant", "good")),
            "non_preferred_output": openai(("assistant", "bad")),
        },
        comparison(chat("A?"), "good", "bad"),
    ),
    (
        "prompt-ranks",
        {"prompt": "A?", "answers": ["x", "y", "z"], "ranks": [2, 0, 2], "labeler": "ann"},
        Comparison(chat("A?"), (said("x"), said("y"), said("z")), (Ranking("ann", ((1,), (0, 2))),), HERE),
    ),
    (
        "messages-ranks",
        {"messages": openai(("user", "A?")), "answers": ["x", "y"], "ranks": [0, 1]},
        comparison(chat("A?"), "x", "y"),
    ),
    (
        "alpaca-eval",
        {
            "instruction": "A?",
            "output_1": "x",
            "output_2": "y",
            "preference": 2,
            "generator_1": "m1",
            "generator_2": "m2",
        },
        Comparison(
            chat("A?"), (said("x", "m1"), said("y", "m2")), (Ranking("model", SECOND, kind="model"),), HERE
        ),
    ),
    (
        "pandalm",
        {
            "instruction": "A?",
            "input": "",
            "response1": "x",
            "response2": "y",
            "annotator1": 0,
            "annotator2": 1,
            "annotator3": 2,
        },
        Comparison(
            chat("A?"),
            (said("x"), said("y")),
            (Ranking("annotator1", TIE), Ranking("annotator2", FIRST), Ranking("annotator3", SECOND)),
            HERE,
        ),
    ),
    (
        "open-instruct",
        {
            "prompt": "A?",
            "completion_a": "x",
            "completion_b": "y",
            "preference": "b-is-slightly-better",
            "completion_a_is_acceptable": "no",
            "completion_b_is_acceptable": "no",
        },
        Comparison(chat("A?"), (said("x"), said("y")), (Ranking("unknown", SECOND, all_bad=True),), HERE),
    ),
    (
        "fine-grained",
        {"question": "A?", "passages": [["T", "One.", "Two."]], "answers": ["x", "y"], "preference": [2]},
        Comparison(chat("T One. Two.\n\nA?"), (said("x"), said("y")), (Ranking("unknown", SECOND),), HERE),
    ),
    (
        "dialogue-reward",
        {
            "context": [{"role": "user", "text": "Seats?"}, {"role": "api", "response": {"free": 2}}],
            "generation": {"role": "agent", "text": "Two."},
            "reward": 1,
        },
        Rated(
            (Message("user", "Seats?"), Message("system", '{"response": {"free": 2}}')),
            said("Two."),
            1.0,
            "unknown",
            HERE,
        ),
    ),
    (
        "ifeval",
        {
            "prompt": "A?",
            "instruction_id_list": ["punctuation:no_comma", "keywords:frequency"],
            "kwargs": [{"keyword": None}, {"keyword": "x", "frequency": 1, "relation": "at least"}],
        },
        Prompt(
            chat("A?"),
            Check(
                "rules",
                (
                    "punctuation:no_comma {}",
                    'keywords:frequency {"frequency": 1, "keyword": "x", "relation": "at least"}',
                ),
            ),
            HERE,
        ),
    ),
    (
        "thumb",
        {"prompt": "A?", "completion": "x", "label": False},
        Rated(chat("A?"), said("x"), 0.0, "unknown", HERE),
    ),
]


@pytest.mark.parametrize(
    ("name", "row", "record"), KNOWN, ids=[f"{i}-{one[0]}" for i, one in enumerate(KNOWN)]
)
def test_a_row_is_told_by_its_fields(name: str, row: dict[str, Any], record: Record) -> None:
    assert find_shape(row).name == name
    assert read_row(row, HERE) == record


def test_every_shape_has_an_example_or_is_asked_for_by_name() -> None:
    assert set(SHAPES) - {name for name, _, _ in KNOWN} == {
        *("question-check", "mbpp-tests", "to-refuse", "to-answer")
    }


def test_checkable_shapes_are_read_where_a_source_asks_for_them() -> None:
    question = {"question": "2+2?", "answer": "2+2=<<2+2=4>>4\n#### 1,004"}
    assert read_row(question, HERE, named_shape("question-check")) == Prompt(
        chat("2+2?"), Check("final", ("1,004", "1004")), HERE
    )
    program = {"text": "Add.", "code": "x", "test_list": ["assert f(1)"], "test_setup_code": "import math"}
    assert read_row(program, HERE, named_shape("mbpp-tests")) == Prompt(
        chat("Add.\n\nIt has to pass: `assert f(1)`"), Check("tests", tests="import math\nassert f(1)"), HERE
    )


@pytest.mark.parametrize(("shape", "kind"), [("to-refuse", "refusal"), ("to-answer", "no-refusal")])
def test_a_source_says_whether_its_prompts_are_to_be_refused(shape: str, kind: Any) -> None:
    row = {"prompt": "How do I kill a process?", "category": "computing"}
    assert read_row(row, HERE, named_shape(shape)) == Prompt(chat(row["prompt"]), Check(kind), HERE)
    with pytest.raises(ShapeError, match="fits no known shape"):
        read_row(row, HERE)


def ruled(name: str, *arguments: object) -> dict[str, Any]:
    return {"prompt": "A?", "instruction_id_list": [name], "kwargs": list(arguments)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": []}, "`messages` must be a list of messages; found an empty list"),
        (ruled("no:rule", {}), "there is no rule 'no:rule'; known are"),
        (ruled("punctuation:no_comma", "none"), "punctuation:no_comma has arguments that are no object"),
        (ruled("punctuation:no_comma"), "`instruction_id_list` has 1 rules and `kwargs` the arguments of 0"),
        ({"messages": openai(("user", "Hi"))}, "`messages` holds no assistant message with text"),
        ({"messages": openai(("wizard", "Hi"))}, "unknown role 'wizard'"),
        ({"messages": [{"role": "user"}]}, "message 1 of `messages` needs `role` and `content`; found role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "`content` holds 'image_url'; only text parts can be read",
        ),
        (
            {"conversations": [{"from": "human"}]},
            "turn 1 of `conversations` needs `from` and `value`; found from",
        ),
        ({"prompt": "A?", "answers": ["x"], "ranks": [0]}, "1 `answers` and 1 `ranks`"),
        ({"prompt": "A?", "answers": ["x", "y"], "ranks": [0, float("nan")]}, "must be a whole number"),
        ({"prompt": "A?", "answers": ["x", "y"], "ranks": [0, float("inf")]}, "must be a whole number"),
        ({"prompt": "A?", "answers": ["x", "y"], "ranks": [0, 10**400]}, "must be a whole number"),
        ({"prompt": "A?", "answers": ["x", "y"], "ranks": ["0", "\u00b2"]}, "must be a whole number"),
        ({"prompt": "A?", "answers": ["x", "y"], "ranks": ["0", "--1"]}, "must be a whole number"),
        ({"prompt": "A?", "answers": ["x", "y"], "ranks": ["0", "1" * 5000]}, "must be a whole number"),
        (
            {"chosen": "\n\nHuman: A\n\nAssistant: b", "rejected": "\n\nHuman: C\n\nAssistant: d"},
            "are different conversations",
        ),
        ({"chosen": "\n\nHuman: A?", "rejected": "\n\nHuman: A?"}, "ends with the assistant's"),
        ({"question": "?", "choices": ["a", "b"], "answer": "C"}, "the answer 'C' is none of the 2 choices"),
        ({"text": "  "}, "`text` is empty"),
        ({"instruction": "x", "output": None}, "`output` must be text; found null"),
        ({"prompt": "p", "completion": "c", "label": 3}, "`label` is 3; it must be one of 0, 1"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        read_row(row, HERE)
    assert message in str(caught.value)


def test_mapped_fields_may_be_renamed_found_by_path_or_composed() -> None:
    mapped = FieldMap({"text": "{title}\n\n{body.first}"})
    assert mapped({"title": "T", "body": {"first": "F"}, "source": "s"}) == {"source": "s", "text": "T\n\nF"}
    assert FieldMap({"prompt": "q.stem", "completion": "a"})({"q": {"stem": "S"}, "a": "A"}) == {
        "prompt": "S",
        "completion": "A",
    }


def test_a_mapped_field_no_longer_counts_under_its_old_name() -> None:
    row = {"prompt": "Tell a story.", "text": "Once."}
    assert find_shape(row).name == "document"
    assert find_shape(FieldMap({"prompt": "prompt", "completion": "text"})(row)).name == "prompt-completion"


WORDS = st.text(min_size=1).filter(lambda text: bool(text.strip()))
ROLES = st.sampled_from(["system", "user", "assistant"])


@given(st.lists(st.tuples(ROLES, st.text()), max_size=6), WORDS)
def test_openai_chat_rows_round_trip(turns: list[tuple[str, str]], answer: str) -> None:
    turns = [*turns, ("assistant", answer)]
    record = read_row({"messages": openai(*turns)}, HERE)
    assert isinstance(record, Conversation)
    assert [(message.role, message.content) for message in record.messages] == turns


@given(st.lists(st.integers(0, 4), min_size=2, max_size=6))
def test_ranks_become_tiers_that_hold_every_answer_once_in_order(ranks: list[int]) -> None:
    record = read_row({"prompt": "A?", "answers": [str(i) for i in range(len(ranks))], "ranks": ranks}, HERE)
    assert isinstance(record, Comparison)
    tiers = record.rankings[0].tiers
    assert sorted(index for tier in tiers for index in tier) == list(range(len(ranks)))
    assert [[ranks[i] for i in tier] for tier in tiers] == [
        [level] * ranks.count(level) for level in sorted(set(ranks))
    ]


SPOKEN = WORDS.filter(lambda text: "\n\n" not in text and text == text.strip())


@given(st.lists(st.tuples(SPOKEN, SPOKEN), max_size=3), SPOKEN, SPOKEN, SPOKEN)
def test_transcripts_round_trip(turns: list[tuple[str, str]], asked: str, good: str, bad: str) -> None:
    start = "".join(f"\n\nHuman: {a}\n\nAssistant: {b}" for a, b in turns) + f"\n\nHuman: {asked}"
    record = read_row(
        {"chosen": f"{start}\n\nAssistant: {good}", "rejected": f"{start}\n\nAssistant: {bad}"}, HERE
    )
    flat = [text for pair in turns for text in pair]
    assert record == comparison(chat(*flat, asked), good, bad)


@given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=5)))
def test_any_row_is_read_or_refused_with_its_fields(row: dict[str, Any]) -> None:
    try:
        read_row(row, HERE)
    except ShapeError as error:
        assert str(error)
