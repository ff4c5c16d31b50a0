"""Reward models on what people preferred: accuracy by source, ours beside TRL's, from the same weights.

Both learn once from the same training split of every source in FOLDER/preferences, beginning from the same
scorer (a trunk that is built, and one drawn head), and are asked the same held-out pairs. TRL's is the better
of two learning rates by its held-out accuracy, which favours it. Beside them: the most frequent verdict by
the place of an answer, and the rule of length.
``python -m benchmarks.reward_sources --data FOLDER [--model text-davinci-002] [--recipe open-cpu]``
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SOURCES = (
    *("ukp-convarg", "oasst-en-rankings", "oasst-zh-rankings", "tulu1-human", "finegrained", "hh-harmless"),
    *("jade-align-zh", "pandalm-three-annotators"),
)
CONTEXT = 512
HELDOUT = 0.15
PEER_RATES = (1e-4, 5e-4)
PEER_ROWS = 16


@dataclass
class Source:
    """What one source gives, as tokens."""

    train: list[Any]  # Judged
    heldout: list[Any]


Accuracies = dict[str, NDArray[np.float64]]  # by source, one for each held-out prompt
Learn = Callable[[Path, Path, dict[str, Source]], Accuracies]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="text-davinci-002")
    parser.add_argument("--recipe", default="open-cpu")
    given = parser.parse_args()

    from bottega.lineage.home import Home
    from bottega.lineage.names import find_model

    parent = find_model(Home(), given.model, given.recipe)
    with tempfile.TemporaryDirectory() as scratch:
        show(compare(given.data, parent, Path(scratch), {"ours": ours, "TRL": trl}))


def compare(data: Path, parent: Path, folder: Path, learners: dict[str, Learn]) -> dict[str, Accuracies]:
    """What the rules and the learners make of the held-out comparisons of every source."""
    frozen(data, folder / "data")
    sources = read(folder / "data", parent)
    accuracies = {
        "place": {name: by_place(one) for name, one in sources.items()},
        "length": {name: by_length(one) for name, one in sources.items()},
    }
    for name, learn in learners.items():
        began = time.perf_counter()
        accuracies[name] = learn(parent, folder, sources)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return accuracies


def frozen(data: Path, folder: Path) -> None:
    """All sources, with a held-out part of each."""
    from bottega.data.frozen import freeze
    from bottega.data.sources import ReadOptions, SourceSpec

    specs = [SourceSpec(uri=f"file:{data}/preferences/{name}.jsonl.gz") for name in SOURCES]
    freeze(specs, folder, ReadOptions(heldout_fraction=HELDOUT, include_nc=True, include_unclear=True))


def read(folder: Path, parent: Path) -> dict[str, Source]:
    """Comparisons by source."""
    from bottega.data.comparisons import JudgedCounts, encode_judged
    from bottega.data.frozen import FrozenDataset
    from bottega.data.records import Comparison
    from bottega.data.tokenizer import Tokenizer

    tokenizer, dataset = Tokenizer.load(parent), FrozenDataset(folder)

    def judged(split: Any, index: int) -> list[Any]:
        records = [r for r in dataset.records(split, source=index) if isinstance(r, Comparison)]
        return list(encode_judged(tokenizer, records, CONTEXT, JudgedCounts()))

    return {name: Source(judged("train", i), judged("heldout", i)) for i, name in enumerate(SOURCES)}


def agreements(judged: Sequence[Any], values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """For each prompt, the share of its pairs on which the better answer has the higher value."""
    from bottega.evals.rankings import agreement, by_prompt

    return np.array(by_prompt(judged, map(agreement, judged, values)))


def by_place(source: Source) -> NDArray[np.float64]:
    """The first answer or the last, whichever won more often in training; a coin where the file's order is
    that of the verdict."""
    earlier = float(np.mean([np.triu(one.wins).sum() for one in source.train]))
    if earlier > 0.99:
        return agreements(source.heldout, [np.zeros(len(one.answers)) for one in source.heldout])
    sign = -1.0 if earlier > 0.5 else 1.0
    return agreements(source.heldout, [sign * np.arange(len(one.answers)) for one in source.heldout])


def by_length(source: Source) -> NDArray[np.float64]:
    """The longer or the shorter, whichever won more often in training."""

    def lengths(judged: Sequence[Any]) -> list[NDArray[Any]]:
        return [np.array([len(answer) for answer in one.answers]) for one in judged]

    sign = 1 if agreements(source.train, lengths(source.train)).mean() > 0.5 else -1
    return agreements(source.heldout, [sign * values for values in lengths(source.heldout)])


def ours(parent: Path, folder: Path, sources: dict[str, Source]) -> Accuracies:
    """The stage as a recipe runs it, one pass."""
    from bottega import stages
    from bottega.evals.scoring import score_answers
    from bottega.model.hub import load_scorer
    from bottega.stages.base import DatasetInput, RunOptions, StageInputs

    stage: Any = stages.get("reward")
    inputs = StageInputs(
        parents=(parent,),
        tokenizer=None,
        datasets=(DatasetInput(folder / "data", name="preferences"),),
        work=folder / "work",
        out=folder / "ours",
        run=RunOptions(progress=False),
    )
    config = {"context": CONTEXT, "batch_tokens": 4096, "lr": 5e-4, "muon_lr": 1e-3}
    stage.run(stage.Config.parse(config), inputs, 0)
    scorer = load_scorer(inputs.out).eval()
    return by_source(sources, lambda judged: score_answers(scorer, judged))


def by_source(sources: dict[str, Source], score: Callable[[list[Any]], list[NDArray[Any]]]) -> Accuracies:
    return {name: agreements(one.heldout, score(one.heldout)) for name, one in sources.items()}


def trl(parent: Path, folder: Path, sources: dict[str, Source]) -> Accuracies:
    """RewardTrainer over all ordered pairs, one pass, fused AdamW under a linear schedule."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    from benchmarks.contenders import QUIETLY, peer_tokenizer
    from bottega.data.tokenizer import Tokenizer
    from bottega.model.hub import load_model, save_model
    from bottega.model.scorer import scorer_from

    save_model(scorer_from(load_model(parent), seed=0), folder / "begun", Tokenizer.load(parent))
    rows = []
    for source in sources.values():
        for one in source.train:
            prompt = one.prompt.tolist()
            for i, j in zip(*np.nonzero(one.wins > one.wins.T), strict=True):
                pair = [prompt + one.answers[k].tolist() for k in (i, j)]
                rows.append({"chosen_ids": pair[0], "rejected_ids": pair[1]})
    found = []
    for rate in PEER_RATES:
        model = AutoModelForSequenceClassification.from_pretrained(folder / "begun", num_labels=1)
        model.config.pad_token_id = 0
        arguments = RewardConfig(
            output_dir=str(folder / f"trl-{rate}"),
            per_device_train_batch_size=PEER_ROWS,
            num_train_epochs=1,
            max_length=CONTEXT,
            learning_rate=rate,
            bf16=True,
            optim="adamw_torch_fused",
            **QUIETLY,
            seed=0,
        )
        trainer = RewardTrainer(
            model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=peer_tokenizer(),
        )
        trainer.train()
        model.eval()

        @torch.inference_mode()
        def score(judged: list[Any], model: Any = model) -> list[NDArray[Any]]:
            return [
                np.array(
                    [
                        model(torch.tensor([[*one.prompt.tolist(), *answer.tolist()]])).logits.item()
                        for answer in one.answers
                    ]
                )
                for one in judged
            ]

        found.append(by_source(sources, score))
        print(f"TRL at {rate}: {pooled(found[-1]):.3f} over all", flush=True)
    return max(found, key=pooled)


def pooled(accuracies: Accuracies) -> float:
    return float(np.concatenate(list(accuracies.values())).mean())


def show(accuracies: dict[str, Accuracies]) -> None:
    """A row for each source; behind the accuracies standard errors, of prompts: the thousand pairs held out
    of the debates are of a handful of topics."""
    print(f"{'source':26s} {'prompts':>7s} " + " ".join(f"{name:>16s}" for name in accuracies))
    for source in (*SOURCES, "all"):
        columns = [
            np.concatenate(list(found.values())) if source == "all" else found[source]
            for found in accuracies.values()
        ]
        cells = [f"{100 * c.mean():7.1f} +- {100 * c.std() / math.sqrt(len(c)):4.1f}" for c in columns]
        print(f"{source:26s} {len(columns[0]):7d} " + " ".join(f"{cell:>16s}" for cell in cells))


if __name__ == "__main__":
    main()
