"""CORRECTNESS 32: losses and advantages are those of TRL's trainers, given the same tokens and weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bottega.data.comparisons import Judged
from bottega.data.judged import ComparisonPlan
from bottega.model.decoder import Decoder
from bottega.model.hub import save_model
from bottega.training.advantages import group_relative, leave_one_out
from bottega.training.direct import FOREIGN, DirectPreference, Goal
from bottega.training.objective import TensorBatch
from bottega.training.policy_loss import clipped_policy_loss

from .conftest import VOCAB, tiny_decoder

trl = pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

PROMPT, K = 4, 3
SCORES = [0.5, -1.25, 2.0, 0.0, 3.0, -0.75, 1.0, 1.0, 1.5, -2.0, 0.25, 0.0]  # of four prompts' answers


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A policy and a reference, ours and theirs."""
    from transformers import AutoModelForCausalLM

    found: dict[str, Any] = {}
    for seed, name in ((1, "policy"), (2, "reference")):
        found[name] = tiny_decoder(seed)
        for p in found[name].parameters():  # away from a uniform distribution, or any loss is near another
            p.data.mul_(2)
        folder = save_model(found[name], tmp_path_factory.mktemp(name) / "model")
        found[f"their {name}"] = AutoModelForCausalLM.from_pretrained(folder)
    return found


def trainer(
    kind: str, networks: dict[str, Any], where: Path, rows: list[dict[str, Any]], **options: Any
) -> Any:
    """A trainer of TRL over their networks; what it trains on is given to it by hand."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCAB)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "w0", "eos_token": "w1", "pad_token": "w2"}
    reward = {"reward_funcs": lambda **_: SCORES} if kind in ("GRPO", "RLOO") else {}
    made = getattr(trl, f"{kind}Trainer")(
        model=copy.deepcopy(networks["their policy"]),
        args=getattr(trl, f"{kind}Config")(str(where), use_cpu=True, bf16=False, report_to=[], **options),
        train_dataset=Dataset.from_list(rows),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=words, **special),
        **reward,
    )
    if made.ref_model is not None:  # it is the policy's copy, with a head of TRL's
        made.ref_model.load_state_dict(networks["their reference"].state_dict())
    made.model.eval()
    return made


def talks(count: int, answers: int) -> tuple[Tensor, list[list[Tensor]]]:
    """Prompts of equal length, with answers of random lengths."""
    draw = torch.Generator().manual_seed(count)

    def some(length: int) -> Tensor:
        return torch.randint(3, VOCAB, (length,), generator=draw)

    lengths = torch.randint(1, 9, (count, answers), generator=draw).tolist()
    return torch.stack([some(PROMPT) for _ in range(count)]), [[some(n) for n in row] for row in lengths]


def batch_of(prompts: Tensor, answers: list[Tensor]) -> dict[str, Tensor]:
    """One row each, filled up on the right, as TRL's collators make them."""
    rows = [torch.cat(pair) for pair in zip(prompts, answers, strict=True)]
    shape = (len(rows), max(map(len, rows)))
    ids, attended = torch.full(shape, 2), torch.zeros(shape, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)], attended[i, : len(row)] = row, 1
    completion = attended.clone()
    completion[:, :PROMPT] = 0
    return {"input_ids": ids, "attention_mask": attended, "completion_mask": completion}


def packed(
    prompts: Tensor, answers: list[list[Tensor]], wins: Any = None, ratings: Any = None
) -> TensorBatch:
    """The same as one batch of ours."""
    judged = []
    for i, prompt in enumerate(prompts):
        one = Judged.unranked(prompt.tolist(), [answer.tolist() for answer in answers[i]])
        won = one.wins if wins is None else np.array(wins, np.float32)
        rated = one.ratings if ratings is None else np.array(ratings[i], np.float32)
        judged.append(Judged(one.prompt, one.answers, won, rated))
    return TensorBatch.of(ComparisonPlan(judged, 100_000, seed=0).batch(0), torch.device("cpu"))


def answer_logprobs(model: Decoder, prompts: Tensor, answers: list[list[Tensor]]) -> list[Tensor]:
    """Log-probabilities of the tokens of every answer, those of one prompt side by side."""
    found = []
    with torch.no_grad():
        for prompt, row in zip(prompts, answers, strict=True):
            for answer in row:
                table = model.logits(model(torch.cat([prompt, answer])[None]))[
                    0, PROMPT - 1 : -1
                ].log_softmax(-1)
                found.append(table.gather(1, answer[:, None]).squeeze(1))
    return found


@pytest.mark.parametrize(
    ("goal", "options", "pairs"),
    [
        (Goal(beta=0.1), {"loss_type": ["sigmoid"]}, 6),
        (Goal("ipo", beta=0.5), {"loss_type": ["ipo"]}, 6),
        # Of a single pair that is DPO with label smoothing, which TRL has no name for.
        (Goal(beta=0.1, label_smoothing=0.1), {"loss_type": ["aot"], "label_smoothing": 0.1}, 1),
    ],
    ids=["dpo", "ipo", "smoothed"],
)
def test_dpo(
    goal: Goal, options: dict[str, Any], pairs: int, networks: dict[str, Any], tmp_path: Path
) -> None:
    rows = [{"prompt": "w5 w6 ", "chosen": "w7", "rejected": "w8"}]
    theirs = trainer("DPO", networks, tmp_path, rows, beta=goal.beta, **options)
    prompts, answers = talks(pairs, 2)
    chosen, rejected = zip(*answers, strict=True)
    expected = theirs._compute_loss(
        theirs.model, batch_of(torch.cat([prompts, prompts]), [*chosen, *rejected]), False
    )
    objective = DirectPreference(goal, networks["reference"])
    parts = objective(networks["policy"], packed(prompts, answers, wins=[[0, 1], [0, 0]]))
    torch.testing.assert_close(parts.loss_sum / parts.weight, expected, atol=1e-6, rtol=0)


def test_kto(networks: dict[str, Any], tmp_path: Path) -> None:
    """Beside each prompt stands an answer to another, by which the KL is told."""
    rows = [{"prompt": "w5 w6 ", "completion": "w7", "label": True}] * 2
    weights = {"desirable_weight": 1.5, "undesirable_weight": 0.5}
    theirs = trainer("KTO", networks, tmp_path, rows, beta=0.1, per_device_train_batch_size=2, **weights)
    prompts, answers = talks(8, 1)
    foreign = [answers[i - 1][0] for i in range(8)]
    labels = [i % 3 != 0 for i in range(8)]
    batch = batch_of(prompts, [answer for (answer,) in answers])
    batch |= {f"KL_{name}": tensor for name, tensor in batch_of(prompts, foreign).items()}
    expected = theirs._compute_loss(theirs.model, batch | {"label": torch.tensor(labels)}, False)
    both = [[own, other] for (own,), other in zip(answers, foreign, strict=True)]
    ratings = [[float(label), FOREIGN] for label in labels]
    objective = DirectPreference(Goal("kto", 0.1, **weights), networks["reference"])
    parts = objective(networks["policy"], packed(prompts, both, ratings=ratings))
    torch.testing.assert_close(parts.loss_sum / parts.weight, expected, atol=1e-6, rtol=0)
    assert parts.metrics["kl"] > 0


def answered(
    kind: str, networks: dict[str, Any], where: Path, **options: Any
) -> tuple[Any, dict[str, Any], Any]:
    """A trainer for which four prompts are answered three times each, and what it makes of the scores."""
    sizes = {"num_generations": K, "per_device_train_batch_size": 4 * K, "max_completion_length": 8}
    theirs = trainer(kind, networks, where, [{"prompt": "w5 w6"}] * (4 * K), **sizes, **options)
    prompts, answers = talks(4, K)
    ids = [[prompt.tolist() for prompt in prompts for _ in range(K)]]
    ids.append([answer.tolist() for row in answers for answer in row])
    nothing = [None] * (4 * K)
    more = (None, nothing, None, {}, None, None) if kind == "GRPO" else (nothing,)
    theirs._generate = lambda _: (*ids, *more)
    return theirs, theirs._generate_and_score_completions([{"prompt": "w5 w6"}] * (4 * K)), (prompts, answers)


@pytest.mark.parametrize("scale", [True, False])
def test_advantages_of_grpo(scale: bool, networks: dict[str, Any], tmp_path: Path) -> None:
    options = {"scale_rewards": "group" if scale else "none"}
    _, found, _ = answered("GRPO", networks, tmp_path, **options)
    ours = group_relative(torch.tensor(SCORES).view(-1, K), scale=scale).flatten()
    torch.testing.assert_close(ours, found["advantages"], atol=1e-6, rtol=0)


def test_advantages_of_rloo(networks: dict[str, Any], tmp_path: Path) -> None:
    """CORRECTNESS 20 too: the KL of a whole answer is taken off its score."""
    _, found, (prompts, answers) = answered("RLOO", networks, tmp_path, beta=0.01)
    now, before = (answer_logprobs(networks[name], prompts, answers) for name in ("policy", "reference"))
    kl = torch.stack([(p - q).sum() for p, q in zip(now, before, strict=True)])
    assert kl.abs().min() > 0.1
    ours = leave_one_out((torch.tensor(SCORES) - 0.01 * kl).view(-1, K)).flatten()
    torch.testing.assert_close(ours, found["advantages"], atol=1e-6, rtol=0)


def test_the_clipped_loss_of_grpo(networks: dict[str, Any], tmp_path: Path) -> None:
    """CORRECTNESS 24 too: the mean over the tokens of all answers."""
    options = {"loss_type": "bnpo", "epsilon": 0.2, "beta": 0.0}
    theirs, batch, (prompts, answers) = answered("GRPO", networks, tmp_path, **options)
    now = torch.cat(answer_logprobs(networks["policy"], prompts, answers))
    mask = batch["completion_mask"].bool()
    old = now + 0.3 * torch.randn(len(now), generator=torch.Generator().manual_seed(3))
    batch["old_per_token_logps"] = torch.zeros(mask.shape).masked_scatter(mask, old)
    expected = theirs._compute_loss(theirs.model, batch)
    advantages = batch["advantages"].repeat_interleave(mask.sum(1))
    parts = clipped_policy_loss(now, old, advantages, clip=0.2)
    torch.testing.assert_close(parts.loss_sum / parts.weight, expected, atol=1e-6, rtol=0)
    share = float(parts.metrics["clip_fraction"] / parts.weight)
    assert theirs._metrics["eval"]["clip_ratio/region_mean"] == [pytest.approx(share)] != [0.0]
