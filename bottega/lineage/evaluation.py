"""Evaluations by the names that recipes give them: ``bits:DATASET`` and ``task:NAME``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from bottega.data.records import Document
from bottega.errors import UserError
from bottega.evals.score import Score
from bottega.lineage.card import read_card
from bottega.lineage.graph import Node
from bottega.lineage.loading import load
from bottega.lineage.nearest import did_you_mean
from bottega.lineage.resolve import Resolver

BITS_DOCUMENTS = 200
TASK_CASES = 200


class Evaluator:
    """One model in memory, scored by name."""

    def __init__(self, resolver: Resolver, folder: Path) -> None:
        self.resolver = resolver
        self.card = read_card(folder)
        self.model, self.tokenizer = load(folder, resolver.options.device)

    def score(self, evaluation: str) -> Score:
        """Run one evaluation. Raises UserError for a name that means nothing."""
        kind, _, what = evaluation.partition(":")
        if kind == "bits":
            return self._bits(evaluation, what)
        if kind == "task":
            return self._task(evaluation, what)
        raise UserError(
            f"no kind of evaluation is called {kind!r} ({evaluation}); there are bits:DATASET and task:NAME."
        )

    def _bits(self, name: str, dataset: str) -> Score:
        """Bits per byte of a dataset's held-out documents; ``bits:DATASET/SOURCE`` for one of its sources."""
        from bottega.data.frozen import FrozenDataset
        from bottega.evals.bits import bits_per_byte

        dataset, _, source = dataset.partition("/")
        frozen = FrozenDataset(self.resolver.path(Node("dataset", dataset)))
        records = frozen.records("heldout", source=source or None)
        documents = (record.text for record in records if isinstance(record, Document))
        kept = list(islice(documents, BITS_DOCUMENTS))
        return bits_per_byte(self.model, self.tokenizer, kept, self.model.config.max_positions, name=name)

    def _task(self, name: str, task_name: str) -> Score:
        import bottega.data.school  # noqa: F401  (fills the registry)
        from bottega.data.school.registry import TASKS, world
        from bottega.evals.prompting import Mode
        from bottega.evals.tasks import exact_match

        if task_name not in TASKS:
            raise UserError(f"the school has no task {task_name!r}{did_you_mean(task_name, TASKS)}")
        task = TASKS[task_name]
        spoken = self.card.chat or self.card.stage == "sft"
        mode: Mode = "plain" if task.mode == "chat" and not spoken else task.mode
        cases = task.cases(world(self.resolver.options.world(self.resolver.recipe)), TASK_CASES)
        return exact_match(self.model, self.tokenizer, cases, mode, name=name, stop=task.stop)
