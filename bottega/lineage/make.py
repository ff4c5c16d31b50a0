"""Making one node: freezing a dataset, training a tokenizer, running a model's stage."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bottega.lineage.card import (
    Ancestor,
    Card,
    Cost,
    Data,
    Weights,
    all_licences,
    looks_of,
    merge_licences,
    now,
    read_card,
    thin_curves,
)
from bottega.lineage.card import versions as software_versions
from bottega.lineage.fingerprint import file_digest, seed_of
from bottega.lineage.graph import Node
from bottega.lineage.home import make_folder
from bottega.lineage.left_out import left_out
from bottega.lineage.readme import duration, quantity
from bottega.lineage.recipe import CollectedSpec, DataUse
from bottega.lineage.resolve import Resolver
from bottega.stages import base as stages

if TYPE_CHECKING:
    from bottega.data.sources import ReadOptions
    from bottega.lineage.options import BuildOptions


def make(resolver: Resolver, node: Node) -> str:
    """Make a node whose needs stand, whole, in its place; a few words on what came out."""
    if node.kind == "dataset":
        spec = resolver.recipe.datasets[node.name]
        return _collect(resolver, node, spec) if isinstance(spec, CollectedSpec) else _freeze(resolver, node)
    if node.kind == "tokenizer":
        return _train_tokenizer(resolver, node)
    return _run_stage(resolver, node)


def read_options(resolver: Resolver, heldout: float) -> ReadOptions:
    """The build's options as the sources understand them."""
    from bottega.data.sources import ReadOptions

    options = resolver.options
    return ReadOptions(
        heldout_fraction=heldout,
        skip_bad_rows=options.skip_bad_rows,
        include_nc=options.include_nc,
        include_unclear=options.include_unclear,
        world_seed=options.world(resolver.recipe),
        seed=resolver.recipe.info.seed,
        data=options.data,
    )


def _freeze(resolver: Resolver, node: Node) -> str:
    from bottega.data.frozen import freeze

    spec = resolver.recipe.datasets[node.name]
    folder = _place(resolver, node)
    manifest = freeze(list(spec.sources), folder, read_options(resolver, spec.heldout), dedup=spec.dedup)
    return f"{manifest.records('train'):,} records, {manifest.records('heldout'):,} held out"


def _collect(resolver: Resolver, node: Node, spec: CollectedSpec) -> str:
    from bottega.stages.collect import Collect

    recipe, options = resolver.recipe, resolver.options
    fingerprint = resolver.standing(node).fingerprint
    assert fingerprint is not None
    run = resolver.home.run(node.name, fingerprint)
    inputs = stages.StageInputs(
        parents=(resolver.path(Node("model", spec.parent)),),
        tokenizer=None,
        datasets=_datasets(resolver, spec.data),
        work=run / "work",
        out=_place(resolver, node),
        run=_run_options(options),
    )
    seed = recipe.info.seed if spec.seed is None else spec.seed
    world = options.world(recipe)
    collected = Collect().run(spec.knobs, inputs, seed, model_name=spec.parent, world_seed=world)
    shutil.rmtree(run, ignore_errors=True)
    report = collected.report
    return f"{report['comparisons']:,} comparisons of {spec.parent}'s answers, {report['heldout']:,} held out"


def _datasets(resolver: Resolver, data: Sequence[DataUse]) -> tuple[stages.DatasetInput, ...]:
    return tuple(
        stages.DatasetInput(
            resolver.path(Node("dataset", use.dataset)), use.weight, use.sources, use.role, use.dataset
        )
        for use in data
    )


def _run_options(options: BuildOptions) -> stages.RunOptions:
    return stages.RunOptions(
        precision=options.precision,
        device=options.device,
        compile=options.compile,
        threads=options.threads,
        progress=False,  # the build's overview shows every model, this one too
        checkpoint_every_s=options.checkpoint_every_s,
    )


def _train_tokenizer(resolver: Resolver, node: Node) -> str:
    from bottega.data.frozen import FrozenDataset
    from bottega.data.tokenizer import Tokenizer
    from bottega.lineage.texts import texts_of

    spec = resolver.recipe.tokenizers[node.name]
    folders = [resolver.path(Node("dataset", name)) for name in spec.datasets]
    texts = (
        text
        for folder in folders
        for record in FrozenDataset(folder).records("train")
        for text in texts_of(record)
    )
    tokenizer = Tokenizer.train(texts, spec.vocab_size)
    folder = _place(resolver, node)
    scratch = folder.with_name(f".{folder.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    tokenizer.save(scratch)
    scratch.replace(folder)
    return f"{tokenizer.vocab_size:,} tokens"


def _run_stage(resolver: Resolver, node: Node) -> str:
    from bottega.stages.together import run_stage

    recipe, options, home = resolver.recipe, resolver.options, resolver.home
    spec = recipe.models[node.name]
    stage = stages.get(spec.stage)
    fingerprint = resolver.standing(node).fingerprint
    assert fingerprint is not None
    run = home.run(node.name, fingerprint)
    out = run / node.name  # the stage names the model by this folder in its messages
    shutil.rmtree(out, ignore_errors=True)  # a model that was written but not yet carded is written again
    make_folder(run)
    inputs = stages.StageInputs(
        parents=tuple(resolver.path(Node("model", parent)) for parent in spec.parent),
        tokenizer=resolver.tokenizer(node.name),
        datasets=_datasets(resolver, spec.data),
        work=run / "work",
        out=out,
        run=_run_options(options),
        cache=home.cache,
    )
    result = run_stage(stage, spec.config, inputs, seed_of(recipe, node.name))
    card = _card(resolver, node, fingerprint, result, out)
    _finish(resolver, node, out, card, result)
    place = _place(resolver, node)
    out.replace(place)
    shutil.rmtree(run, ignore_errors=True)
    took = f"{quantity(card.cost.tokens)} tokens in {duration(card.cost.seconds)}"
    return "; ".join([took, *(str(one) for one in left_out(card) if one.is_much)])


def _finish(resolver: Resolver, node: Node, out: Path, card: Card, result: stages.StageResult) -> None:
    """Put into the model's folder what belongs beside the weights: curves, samples, card."""
    from bottega.lineage.card import write_card
    from bottega.lineage.samples import sample
    from bottega.model.hub import is_scorer
    from bottega.training.telemetry import TENSORBOARD_FOLDER

    if result.curves.is_file():
        shutil.copyfile(result.curves, out / "metrics.jsonl")
    board = result.curves.parent / TENSORBOARD_FOLDER
    if board.is_dir():
        shutil.copytree(board, out / TENSORBOARD_FOLDER)
    if card.curves:
        from bottega.lineage.curves import draw_curves

        draw_curves(card, out / "curves.png")
    prompts = resolver.recipe.examples.chat if card.chat else resolver.recipe.examples.completion
    if is_scorer(out):
        prompts = ()
    samples = sample(out, prompts, chat=card.chat, device=resolver.options.device)
    write_card(out, card.model_copy(update={"samples": samples}))


def _card(
    resolver: Resolver, node: Node, fingerprint: str, result: stages.StageResult, out: Path
) -> Card:  # fmt: skip
    recipe, options = resolver.recipe, resolver.options
    spec = recipe.models[node.name]
    parents = [read_card(resolver.path(Node("model", parent))) for parent in spec.parent]
    above = sorted(need for need in resolver.graph.ancestors(node) if need.kind == "model")
    ancestors = [read_card(resolver.path(need)) for need in above]
    data = tuple(Data.model_validate(_fields(use) | _as_frozen(resolver, use.dataset)) for use in result.data)
    cost = Cost.model_validate(_fields(result.cost))
    tokenizer = recipe.tokenizer_of(node.name)
    cutoffs = [recipe.datasets[use.dataset].cutoff for use in spec.data] + [
        p.knowledge_cutoff for p in parents
    ]
    weights = sorted(file for file in out.iterdir() if file.name.endswith(".safetensors"))
    return Card(
        name=node.name,
        fingerprint=fingerprint,
        recipe=recipe.name,
        stage=spec.stage,
        stage_version=stages.get(spec.stage).version,
        role=spec.role,
        title=spec.title,
        description=spec.description,
        chat=spec.chat,
        parents=tuple(Ancestor(name=p.name, fingerprint=p.fingerprint) for p in parents),
        seed=seed_of(recipe, node.name),
        world_seed=options.world(recipe),
        config=spec.config.model_dump(mode="json"),
        tokenizer={}
        if tokenizer is None
        else {"name": tokenizer, "digest": resolver.standing(Node("tokenizer", tokenizer)).digest or ""},
        data=data,
        licences=all_licences([*data, *(entry for card in ancestors for entry in card.data)]),
        knowledge_cutoff=max(filter(None, cutoffs), default=""),
        cost=cost,
        family_cost={
            key: getattr(cost, key) + sum(getattr(card.cost, key) for card in ancestors)
            for key in ("seconds", "tokens", "flops")
        },
        metrics=result.metrics,
        curves=thin_curves(result.curves),
        looks=looks_of(result.curves),
        report=result.report,
        files={
            file.name: Weights(sha256=file_digest(file), size_bytes=file.stat().st_size) for file in weights
        },
        command=options.command,
        versions=software_versions(),
        made=now(),
    )


def _place(resolver: Resolver, node: Node) -> Path:
    """Where the node goes; its parent folder exists afterwards."""
    path = resolver.standing(node).path
    assert path is not None
    make_folder(path.parent)
    return path


def _as_frozen(resolver: Resolver, dataset: str) -> dict[str, object]:
    """What the dataset's manifest adds to a card: rows left out, and the hub commits that were read."""
    from bottega.data.frozen import FrozenDataset

    manifest = FrozenDataset(resolver.path(Node("dataset", dataset))).manifest
    commits = {source.uri: source.pinned for source in manifest.sources if source.pinned}
    return {"withheld": merge_licences(source.left_out for source in manifest.sources), "commits": commits}


def _fields(value: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(value)  # type: ignore[call-overload,no-any-return]
