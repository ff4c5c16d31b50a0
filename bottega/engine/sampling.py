"""Choosing a token for every row of a batch, each under its own settings and with its own random numbers.

Every operation works on each row alone, so that on a CPU a row's token does not depend on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bottega.engine.devices import Coming, to_device
from bottega.engine.requests import GREEDY, Sampling
from bottega.errors import UserError

# Sorting a whole vocabulary costs ten times a softmax; the likeliest tokens nearly always decide.
CANDIDATES = 128


def request_seeds(seed: int, requests: int) -> list[int]:
    """The seeds of requests 0, 1, ... of a call with one ``seed``."""
    return [int(np.random.SeedSequence([seed, request]).generate_state(1)[0]) for request in range(requests)]


def uniforms(seed: int, choice: int, steps: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) that a choice's tokens are drawn with: a function of seed and choice alone."""
    return np.random.Generator(np.random.Philox([seed, choice])).random(steps)


def _likeliest(logits: Tensor) -> Tensor:
    return logits.argmax(dim=-1)


class Drawn:
    """The tokens of one step; log-probabilities are those of the distribution that was drawn from.

    Under temperature 0 it is the softmax of the logits after penalties and biases.
    """

    def __init__(self, ids: Tensor, logprobs: list[float], top: list[tuple[tuple[int, float], ...]]) -> None:
        self.ids = ids  # int64 [B], on the device
        self.logprobs = logprobs  # [B], NaN where not asked for
        self.top = top  # [B], empty where not asked for
        self._coming = Coming(ids)

    @property
    def tokens(self) -> list[int]:
        """``ids`` as numbers [B], as soon as they are known."""
        return self._coming.wait()


class BatchSampler:
    """The sampling settings of a batch's rows, and what penalties have to know of what was said."""

    def __init__(
        self,
        rows: int,
        vocab_size: int,
        device: torch.device,
        *,
        one_by_one: bool = False,
        likeliest: Callable[[Tensor], Tensor] = _likeliest,
    ) -> None:
        """``one_by_one``: draw for each row alone, for a GPU sums in another order where rows are more.
        ``likeliest``: finds the largest of each row of logits [B, V]."""
        self._vocab_size, self._device, self._one_by_one = vocab_size, device, one_by_one
        self._likeliest = likeliest
        self._settings: list[Sampling] = [GREEDY] * rows
        self._report = [-1] * rows  # -1: no log-probabilities; else how many of the likeliest beside
        self._uniforms: list[NDArray[np.float64]] = [np.zeros(1)] * rows
        self._biases: dict[int, Tensor] = {}
        self._said: dict[int, Tensor] = {}  # counts [V] of the answer's tokens, where penalties need them
        self._seen: dict[int, Tensor] = {}  # bool [V]: in the prompt or the answer

    def begin(
        self,
        row: int,
        sampling: Sampling,
        prompt: Sequence[int] | NDArray[np.int64],
        *,
        choice: int,
        steps: int,
        report: int = -1,
    ) -> None:
        """Give a row to a new request. ``report``: -1 for no log-probabilities, else how many of the
        likeliest tokens to report beside each."""
        self.end(row)
        self._settings[row], self._report[row] = sampling, report
        if sampling.temperature > 0:
            self._uniforms[row] = uniforms(sampling.seed, choice, steps)
        if sampling.logit_bias:
            self._biases[row] = self._bias(sampling)
        if sampling.penalises:
            self._said[row] = torch.zeros(self._vocab_size, device=self._device)
            self._seen[row] = torch.zeros(self._vocab_size, dtype=torch.bool, device=self._device)
            self._seen[row][torch.as_tensor(np.asarray(prompt, np.int64), device=self._device)] = True

    def end(self, row: int) -> None:
        """The row stands idle."""
        self._settings[row], self._report[row] = GREEDY, -1
        for kept in (self._biases, self._said, self._seen):
            kept.pop(row, None)

    def draw(self, logits: Tensor, steps: Sequence[int], live: Sequence[int]) -> Drawn:
        """One token per row of logits [B, V]; ``steps`` counts the tokens each row has drawn before.

        Only the ``live`` rows' tokens mean anything.
        """
        rows = logits.shape[0]
        changed = [row for row in live if row in self._biases or row in self._said]
        if changed:
            logits = logits.to(torch.float32, copy=True)
            for row in changed:
                logits[row] = self._changed(row, logits[row])
        tokens = self._likeliest(logits)
        logprobs, top = [math.nan] * rows, [()] * rows  # type: list[float], list[tuple[tuple[int, float], ...]]
        drawing = [row for row in live if self._settings[row].temperature > 0]
        reporting = [row for row in live if self._report[row] >= 0 and row not in set(drawing)]
        for group in self._groups(drawing):
            rows_of = to_device(group, self._device)
            found = self._draw(logits.index_select(0, rows_of).float(), group, [steps[row] for row in group])
            tokens.index_copy_(0, rows_of, found.tokens)
            self._write(found, group, logprobs, top)
        for group in self._groups(reporting):
            rows_of = to_device(group, self._device)
            weights = logits.index_select(0, rows_of).float().softmax(dim=-1)
            self._write(_Choice(tokens.index_select(0, rows_of), weights, None), group, logprobs, top)
        for row in changed:
            if row in self._said:
                drawn = tokens[row : row + 1]  # not a number: asking for it would wait for the device
                self._said[row].index_add_(0, drawn, torch.ones(1, device=self._device))
                self._seen[row].index_fill_(0, drawn, True)
        return Drawn(tokens, logprobs, top)

    def _groups(self, rows: list[int]) -> list[list[int]]:
        """Rows that are worked on together."""
        if self._one_by_one:
            return [[row] for row in rows]
        return [rows] if rows else []

    def _bias(self, sampling: Sampling) -> Tensor:
        unknown = [token for token in sampling.logit_bias if not 0 <= token < self._vocab_size]
        if unknown:
            raise UserError(
                f"logit_bias names token {unknown[0]}; the vocabulary ends at {self._vocab_size - 1}."
            )
        bias = torch.zeros(self._vocab_size, device=self._device)
        bias[list(sampling.logit_bias)] = torch.tensor(
            list(sampling.logit_bias.values()), device=self._device, dtype=torch.float32
        )
        return bias

    def _changed(self, row: int, logits: Tensor) -> Tensor:
        """Logits [V] after penalties and biases."""
        settings = self._settings[row]
        if row in self._said:
            if settings.repetition_penalty != 1.0:
                scaled = torch.where(
                    logits > 0, logits / settings.repetition_penalty, logits * settings.repetition_penalty
                )
                logits = torch.where(self._seen[row], scaled, logits)
            said = self._said[row]
            logits = logits - settings.frequency_penalty * said - settings.presence_penalty * (said > 0)
        return logits + self._biases[row] if row in self._biases else logits

    def _draw(self, logits: Tensor, rows: list[int], steps: list[int]) -> _Choice:
        """Draw for rows of logits [R, V] whose temperature is above 0."""
        settings = [self._settings[row] for row in rows]
        temperature = to_device([s.temperature for s in settings], self._device)
        numbers = [self._uniforms[row][step] for row, step in zip(rows, steps, strict=True)]
        uniform = to_device(numbers, self._device, torch.float64)
        weights = (logits / temperature[:, None]).softmax(dim=-1)
        cut = [i for i, s in enumerate(settings) if s.truncates]
        if not cut:
            return _Choice(invert(weights, uniform), weights, None)
        # Truncated rows are drawn in order of rank, the others in order of id: each row's way is its own.
        ids = torch.empty(len(rows), dtype=torch.long, device=self._device)
        whole = [i for i in range(len(rows)) if not settings[i].truncates]
        if whole:
            ids[whole] = invert(weights[whole], uniform[whole])
        ranked, order = self._ranked(weights[cut], [settings[i] for i in cut])
        ids[cut] = order.gather(1, invert(ranked, uniform[cut])[:, None])[:, 0]
        kept = weights.clone()
        kept[cut] = torch.zeros_like(weights[cut]).scatter_(1, order, ranked)
        return _Choice(ids, weights, kept)

    def _ranked(self, weights: Tensor, settings: list[Sampling]) -> tuple[Tensor, Tensor]:
        """The weights that truncation keeps, likeliest first, all others 0, and their ids; both [R, K]."""
        width = min(CANDIDATES, weights.shape[1])
        ranked, order = weights.topk(width, dim=-1)
        kept, enough = truncate(ranked, settings, self._vocab_size)
        if width < weights.shape[1] and not bool(enough.all()):
            ranked, order = weights.sort(dim=-1, descending=True, stable=True)
            kept, _ = truncate(ranked, settings, self._vocab_size)
        return kept, order

    def _write(
        self,
        choice: _Choice,
        rows: list[int],
        logprobs: list[float],
        top: list[tuple[tuple[int, float], ...]],
    ) -> None:
        """Report the log-probabilities that were asked for."""
        asked = [i for i, row in enumerate(rows) if self._report[row] >= 0]
        if not asked:
            return
        weights = choice.weights if choice.kept is None else choice.kept
        weights = weights[asked].double()
        total = weights.sum(dim=-1, keepdim=True)
        values = (weights.gather(1, choice.tokens[asked][:, None]) / total).log()[:, 0].tolist()
        for i, value in zip(asked, values, strict=True):
            logprobs[rows[i]] = value
        most = max(self._report[rows[i]] for i in asked)
        if most == 0:
            return
        best, ids = (weights / total).log().topk(min(most, weights.shape[1]), dim=-1)
        for i, values_row, ids_row in zip(asked, best.tolist(), ids.tolist(), strict=True):
            pairs = zip(ids_row[: self._report[rows[i]]], values_row, strict=False)
            top[rows[i]] = tuple((token, value) for token, value in pairs if value > -math.inf)


@dataclass(frozen=True, slots=True)
class _Choice:
    tokens: Tensor  # [R]
    weights: Tensor  # [R, V], the softmax at the temperature
    kept: Tensor | None  # [R, V], what truncation left of it; None where nothing was truncated


def truncate(ranked: Tensor, settings: Sequence[Sampling], vocab_size: int) -> tuple[Tensor, Tensor]:
    """What top-k, top-p and min-p keep of the likeliest K weights [R, K] of a softmax over the vocabulary, in
    falling order; and for each row whether those K decide it.

    Each applies to what the one before has left, renormalised; one token stays at least.
    """
    device, width = ranked.device, ranked.shape[1]
    top_k = to_device([min(s.top_k or vocab_size, vocab_size) for s in settings], device)[:, None]
    top_p = to_device([s.top_p for s in settings], device, torch.float64)[:, None]
    min_p = to_device([s.min_p for s in settings], device)[:, None]
    within_k = torch.arange(width, device=device) < top_k
    of_k = ranked.where(within_k, 0.0)
    cumulative = of_k.cumsum(dim=-1, dtype=torch.float64)
    # Where top-k keeps everything, top-p takes its share of the whole softmax, not of the ranks at hand.
    mass = torch.where(top_k < vocab_size, cumulative[:, -1:], 1.0)
    within_p = ((cumulative - of_k) < top_p * mass) | (top_p >= 1.0)
    kept = within_k & within_p & (ranked >= min_p * ranked[:, :1])
    kept[:, 0] = True
    all_of_k = top_k[:, 0] <= width
    whole_mass = top_k[:, 0] == vocab_size
    nothing_beyond = ~kept[:, -1] | (ranked[:, -1] == 0)
    return ranked.where(kept, 0.0), all_of_k | (whole_mass & nothing_beyond)


def invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """The first index of each row [R, K] whose cumulative weight exceeds ``uniform`` [R] times the whole:
    never one of weight 0."""
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    # u x total may round up to total itself, which nothing exceeds.
    target = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True)[:, 0]
