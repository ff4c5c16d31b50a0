"""What the instruction tasks ask for: data and the right answer, apart from how it is worded.

A list task is one step or two (sort, then join with dashes); which pairs of steps training never shows is the world's
choice. Keys of the splits: the first two items of a list, a (task, word), the facts of a passage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bottega.data.school.draw import Draw
from bottega.data.school.entailment import claim_and_denial
from bottega.data.school.facts import KINDS, Fact, Named, Slots, cast, draw_fact
from bottega.data.school.nouns import (
    ANIMALS,
    CATEGORIES_ZH,
    CATEGORY_PHRASES,
    NAMED_CATEGORIES,
    NOUNS,
    NUMBERS_EN,
    NUMBERS_ZH,
    PORTABLE,
    SOUNDS,
    YOUNG,
    Noun,
    a,
    count_zh,
)
from bottega.data.school.passages import BOOK, capital, gap, slots, state
from bottega.data.school.registry import Language
from bottega.data.school.words import ADJECTIVES, COLOURS, DAYS, JOBS, OPPOSITES, VERBS
from bottega.data.school.world import Person, World

Step = tuple[str, Slots]


@dataclass(frozen=True, slots=True)
class Exercise:
    """One task with its data. ``steps`` are (task, slots of its wording); ``question`` is asked of a passage."""

    steps: tuple[Step, ...]
    data: str
    answer: str
    accepted: tuple[str, ...]
    kind: str  # "list", "numbers", "word" or "text"
    question: str = ""
    style: str = ""


_ANIMAL_NAMES = frozenset(name for noun in ANIMALS for name in (noun.en, noun.zh))

# List steps. Each takes the items and the slots of its wording, and gives items again.
_CHANGES: dict[str, Callable[[list[str], Slots], list[str]]] = {
    "reverse": lambda items, s: items[::-1],
    "sort": lambda items, s: sorted(items, key=int),
    "alphabet": lambda items, s: sorted(items),
    "drop-first": lambda items, s: items[1:],
    "drop-last": lambda items, s: items[:-1],
    "swap": lambda items, s: [items[-1], *items[1:-1], items[0]],
    "keep-two": lambda items, s: items[:2],
    "add": lambda items, s: [*items, s["w"]],
    "replace": lambda items, s: [s["w"] if item == s["x"] else item for item in items],
    "without": lambda items, s: [item for item in items if item != s["x"]],
    "animals": lambda items, s: [item for item in items if item in _ANIMAL_NAMES],
    "twice": lambda items, s: [item for item in items for _ in range(2)],
    "capitals": lambda items, s: [item.upper() for item in items],
}


def _and(items: list[str], language: Language) -> str:
    if len(items) == 1:
        return items[0]
    if language == "en":
        return f"{', '.join(items[:-1])} and {items[-1]}"
    return f"{'、'.join(items[:-1])}和{items[-1]}"


# The last step of a list task: items to text.
_FORMS: dict[str, Callable[[list[str], Language], str]] = {
    "dashes": lambda items, _: "-".join(items),
    "slashes": lambda items, _: "/".join(items),
    "plus": lambda items, _: "+".join(items),
    "json": lambda items, _: "[" + ", ".join(f'"{item}"' for item in items) + "]",
    "lines": lambda items, _: "\n".join(items),
    "numbered": lambda items, _: "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1)),
    "brackets": lambda items, _: " ".join(f"[{item}]" for item in items),
    "and": _and,
    "count": lambda items, _: str(len(items)),
    "first": lambda items, _: items[0],
    "last": lambda items, _: items[-1],
}
_MARK: dict[str, str] = {"en": ", ", "zh": "、"}
_FIRST_STEPS = tuple(_CHANGES)
_SECOND_STEPS = ("reverse", "swap", "drop-first", "drop-last", "keep-two", "twice", "capitals", *_FORMS)
_ENGLISH_ONLY = frozenset(("alphabet", "capitals"))

# What undoes itself, leaves nothing, or has the same answer without the first step.
_SENSELESS = {("keep-two", "keep-two"), ("keep-two", "drop-first"), ("keep-two", "drop-last"), ("reverse", "reverse"),
              ("swap", "swap"), ("twice", "twice"), ("capitals", "capitals"), ("keep-two", "count"),
              ("twice", "first"), ("twice", "last")}  # fmt: skip


def compositions(language: Language) -> tuple[tuple[str, str], ...]:
    """All pairs of list steps that make sense one after the other in a language."""
    return tuple(
        (one, two)
        for one in _FIRST_STEPS
        for two in _SECOND_STEPS
        if (one, two) not in _SENSELESS and (language == "en" or not {one, two} & _ENGLISH_ONLY)
    )


def composition_is_heldout(world: World, pair: tuple[str, str]) -> bool:
    """Whether this world keeps the pair from training."""
    return world.is_heldout("composition", *pair)


def list_tasks(language: Language) -> tuple[str, ...]:
    """The one-step list tasks."""
    extra = ("nth", "odd", "contains", "largest")
    names = (*_CHANGES, *_FORMS, *extra)
    return tuple(name for name in names if language == "en" or name not in _ENGLISH_ONLY)


LIST_NOUNS: tuple[Noun, ...] = tuple(noun for noun in NOUNS if noun.en not in ("orange", "fish"))


def _name(noun: Noun, language: str) -> str:
    return noun.en if language == "en" else noun.zh


def _nouns(draw: Draw, n: int, pool: tuple[Noun, ...] = LIST_NOUNS) -> list[Noun]:
    """n nouns whose first two are a pair of the draw's split."""
    first = draw.one(pool)
    found = [first, draw.paired(first.en, pool, (first,))]
    while len(found) < n:
        noun = draw.one(pool)
        if noun not in found:
            found.append(noun)
    return found


def _numbers(draw: Draw, n: int) -> list[str]:
    pool = [str(i) for i in range(1, 31)]
    first = draw.one(pool)
    found = [first, draw.paired(f"number {first}", pool, (first,))]
    while len(found) < n:
        number = draw.one(pool)
        if number not in found:
            found.append(number)
    return found


def _show(draw: Draw, items: list[str]) -> str:
    if draw.language == "en":
        return draw.one((", ", ", ", ", ", ", ", "; ", " ")).join(items)
    return draw.one(("、", "、", "、", "、", "，", " ")).join(items)


def list_exercise(draw: Draw, names: tuple[str, ...], language: Language) -> Exercise:
    """One or two list steps on words or numbers."""
    numeric = bool({"sort", "largest"} & set(names)) or (
        not {"animals", "capitals", "alphabet", "add", "replace", "without"} & set(names)
        and draw.chance(0.15)
    )
    n = draw.between(4 if len(names) > 1 else 3, 5)
    if numeric:
        items = _numbers(draw, n)
    elif names[0] == "animals":
        first = draw.one(ANIMALS)
        others = [noun for noun in PORTABLE if noun is not first]
        beasts = [
            first,
            *draw.some([x for x in ANIMALS if x is not first and x.en != "fish"], draw.between(1, 2)),
        ]
        chosen = draw.shuffled([*beasts, draw.paired(first.en, others), *draw.some(others, 1)])
        items = list(dict.fromkeys(_name(noun, language) for noun in chosen))
    else:
        items = [_name(noun, language) for noun in _nouns(draw, n)]
    data = _show(draw, items)
    strings: Slots = {}
    if {"add", "replace", "without"} & set(names):
        strings["x"] = draw.one(items)
        strings["w"] = _name(draw.one([x for x in LIST_NOUNS if _name(x, language) not in items]), language)
    text: str | None = None
    for name in names:
        if name in _CHANGES:
            items = _CHANGES[name](items, strings)
        else:
            text = _FORMS[name](items, language)
    answer = text if text is not None else _MARK[language].join(items)
    steps = tuple((name, strings) for name in names)
    return Exercise(
        steps, data, answer, _same_list(answer, items, text, names[-1]), "numbers" if numeric else "list"
    )


def _same_list(answer: str, items: list[str], text: str | None, last: str) -> tuple[str, ...]:
    """The answer and what is as good: other separators for a bare list, other spacing."""
    if text is None:
        return (
            answer,
            *(mark.join(items) for mark in (", ", "、", ",", "，", " ") if mark.join(items) != answer),
        )
    if last == "json":
        return (answer, answer.replace(", ", ","))
    if last == "count":
        n = int(answer)
        return (
            answer,
            NUMBERS_EN[n],
            NUMBERS_EN[n].capitalize(),
            NUMBERS_ZH[n],
            f"{answer}个",
            f"{count_zh(n)}个",
        )
    if last in ("dashes", "slashes", "plus"):
        mark = {"dashes": "-", "slashes": "/", "plus": "+"}[last]
        return (answer, answer.replace(mark, f" {mark} "))
    if last == "brackets":
        return (answer, answer.replace("] [", "]["))
    return (answer,)


def _nth(draw: Draw, language: Language) -> Exercise:
    items = [_name(noun, language) for noun in _nouns(draw, draw.between(4, 6))]
    i = draw.between(1, len(items) - 2)
    nth = ("first", "second", "third", "fourth", "fifth")[i] if language == "en" else "一二三四五"[i]
    return Exercise(
        (("nth", {"nth": nth, "n": str(i + 1)}),), _show(draw, items), items[i], (items[i],), "list"
    )


def _odd(draw: Draw, language: Language) -> Exercise:
    category = draw.one(("animal", "fruit", "vegetable", "clothing", "tool", "vehicle", "furniture"))
    alike = draw.some([n for n in NAMED_CATEGORIES if n.category == category and n.en != "orange"], 3)
    odd = draw.paired(
        alike[0].en, [n for n in NAMED_CATEGORIES if n.category != category and n.en != "orange"]
    )
    items = [_name(noun, language) for noun in draw.shuffled([*alike, odd])]
    answer = _name(odd, language)
    return Exercise((("odd", {}),), _show(draw, items), answer, (answer,), "list")


def _contains(draw: Draw, language: Language) -> Exercise:
    nouns = _nouns(draw, draw.between(3, 6))
    there = draw.chance(0.5)
    asked = draw.one(nouns) if there else draw.one([n for n in LIST_NOUNS if n not in nouns])
    yes, no = (
        (("Yes.", "yes", "Yes"), ("No.", "no", "No"))
        if language == "en"
        else (("有。", "有"), ("没有。", "没有"))
    )
    right = yes if there else no
    data = _show(draw, [_name(noun, language) for noun in nouns])
    return Exercise((("contains", {"x": _name(asked, language)}),), data, right[0], right, "list")


def _largest(draw: Draw, language: Language) -> Exercise:
    items = _numbers(draw, draw.between(3, 5))
    answer = max(items, key=int)
    return Exercise((("largest", {}),), _show(draw, items), answer, (answer,), "numbers")


_OWN_LISTS = {"nth": _nth, "odd": _odd, "contains": _contains, "largest": _largest}

# Word tasks: (input, answer, input's slots beyond x).
Rows = tuple[tuple[str, str], ...]


_TRANSLATED: tuple[Named, ...] = (*NOUNS, *COLOURS, *JOBS, *DAYS)


def _rows(language: Language) -> dict[str, Rows]:
    if language == "en":
        return {
            "opposite": tuple(
                (w.en, w.opposite) for w in ADJECTIVES if w.en != "light" and w.opposite != "light"
            )
            + tuple(pair for x, y in OPPOSITES for pair in ((x.en, y.en), (y.en, x.en))),
            "plural": tuple((n.en, n.plural) for n in NOUNS if n.en != n.plural),
            "past": tuple((v.en, v.past) for v in VERBS),
            "comparative": tuple((w.en, w.comparative) for w in ADJECTIVES if " " not in w.comparative),
            "category": tuple((n.en, n.category) for n in NAMED_CATEGORIES),
            "translate": tuple((w.en, w.zh) for w in _TRANSLATED if w.en != "orange"),
            "young": tuple((animal, young) for animal, (young, _) in YOUNG.items()),
            "sound": tuple((animal, sound) for animal, (sound, _) in SOUNDS.items()),
            "next-day": tuple((DAYS[i].en, DAYS[(i + 1) % 7].en) for i in range(7)),
        }
    return {
        "opposite": tuple(
            (w.zh, w.opposite_zh) for w in ADJECTIVES if w.en not in ("low", "tall", "old", "new")
        )
        + (("旧", "新"), ("新", "旧"))
        + tuple(pair for x, y in OPPOSITES for pair in ((x.zh, y.zh), (y.zh, x.zh))),
        "measure": tuple((n.zh, n.measure) for n in NOUNS),
        "one-of": tuple((n.zh, f"一{n.measure}{n.zh}") for n in NOUNS),
        "very": tuple((w.zh, f"很{w.zh}") for w in ADJECTIVES),
        "category": tuple((n.zh, CATEGORIES_ZH[n.category]) for n in NAMED_CATEGORIES),
        "translate": tuple((w.zh, w.en) for w in _TRANSLATED),
        "young": tuple((n.zh, YOUNG[n.en][1]) for n in NOUNS if n.en in YOUNG),
        "sound": tuple((n.zh, SOUNDS[n.en][1]) for n in NOUNS if n.en in SOUNDS),
        "next-day": tuple((DAYS[i].zh, DAYS[(i + 1) % 7].zh) for i in range(7)),
    }


WORD_ROWS: dict[str, dict[str, Rows]] = {"en": _rows("en"), "zh": _rows("zh")}
# Lists too short to hold words out of: their words are all trained, their wordings are held out.
_SMALL = frozenset(("next-day", "young", "sound"))


def _word(draw: Draw, task: str, language: Language) -> Exercise:
    rows = WORD_ROWS[language][task]
    x, answer = draw.one(rows)
    if task not in _SMALL:
        for _ in range(400):
            if draw.on_side(task, x):
                break
            x, answer = draw.one(rows)
    accepted = [answer, capital(answer)]
    if task == "category":
        accepted += (
            [CATEGORY_PHRASES[answer], capital(CATEGORY_PHRASES[answer])]
            if language == "en"
            else [f"一种{answer}"]
        )
    if task == "translate":
        accepted += [y for z, y in rows if z == x]
    return Exercise(
        ((task, {"x": x, "a_x": a(x) if language == "en" else x}),),
        "",
        answer,
        tuple(dict.fromkeys(accepted)),
        "word",
    )


def _bigger(draw: Draw, language: Language) -> Exercise:
    first = draw.one(NOUNS)
    second = draw.paired(first.en, [n for n in NOUNS if abs(n.size - first.size) >= 3])
    big = _name(first if first.size > second.size else second, language)
    x, w = _name(first, language), _name(second, language)
    strings = {"x": x, "w": w, "a_x": first.a, "a_w": second.a}
    return Exercise((("bigger", strings),), "", big, (big, capital(big), f"the {big}", f"The {big}"), "word")


def _repeat(draw: Draw, language: Language) -> Exercise:
    noun, n = draw.one(NOUNS), draw.between(2, 5)
    while not draw.on_side("repeat", noun.en, str(n)):
        noun, n = draw.one(NOUNS), draw.between(2, 5)
    x = _name(noun, language)
    answer = (" " if language == "en" else "").join([x] * n)
    strings = {"x": x, "n": NUMBERS_EN[n] if language == "en" else count_zh(n)}
    return Exercise(
        (("repeat", strings),), "", answer, (answer, " ".join([x] * n), ", ".join([x] * n)), "word"
    )


def _passage(draw: Draw, least: int, most: int) -> tuple[list[Fact], str]:
    """Facts about different people, no thing or value twice, and their text."""
    taken: list[object] = []
    people = cast(draw, draw.between(least, most))
    taken.extend(people)
    kinds = draw.some(KINDS, 2)
    facts = [draw_fact(draw, draw.one(kinds), person, taken) for person in people]
    return facts, gap(draw.language).join(state(draw, fact) for fact in facts)


def _read(draw: Draw, language: Language) -> Exercise:
    facts, text = _passage(draw, 2, 3)
    book = BOOK[language]
    if draw.chance(0.12):
        # Something of somebody in the text that the text does not tell.
        told = {fact.kind for fact in facts}
        who = draw.one(facts).who
        kind = draw.one([k for k in ("job", "lives", "eats", "drinks", "hobby", "feels") if k not in told])
        question = draw.one(book.ASK[kind][0][0]).format_map(slots(draw_fact(draw, kind, who, []), language))
        answer, bare = book.UNKNOWN
        return Exercise((("read", {}),), text, answer, (answer, bare), "text", capital(question))
    fact = draw.one(facts)
    questions, sentence, bare = draw.one(book.ASK[fact.kind])
    strings = slots(fact, language)
    answer, word = capital(sentence.format_map(strings)), bare.format_map(strings)
    accepted = (answer, word, capital(word), *_fuller(draw.language, word))
    return Exercise(
        (("read", {}),), text, answer, accepted, "text", capital(draw.one(questions).format_map(strings))
    )


def _fuller(language: str, word: str) -> tuple[str, ...]:
    if language == "zh":
        return (f"是{word}", f"在{word}里", f"在{word}")
    return (f"It is {word}", f"It is in the {word}", f"In the {word}", f"in the {word}", f"The {word}", a(word), capital(a(word)),
            f"{word} does", f"{word} is", f"{word} did", f"{word} has it", f"It is {word}'s", f"{word}'s", f"It was {word}")  # fmt: skip


def styles(language: Language) -> tuple[str, ...]:
    """How a question about a passage can ask to be answered."""
    return (
        ("one-word", "capitals", "quotes", "brackets", "twice")
        if language == "en"
        else ("one-word", "quotes", "brackets", "twice")
    )


def style_is_heldout(world: World, kind: str, style: str) -> bool:
    """Whether training never shows questions about this kind of fact with this style of answer. Bare words are free."""
    return style != "one-word" and world.is_heldout("style", kind, style)


def styled(draw: Draw, language: Language, heldout_pair: bool) -> Exercise:
    """A question about a passage with a wish for the answer's form; ``heldout_pair``: one that training never shows."""
    for _ in range(600):
        facts, text = _passage(draw, 2, 3)
        fact, style = draw.one(facts), draw.one(styles(language))
        if style_is_heldout(draw.world, fact.kind, style) != heldout_pair:
            continue
        questions, _, bare = draw.one(BOOK[language].ASK[fact.kind])
        strings = slots(fact, language)
        word = bare.format_map(strings)
        answer = _dress(word, style, language)
        question = capital(draw.one(questions).format_map(strings))
        accepted = (answer, capital(answer)) if style == "one-word" else (answer,)
        return Exercise((("read", {}),), text, answer, accepted, "text", question, style)
    raise AssertionError("this world holds no styled question out")


def _dress(word: str, style: str, language: Language) -> str:
    if style == "capitals":
        return word.upper()
    if style == "quotes":
        return f'"{word}"' if language == "en" else f"“{word}”"
    if style == "brackets":
        return f"[{word}]"
    if style == "twice":
        return f"{word} {word}" if language == "en" else word + word
    return word


def _truth(draw: Draw, language: Language) -> Exercise:
    facts, text = _passage(draw, 2, 3)
    fact = draw.one(facts)
    true = draw.chance(0.5)
    if not true:
        others = [f.who for f in facts if f.who is not fact.who and f.who is not fact.other]
        wrong: Person = draw.one(others)
        fact = replace(fact, who=wrong)
    right = (("True.", "true", "True"), ("False.", "false", "False"))[not true]
    if language == "zh":
        right = (("对。", "对", "是的"), ("不对。", "不对", "错"))[not true]
    sentence = state(draw, fact)
    return Exercise((("truth", {}),), text, right[0], right, "text", sentence)


def _reason(draw: Draw, language: Language) -> Exercise:
    people = cast(draw, 2)
    taken: list[object] = list(people)
    kind = draw.one(("has", "kept", "at", "job", "lives"))
    facts = [draw_fact(draw, kind, person, taken) for person in people]
    sentences = [state(draw, fact) for fact in facts]
    i = draw.below(2)
    shown, hidden = facts[i], facts[1 - i]
    yes = draw.chance(0.5)
    value = shown.value if yes else hidden.value
    claim, _ = claim_and_denial(replace(shown, value=value), language)
    head = ("Yes." if yes else "No.") if language == "en" else ("对。" if yes else "不对。")
    answer = f"{head}{gap(language)}{sentences[i]}"
    return Exercise(
        (("reason", {}),), gap(language).join(sentences), answer, (answer,), "text", capital(claim)
    )


def _people(draw: Draw, language: Language) -> Exercise:
    facts, text = _passage(draw, 2, 4)
    names = sorted(
        {p.en if language == "en" else p.zh for f in facts for p in (f.who, f.other) if p is not None},
        key=text.index,
    )
    answer = _MARK[language].join(names)
    return Exercise((("people", {}),), text, answer, (answer, _and(names, language)), "text")


def _people_count(draw: Draw, language: Language) -> Exercise:
    facts, text = _passage(draw, 2, 4)
    n = len({p.en for f in facts for p in (f.who, f.other) if p is not None})
    return Exercise((("how-many-people", {}),), text, str(n), _same_list(str(n), [], str(n), "count"), "text")


def _copy(draw: Draw, language: Language) -> Exercise:
    who = draw.one(draw.world.people)
    sentence = state(draw, draw_fact(draw, draw.one(KINDS), who, [who]))
    return Exercise((("copy", {}),), sentence, sentence, (sentence,), "list")


_TEXTS: dict[str, Callable[[Draw, Language], Exercise]] = {
    "read": _read,
    "truth": _truth,
    "reason": _reason,
    "people": _people,
    "how-many-people": _people_count,
    "copy": _copy,
    "bigger": _bigger,
    "repeat": _repeat,
}


def single_tasks(language: Language) -> tuple[str, ...]:
    """Every primitive task of a language."""
    return (*list_tasks(language), *WORD_ROWS[language], *_TEXTS)


def exercise(draw: Draw, task: str, language: Language) -> Exercise:
    """One exercise of a primitive task."""
    if task in _TEXTS:
        return _TEXTS[task](draw, language)
    if task in WORD_ROWS[language]:
        return _word(draw, task, language)
    if task in _OWN_LISTS:
        return _OWN_LISTS[task](draw, language)
    return list_exercise(draw, (task,), language)


def list_again(text: str, step: str, language: Language) -> str:
    """One more list step on a list that was answered."""
    items = text.split(_MARK[language])
    if step in _CHANGES:
        return _MARK[language].join(_CHANGES[step](items, {}))
    return _FORMS[step](items, language)


def read_twice(draw: Draw, language: Language) -> tuple[Exercise, str, str]:
    """A passage with a question, and a second question about another of its facts with its answer."""
    facts, text = _passage(draw, 2, 3)
    first, second = draw.some(facts, 2)
    found: list[tuple[str, str]] = []
    for fact in (first, second):
        questions, sentence, _ = draw.one(BOOK[language].ASK[fact.kind])
        strings = slots(fact, language)
        found.append(
            (capital(draw.one(questions).format_map(strings)), capital(sentence.format_map(strings)))
        )
    (question, answer), (question2, answer2) = found
    return Exercise((("read", {}),), text, answer, (answer,), "text", question), question2, answer2
