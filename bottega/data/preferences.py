"""Row shapes of preferences: comparisons of two or more answers, and single ratings."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import combinations

from bottega.data.records import Answer, Comparison, Message, Origin, Ranking, Rated
from bottega.data.rows import (
    Fields,
    Shape,
    ShapeError,
    content,
    integer,
    items,
    kind,
    messages,
    one_of,
    optional_text,
    real_text,
    role,
    text,
    user,
    with_input,
)

_SPEAKER = re.compile(r"\n\n(Human|Assistant):")
_FIRST, _SECOND, _TIE = ((0,), (1,)), ((1,), (0,)), ((0, 1),)
_SIDES = {0: _TIE, 1: _FIRST, 2: _SECOND}


def _answer(said: str, model: str | None = None) -> Answer:
    return Answer(Message("assistant", said), model)


def _chosen(
    asked: tuple[Message, ...], chosen: Answer, rejected: Answer, row: Fields, origin: Origin
) -> Comparison:
    return Comparison(asked, (chosen, rejected), (Ranking(_labeler(row), _FIRST),), origin)


def _labeler(row: Fields) -> str:
    return optional_text(row, "labeler") or "unknown"


def _transcripts(row: Fields, origin: Origin) -> Comparison:
    """HH-RLHF: two transcripts that differ in the last answer."""
    chosen, rejected = (_spoken(text(row, name), name) for name in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1]:
        raise ShapeError(
            "`chosen` and `rejected` are different conversations; only their last answers may differ"
        )
    return _chosen(chosen[:-1], Answer(chosen[-1]), Answer(rejected[-1]), row, origin)


def _spoken(transcript: str, name: str) -> tuple[Message, ...]:
    parts = _SPEAKER.split("\n\n" + transcript.lstrip("\n"))
    turns = tuple(
        Message("user" if speaker == "Human" else "assistant", said.strip())
        for speaker, said in zip(parts[1::2], parts[2::2], strict=True)
    )
    if parts[0].strip() or len(turns) < 2 or turns[-1].role != "assistant":
        raise ShapeError(
            f"`{name}` must be a transcript of `Human:` and `Assistant:` turns that ends with the assistant's"
        )
    return turns


def _is_transcripts(row: Fields) -> bool:
    return (
        "prompt" not in row
        and isinstance(row["chosen"], str)
        and row["chosen"].lstrip("\n").startswith("Human:")
    )


def _prompt(row: Fields) -> tuple[Message, ...]:
    """``prompt`` as text or as messages."""
    if isinstance(row["prompt"], list):
        return messages(row["prompt"], "prompt")
    return user(real_text(row, "prompt"))


def _pair(row: Fields, origin: Origin) -> Comparison:
    """prompt/chosen/rejected, each text or messages; these may repeat the prompt's before the answer."""
    asked = _prompt(row)
    answers = []
    for name in ("chosen", "rejected"):
        value = row[name]
        if isinstance(value, list):
            turns = messages(value, name)
            turns = turns[len(asked) :] if turns[: len(asked)] == asked else turns
            if len(turns) != 1 or turns[0].role != "assistant":
                raise ShapeError(
                    f"`{name}` must hold one assistant message after the prompt; found {len(turns)}"
                )
            answers.append(Answer(turns[0]))
        else:
            answers.append(_answer(text(row, name)))
    return _chosen(asked, answers[0], answers[1], row, origin)


def _chats(row: Fields, origin: Origin) -> Comparison:
    """chosen/rejected as whole conversations in messages."""
    chosen, rejected = messages(row["chosen"], "chosen"), messages(row["rejected"], "rejected")
    if (
        chosen[:-1] != rejected[:-1]
        or len(chosen) < 2
        or {chosen[-1].role, rejected[-1].role} != {"assistant"}
    ):
        raise ShapeError(
            "`chosen` and `rejected` must be one conversation with two last answers of the assistant"
        )
    return _chosen(chosen[:-1], Answer(chosen[-1]), Answer(rejected[-1]), row, origin)


def _openai_dpo(row: Fields, origin: Origin) -> Comparison:
    """OpenAI's preference fine-tuning file."""
    given = row["input"]
    if not isinstance(given, dict) or "messages" not in given:
        raise ShapeError("`input` must be an object with `messages`")
    outputs = [messages(row[name], name) for name in ("preferred_output", "non_preferred_output")]
    for name, output in zip(("preferred_output", "non_preferred_output"), outputs, strict=True):
        if len(output) != 1 or output[0].role != "assistant":
            raise ShapeError(f"`{name}` must hold one assistant message; found {len(output)}")
    return _chosen(messages(given["messages"]), Answer(outputs[0][0]), Answer(outputs[1][0]), row, origin)


def _ranked(asked: tuple[Message, ...], row: Fields, origin: Origin) -> Comparison:
    answers = items(row, "answers")
    ranks = [integer(rank, "ranks") for rank in items(row, "ranks")]
    if len(answers) < 2 or len(ranks) != len(answers):
        raise ShapeError(
            f"{len(answers)} `answers` and {len(ranks)} `ranks`; there must be two or more, and one for one"
        )
    made = []
    for answer in answers:
        said = answer.get("content") if isinstance(answer, dict) else answer
        made.append(_answer(content(said, "answers")))
    tiers = tuple(tuple(i for i, rank in enumerate(ranks) if rank == level) for level in sorted(set(ranks)))
    return Comparison(asked, tuple(made), (Ranking(_labeler(row), tiers),), origin)


def _messages_ranks(row: Fields, origin: Origin) -> Comparison:
    return _ranked(messages(row["messages"]), row, origin)


def _prompt_ranks(row: Fields, origin: Origin) -> Comparison:
    return _ranked(_prompt(row), row, origin)


def _alpaca_eval(row: Fields, origin: Origin) -> Comparison:
    """Two outputs judged by a model: ``preference`` is 1 or 2, a tie 0."""
    side = integer(row["preference"], "preference")
    one_of(side, "preference", (0, 1, 2))
    asked = user(with_input(real_text(row, "instruction"), optional_text(row, "input")))
    answers = tuple(
        _answer(text(row, f"output_{n}"), optional_text(row, f"generator_{n}") or None) for n in (1, 2)
    )
    ranking = Ranking(optional_text(row, "annotator") or "model", _SIDES[side], kind="model")
    return Comparison(asked, answers, (ranking,), origin)


def _pandalm(row: Fields, origin: Origin) -> Comparison:
    """Two responses and the verdicts of several annotators: 0 tie, 1 first, 2 second."""
    asked = user(with_input(real_text(row, "instruction"), optional_text(row, "input")))
    rankings = []
    for name in sorted(name for name in row if re.fullmatch(r"annotator\d+", name)):
        side = integer(row[name], name)
        one_of(side, name, (0, 1, 2))
        rankings.append(Ranking(name, _SIDES[side]))
    answers = (_answer(text(row, "response1")), _answer(text(row, "response2")))
    return Comparison(asked, answers, tuple(rankings), origin)


def _open_instruct(row: Fields, origin: Origin) -> Comparison:
    """Two completions, ``preference`` in words, and whether each is acceptable at all."""
    word = text(row, "preference")
    sides = {"tie": _TIE, "a-is-better": _FIRST, "a-is-slightly-better": _FIRST}
    sides |= {"b-is-better": _SECOND, "b-is-slightly-better": _SECOND}
    one_of(word, "preference", tuple(sides))
    both_bad = all(row.get(f"completion_{side}_is_acceptable") == "no" for side in "ab")
    answers = tuple(
        _answer(text(row, f"completion_{side}"), optional_text(row, f"model_{side}") or None) for side in "ab"
    )
    return Comparison(_prompt(row), answers, (Ranking(_labeler(row), sides[word], all_bad=both_bad),), origin)


def _fine_grained(row: Fields, origin: Origin) -> Comparison:
    """K answers and a verdict on each pair in order (1-2, 1-3, ...): every pair is one partial ranking."""
    answers = [content(answer, "answers") for answer in items(row, "answers")]
    verdicts = [integer(verdict, "preference") for verdict in items(row, "preference")]
    pairs = list(combinations(range(len(answers)), 2))
    if len(pairs) != len(verdicts) or not pairs:
        raise ShapeError(
            f"{len(answers)} `answers` have {len(pairs)} pairs; `preference` holds {len(verdicts)}"
        )
    rankings = []
    for (a, b), verdict in zip(pairs, verdicts, strict=True):
        one_of(verdict, "preference", (0, 1, 2))
        tiers = {0: ((a, b),), 1: ((a,), (b,)), 2: ((b,), (a,))}[verdict]
        rankings.append(Ranking(_labeler(row), tiers))
    asked = user(f"{_passages(items(row, 'passages'))}\n\n{real_text(row, 'question')}")
    return Comparison(asked, tuple(map(_answer, answers)), tuple(rankings), origin)


def _passages(given: Sequence[object]) -> str:
    """Each passage a paragraph: its title and sentences."""
    return "\n\n".join(
        " ".join(map(str, passage)) if isinstance(passage, list) else str(passage) for passage in given
    )


def _dialogue_reward(row: Fields, origin: Origin) -> Rated:
    """Taskmaster's rated replies; a call to an API is the assistant's JSON, its response a system message."""
    asked = tuple(_task_turn(turn) for turn in items(row, "context"))
    if not asked:
        raise ShapeError("`context` is empty")
    return Rated(
        asked,
        Answer(_task_turn(row["generation"])),
        float(integer(row["reward"], "reward")),
        _labeler(row),
        origin,
    )


def _task_turn(turn: object) -> Message:
    if not isinstance(turn, dict) or "role" not in turn:
        raise ShapeError(f"a turn needs a `role`; found {kind(turn)}")
    speaker = {"agent": "assistant", "api": "system"}.get(str(turn["role"]), turn["role"])
    for name in ("text", "content"):
        if isinstance(turn.get(name), str):
            return Message(role(speaker), turn[name])
    for name in ("api", "response"):
        if name in turn:
            return Message(role(speaker), json.dumps({name: turn[name]}, ensure_ascii=False))
    raise ShapeError(f"a turn needs `text`, `api` or `response`; found {', '.join(map(str, turn))}")


def _thumb(row: Fields, origin: Origin) -> Rated:
    """prompt/completion/label: a thumb up or down (the KTO format)."""
    label = row["label"]
    if not isinstance(label, bool):
        one_of(integer(label, "label"), "label", (0, 1))
    completion = row["completion"]
    turns = (
        messages(completion, "completion") if isinstance(completion, list) else user(text(row, "completion"))
    )
    if len(turns) != 1:
        raise ShapeError(f"`completion` must hold one message; found {len(turns)}")
    rating = float(label) if isinstance(label, bool) else float(integer(label, "label"))
    return Rated(_prompt(row), _answer(turns[0].content), rating, _labeler(row), origin)


PREFERENCE_SHAPES = (
    Shape("openai-dpo", ("input", "preferred_output", "non_preferred_output"), _openai_dpo),
    Shape("messages-ranks", ("messages", "answers", "ranks"), _messages_ranks),
    Shape("prompt-ranks", ("prompt", "answers", "ranks"), _prompt_ranks),
    Shape("prompt-chosen-rejected", ("prompt", "chosen", "rejected"), _pair),
    Shape("hh-rlhf", ("chosen", "rejected"), _transcripts, _is_transcripts),
    Shape("chosen-rejected", ("chosen", "rejected"), _chats, lambda row: isinstance(row["chosen"], list)),
    Shape("alpaca-eval", ("instruction", "output_1", "output_2", "preference"), _alpaca_eval),
    Shape("pandalm", ("instruction", "response1", "response2", "annotator1"), _pandalm),
    Shape("open-instruct", ("prompt", "completion_a", "completion_b", "preference"), _open_instruct),
    Shape("fine-grained", ("question", "passages", "answers", "preference"), _fine_grained),
    Shape("dialogue-reward", ("context", "generation", "reward"), _dialogue_reward),
    Shape("thumb", ("prompt", "completion", "label"), _thumb),
)
