"""Story sums as questions: in conversations, step by step or at once, and as held-out cases in both forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from bottega.data.records import Check, Conversation, Message, Origin, Prompt
from bottega.data.school.draw import Draw
from bottega.data.school.phrasing import phrase
from bottega.data.school.registry import (
    Cases,
    EvalTask,
    FloorExamples,
    Language,
    Part,
    register_part,
    register_task,
)
from bottega.data.school.story_sums import COUNTED, Story, draw_story
from bottega.data.school.sums import distinct_chains, draw_moves
from bottega.data.school.world import Split, World

LICENCE = "Apache-2.0"
SHOTS = 2  # two worked stories and the question fit the context of the smallest family
Form = Literal["steps", "direct"]

# {p} the problem. The last two of each list are kept for unseen phrasings.
_ASK_STEPS: dict[Language, tuple[str, ...]] = {
    "en": (
        "{p} Work it out step by step.",
        "{p} Show your steps.",
        "{p} Think step by step.",
        "Solve this step by step: {p}",
        "{p}\nWrite each step on its own line.",
        "Work this out and show the steps.\n{p}",
        "{p} Explain how you get there.",
        "Please show your working. {p}",
        "{p} Take it one step at a time.",
        "I would like to see every step. {p}",
    ),
    "zh": (
        "{p}请一步一步地算。",
        "{p}请写出步骤。",
        "{p}一步一步想。",
        "请一步一步解答：{p}",
        "{p}\n每一步写一行。",
        "算一算，写出过程。\n{p}",
        "{p}请说明是怎么算的。",
        "请写出计算过程。{p}",
        "{p}慢慢算，一次一步。",
        "我想看到每一步。{p}",
    ),
}
_ASK_DIRECT: dict[Language, tuple[str, ...]] = {
    "en": (
        "{p} Just the number.",
        "{p} Give only the number.",
        "{p} Answer with a number only.",
        "Answer with just a number: {p}",
        "{p}\nOnly the result, please.",
        "No explanation, just the number. {p}",
        "{p} I only need the number.",
        "{p} Reply with one number and nothing else.",
        "Only tell me the number. {p}",
        "{p} Skip the steps and give the result.",
    ),
    "zh": (
        "{p}只写数字。",
        "{p}只要答案的数字。",
        "{p}请只回答一个数字。",
        "只用一个数字回答：{p}",
        "{p}\n只要结果。",
        "不用解释，只写数字。{p}",
        "{p}我只需要数字。",
        "{p}只回答一个数，别的不要写。",
        "只告诉我数字。{p}",
        "{p}不写步骤，直接给结果。",
    ),
}


def worked(story: Story, language: Language) -> str:
    """The steps, a line each, and the answer's line."""
    return f"{story.steps}\n{answer_line(story.answer, language)}"


def answer_line(answer: int, language: Language) -> str:
    """The last line of a worked answer."""
    return f"答案：{answer}" if language == "zh" else f"Answer: {answer}"


def problem(story: Story, language: Language) -> str:
    """The story and its question in one paragraph."""
    return f"{story.text}{'' if language == 'zh' else ' '}{story.question}"


def _bare(draw: Draw, language: Language) -> tuple[str, list[str], int]:
    """A chain of sums without a story: the question, its steps, the answer."""
    while True:
        moves = draw_moves(draw, draw.between(2, 3))
        if all(move.sign != "*" for move in moves[1:]):
            break
    text = str(moves[0].before) + "".join(f" {move.sign} {move.by}" for move in moves)
    asked = f"{text}等于多少？" if language == "zh" else f"What is {text}?"
    return asked, [str(move) for move in moves], moves[-1].after


def _conversation(name: str, language: Language) -> Callable[[World, Split, int], Conversation]:
    def item(world: World, split: Split, index: int) -> Conversation:
        draw = Draw(world, name, split, index, language)
        if draw.chance(0.2):
            asked, steps, number = _bare(draw, language)
            shown = "\n".join([*steps, answer_line(number, language)])
        else:
            story = draw_story(draw, language, draw.one((2, 2, 3, 3, 4)))
            asked, shown, number = problem(story, language), worked(story, language), story.answer
        direct = draw.chance(0.35)
        request = phrase(draw, (_ASK_DIRECT if direct else _ASK_STEPS)[language]).format(p=asked)
        messages = [Message("user", request), Message("assistant", str(number) if direct else shown)]
        if direct and draw.chance(0.15):
            why = "Can you show the steps?" if language == "en" else "能写出步骤吗？"
            messages += [Message("user", why), Message("assistant", shown)]
        return Conversation(tuple(messages), Origin(f"school:{name}", str(index), LICENCE))

    return item


def few_shot(draw: Draw, story: Story, language: Language, form: Form) -> str:
    """Worked stories of the training split in the task's format, then the question, up to the answer."""
    head = "问题：" if language == "zh" else "Question: "
    training = Draw(draw.world, "reasoning-shots", "train", draw.below(1 << 30), language)
    blocks = []
    for length in training.shuffled((2, 3))[:SHOTS]:
        shot = draw_story(training, language, length)
        shown = worked(shot, language) if form == "steps" else answer_line(shot.answer, language)
        blocks.append(f"{head}{problem(shot, language)}\n{shown}\n\n")
    ending = "" if form == "steps" else answer_line(0, language).removesuffix("0").rstrip()
    return f"{''.join(blocks)}{head}{problem(story, language)}\n{ending}"


def _story_case(world: World, language: Language, index: int) -> tuple[Draw, Story]:
    """The held-out story of this index: the same for every form and mode."""
    draw = Draw(world, f"reasoning-cases-{language}", "heldout", index, language)
    return draw, draw_story(draw, language, 2 + index % 2)


def _completion_cases(language: Language, form: Form) -> Cases:
    def cases(world: World, n: int) -> list[Prompt]:
        prompts = []
        for index in range(n):
            draw, story = _story_case(world, language, index)
            text = few_shot(draw, story, language, form)
            check = Check("final" if form == "steps" else "exact", (str(story.answer),))
            prompts.append(
                Prompt((Message("user", text),), check, _origin(f"reasoning-{form}-{language}", index))
            )
        return prompts

    return cases


def _chat_cases(language: Language, form: Form) -> Cases:
    def cases(world: World, n: int) -> list[Prompt]:
        prompts = []
        for index in range(n):
            draw, story = _story_case(world, language, index)
            asks = (_ASK_STEPS if form == "steps" else _ASK_DIRECT)[language]
            request = phrase(draw, asks, unseen=False).format(p=problem(story, language))
            check = Check("final" if form == "steps" else "exact", (str(story.answer),))
            prompts.append(
                Prompt(
                    (Message("user", request),), check, _origin(f"reasoning-chat-{form}-{language}", index)
                )
            )
        return prompts

    return cases


def _origin(name: str, index: int) -> Origin:
    return Origin(f"school:{name}", str(index), LICENCE)


def _floor_examples(language: Language) -> FloorExamples:
    def examples(world: World, n: int) -> list[tuple[str, str]]:
        found = []
        for index in range(n):
            draw = Draw(world, f"reasoning-cases-{language}", "train", index, language)
            story = draw_story(draw, language, 2 + index % 2)
            found.append((problem(story, language), str(story.answer)))
        return found

    return examples


def distinct_stories(world: World) -> int:
    """Two- and three-step stories: chains by people by things; verbs, questions and requests come on top."""
    return (distinct_chains(2) + distinct_chains(3)) * len(world.people) * len(COUNTED)


_FORMS: tuple[tuple[Form, str], ...] = (("steps", "step by step"), ("direct", "at once"))
_LANGUAGES: tuple[tuple[Language, str], ...] = (("en", "English"), ("zh", "Chinese"))
for _language, _what in _LANGUAGES:
    register_part(
        Part(
            f"reasoning-{_language}",
            "conversations",
            f"story sums in {_what}, answered step by step or with the number alone, as asked",
            _conversation(f"reasoning-{_language}", _language),
            distinct_stories,
        )
    )
    for _form, _how in _FORMS:
        register_task(
            EvalTask(
                f"reasoning-{_form}-{_language}",
                "completion",
                _language,
                f"held-out story sums in {_what} after two worked ones, answered {_how}",
                _completion_cases(_language, _form),
                _floor_examples(_language),
                stop="\n\n" if _form == "steps" else "\n",
            )
        )
        register_task(
            EvalTask(
                f"reasoning-chat-{_form}-{_language}",
                "chat",
                _language,
                f"held-out story sums in {_what}, asked for {_how}",
                _chat_cases(_language, _form),
                _floor_examples(_language),
            )
        )
