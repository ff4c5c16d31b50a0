"""What an assistant is taught: no request that it is measured by, no wrong answer, both sides of each."""

from __future__ import annotations

from functools import cache
from itertools import islice

import pytest

from bottega.data.records import Conversation, Prompt
from bottega.data.refusals import declines
from bottega.data.school.assistant import persona
from bottega.data.school.draw import Draw
from bottega.data.school.floors import question_of
from bottega.data.school.harmful import CATEGORIES, book, harmful, look_alike
from bottega.data.school.judging import BARE_REFUSAL, quality
from bottega.data.school.registry import TASKS, Language, records, world
from bottega.evals.checks import is_correct

LANGUAGES: tuple[Language, ...] = ("en", "zh")
MODERATED = {  # the categories of the moderation endpoint, and one more
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent"),
    *("self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors"),
    *("violence", "violence/graphic", "jailbreak"),
}
pytestmark = pytest.mark.parametrize("language", LANGUAGES)


@cache
def talks(language: Language) -> list[Conversation]:
    return list(islice(records(f"assistant-{language}", 5, "train"), 3000))  # type: ignore[arg-type]


@cache
def prompts(language: Language) -> list[Prompt]:
    return list(islice(records(f"assistant-prompts-{language}", 5, "train"), 3000))  # type: ignore[arg-type]


def test_no_case_is_asked_in_training(language: Language) -> None:
    asked = set()
    for record in (*talks(language), *prompts(language)):
        messages = record.messages
        asked |= {m.content for m in messages if m.role == "user"}
        asked |= {"\n".join(m.content for m in messages[:end]) for end in range(1, len(messages) + 1, 2)}
    for task in ("persona", "unknown", "corrections", "refusals"):
        cases = TASKS[f"{task}-{language}"].cases(world(5), 300)
        assert not asked & {question_of(case) for case in cases}, task


def test_a_thing_that_is_held_out_is_never_asked_for_in_training(language: Language) -> None:
    table, home = book(language), world(5)
    things = [t for rows in (table.ACTIONS, table.SENTENCES) for row in rows.values() for t in row]
    apart = [thing for thing in things if home.is_heldout("asked-for", thing)]
    assert 0.05 < len(apart) / len(things) < 0.25
    trained = [harmful(Draw(home, "t", "train", i, language)).text for i in range(2000)]
    for thing in apart:
        others = [one for one in things if thing in one and one not in apart]
        if "{" not in thing and not others:  # else other things are worded so too
            assert not any(thing in text for text in trained), thing


def test_all_categories_are_refused_and_have_look_alikes(language: Language) -> None:
    table, home = book(language), world(5)
    assert set(CATEGORIES) == MODERATED
    for rows in (table.ACTIONS, table.SENTENCES, table.HARMLESS_ACTIONS, table.HARMLESS_SENTENCES):
        assert set(rows) == MODERATED and all(rows.values())
    for make, refused in ((harmful, True), (look_alike, False)):
        made = [make(Draw(home, "x", "train", i, language)) for i in range(3000)]
        assert {one.category for one in made} == MODERATED
        assert all(declines(one.answer) == one.refused == refused for one in made)
        assert {one.disguise for one in made} == {"", *table.DISGUISES}
        assert not any("{" in one.text + one.answer for one in made)


def test_wrong_answers_are_never_learned_and_the_right_ones_follow(language: Language) -> None:
    doubted = [t for t in talks(language) if any(m.weight == 0.0 for m in t.messages)]
    assert 0.02 < len(doubted) / len(talks(language)) < 0.3
    for talk in doubted:
        for i, message in enumerate(talk.messages):
            if message.weight == 0.0:
                assert message.role == "assistant" and talk.messages[i + 1].role == "user"
                assert talk.messages[i + 2].weight is None
    stands = TASKS[f"corrections-{language}"].cases(world(5), 200)
    forms = {case.check.accepted[0][:4] for case in stands}
    assert len(forms) == 2, "some answers are right and stand, others are put right"
    for case in stands:
        assert case.messages[1].content.strip()
        if case.messages[1].weight == 0.0:
            assert not any(a.endswith(f" {case.messages[1].content}") for a in case.check.accepted)


def test_every_answer_passes_its_own_check_and_has_all_of_the_quality(language: Language) -> None:
    kinds = set()
    for prompt in prompts(language)[:800]:
        kinds.add(prompt.check.kind)
        best = prompt.check.accepted[0]
        assert is_correct(best, prompt.check)
        assert quality(prompt, best, correct=True) == pytest.approx(1.0)
    assert kinds == {"exact", "refusal"}


def test_a_refusal_that_says_why_is_better_than_a_bare_one_and_compliance_is_worth_nothing(
    language: Language,
) -> None:
    prompt = next(one for one in prompts(language) if one.check.kind == "refusal")
    best = prompt.check.accepted[0]
    bare = book(language).REFUSE
    assert is_correct(bare, prompt.check)
    assert BARE_REFUSAL < quality(prompt, bare, correct=True) < quality(prompt, best, correct=True)
    willing = {"en": "Of course! First you take", "zh": "当然！首先"}[language]
    assert quality(prompt, willing, correct=is_correct(willing, prompt.check)) == 0.0


def test_cases_of_refusals_are_half_of_each_and_none_twice(language: Language) -> None:
    cases = TASKS[f"refusals-{language}"].cases(world(5), 301)
    assert len({case.messages for case in cases}) == len(cases)
    assert [case.check.kind for case in cases[:4]] == ["refusal", "no-refusal"] * 2
    assert TASKS[f"refusals-{language}"].cases(world(5), 51) == cases[:51]


def test_the_persona_has_one_name(language: Language) -> None:
    answers = {persona(Draw(world(5), "p", "train", i, language)).answer for i in range(500)}
    assert sum("Bottega" in answer for answer in answers) >= 3
    assert len(answers) == 7
