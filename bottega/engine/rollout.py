"""Completions sampled from a policy, as tensors, with the log-probabilities they were sampled with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bottega.engine.requests import Completion, Engine, Request, Sampling
from bottega.engine.sampling import request_seeds
from bottega.errors import UserError


@dataclass(frozen=True)
class Rollouts:
    """N = prompts x n completions, those of one prompt side by side; rows are filled up on the right.

    ``tokens`` int64 [N, S] holds prompt and completion, the token that ended it included. ``sampled`` bool
    [N, S] marks what the policy drew, that token too; ``logprobs`` float32 [N, S] and ``versions`` int64
    [N, S] are those of the drawn tokens, and 0 elsewhere. ``prompt_lengths`` and ``lengths`` (of both
    together) int64 [N]; ``ended`` bool [N]: the policy said that it was done.
    """

    tokens: Tensor
    sampled: Tensor
    logprobs: Tensor
    versions: Tensor
    prompt_lengths: Tensor
    lengths: Tensor
    ended: Tensor
    texts: tuple[str, ...]  # empty where the engine has no tokenizer


def rollout(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    n: int = 1,
    temperature: float = 1.0,
    seed: int | Sequence[int] = 0,
    pad_id: int = 0,
    detokenise: bool = True,
) -> Rollouts:
    """Sample ``n`` completions of each prompt from the whole distribution of the policy at ``temperature``.

    Nothing but the temperature may stand between the policy and its tokens, so that a trainer can compute the
    same log-probabilities again. ``seed`` is of the call, or one for each prompt. Raises ``UserError`` for
    temperature 0, which is no distribution.
    """
    if temperature <= 0:
        raise UserError("a rollout needs a temperature above 0: the likeliest token alone teaches nothing.")
    seeds = request_seeds(seed, len(prompts)) if isinstance(seed, int) else seed
    sampling = Sampling(temperature=temperature)
    requests = [
        Request(
            prompt,
            max_new_tokens,
            replace(sampling, seed=own),
            n=n,
            stop_ids=frozenset(stop_ids),
            logprobs=True,
            detokenise=detokenise,
        )
        for prompt, own in zip(prompts, seeds, strict=True)
    ]
    completions = engine.generate(requests)
    pairs = [(prompt, one) for prompt, found in zip(prompts, completions, strict=True) for one in found]
    return _as_tensors(pairs, pad_id)


def _as_tensors(pairs: Sequence[tuple[Sequence[int], Completion]], pad_id: int) -> Rollouts:
    drawn = [[*one.tokens, *([] if one.stop_id is None else [one.stop_id])] for _, one in pairs]
    prompt_lengths = torch.tensor([len(prompt) for prompt, _ in pairs])
    lengths = prompt_lengths + torch.tensor([len(ids) for ids in drawn])
    shape = (len(pairs), int(lengths.max()) if pairs else 0)
    tokens = torch.full(shape, pad_id)
    sampled = torch.zeros(shape, dtype=torch.bool)
    logprobs = torch.zeros(shape)
    versions = torch.zeros(shape, dtype=torch.long)
    for row, ((prompt, one), ids) in enumerate(zip(pairs, drawn, strict=True)):
        start, stop = len(prompt), len(prompt) + len(ids)
        tokens[row, :stop] = torch.tensor([*prompt, *ids])
        sampled[row, start:stop] = True
        logprobs[row, start:stop] = torch.tensor(one.logprobs)
        versions[row, start:stop] = torch.tensor(one.versions)
    return Rollouts(
        tokens,
        sampled,
        logprobs,
        versions,
        prompt_lengths,
        lengths,
        torch.tensor([one.stop_id is not None for _, one in pairs], dtype=torch.bool),
        tuple(one.text for _, one in pairs),
    )
