"""Row shapes of texts and of conversations: what a model continues or imitates."""

from __future__ import annotations

import ast
import json

from bottega.data.choices import LETTERS, is_question, question_of
from bottega.data.records import Check, Conversation, Document, Labelled, Message, Origin, Prompt
from bottega.data.rows import (
    Fields,
    Shape,
    ShapeError,
    content,
    items,
    kind,
    messages,
    optional_text,
    real_text,
    role,
    text,
    user,
    with_input,
)
from bottega.data.rules import rule_text
from bottega.errors import UserError

_MODERATION_LABELS = ("S", "H", "V", "HR", "SH", "S3", "H2", "V2")
_NEGATIVE_WORDS = {"0", "false", "no", "not toxic", "safe", "none"}
_POSITIVE_WORDS = {"1", "true", "yes", "toxic", "unsafe"}


def _turns(prompt: str, answer: str, origin: Origin) -> Conversation:
    return Conversation((Message("user", prompt), Message("assistant", answer)), origin)


def _chat(row: Fields, origin: Origin) -> Conversation:
    return Conversation(_with_an_answer(messages(row["messages"]), "messages"), origin)


def _sharegpt(row: Fields, origin: Origin) -> Conversation:
    made: list[Message] = []
    for number, item in enumerate(items(row, "conversations"), 1):
        if not isinstance(item, dict) or not (
            {"from", "value"} <= set(item) or {"role", "content"} <= set(item)
        ):
            found = ", ".join(item) if isinstance(item, dict) else kind(item)
            raise ShapeError(f"turn {number} of `conversations` needs `from` and `value`; found {found}")
        said = item["value"] if "value" in item else item["content"]
        made.append(Message(role(item.get("from", item.get("role"))), content(said, "value")))
    return Conversation(_with_an_answer(tuple(made), "conversations"), origin)


def _with_an_answer(turns: tuple[Message, ...], name: str) -> tuple[Message, ...]:
    if not any(turn.role == "assistant" and turn.content.strip() for turn in turns):
        raise ShapeError(f"`{name}` holds no assistant message with text, so there is nothing to learn")
    return turns


def _alpaca(row: Fields, origin: Origin) -> Conversation:
    asked = with_input(real_text(row, "instruction"), optional_text(row, "input"))
    return _turns(asked, real_text(row, "output"), origin)


def _dolly(row: Fields, origin: Origin) -> Conversation:
    asked = with_input(real_text(row, "instruction"), optional_text(row, "context"))
    return _turns(asked, real_text(row, "response"), origin)


def _prompt_completion(row: Fields, origin: Origin) -> Conversation:
    if isinstance(row["prompt"], list) or isinstance(row["completion"], list):
        turns = messages(row["prompt"], "prompt") + messages(row["completion"], "completion")
        return Conversation(_with_an_answer(turns, "completion"), origin)
    return _turns(real_text(row, "prompt"), real_text(row, "completion"), origin)


def _question(row: Fields) -> str:
    """The question, after the context it is about where the row has one."""
    context = optional_text(row, "context")
    asked = real_text(row, "question")
    return f"{context}\n\n{asked}" if context.strip() else asked


def _question_answer(row: Fields, origin: Origin) -> Conversation:
    return _turns(_question(row), real_text(row, "answer"), origin)


def _checked_question(row: Fields, origin: Origin) -> Prompt:
    """GSM8K as prompts to verify: the answer is what follows the last ``####``."""
    answer = text(row, "answer").rpartition("####")[2].strip()
    if not answer:
        raise ShapeError("`answer` is empty")
    forms = dict.fromkeys((answer, answer.replace(",", "")))
    return Prompt(user(_question(row)), Check("final", tuple(forms)), origin)


def _to_refuse(row: Fields, origin: Origin) -> Prompt:
    return Prompt(user(real_text(row, "prompt")), Check("refusal"), origin)


def _to_answer(row: Fields, origin: Origin) -> Prompt:
    return Prompt(user(real_text(row, "prompt")), Check("no-refusal"), origin)


def _never(row: Fields) -> bool:
    return False


def _choices(row: Fields, origin: Origin) -> Conversation:
    """A question with lettered choices; the answer is the letter and the text of the right one."""
    question = question_of(row)
    if len(question.choices) > len(LETTERS):
        raise ShapeError(
            f"`choices` has {len(question.choices)} entries; at most {len(LETTERS)} can be lettered"
        )
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, question.choices, strict=False)]
    return _turns("\n".join((question.text, *lines)), lines[question.right], origin)


def _docstring_code(row: Fields, origin: Origin) -> Document:
    return Document(_documented(real_text(row, "docstring").strip(), real_text(row, "code")), origin)


def _documented(docstring: str, code: str) -> str:
    """The function with its documentation string where Python has it; as comments above, failing that."""
    comment = "".join(f"# {line}\n" for line in docstring.splitlines())
    try:
        function = ast.parse(code).body[0]
    except (SyntaxError, ValueError, IndexError, RecursionError):
        return f"{comment}{code}\n"
    lines = code.splitlines()
    plain = '"""' not in docstring and "\\" not in docstring and not docstring.endswith('"')
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not plain:
        return f"{comment}{code}\n"
    first = function.body[0]
    if first.lineno == function.lineno or ast.get_docstring(function) is not None:
        return f"{comment}{code}\n"
    indent = " " * first.col_offset
    body = f"\n{indent}".join(docstring.splitlines())
    closing = f'\n{indent}"""' if "\n" in docstring else '"""'
    start = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))]) - 1
    return "\n".join([*lines[:start], f'{indent}"""{body}{closing}', *lines[start:]]) + "\n"


def _program(row: Fields, origin: Origin) -> Conversation:
    """MBPP as an instruction: the first test stands in the request, since it fixes the function's name."""
    tests = items(row, "test_list")
    asked = with_input(real_text(row, "text"), f"It has to pass: `{tests[0]}`" if tests else "")
    return _turns(asked, _unix(real_text(row, "code")), origin)


def _program_tests(row: Fields, origin: Origin) -> Prompt:
    """MBPP as prompts to verify by running the tests."""
    tests = [str(test) for test in items(row, "test_list")]
    if not tests:
        raise ShapeError("`test_list` is empty")
    source = "\n".join(filter(None, (optional_text(row, "test_setup_code"), *tests)))
    asked = with_input(real_text(row, "text"), f"It has to pass: `{tests[0]}`")
    return Prompt(user(asked), Check("tests", tests=_unix(source)), origin)


def _ruled(row: Fields, origin: Origin) -> Prompt:
    """IFEval: a request, and the rules that its answer can be checked against."""
    names, arguments = items(row, "instruction_id_list"), items(row, "kwargs")
    if not names or len(names) != len(arguments):
        raise ShapeError(
            f"`instruction_id_list` has {len(names)} rules and `kwargs` the arguments of {len(arguments)}; "
            "each rule needs its own"
        )
    rules = []
    for name, told in zip(names, arguments, strict=True):
        if not isinstance(told, dict):
            raise ShapeError(f"the rule {name} has arguments that are no object but {kind(told)}")
        try:
            rules.append(rule_text(str(name), told))
        except UserError as error:
            raise ShapeError(str(error)) from error
    return Prompt(user(real_text(row, "prompt")), Check("rules", tuple(rules)), origin)


def _unix(code: str) -> str:
    return code.replace("\r\n", "\n")


def _labelled(row: Fields, origin: Origin) -> Labelled:
    """A text with a label: true or false, or the name of the category that holds (others are unknown)."""
    if "categories" in row:
        given = row["categories"]
        if isinstance(given, str):  # CSV carries it as JSON
            try:
                given = json.loads(given)
            except ValueError as error:
                raise ShapeError("`categories` is not an object") from error
        if not isinstance(given, dict):
            raise ShapeError(
                f"`categories` must be an object of names and true, false or null; found {kind(given)}"
            )
        return Labelled(
            real_text(row, "text"), {str(name): _flag(value, name) for name, value in given.items()}, origin
        )
    name = "is_toxic" if "is_toxic" in row else "label"
    value = row[name]
    word = str(value).strip().lower()
    if word in _NEGATIVE_WORDS or word in _POSITIVE_WORDS:
        return Labelled(real_text(row, "text"), {name: word in _POSITIVE_WORDS}, origin)
    if not isinstance(value, str | int) or not word:
        raise ShapeError(f"`{name}` must be a label; found {kind(value)}")
    return Labelled(real_text(row, "text"), {str(value): True}, origin)


def _moderation(row: Fields, origin: Origin) -> Labelled:
    """OpenAI's moderation release: a label that is missing is unknown."""
    flags = {name: _flag(row.get(name), name) for name in _MODERATION_LABELS}
    return Labelled(real_text(row, "prompt"), flags, origin)


def _flag(value: object, name: object) -> bool | None:
    if value is None:
        return None
    if value in (0, 1):
        return bool(value)
    raise ShapeError(f"the category `{name}` is {value!r}; it must be true, false or null")


def _document(row: Fields, origin: Origin) -> Document:
    return Document(real_text(row, "text"), origin)


CONVERSATION_SHAPES = (
    Shape("openai-chat", ("messages",), _chat),
    Shape("sharegpt", ("conversations",), _sharegpt),
    Shape("multiple-choice", ("question",), _choices, is_question),
    Shape("openbookqa", ("question_stem", "choices", "answerKey"), _choices),
    Shape("question-answer", ("question", "answer"), _question_answer),
    Shape("question-check", ("question", "answer"), _checked_question),  # only when a source asks for it
    Shape("mbpp", ("text", "code", "test_list"), _program),
    Shape("mbpp-tests", ("text", "code", "test_list"), _program_tests),  # only when a source asks for it
    Shape("ifeval", ("prompt", "instruction_id_list", "kwargs"), _ruled),
    Shape("alpaca", ("instruction", "output"), _alpaca),
    Shape("dolly", ("instruction", "response"), _dolly),
    Shape("prompt-completion", ("prompt", "completion"), _prompt_completion),
)

DOCUMENT_SHAPES = (
    Shape("to-refuse", ("prompt",), _to_refuse, _never),  # only when a source asks for it, as is the next
    Shape("to-answer", ("prompt",), _to_answer, _never),
    Shape("docstring-code", ("docstring", "code"), _docstring_code),
    Shape(
        "labelled",
        ("text",),
        _labelled,
        lambda row: "label" in row or "categories" in row or "is_toxic" in row,
    ),
    Shape(
        "openai-moderation",
        ("prompt",),
        _moderation,
        lambda row: any(name in row for name in _MODERATION_LABELS),
    ),
    Shape("document", ("text",), _document),
)
