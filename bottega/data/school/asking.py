"""From an exercise to the words of a request: cores, frames, layouts; seen or unseen, clean or clumsy."""

from __future__ import annotations

from types import ModuleType
from typing import Literal

from bottega.data.school import wordings_en, wordings_zh
from bottega.data.school.clumsy import clumsy
from bottega.data.school.draw import Draw
from bottega.data.school.exercise import Exercise, Step
from bottega.data.school.passages import capital

# "taught" is what training shows beyond "seen"; neither knows a word of "unseen".
Wording = Literal["few", "seen", "taught", "unseen", "clumsy"]
# The wordings that "few" knows: the first two cores of a task, the first four frames and two layouts.
_FEW_CORES, _FEW_FRAMES, _FEW_LAYOUTS = 2, 4, 2


def _book(language: str) -> ModuleType:
    return wordings_en if language == "en" else wordings_zh


def _known(book: ModuleType, table: str, wording: Wording, few: int) -> tuple[str, ...]:
    """The frames or layouts of a table that ``wording`` may use; of the ``few`` there are so many."""
    if wording == "unseen":
        return tuple(getattr(book, f"UNSEEN_{table}"))
    known = tuple(getattr(book, table))
    if wording == "taught":
        return known + tuple(getattr(book, f"MORE_{table}"))
    return known[:few] if wording == "few" else known


def _core(draw: Draw, step: Step, wording: Wording, it: str, questions: bool) -> str:
    book = _book(draw.language)
    name, strings = step
    cores: tuple[str, ...] = (book.UNSEEN if wording == "unseen" else book.SEEN)[name]
    if wording == "taught":
        cores += book.MORE.get(name, ())
    elif wording == "few":
        cores = cores[:_FEW_CORES]
    if not questions:
        cores = tuple(core for core in cores if core[-1] not in "?？")
    return str(draw.one(cores)).format_map({**strings, "it": it})


def _ask(draw: Draw, exercise: Exercise, wording: Wording) -> str:
    """The request without its data, as a sentence."""
    book = _book(draw.language)
    the_list = draw.one(book.THE_NUMBERS if exercise.kind == "numbers" else book.THE_LIST)
    if len(exercise.steps) == 1:
        core = _core(draw, exercise.steps[0], wording, the_list, questions=True)
    else:
        one = _core(draw, exercise.steps[0], wording, the_list, questions=False)
        two = _core(draw, exercise.steps[1], wording, draw.one(book.THEM), questions=False)
        joint = book.UNSEEN_THEN if wording == "unseen" else book.THEN
        core = draw.one(joint).format(one=one, two=two)
    if core[-1] in "?？":
        frames = _known(book, "QUESTION_FRAMES", wording, 1)
        asked = frames[0] if wording == "few" else draw.one(frames)
        return capital(asked.format(ask=core, Ask=capital(core)))
    frame = draw.one(_known(book, "FRAMES", wording, _FEW_FRAMES))
    return frame.format(do=core, Do=capital(core))


def request(draw: Draw, exercise: Exercise, wording: Wording) -> str:
    """The user's message for the exercise."""
    book = _book(draw.language)
    spoiled = wording == "clumsy"
    asked = _ask(draw, exercise, wording)
    keep = " ".join((exercise.data, exercise.question, *exercise.steps[0][1].values()))
    if spoiled:
        asked = clumsy(draw, asked, keep)
    if exercise.kind == "word":
        return asked
    if exercise.kind == "text":
        return _about_text(draw, exercise, asked, wording)
    mark = "：" if draw.language == "zh" else ":"
    bare = asked.rstrip(".。")
    layout = draw.one(_known(book, "LAYOUTS", wording, _FEW_LAYOUTS))
    if bare[-1] in "?？":
        layout = layout.replace(f"{{bare}}{mark} ", "{ask} ").replace(f"{{bare}}{mark}", "{ask}")
    return layout.format(ask=asked, bare=bare, data=exercise.data)


def _about_text(draw: Draw, exercise: Exercise, asked: str, wording: Wording) -> str:
    book = _book(draw.language)
    question = exercise.question
    if wording == "clumsy" and question and exercise.steps[0][0] == "read":
        question = clumsy(draw, question, f"{exercise.data} {exercise.answer}")
    if exercise.style:
        space = " " if draw.language == "en" else ""
        question = f"{question}{space}{draw.one(book.STYLES[exercise.style])}"
    if not question:
        return draw.one(("{ask}\n{text}", "{text}\n{ask}")).format(ask=asked, text=exercise.data)
    if exercise.steps[0][0] != "read":
        # The sentence to be judged is no question: it needs the request that says what to do beside it.
        say = draw.one(("{ask}\n{text}\n{claim}", "{text}\n\n{ask}\n{claim}"))
        label = {"en": "Sentence: ", "zh": "句子："}[draw.language]
        return say.format(ask=asked, text=exercise.data, claim=label + question)
    bare = asked.rstrip(".。?？")
    layout = draw.one(_known(book, "TEXT_LAYOUTS", wording, _FEW_LAYOUTS))
    layout = layout.replace("{ask}:", "{bare}:").replace("{ask}：", "{bare}：")
    return layout.format(ask=asked, bare=bare, text=exercise.data, question=question)
