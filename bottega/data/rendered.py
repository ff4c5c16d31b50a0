"""Conversations through a folder's own Jinja template, for models from elsewhere.

Two things keep it safe and exact. The contents of messages cannot make control tokens: in them, the names of
control tokens are broken by a mark that is taken out after the rendered text has been cut at its control
tokens. And what the loss counts is found from ``{% generation %}`` blocks, which render with marks around
them, or, where a template has none, from where the rendering of the messages before each answer ends.

Time is not offered to templates (``strftime_now`` is undefined, so they fall back to their fixed date): the
same messages always give the same tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bottega.data.encoded import Encoded
from bottega.data.records import Message
from bottega.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Template

    from bottega.data.tokenizer import Tokenizer

# Noncharacters: Unicode keeps them for internal use, and texts do not have them (if one does, it is refused).
_BREAK, _OPEN, _CLOSE = "\ufdd0", "\ufdd1", "\ufdd2"
_MARKS = re.compile(f"[{_BREAK}{_OPEN}{_CLOSE}]")


def encode_rendered(
    tokenizer: Tokenizer, template: str, messages: Sequence[Message], add_generation_prompt: bool
) -> Encoded:
    """Tokens of a conversation as ``template`` writes it. Raises ``UserError`` for what it refuses."""
    render = _renderer(tokenizer, template, messages)
    marked = render(len(messages), add_generation_prompt)
    text = marked.replace(_OPEN, "").replace(_CLOSE, "")
    if _OPEN in marked:
        spans = _generation_spans(marked)
    else:
        spans = _answer_spans(tokenizer, messages, text, render)
    answers = [m for m in messages if m.role == "assistant"]
    if len(spans) != len(answers):
        raise UserError(
            f"the chat template renders {len(spans)} answers for {len(answers)} assistant messages, so that "
            "the loss cannot be placed; give the folder a template with {% generation %} around each answer"
        )
    ids: list[int] = []
    weights: list[float] = []
    for token, first, last in _tokens(tokenizer, text):
        ids.append(token)
        # A token that straddles the beginning of an answer counts, as in transformers' assistant mask.
        inside = (m.loss_weight for (a, b), m in zip(spans, answers, strict=True) if a < last and first < b)
        weights.append(next(inside, 0.0))
    return Encoded(ids, weights, sum(len(m.content.encode()) for m in messages))


def _renderer(tokenizer: Tokenizer, template: str, messages: Sequence[Message]) -> Callable[[int, bool], str]:
    """A function that renders the first n messages."""
    from jinja2 import TemplateError

    names = _control_pattern(tokenizer)
    shown = []
    for message in messages:
        if _MARKS.search(message.content):
            raise UserError("a message contains the noncharacter U+FDD0, U+FDD1 or U+FDD2; remove it")
        broken = names.sub(lambda found: found[0][0] + _BREAK + found[0][1:], message.content)
        shown.append({"role": message.role, "content": broken})
    keys = ("bos_token", "eos_token", "pad_token", "unk_token")
    special = {key: tokenizer.special(key) or "" for key in keys}

    def render(count: int, add_generation_prompt: bool) -> str:
        try:
            return _compile(template).render(
                messages=shown[:count],
                add_generation_prompt=add_generation_prompt,
                tools=None,
                documents=None,
                **special,
            )
        except TemplateError as error:
            raise UserError(f"the tokenizer's chat template refuses these messages: {error}") from error

    return render


@lru_cache(maxsize=8)
def _compile(template: str) -> Template:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """``{% generation %}``: its body between two marks."""

        tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

        def parse(self, parser: Parser) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

        def _mark(self, caller: Callable[[], str]) -> str:
            return _OPEN + caller() + _CLOSE

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise UserError(f"the tokenizer's chat template is not valid Jinja: {error}") from error


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    import json

    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _generation_spans(marked: str) -> list[tuple[int, int]]:
    """Where each generation block is in the text without marks."""
    places = [m.start() - n for n, m in enumerate(re.finditer(f"[{_OPEN}{_CLOSE}]", marked))]
    return list(zip(places[::2], places[1::2], strict=True))


def _answer_spans(
    tokenizer: Tokenizer, messages: Sequence[Message], text: str, render: Callable[[int, bool], str]
) -> list[tuple[int, int]]:
    """Each answer from where the prompt for it ends to the token that ends the turn."""
    ends = [name for name, token in tokenizer.control.items() if token in tokenizer.end_ids]
    end_of_turn = re.compile("|".join(map(re.escape, ends)) or "(?!)")
    spans = []
    for i, message in enumerate(messages):
        if message.role != "assistant":
            continue
        prompt = render(i, True)
        end = end_of_turn.search(text, len(prompt))
        if not text.startswith(prompt) or end is None:
            raise UserError(
                "the chat template does not show where an answer begins and ends, so that the loss cannot be "
                "placed; give the folder a template with {% generation %} around each answer"
            )
        spans.append((len(prompt), end.end()))
    return spans


def _tokens(tokenizer: Tokenizer, text: str) -> list[tuple[int, int, int]]:
    """(id, first, last character) of each token of a rendered text."""
    found: list[tuple[int, int, int]] = []
    place = 0
    for piece in re.split(f"({_control_pattern(tokenizer).pattern})", text):
        if piece in tokenizer.control:
            found.append((tokenizer.control[piece], place, place + len(piece)))
        elif piece:
            plain = piece.replace(_BREAK, "")
            # Character i of the plain text stands at origin[i] of the rendered one.
            origin = [i for i, character in enumerate(piece) if character != _BREAK] + [len(piece)]
            encoding = tokenizer.text_backend.encode(plain, add_special_tokens=False)
            found += [
                (token, place + origin[first], place + origin[last])
                for token, (first, last) in zip(encoding.ids, encoding.offsets, strict=True)
            ]
        place += len(piece)
    return found


def _control_pattern(tokenizer: Tokenizer) -> re.Pattern[str]:
    return _pattern(tuple(tokenizer.control))


@lru_cache(maxsize=8)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)")
