"""CORRECTNESS 7 to 9: decoding with the cache is the full forward pass, whoever stands in the batch, and what
is reported is what was drawn from."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest
import torch

from bottega.data.tokenizer import Tokenizer
from bottega.engine.local import LocalEngine
from bottega.engine.requests import Completion, EngineBusyError, Finished, Request, Sampling, Token, gather
from bottega.engine.slots import BLOCK_TOKENS
from bottega.errors import UserError
from bottega.model.decoder import Decoder
from bottega.model.lora import add_lora
from tests.engine.conftest import VOCAB_SIZE, next_logits, slow_greedy, some_prompts, tiny_model

STOP = frozenset({7, 90, 200})
WAYS = {
    "greedy": Sampling(temperature=0.0),
    "whole": Sampling(temperature=0.8, seed=5),
    "cut": Sampling(temperature=1.3, top_k=40, top_p=0.8, min_p=0.01, seed=6),
    "penalised": Sampling(temperature=0.9, repetition_penalty=1.3, frequency_penalty=0.4, seed=7),
    "biased": Sampling(temperature=1.0, logit_bias={3: 4.0, 8: -100.0}, seed=8),
}


def ask(prompt: list[int], steps: int = 20, sampling: Sampling = WAYS["greedy"], **more: object) -> Request:
    return Request(prompt, steps, sampling, stop_ids=STOP, detokenise=False, **more)  # type: ignore[arg-type]


def only(completions: list[list[Completion]]) -> list[Completion]:
    return [found for (found,) in completions]


def test_greedy_decoding_equals_the_full_forward_pass_token_by_token(model: Decoder) -> None:
    prompts = some_prompts(23, longest=150)
    expected = [slow_greedy(model, prompt, 20, set(STOP)) for prompt in prompts]
    assert len({len(answer) for answer in expected}) > 1  # some end early, some do not
    with LocalEngine(model, slots=8) as engine:
        answers = only(engine.generate([ask(prompt) for prompt in prompts]))
    assert [list(answer.tokens) for answer in answers] == expected
    for answer in answers:
        assert answer.reason == ("length" if len(answer.tokens) == 20 else "stop")
        assert (answer.stop_id in STOP) == (answer.reason == "stop")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("way", WAYS)
def test_neighbours_and_order_change_no_token(way: str, dtype: torch.dtype) -> None:
    model, prompts = tiny_model().to(dtype), some_prompts(21, longest=100)
    requests = [
        ask(prompt, sampling=replace(WAYS[way], seed=seed), logprobs=True)
        for seed, prompt in enumerate(prompts)
    ]
    with LocalEngine(model, slots=8) as engine:
        everyone = only(engine.generate(requests))
    with LocalEngine(model, slots=8) as engine:
        assert only(engine.generate(requests[::-1])) == everyone[::-1]
    for i in range(0, 21, 4):
        with LocalEngine(model, slots=8) as engine:
            assert only(engine.generate([requests[i]])) == [everyone[i]]


@torch.no_grad()
def test_padding_and_neighbours_change_no_logit(model: Decoder) -> None:
    long, short = some_prompts(1, longest=40)[0] + [5] * 20, [3, 1, 4, 1, 5]
    alone = model(torch.tensor([short]))
    padded_right = model(torch.tensor([short + [0] * (len(long) - 5), long]))[:1, :5]
    torch.testing.assert_close(padded_right, alone, atol=1e-5, rtol=0)
    filler = len(long) - 5
    padded_left = model(
        torch.tensor([[0] * filler + short, long]),
        torch.tensor([[0] * filler + list(range(5)), list(range(len(long)))]),
        torch.tensor([[0] * filler + [1] * 5, [1] * len(long)]),
    )[:1, filler:]
    torch.testing.assert_close(padded_left, alone, atol=1e-5, rtol=0)


def test_taking_over_a_prefix_changes_nothing(model: Decoder) -> None:
    common = some_prompts(1, seed=1)[0] * 40
    common = common[: 2 * BLOCK_TOKENS + 10]
    prompts = [common + tail for tail in some_prompts(9, longest=20, seed=2)] + [
        common,
        common[:BLOCK_TOKENS],
    ]
    requests = [ask(p, sampling=replace(WAYS["whole"], seed=i), logprobs=True) for i, p in enumerate(prompts)]
    expected = []
    for request in requests:
        with LocalEngine(model, slots=4) as fresh:
            expected += only(fresh.generate([request]))
    assert {answer.cached_tokens for answer in expected} == {0}
    with LocalEngine(model, slots=4) as engine:
        found = only(engine.generate(requests))
        again = only(engine.generate(requests))
        (last,) = only(engine.generate(requests[:1]))
        (same,) = only(engine.generate(requests[:1]))
    assert [replace(answer, cached_tokens=0) for answer in found] == expected
    assert [replace(answer, cached_tokens=0) for answer in again] == expected
    assert sum(answer.cached_tokens == 2 * BLOCK_TOKENS for answer in found) >= 8
    assert (same.cached_tokens, same.tokens) == (len(prompts[0]), last.tokens)


def test_prompts_are_read_side_by_side_and_what_they_share_once() -> None:
    common = some_prompts(1, longest=60, seed=1)[0] * 80
    common = common[: 2 * BLOCK_TOKENS]
    apart = [[i + 1, *prompt] for i, prompt in enumerate(some_prompts(8, longest=40, seed=2))]
    together = [[*common, i, i] for i in range(8)]
    with LocalEngine(tiny_model().double(), slots=8) as engine:
        passes = passes_of_reading(engine)
        for requests, shapes in (
            ([ask(prompt, 1) for prompt in apart], [(8, 48)]),
            ([ask(prompt, 1) for prompt in together], [(1, 64), (1, 64), (8, 16)]),
            ([ask(common, 1, n=4)], [(1, 64)]),
        ):
            passes.clear()
            found = engine.generate(requests)
            assert passes == shapes
            for request, (answer, *_) in zip(requests, found, strict=True):
                assert list(answer.tokens) == slow_greedy(tiny_model(), list(request.tokens), 1, set(STOP))


def passes_of_reading(engine: LocalEngine) -> list[tuple[int, ...]]:
    """The shape of every pass over prompts from now on."""
    shapes: list[tuple[int, ...]] = []
    step = engine._scheduler._step
    run = step._run

    def watched(tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        if tokens.shape[1] > 1:
            shapes.append(tuple(tokens.shape))
        return run(tokens, *rest)

    step._run = watched  # type: ignore[method-assign]
    return shapes


def test_choices_share_the_prompt_and_draw_for_themselves(model: Decoder) -> None:
    prompt = some_prompts(1, longest=90, seed=8)[0]
    request = ask(prompt, 16, Sampling(temperature=1.0, seed=3), n=6)
    with LocalEngine(model, slots=4) as engine:
        (choices,) = engine.generate([request])
        (again,) = engine.generate([request])
        (fewer,) = engine.generate([replace(request, n=2)])
    assert len({choice.tokens for choice in choices}) == 6
    assert [choice.tokens for choice in again] == [choice.tokens for choice in choices]
    assert [choice.tokens for choice in fewer] == [choice.tokens for choice in choices[:2]]
    assert [choice.cached_tokens for choice in choices[1:]] == [len(prompt)] * 5


@pytest.mark.parametrize("way", WAYS)
def test_log_probabilities_are_those_of_what_was_drawn_from(model: Decoder, way: str) -> None:
    """An oracle of plain loops over the whole vocabulary."""
    sampling = WAYS[way]
    prompt = some_prompts(1, seed=11)[0]
    with LocalEngine(model, slots=4) as engine:
        (answer,) = only(engine.generate([ask(prompt, 12, sampling, logprobs=True, top_logprobs=5)]))
    said: list[int] = []
    drawn = [*answer.tokens, *([] if answer.stop_id is None else [answer.stop_id])]
    assert len(drawn) == len(answer.logprobs) > 3
    for step, token in enumerate(drawn):
        logs = plain_log_probabilities(next_logits(model, prompt + said), prompt, said, sampling)
        assert answer.logprobs[step] == pytest.approx(logs[token], abs=1e-5)
        if step < len(answer.top):
            best = sorted((value for value in logs if value > -math.inf), reverse=True)[:5]
            assert [value for _, value in answer.top[step]] == pytest.approx(best, abs=1e-5)
            assert all(logs[t] == pytest.approx(value, abs=1e-5) for t, value in answer.top[step])
        said.append(token)


def plain_log_probabilities(
    logits: torch.Tensor, prompt: list[int], said: list[int], sampling: Sampling
) -> list[float]:
    values = logits.double().tolist()
    for token in range(VOCAB_SIZE):
        if token in prompt or token in said:
            penalty = sampling.repetition_penalty
            values[token] = values[token] / penalty if values[token] > 0 else values[token] * penalty
        times = said.count(token)
        values[token] -= sampling.frequency_penalty * times + sampling.presence_penalty * (times > 0)
        values[token] += sampling.logit_bias.get(token, 0.0)
    temperature = sampling.temperature or 1.0
    peak = max(values)
    weights = [math.exp((value - peak) / temperature) for value in values]
    if sampling.truncates:
        order = sorted(range(VOCAB_SIZE), key=lambda token: -weights[token])
        kept = order[: sampling.top_k or None]
        total, before, nucleus = sum(weights[token] for token in kept), 0.0, []
        for token in kept:
            if before < sampling.top_p * total and weights[token] >= sampling.min_p * weights[order[0]]:
                nucleus.append(token)
            before += weights[token]
        weights = [weight if token in nucleus else 0.0 for token, weight in enumerate(weights)]
    total = sum(weights)
    return [math.log(weight / total) if weight else -math.inf for weight in weights]


def test_streams_of_many_threads_are_the_answers_of_each_alone(model: Decoder, tokenizer: Tokenizer) -> None:
    prompts = some_prompts(12, longest=90)
    requests = [
        Request(p, 24, Sampling(temperature=1.0, seed=i), n=2, stop_ids=STOP) for i, p in enumerate(prompts)
    ]
    found: dict[int, list[Completion]] = {}
    with LocalEngine(model, tokenizer, slots=4) as engine:

        def serve(i: int) -> None:
            found[i] = gather(iter(engine.submit(requests[i])), 2)

        threads = [threading.Thread(target=serve, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with LocalEngine(model, tokenizer, slots=4) as alone:
        for i, request in enumerate(requests):
            expected = gather(iter(alone.submit(request)), 2)
            assert [c.tokens for c in found[i]] == [c.tokens for c in expected]
            assert [c.text for c in found[i]] == [tokenizer.decode(c.tokens) for c in expected]


def test_a_stop_string_ends_the_answer_and_is_not_shown(tokenizer: Tokenizer) -> None:
    model = tiny_model(seed=3)
    with LocalEngine(model, tokenizer, slots=2) as engine:
        for seed in range(8):
            request = Request([3, 4, 5], 60, Sampling(temperature=1.5, seed=seed))
            ((whole,),) = engine.generate([request])
            stop = whole.text[10:12]
            events = list(engine.submit(replace(request, stop=(stop,))))
            shown = "".join(event.text for event in events)
            assert shown == whole.text[: whole.text.index(stop)]
            assert events[-1] == replace(events[-1], reason="stop", stop_id=None)  # type: ignore[arg-type]


def test_cancelling_frees_the_slot_and_leaves_the_others_alone(model: Decoder) -> None:
    prompts = some_prompts(3, seed=21)
    long = [ask(p, 100, Sampling(temperature=1.0, seed=i), n=1) for i, p in enumerate(prompts)]
    long = [replace(request, stop_ids=frozenset()) for request in long]
    with LocalEngine(model, slots=2) as engine:
        expected = only(engine.generate(long))
        streams = [engine.submit(request) for request in long]
        first = iter(streams[0])
        token = next(first)
        streams[0].cancel()
        rest = list(first)
        assert isinstance(token, Token)
        assert isinstance(rest[-1], Finished)
        assert rest[-1].reason == "cancelled"
        assert len(rest) < 100
        assert [gather(iter(stream), 1)[0].tokens for stream in streams[1:]] == [
            answer.tokens for answer in expected[1:]
        ]


def test_what_waits_in_the_queue_can_be_cancelled_too(model: Decoder) -> None:
    with LocalEngine(model, slots=1) as engine:
        running = engine.submit(replace(ask([1, 2], 200), stop_ids=frozenset()))
        waiting = engine.submit(ask([3], 5, n=3))
        waiting.cancel()
        assert list(waiting) == [Finished(choice, "cancelled") for choice in range(3)]
        running.cancel()


def test_a_deadline_ends_the_answer(model: Decoder) -> None:
    with LocalEngine(model, slots=1) as engine:
        events = list(engine.submit(replace(ask([1, 2], 200, timeout_s=0.0), stop_ids=frozenset())))
        assert events == [Finished(0, "deadline")]


def test_a_full_queue_refuses(model: Decoder) -> None:
    with LocalEngine(model, slots=1, max_queue=2) as engine:
        endless = replace(ask([1, 2], 250), stop_ids=frozenset())
        streams = [engine.submit(endless)]
        next(iter(streams[0]))  # it has its slot
        streams += [engine.submit(endless), engine.submit(endless)]
        with pytest.raises(EngineBusyError, match="2 requests are waiting"):
            engine.submit(endless)
        for stream in streams:
            stream.cancel()
        assert len(only(engine.generate([ask([5, 6])]))) == 1


def test_an_engine_that_was_closed_says_so(model: Decoder) -> None:
    engine = LocalEngine(model, slots=1)
    stream = engine.submit(replace(ask([1, 2], 250), stop_ids=frozenset()))
    events = iter(stream)
    next(events)
    engine.close()
    with pytest.raises(UserError, match="closed"):
        list(events)
    with pytest.raises(UserError, match="closed"):
        engine.submit(ask([1]))


def test_a_failing_step_is_told_to_those_who_wait_and_the_engine_goes_on() -> None:
    model = tiny_model()
    with LocalEngine(model, slots=2) as engine:
        (expected,) = only(engine.generate([ask([1, 2, 3])]))
        hook = model.model.rotary.register_forward_pre_hook(broken)
        with pytest.raises(RuntimeError, match="no memory"):
            list(engine.submit(ask([1, 2, 3, 4])))
        with pytest.raises(RuntimeError, match="no memory"):
            engine.generate([ask([1, 2, 3, 4])])
        hook.remove()
        (after,) = only(engine.generate([ask([1, 2, 3])]))
        assert after.tokens == expected.tokens


def broken(*_: object) -> None:
    raise RuntimeError("no memory")


def test_new_weights_are_used_at_once_and_every_token_knows_them() -> None:
    model, other = tiny_model(seed=1), tiny_model(seed=2)
    prompt = some_prompts(1, longest=200, seed=5)[0]
    request = replace(ask(prompt, 12), stop_ids=frozenset())
    with LocalEngine(model, slots=2) as engine:
        storage = [p.data_ptr() for p in model.parameters()]
        (before,) = only(engine.generate([request]))
        engine.load_weights(other)
        (after,) = only(engine.generate([request]))
    assert before.versions == (0,) * 12
    assert after.versions == (1,) * 12
    assert after.cached_tokens == 0
    assert list(after.tokens) == slow_greedy(other, prompt, 12, set()) != list(before.tokens)
    assert [p.data_ptr() for p in model.parameters()] == storage


def test_weights_of_another_shape_are_refused(model: Decoder) -> None:
    with LocalEngine(model, slots=1) as engine, pytest.raises(UserError, match="another shape"):
        engine.load_weights(tiny_model(num_kv_heads=4))


def test_an_answer_ends_where_the_model_does(model: Decoder) -> None:
    with LocalEngine(model, slots=2) as engine:
        requests = [
            replace(ask([1] * 230, 300), stop_ids=frozenset()),
            replace(ask([2] * 255), stop_ids=frozenset()),
        ]
        answers = only(engine.generate(requests))
    assert [len(answer.tokens) for answer in answers] == [26, 1]
    assert list(answers[0].tokens) == slow_greedy(model, [1] * 230, 26, set())


@pytest.mark.parametrize(
    ("request_of", "message"),
    [
        (lambda: ask([]), "the prompt is empty"),
        (lambda: ask([1] * 256), "the prompt has 256 tokens"),
        (lambda: ask([VOCAB_SIZE]), "outside the vocabulary"),
        (lambda: ask([1], 0), "max_new_tokens must be at least 1"),
        (lambda: ask([1], n=0), "n must be at least 1"),
        (lambda: ask([1], sampling=Sampling(logit_bias={999: 1.0})), "logit_bias names a token outside"),
        (lambda: ask([1], top_logprobs=21), "top_logprobs must be 0 to 20"),
        (lambda: Request([1], 4, stop=("a",), detokenise=False), "stop strings need detokenise"),
        (lambda: Request([1], 4), "no tokenizer"),
        (lambda: Sampling(temperature=-1.0), "temperature must be at least 0"),
        (lambda: Sampling(top_p=1.5), "top_p must be between 0 and 1"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_reason(
    model: Decoder, request_of: object, message: str
) -> None:
    with LocalEngine(model, slots=1) as engine, pytest.raises(UserError, match=message):
        engine.submit(request_of())  # type: ignore[operator]


def test_no_requests_give_no_answers(model: Decoder) -> None:
    with LocalEngine(model, slots=1) as engine:
        assert engine.generate([]) == []


def test_leaving_a_with_block_cancels(model: Decoder) -> None:
    with LocalEngine(model, slots=1) as engine:
        with engine.submit(replace(ask([1, 2], 250), stop_ids=frozenset())) as stream:
            next(iter(stream))
        (answer,) = only(engine.generate([ask([5, 6])]))
        assert answer.reason in ("stop", "length")


def test_a_model_with_adapters_goes_the_decoders_own_way() -> None:
    model = tiny_model()
    add_lora(model, rank=4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora" in name:
                parameter.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(len(name)))
    prompts = some_prompts(5, longest=90)
    with LocalEngine(model, slots=4) as engine:
        answers = only(engine.generate([replace(ask(p, 12), stop_ids=frozenset()) for p in prompts]))
    expected = [slow_greedy(model, prompt, 12, set()) for prompt in prompts]
    assert [list(answer.tokens) for answer in answers] == expected
    assert expected != [slow_greedy(tiny_model(), prompt, 12, set()) for prompt in prompts]


def test_with_amx_a_row_in_bfloat16_is_computed_in_one_shape_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = tiny_model().bfloat16(), some_prompts(5)
    widths: set[int] = set()
    for has_amx, expected in ((False, {1, 2, 4, 8}), (True, {8})):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has_amx=has_amx: has_amx)
        widths.clear()
        for n in (1, 2, 3, 5):
            with LocalEngine(model, slots=8) as engine:
                step = engine._scheduler._step

                def counted(hidden: torch.Tensor, logits: Any = step.logits) -> torch.Tensor:
                    widths.add(len(hidden))
                    found: torch.Tensor = logits(hidden)
                    return found

                monkeypatch.setattr(step, "logits", counted)
                engine.generate([ask(prompt, 4) for prompt in prompts[:n]])
        assert widths == expected


def test_an_engine_in_the_middle_of_an_answer_does_not_take_the_process_down_at_its_end() -> None:
    program = (
        "from bottega.engine.local import LocalEngine\n"
        "from bottega.engine.requests import Request\n"
        "from tests.engine.conftest import tiny_model\n"
        "engine = LocalEngine(tiny_model(max_positions=4096), slots=4)\n"
        "streams = [engine.submit(Request([1, 2, 3], 4000, detokenise=False)) for _ in range(4)]\n"
        "next(iter(streams[0]))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
