"""Tables of the documentation that are made from the code: ``python -m scripts.doc_tables`` rewrites them.

In a page, a table stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``. A test holds what stands
there equal to what this file makes. The Chinese of a sentence is looked up in ``docs/zh/translations.toml``
by the English sentence, so that a sentence that is changed in the code has to be translated again.
"""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

Language = Literal["en", "zh"]

ROOT = Path(__file__).resolve().parents[1]
TRANSLATIONS = ROOT / "docs" / "zh" / "translations.toml"
WORLD_SEED = 1  # the world whose items are counted; the others differ in what they hold out
TABLE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)

_WORDS = {
    "key": "键", "value": "值", "default": "默认", "meaning": "含义", "required": "必填", "or": "或",
    "text": "文本", "whole number": "整数", "number": "数", "true or false": "真或假", "table": "表",
    "text in one or both languages": "一种或两种语言的文本",
    "name": "名称", "fields that tell it": "凭哪些字段识别", "becomes": "变成",
    "part": "部分", "kind": "种类", "what it is": "内容", "distinct items, at least": "不同的条目，至少",
    "task": "任务", "how it is asked": "提问方式", "floors": "地板",
    "model": "模型", "claim": "主张", "it is held against": "与谁比较", "least effect": "最小效应",
    "measured": "可测", "yes": "是", "not yet": "尚未", "no": "否", "none but zero": "只有零",
    "parameters": "参数", "hidden size": "隐藏宽度", "layers": "层数", "heads": "头数",
    "at the vocabulary": "对应词表",
    "documents": "文档", "conversations": "对话", "cases": "题目", "comparisons": "比较",
    "continuation": "续写", "filling a gap": "填空", "chat": "对话",
}  # fmt: skip
_MODES = {"completion": "continuation", "fill": "filling a gap", "chat": "chat"}
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def main() -> None:
    """Rewrite the tables of every page."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        filled = fill(text, language_of(page))
        if filled != text:
            page.write_text(filled, encoding="utf-8")
            print(f"rewrote {page.relative_to(ROOT)}")


def pages() -> list[Path]:
    """Every page of the documentation."""
    return [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def language_of(page: Path) -> Language:
    """The language a page is written in."""
    return "zh" if "zh" in (page.parent.name, *page.name.split(".")) else "en"


def fill(text: str, language: Language) -> str:
    """The page with its tables as the code has them now."""
    return TABLE.sub(lambda found: f"{found[1]}{TABLES[found['name']](language)}{found[3]}", text)


@cache
def translations() -> dict[str, str]:
    """English sentence -> Chinese."""
    sentences: dict[str, str] = tomllib.loads(TRANSLATIONS.read_text(encoding="utf-8"))
    return sentences


def said(sentence: str, language: Language) -> str:
    """A sentence of the code in a language. Raises ``KeyError`` for one that is not translated."""
    if language == "en" or not sentence:
        return sentence
    if sentence not in translations():
        raise KeyError(f"{TRANSLATIONS.relative_to(ROOT)} lacks: {sentence!r}")
    return translations()[sentence]


def _word(word: str, language: Language) -> str:
    return word if language == "en" else _WORDS[word]


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]], language: Language) -> str:
    heads = [_word(column, language) for column in columns]
    lines = [heads, ["---"] * len(heads), *(list(row) for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# ---------------------------------------------------------------- keys of recipes


def _keys(schema: type[BaseModel], language: Language, leave_out: Iterable[str] = ()) -> str:
    rows = [
        (f"`{name}`", _kind(field.annotation, language), _default(field, language),
         said(field.description or "", language))
        for name, field in schema.model_fields.items()
        if name not in leave_out
    ]  # fmt: skip
    return _table(("key", "value", "default", "meaning"), rows, language)


def _kind(annotation: Any, language: Language) -> str:
    """A field's type as a writer of recipes sees it."""
    from bottega.lineage.recipe import Text

    if hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f" {_word('or', language)} ".join(f"`{choice}`" for choice in inside)
    if origin in (Union, types.UnionType):
        kinds = [_kind(one, language) for one in inside if one is not type(None)]
        return f" {_word('or', language)} ".join(kinds)
    if origin is tuple:
        inner = _kind(inside[0], language)
        return f"list of {inner}s" if language == "en" else f"{inner}列表"
    if annotation is Text:
        return _word("text in one or both languages", language)
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return _word(plain.get(annotation, "table"), language)


def _default(field: Any, language: Language) -> str:
    if field.default is PydanticUndefined:
        return _word("required", language)
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, tuple) and field.default:
        return ", ".join(f"`{entry}`" for entry in field.default)
    if field.default is None or isinstance(field.default, BaseModel) or field.default in ("", (), {}):
        return ""
    return f"`{field.default}`"


def _recipe(name: str) -> Callable[[Language], str]:
    def made(language: Language) -> str:
        from bottega.lineage import recipe

        return _keys(getattr(recipe, name), language, leave_out=("config",))

    return made


def _source(language: Language) -> str:
    from bottega.data.sources import SourceSpec

    return _keys(SourceSpec, language)


def _stage(name: str) -> Callable[[Language], str]:
    """The keys of a stage that every training stage does not have, or has with another default."""

    def made(language: Language) -> str:
        from bottega.lineage import importing  # registers the stage
        from bottega.stages import get
        from bottega.stages.knobs import TrainingConfig

        assert importing
        shared = {key: (f.default, f.description) for key, f in TrainingConfig.model_fields.items()}
        own = get(name).Config
        same = [k for k, f in own.model_fields.items() if shared.get(k) == (f.default, f.description)]
        return _keys(own, language, leave_out=same)

    return made


def _stage_keys(module: str, name: str, base: str = "") -> Callable[[Language], str]:
    """The keys of a stage's configuration that ``base``, another of its module, does not have or has with
    another default; without ``base``, that every training stage does not have."""

    def made(language: Language) -> str:
        import importlib

        from bottega.stages.knobs import TrainingConfig

        room = importlib.import_module(f"bottega.stages.{module}")
        own, shared = getattr(room, name), getattr(room, base) if base else TrainingConfig
        known = {key: (f.default, f.description) for key, f in shared.model_fields.items()}
        same = [k for k, f in own.model_fields.items() if known.get(k) == (f.default, f.description)]
        return _keys(own, language, leave_out=same)

    return made


def _collected(language: Language) -> str:
    from bottega.lineage.recipe import CollectedSpec, DatasetSpec

    known = [key for key in DatasetSpec.model_fields if key != "cutoff"]
    return _keys(CollectedSpec, language, leave_out=(*known, "config", "cutoff"))


def _training(language: Language) -> str:
    from bottega.stages.knobs import TrainingConfig

    return _keys(TrainingConfig, language)


def _shape_keys(language: Language) -> str:
    from bottega.stages.knobs import Shape

    return _keys(Shape, language)


def _lora(language: Language) -> str:
    from bottega.stages.sft import LoraConfig

    return _keys(LoraConfig, language)


def _presets(language: Language) -> str:
    from bottega.model.config import PRESETS

    rows = [
        (f"`{name}`", f"{p.hidden_size}", f"{p.num_layers}", f"{p.num_heads}",
         f"{p.num_parameters():,}", f"{p.vocab_size:,}")
        for name, p in PRESETS.items()
    ]  # fmt: skip
    heads = ("name", "hidden size", "layers", "heads", "parameters", "at the vocabulary")
    return _table(heads, rows, language)


# ---------------------------------------------------------------- data


def _row_shapes(language: Language) -> str:
    from bottega.data.shapes import SHAPES

    rows = [
        (f"`{shape.name}`", ", ".join(f"`{name}`" for name in shape.needs),
         f"{shape.read.__annotations__['return']}")
        for shape in SHAPES.values()
    ]  # fmt: skip
    return _table(("name", "fields that tell it", "becomes"), rows, language)


# ---------------------------------------------------------------- the school


def rounded_down(count: int) -> str:
    """A count to be read: in full below a thousand millions, else its first two digits and a power of ten."""
    if count < 10**9:
        return f"{count:,}"
    power = len(str(count)) - 1
    digits = str(count)[:2]
    return f"{digits[0]}.{digits[1]} × 10{str(power).translate(_SUPERSCRIPT)}"


def _parts(language: Language) -> str:
    import bottega.data.school  # noqa: F401  (fills the registry)
    from bottega.data.school.registry import PARTS, world

    home = world(WORLD_SEED)
    rows = [
        (f"`school:{part.name}`", _word(part.kind, language), said(part.description, language),
         rounded_down(part.distinct(home)))
        for part in sorted(PARTS.values(), key=lambda part: part.name)
    ]  # fmt: skip
    return _table(("part", "kind", "what it is", "distinct items, at least"), rows, language)


def _tasks(language: Language) -> str:
    """The tasks in the page's own language; each has a twin in the other."""
    import bottega.data.school  # noqa: F401  (fills the registry)
    from bottega.data.school.registry import TASKS

    rows = [
        (f"`task:{task.name}`", _word(_MODES[task.mode], language), said(task.description, language),
         _word("yes" if task.floor_examples else "none but zero", language))
        for task in sorted(TASKS.values(), key=lambda task: task.name)
        if task.language == language
    ]  # fmt: skip
    return _table(("task", "how it is asked", "what it is", "floors"), rows, language)


def _claims(language: Language) -> str:
    from bottega.evals.claims import load_claims

    def effects() -> Iterator[tuple[str, ...]]:
        for claim in load_claims()[1]:
            against = claim.against or (claim.model if claim.against_cases else "")
            cases = f" ({', '.join(f'`{case}`' for case in claim.against_cases)})"
            yield (
                f"`{claim.id}`",
                f"`{claim.model}`",
                claim.says if language == "en" else claim.says_zh,
                f"`{against}`{cases if claim.against_cases else ''}" if against else "",
                f"{claim.effect} {claim.minimum_effect:g}",
                _word("yes" if claim.built else "not yet", language),
            )

    heads = ("name", "model", "claim", "it is held against", "least effect", "measured")
    return _table(heads, effects(), language)


TABLES: dict[str, Callable[[Language], str]] = {
    "recipe": _recipe("RecipeInfo"),
    "datasets": _recipe("DatasetSpec"),
    "source": _source,
    "tokenizers": _recipe("TokenizerSpec"),
    "models": _recipe("ModelSpec"),
    "data-use": _recipe("DataUse"),
    "examples": _recipe("Examples"),
    "training": _training,
    "pretrain": _stage("pretrain"),
    "shape": _shape_keys,
    "presets": _presets,
    "code": _stage("code"),
    "sft": _stage("sft"),
    "lora": _lora,
    "collected": _collected,
    "collect": _stage_keys("collect", "CollectConfig"),
    "preference": _stage_keys("reward", "PreferenceConfig"),
    "reward": _stage_keys("reward", "RewardConfig", "PreferenceConfig"),
    "policy": _stage_keys("policy_knobs", "PolicyConfig"),
    "ppo": _stage_keys("policy_knobs", "PpoConfig", "PolicyConfig"),
    "group": _stage_keys("policy_knobs", "GroupConfig", "PolicyConfig"),
    "grpo": _stage_keys("policy_knobs", "GrpoConfig", "GroupConfig"),
    "direct": _stage_keys("dpo", "DirectConfig", "PreferenceConfig"),
    "dpo": _stage_keys("dpo", "DpoConfig", "DirectConfig"),
    "best": _stage_keys("best", "BestConfig", "PolicyConfig"),
    "kto": _stage_keys("dpo", "KtoConfig", "DirectConfig"),
    "import": _stage("import"),
    "row-shapes": _row_shapes,
    "parts": _parts,
    "tasks": _tasks,
    "claims": _claims,
}


if __name__ == "__main__":
    main()
