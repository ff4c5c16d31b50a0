"""The engine on a GPU: graphs, kernels and running ahead change no answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bottega.engine.local import LocalEngine
from bottega.engine.requests import Finished, Token
from bottega.model.decoder import Decoder
from bottega.model.lora import add_lora
from tests.engine.conftest import VOCAB_SIZE, next_logits, slow_greedy, some_prompts, tiny_model
from tests.engine.test_local import STOP, WAYS, ask, only

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def on_gpu(dtype: torch.dtype = torch.float32) -> Decoder:
    return tiny_model(head_dim=16).to("cuda", dtype)


def test_greedy_answers_are_the_full_forward_pass_s(model: Decoder) -> None:
    prompts = some_prompts(23, longest=150)
    reference = tiny_model(head_dim=16)
    expected = [slow_greedy(reference, prompt, 20, set(STOP)) for prompt in prompts]
    with LocalEngine(on_gpu(), slots=8) as engine:
        for _ in range(2):  # the second time from what was read before
            answers = only(engine.generate([ask(prompt) for prompt in prompts]))
            different = 0
            for prompt, answer, other in zip(prompts, answers, expected, strict=True):
                if list(answer.tokens) == other:
                    continue
                different += 1
                same = next(
                    i
                    for i, (a, b) in enumerate(zip([*answer.tokens, -1], [*other, -1], strict=False))
                    if a != b
                )
                best = next_logits(reference, [*prompt, *other[:same]]).topk(2).values
                assert best[0] - best[1] < 1e-3  # a tie but for rounding
            assert different <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("way", WAYS)
def test_behind_an_option_neighbours_and_order_change_no_token(way: str, dtype: torch.dtype) -> None:
    model, prompts = on_gpu(dtype), some_prompts(21, longest=100)
    requests = [
        ask(prompt, sampling=replace(WAYS[way], seed=seed), logprobs=True)
        for seed, prompt in enumerate(prompts)
    ]
    with LocalEngine(model, slots=8, batch_invariant=True) as engine:
        assert engine.capabilities.neighbours_change_nothing
        everyone = only(engine.generate(requests))
    with LocalEngine(model, slots=8, batch_invariant=True) as engine:
        assert only(engine.generate(requests[::-1])) == everyone[::-1]
    for i in range(0, 21, 4):
        with LocalEngine(model, slots=8, batch_invariant=True) as engine:
            assert only(engine.generate([requests[i]])) == [everyone[i]]


def test_log_probabilities_are_those_of_the_distribution_drawn_from() -> None:
    reference = tiny_model(head_dim=16)
    (prompt,) = some_prompts(1)
    with LocalEngine(on_gpu(), slots=4) as engine:
        (answer,) = only(engine.generate([ask(prompt, sampling=WAYS["whole"], logprobs=True)]))
    for i, (token, logprob) in enumerate(zip(answer.tokens, answer.logprobs, strict=False)):
        logits = next_logits(reference, [*prompt, *answer.tokens[:i]]) / WAYS["whole"].temperature
        assert abs(float(logits.log_softmax(-1)[token]) - logprob) < 1e-3


def test_weights_changed_in_place_are_seen_by_the_graphs() -> None:
    model, other = on_gpu(), tiny_model(seed=2, head_dim=16)
    prompts = some_prompts(4)
    with LocalEngine(model, slots=4) as engine:
        before = only(engine.generate([ask(prompt) for prompt in prompts]))
        engine.load_weights(other.cuda())
        after = only(engine.generate([ask(prompt) for prompt in prompts]))
    with LocalEngine(other, slots=4) as engine:
        fresh = only(engine.generate([ask(prompt) for prompt in prompts]))
    assert [a.tokens for a in after] == [a.tokens for a in fresh] != [a.tokens for a in before]


def test_streams_come_and_go() -> None:
    prompts = some_prompts(9, longest=80)
    with LocalEngine(on_gpu(), slots=4) as engine:
        expected = [answer.tokens for answer in only(engine.generate([ask(prompt) for prompt in prompts]))]
        streams = [engine.submit(ask(prompt)) for prompt in prompts]
        streams[3].cancel()
        found = []
        for stream in streams:
            events = list(stream)
            assert isinstance(events[-1], Finished)
            found.append(tuple(event.id for event in events if isinstance(event, Token)))
    for i in (0, 1, 2, 4, 5, 6, 7, 8):
        assert found[i] == tuple(expected[i])


def test_a_model_with_adapters_decodes_too() -> None:
    model = tiny_model(head_dim=16)
    add_lora(model, rank=4)
    for name, parameter in model.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    prompts = some_prompts(5)
    expected = [slow_greedy(model, prompt, 12, set(STOP)) for prompt in prompts]
    with LocalEngine(model.cuda(), slots=4) as engine:
        answers = only(engine.generate([ask(prompt, 12) for prompt in prompts]))
    same = sum(list(answer.tokens) == other for answer, other in zip(answers, expected, strict=True))
    assert same >= 4
    assert max(max(answer.tokens, default=0) for answer in answers) < VOCAB_SIZE
