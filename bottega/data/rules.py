"""Rules that an answer can be checked against without a judge: those of IFEval (2311.07911).

A rule is written as its id and its arguments in JSON, as in ``keywords:existence {"keywords": ["sun"]}``:
that is what ``Check.accepted`` holds where its kind is ``rules``. Sentences and words are counted by their
marks, without a model of the language, and languages are told by ``py3langid``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from bottega.errors import UserError

_WORD = re.compile(r"\w+")
_CAPITAL_WORD = re.compile(r"[^\W_][\w'’.-]*")  # a hyphenated word is one
_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)|[。！？]+[”’」』）]*")
_ABBREVIATION = re.compile(r"\b(?:mr|mrs|ms|dr|st|prof|jr|sr|vs|etc|e\.g|i\.e|no|[a-z])\.$", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:\*[^*\n].*|-.*)$", re.MULTILINE)
_SINGLE_STARS = re.compile(r"\*([^\n*]*)\*")
_DOUBLE_STARS = re.compile(r"\*\*([^\n*]*)\*\*")
_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")

Rule = Callable[..., bool]


def rule_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A rule as ``obeys`` reads it.

    Raises:
        UserError: there is no such rule, or an argument is missing or of another kind.
    """
    # The hub's rows name the arguments of all rules in each.
    told = {key: value for key, value in arguments.items() if value is not None}
    text = f"{name} {json.dumps(told, ensure_ascii=False, sort_keys=True)}"
    obeys("any answer", text)
    return text


def obeys(answer: str, rule: str) -> bool:
    """Whether an answer keeps to a rule; an empty one keeps to none. Raises what ``rule_text`` raises."""
    check, arguments = _read(rule)
    if not answer.strip():
        return False
    try:
        return check(answer, **arguments)
    except (TypeError, AttributeError, KeyError) as error:
        raise UserError(f"the rule {rule!r} cannot be checked: {error}") from error


@lru_cache(maxsize=4096)
def _read(rule: str) -> tuple[Rule, dict[str, Any]]:
    name, _, arguments = rule.partition(" ")
    if name not in RULES:
        raise UserError(f"there is no rule {name!r}; known are {', '.join(RULES)}")
    return RULES[name], json.loads(arguments or "{}")


def sentences(text: str) -> int:
    """How many sentences a text has: what ends in a mark, a common abbreviation apart, and what is left."""
    count, start = 0, 0
    for end in _SENTENCE_END.finditer(text):
        if _ABBREVIATION.search(text[start : end.end()]):
            continue
        count, start = count + 1, end.end()
    return count + bool(text[start:].strip())


def _holds(count: int, relation: str, bound: int) -> bool:
    if relation not in _RELATIONS:
        raise UserError(f"a rule's relation is {relation!r}; it must be one of {', '.join(_RELATIONS)}")
    return _RELATIONS[relation](count, bound)


_RELATIONS: Mapping[str, Callable[[int, int], bool]] = {
    "less than": lambda count, bound: count < bound,
    "at least": lambda count, bound: count >= bound,
}


def _occurrences(word: str, text: str) -> int:
    return len(re.findall(re.escape(word), text, re.IGNORECASE))


def _language(text: str) -> str:
    import py3langid

    return str(py3langid.classify(text)[0])


# ---------------------------------------------------------------- length


def _number_words(answer: str, num_words: int, relation: str) -> bool:
    return _holds(len(_WORD.findall(answer)), relation, num_words)


def _number_sentences(answer: str, num_sentences: int, relation: str) -> bool:
    return _holds(sentences(answer), relation, num_sentences)


def _number_paragraphs(answer: str, num_paragraphs: int) -> bool:
    """Between dividers of three stars; only the outermost may be empty."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", answer)]
    return all(parts[1:-1]) and sum(map(bool, parts)) == num_paragraphs


def _nth_paragraph_first_word(answer: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    paragraphs = answer.split("\n\n")
    count = sum(bool(part.strip()) for part in paragraphs)
    if count != num_paragraphs or nth_paragraph > count or not paragraphs[nth_paragraph - 1].strip():
        return False
    begins = paragraphs[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", begins)[0].lower() == first_word.lower()


# ---------------------------------------------------------------- words and letters


def _existence(answer: str, keywords: Sequence[str]) -> bool:
    return all(_occurrences(word, answer) for word in keywords)


def _frequency(answer: str, keyword: str, frequency: int, relation: str) -> bool:
    return _holds(_occurrences(keyword, answer), relation, frequency)


def _forbidden_words(answer: str, forbidden_words: Sequence[str]) -> bool:
    return not any(re.search(rf"\b{re.escape(word)}\b", answer, re.IGNORECASE) for word in forbidden_words)


def _letter_frequency(answer: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _holds(answer.lower().count(letter.lower()), let_relation, let_frequency)


def _capital_word_frequency(answer: str, capital_frequency: int, capital_relation: str) -> bool:
    capitals = sum(word.isupper() for word in _CAPITAL_WORD.findall(answer))
    return _holds(capitals, capital_relation, capital_frequency)


def _no_comma(answer: str) -> bool:
    return "," not in answer


# ---------------------------------------------------------------- case and language


def _english_capital(answer: str) -> bool:
    return answer.isupper() and _language(answer.lower()) == "en"


def _english_lowercase(answer: str) -> bool:
    return answer.islower() and _language(answer) == "en"


def _response_language(answer: str, language: str) -> bool:
    return _language(answer) == language.partition("-")[0]


# ---------------------------------------------------------------- format


def _number_highlighted_sections(answer: str, num_highlights: int) -> bool:
    marked = [*_SINGLE_STARS.findall(answer), *_DOUBLE_STARS.findall(answer)]
    return sum(bool(text.strip()) for text in marked) >= num_highlights


def _multiple_sections(answer: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter)}\s?\d+", answer)) >= num_sections


def _number_bullet_lists(answer: str, num_bullets: int) -> bool:
    return len(_BULLET.findall(answer)) == num_bullets


def _number_placeholders(answer: str, num_placeholders: int) -> bool:
    return len(re.findall(r"\[.*?\]", answer)) >= num_placeholders


def _title(answer: str) -> bool:
    return any(title.strip("<> \t") for title in re.findall(r"<<[^\n]+>>", answer))


def _json_format(answer: str) -> bool:
    answer = answer.strip()
    fence = next((fence for fence in _FENCES if answer.startswith(fence)), "")
    try:
        json.loads(answer.removeprefix(fence).removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _constrained_response(answer: str) -> bool:
    return any(option in answer for option in _OPTIONS)


def _postscript(answer: str, postscript_marker: str) -> bool:
    marks = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return bool(re.search(marks.get(postscript_marker, re.escape(postscript_marker)), answer, re.IGNORECASE))


# ---------------------------------------------------------------- the whole answer


def _quotation(answer: str) -> bool:
    answer = answer.strip()
    return len(answer) > 1 and answer[0] == answer[-1] == '"'


def _end_checker(answer: str, end_phrase: str) -> bool:
    return answer.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _two_responses(answer: str) -> bool:
    parts = [part.strip() for part in answer.split("******")]
    given = [part for part in parts if part]
    return all(parts[1:-1]) and len(given) == 2 and given[0] != given[1]


def _repeat_prompt(answer: str, prompt_to_repeat: str) -> bool:
    return answer.strip().lower().startswith(prompt_to_repeat.strip().lower())


RULES: Mapping[str, Rule] = {
    "change_case:capital_word_frequency": _capital_word_frequency,
    "change_case:english_capital": _english_capital,
    "change_case:english_lowercase": _english_lowercase,
    "combination:repeat_prompt": _repeat_prompt,
    "combination:two_responses": _two_responses,
    "detectable_content:number_placeholders": _number_placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": _constrained_response,
    "detectable_format:json_format": _json_format,
    "detectable_format:multiple_sections": _multiple_sections,
    "detectable_format:number_bullet_lists": _number_bullet_lists,
    "detectable_format:number_highlighted_sections": _number_highlighted_sections,
    "detectable_format:title": _title,
    "keywords:existence": _existence,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:frequency": _frequency,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _response_language,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "length_constraints:number_paragraphs": _number_paragraphs,
    "length_constraints:number_sentences": _number_sentences,
    "length_constraints:number_words": _number_words,
    "punctuation:no_comma": _no_comma,
    "startend:end_checker": _end_checker,
    "startend:quotation": _quotation,
}
