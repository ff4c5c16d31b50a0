"""Whatever comes, whenever: never a wrong or missing token, never a leaked slot, memory flat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.data.tokenizer import Tokenizer
from bottega.engine.requests import Completion, Event, Finished, Request, Sampling, Token, gather
from bottega.engine.scheduler import Scheduler
from bottega.model.decoder import Decoder
from tests.engine.conftest import some_prompts, tiny_model

SLOTS, MAX_TOKENS = 4, 160
PROMPTS = [*some_prompts(5, longest=120, seed=1), *some_prompts(3, longest=10, seed=2)]
PROMPTS += [PROMPTS[0][:70] + tail for tail in some_prompts(3, longest=30, seed=3)]


# In float32 on a CPU prompts are read one after the other, else side by side; float64 hides what that rounds.
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["alone", "together"])


@cache
def shared_model(dtype: torch.dtype) -> Decoder:
    return tiny_model().to(dtype)


@dataclass(frozen=True)
class Arrival:
    prompt: int
    max_new_tokens: int
    temperature: float
    top_p: float
    penalty: float
    seed: int
    n: int
    stop_ids: frozenset[int]
    stop: tuple[str, ...]
    at_step: int
    cancel_at: int | None

    def request(self) -> Request:
        sampling = Sampling(
            temperature=self.temperature, top_p=self.top_p, frequency_penalty=self.penalty, seed=self.seed
        )
        return Request(
            PROMPTS[self.prompt],
            self.max_new_tokens,
            sampling,
            n=self.n,
            stop_ids=self.stop_ids,
            stop=self.stop,
            logprobs=True,
        )


arrivals = st.builds(
    Arrival,
    prompt=st.integers(0, len(PROMPTS) - 1),
    max_new_tokens=st.integers(1, 60),
    temperature=st.sampled_from([0.0, 0.7, 1.4]),
    top_p=st.sampled_from([1.0, 0.8]),
    penalty=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 3),
    n=st.integers(1, 3),
    stop_ids=st.frozensets(st.integers(0, 289), max_size=20),
    stop=st.sampled_from([(), ("a",), ("th", "猫")]),
    at_step=st.integers(0, 40),
    cancel_at=st.one_of(st.none(), st.integers(0, 60)),
)


def drive(scheduler: Scheduler, plan: list[Arrival], prefill_tokens: int | None) -> list[list[Event]]:
    """Let requests arrive and leave at their steps; all events of each."""
    events: list[list[Event]] = [[] for _ in plan]
    tickets = {}
    step = 0
    while step <= 60 or scheduler.busy:
        for i, arrival in enumerate(plan):
            if arrival.at_step == step:
                tickets[i] = scheduler.add(arrival.request(), events[i].append)  # type: ignore[arg-type]
            if arrival.cancel_at == step and i in tickets:
                tickets[i].cancel()
        scheduler.step(prefill_tokens)
        step += 1
        assert step < 5000
    return events


@cache
def alone(arrival: Arrival, tokenizer: Tokenizer, dtype: torch.dtype) -> list[Completion]:
    scheduler = Scheduler(shared_model(dtype), tokenizer, slots=SLOTS, max_tokens=MAX_TOKENS)
    events: list[Event] = []
    scheduler.add(arrival.request(), events.append)  # type: ignore[arg-type]
    while scheduler.busy:
        scheduler.step()
    return gather(iter(events), arrival.n)


@DTYPES
@settings(max_examples=40, deadline=None)
@given(
    plan=st.lists(arrivals, min_size=1, max_size=9),
    prefill_tokens=st.sampled_from([None, 16, 100]),
)
def test_whatever_comes_and_goes_each_gets_its_own_answer(
    tokenizer: Tokenizer, dtype: torch.dtype, plan: list[Arrival], prefill_tokens: int | None
) -> None:
    scheduler = Scheduler(shared_model(dtype), tokenizer, slots=SLOTS, max_tokens=MAX_TOKENS)
    storage = [keys.data_ptr() for keys in scheduler._slots.cache.keys]
    for arrival, events in zip(plan, drive(scheduler, plan, prefill_tokens), strict=True):
        ends = [event for event in events if isinstance(event, Finished)]
        assert sorted(end.choice for end in ends) == list(range(arrival.n))  # each ends, and once
        found = gather(iter(events), arrival.n)
        for choice, (mine, expected) in enumerate(zip(found, alone(arrival, tokenizer, dtype), strict=True)):
            if mine.reason == "cancelled":
                assert arrival.cancel_at is not None
                assert mine.tokens == expected.tokens[: len(mine.tokens)]
            else:
                assert (mine.tokens, mine.text, mine.reason) == (
                    expected.tokens,
                    expected.text,
                    expected.reason,
                )
                rounding = 0.0 if dtype == torch.float32 else 1e-5
                assert mine.logprobs == pytest.approx(expected.logprobs, rel=0, abs=rounding)
            after_end = events.index(ends[[end.choice for end in ends].index(choice)])
            assert not any(isinstance(e, Token) and e.choice == choice for e in events[after_end:])
    assert scheduler._slots.idle == SLOTS
    assert not scheduler.busy
    assert [keys.data_ptr() for keys in scheduler._slots.cache.keys] == storage
    assert all(bool(torch.isfinite(keys).all()) for keys in scheduler._slots.cache.keys)
    assert not scheduler._sampler._said
    assert not scheduler._sampler._biases
