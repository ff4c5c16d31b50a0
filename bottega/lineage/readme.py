"""A model's README.md: the card for people, in English with a summary in Chinese, under the hub's header."""

from __future__ import annotations

from collections.abc import Iterable

from bottega.evals.score import Score
from bottega.lineage.card import Card

_STAGES = {
    "pretrain": ("pretrained from nothing", "从零开始预训练"),
    "code": ("trained on code", "在代码上继续训练"),
    "sft": ("fine-tuned on instructions", "经过指令微调"),
    "import": ("imported from elsewhere", "由外部导入"),
}
# Licence names as data sets spell them -> the hub's identifiers.
_HUB_LICENCES = {
    "apache-2.0",
    "mit",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "bsd-3-clause",
}


def readme(card: Card) -> str:
    """The whole file."""
    parts = [_header(card), f"# {card.name}", _opening(card), _lineage(card), _scores(card), _samples(card)]
    parts += [_training(card), _data(card), _use(card), _chinese(card)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(card: Card) -> str:
    licences = [name.lower() for name in card.licences]
    licence = licences[0] if len(licences) == 1 and licences[0] in _HUB_LICENCES else "other"
    lines = ["---", "language: [en, zh]", f"license: {licence}", "library_name: transformers"]
    lines += ["pipeline_tag: text-generation", f"tags: [bottega, {card.stage}]"]
    if card.parents:
        lines.append(f"base_model: {card.parents[0].name}")
    return "\n".join([*lines, "---"])


def _opening(card: Card) -> str:
    how = _STAGES.get(card.stage, (f"made by the stage {card.stage}", ""))[0]
    made_from = f" from **{' + '.join(p.name for p in card.parents)}**" if card.parents else ""
    lines = [card.description.en or card.title.en]
    lines.append(f"It was {how}{made_from} with Bottega, in the family *{card.recipe}*.")
    if card.role == "control":
        lines.append("It is a control: it exists to be compared with, not to be used.")
    return "\n".join(line for line in lines if line)


def _lineage(card: Card) -> str:
    chain = " + ".join(f"{p.name} `{p.fingerprint[:12]}`" for p in card.parents) or "nothing"
    return f"**Lineage:** {chain} → *{card.stage}* → {card.name} `{card.version}`"


def _scores(card: Card) -> str:
    if not card.scores:
        return "## Scores\n\nNot evaluated yet: `bottega eval " + card.name + "`."
    rows = []
    for score in card.all_scores().values():
        floors = ", ".join(f"{name} {number(v, score.unit)}" for name, v in score.floors.items())
        rows.append((score.name, value_with_interval(score), score.unit, str(score.n or ""), floors or "-"))
    judged = any(name.startswith("brier:") and not s.not_built for name, s in card.all_scores().items())
    picture = "\n\n![Calibration](calibration.png)" if judged else ""
    note = (
        "Intervals are 95%. A floor is what a method that understands nothing reaches on the same cases. "
        "Cases are held out: no model of the family was trained on them."
    )
    table = _table(("evaluation", "score", "unit", "n", "floors"), rows)
    return f"## Scores\n\n{table}\n\n{note}{picture}"


def _samples(card: Card) -> str:
    if not card.samples:
        return ""
    shown = [
        f"> {_quoted(s.prompt)}\n\n```text\n{s.answer.strip() or '(nothing)'}\n```" for s in card.samples
    ]
    return "## What it says\n\nGreedy answers, unedited.\n\n" + "\n\n".join(shown)


def _training(card: Card) -> str:
    cost, family = card.cost, card.family_cost
    rows = [
        ("time", duration(cost.seconds), duration(family.get("seconds", cost.seconds))),
        ("tokens", quantity(cost.tokens), quantity(family.get("tokens", cost.tokens))),
        ("FLOPs", f"{cost.flops:.2e}", f"{family.get('flops', cost.flops):.2e}"),
    ]
    text = "## Training\n\n" + _table(("cost", "this model", "with its ancestors"), rows)
    text += f"\n\nOn {cost.device}, computing in {cost.precision}, {cost.steps} steps, seed {card.seed}."
    if card.curves:
        text += "\n\n![Training curves](curves.png)"
    if card.command:
        text += f"\n\n```sh\n{card.command}\n```"
    made_with = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    return (
        text
        + f"\n\nMade {card.made} with {made_with}. "
        + f"Stage version {card.stage_version}, fingerprint `{card.fingerprint}`."
    )


def _data(card: Card) -> str:
    if not card.data and not card.licences:
        return "## Data\n\nNot known: the model was made elsewhere." if card.stage == "import" else ""
    rows = [
        (d.dataset + (" (replay)" if d.role == "replay" else ""), f"{d.weight:g}", f"{d.records:,}",
         quantity(d.tokens),
         ", ".join(f"{name} ({count:,})" for name, count in d.licences.items()), f"`{d.digest[:12]}`")
        for d in card.data
    ]  # fmt: skip
    text = "## Data\n\n" + _table(
        ("dataset", "weight", "records", "tokens", "licences (records)", "digest"), rows
    )
    withheld = {k: v for d in card.data for k, v in d.withheld.items()}
    if withheld:
        text += (
            "\n\nLeft out for their licence: " + ", ".join(f"{k} ({v:,})" for k, v in withheld.items()) + "."
        )
    commits = {uri: commit for d in card.data for uri, commit in d.commits.items()}
    if commits:
        text += "\n\nRead from the hub: " + ", ".join(f"{uri} at `{at}`" for uri, at in commits.items()) + "."
    licences = ", ".join(card.licences) or "none stated"
    text += f"\n\n**Every licence that went in, ancestors included:** {licences}."
    return text + f"\n\n**Knowledge cut-off:** {card.knowledge_cutoff or 'not known'}."


def _use(card: Card) -> str:
    lines = [
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")',
        'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")',
        "```",
    ]
    return "## Use\n\n" + "\n".join(lines)


def _chinese(card: Card) -> str:
    how = _STAGES.get(card.stage, ("", f"由 {card.stage} 阶段制成"))[1]
    made_from = f"以 **{'、'.join(p.name for p in card.parents)}** 为基础，" if card.parents else ""
    lines = [f"## 中文摘要\n\n{card.description.zh or card.title.zh or card.name}"]
    lines.append(f"本模型属于 *{card.recipe}* 家族，{made_from}{how}。")
    cost = card.cost
    lines.append(f"训练用时 {cost.seconds:.0f} 秒，{quantity(cost.tokens)} 个词元，设备为 {cost.device}。")
    scores = [f"- {s.name}：{value_with_interval(s)}（{s.unit}）" for s in card.all_scores().values()]
    if scores:
        lines.append("留出题目上的得分（方括号内为 95% 置信区间）：\n\n" + "\n".join(scores))
    if card.licences:
        lines.append(f"训练数据的许可证：{'、'.join(card.licences)}。")
    if card.role == "control":
        lines.append("这是一个对照模型，仅供比较，不用于服务。")
    return "\n\n".join(lines)


def value_with_interval(score: Score) -> str:
    """``71.2 [68.0, 74.1]``, in percent for shares; or why there is no value."""
    if score.not_built:
        return f"not built: {score.not_built}"
    low, high = number(score.low, score.unit), number(score.high, score.unit)
    return f"{number(score.value, score.unit)} [{low}, {high}]"


def number(value: float, unit: str) -> str:
    """A value as the unit is read: shares in percent, bits with three decimals."""
    return f"{100 * value:.1f}" if unit == "accuracy" else f"{value:.3f}"


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def quantity(count: float) -> str:
    """``950``, ``12.3k``, ``4.5M``, ``1.2B``."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.1f}{suffix}"
    return f"{count:.0f}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return text.strip().replace("\n", "\n> ")
