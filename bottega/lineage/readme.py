"""A model's README.md: the card for people, in English with a summary in Chinese, under the hub's header."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bottega.evals.score import Score
from bottega.lineage.card import Card, Trial

_STAGES = {
    "pretrain": ("pretrained from nothing", "从零开始预训练"),
    "code": ("trained on code", "在代码上继续训练"),
    "sft": ("fine-tuned on instructions", "经过指令微调"),
    "reward": ("trained as a reward model", "训练为奖励模型，为回答打分"),
    "ppo": ("trained by proximal policy optimisation (PPO)", "经过近端策略优化（PPO）训练"),
    "grpo": ("trained by group-relative policy optimisation (GRPO)", "经过组相对策略优化（GRPO）训练"),
    "rloo": ("trained by REINFORCE leave-one-out (RLOO)", "经过留一法 REINFORCE（RLOO）训练"),
    "dpo": ("trained by direct preference optimisation (DPO)", "经过直接偏好优化（DPO）训练"),
    "kto": ("trained by Kahneman-Tversky optimisation (KTO)", "经过 Kahneman-Tversky 优化（KTO）训练"),
    "rejection-sampling": (
        "trained by rejection sampling, on the best of several answers of its own,",
        "经过拒绝采样训练，从自己的多个回答中学习最好的",
    ),
    "expert-iteration": (
        "trained by expert iteration, in rounds on the best of its own answers,",
        "经过专家迭代训练，一轮一轮地学习自己最好的回答",
    ),
    "import": ("imported from elsewhere", "由外部导入"),
}
_LOAD = """\
from transformers import {kind}, AutoTokenizer

model = {kind}.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
"""
# The score is read at the token that ends the answer's turn, not at the newline after it.
_SCORE = """
talk = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]
text = tokenizer.apply_chat_template(talk, tokenize=False).rstrip()
inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
print(model(**inputs).logits.item() - getattr(model.config, "reward_shift", 0.0))
"""
_TALK = """
talk = [{"role": "user", "content": "What is 2 + 2?"}]
text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
answer = model.generate(**inputs, max_new_tokens=64)[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))
"""
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
LONGEST_SHOWN = 500  # characters of a prompt or an answer of learning by trial


def readme(card: Card, *, scorer: bool = False) -> str:
    """The whole file. ``scorer``: the model is a reward model, which scores answers and gives none."""
    parts = [_header(card, scorer), f"# {card.name}", _opening(card), _lineage(card), _scores(card)]
    parts += [_samples(card), _training(card), _trials(card), _data(card), _use(card, scorer), _chinese(card)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(card: Card, scorer: bool) -> str:
    licences = [name.lower() for name in card.licences]
    licence = licences[0] if len(licences) == 1 and licences[0] in _HUB_LICENCES else "other"
    lines = ["---", "language: [en, zh]", f"license: {licence}", "library_name: transformers"]
    task = "text-classification" if scorer else "text-generation"
    lines += [f"pipeline_tag: {task}", f"tags: [bottega, {card.stage}]"]
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
    shown = [f"{_quoted(_verbatim(s.prompt))}\n\n{_verbatim(s.answer)}" for s in card.samples]
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
    if card.notes:
        text += "\n\nWhat to know of this run:\n\n" + "\n".join(
            f"- {_one_line(note.en)}" for note in card.notes
        )
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


def _trials(card: Card) -> str:
    looks = _looks_shown(card)
    if not looks:
        return ""
    judge = card.judged_by.en or "the training reward itself"
    text = (
        "## Learning by trial\n\nHeld-out prompts and what was answered to them while the model learned: the "
        f"best and the worst answer by the score of {judge}."
    )
    for look in looks:
        step = look[0].step
        text += "\n\n### " + (f"Step {step}" if step else "Before the first step")
        text += ", whose weights are kept" if step == card.kept_step else ""
        for what, trial in zip(("Best", "Worst"), look, strict=True):
            text += (
                f"\n\n{what}, score {trial.score:.3f}:\n\n{_quoted(_verbatim(trial.prompt, LONGEST_SHOWN))}"
            )
            text += f"\n\n{_verbatim(trial.answer, LONGEST_SHOWN)}"
    return text


def _data(card: Card) -> str:
    if not card.data and not card.licences:
        return "## Data\n\nNot known: the model was made elsewhere." if card.stage == "import" else ""
    from bottega.lineage.left_out import left_out

    rows = [
        (d.dataset + (" (replay)" if d.role == "replay" else ""), f"{d.weight:g}", f"{d.records:,}",
         quantity(d.tokens),
         ", ".join(f"{name} ({count:,})" for name, count in d.licences.items()), f"`{d.digest[:12]}`")
        for d in card.data
    ]  # fmt: skip
    text = "## Data\n\n" + _table(
        ("dataset", "weight", "records", "tokens", "licences (records)", "digest"), rows
    )
    for left in left_out(card):
        if left.reasons:
            text += f"\n\n{left}."
        for what, n in left.changed.items():
            text += f"\n\n{n:,} records of {left.dataset} were {what}."
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


def _use(card: Card, scorer: bool) -> str:
    kind = "AutoModelForSequenceClassification" if scorer else "AutoModelForCausalLM"
    speaks = card.speaks or card.stage == "reward"  # one made elsewhere may have no chat template
    example = "" if not speaks else _SCORE if scorer else _TALK
    code = _LOAD.format(kind=kind) + example
    text = f"## Use\n\n```python\n{code}```"
    if scorer:
        text += "\n\nScores compare answers to one prompt."
    if card.stage == "reward":
        text += " With `reward_shift` taken off, the mean of the reference answers is 0."
    return text


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


def _one_line(text: str) -> str:
    """Text that stays within its line and is not taken for HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def _verbatim(text: str, longest: int | None = None) -> str:
    """Anybody's text as it is, between fences that nothing in it can close."""
    shown = text.strip() or "(nothing)"
    if longest is not None and len(shown) > longest:
        shown = shown[:longest].rstrip() + " […]"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _looks_shown(card: Card) -> list[tuple[Trial, Trial]]:
    """The first look, the last, and between them that of the kept weights, or else the middle one."""
    looks = card.trials()
    inner = range(1, len(looks) - 1)
    between = next((i for i in inner if looks[i][0].step == card.kept_step), len(looks) // 2)
    return [looks[place] for place in sorted({0, between, len(looks) - 1})] if looks else []
