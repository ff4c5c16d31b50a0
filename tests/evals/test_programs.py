"""CORRECTNESS 33: pass@k is the unbiased estimator; and programs are read out of answers and judged."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from bottega.data.records import Check, Message, Prompt
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.evals.programs import chance_of_passing, pass_at_k, program_of
from bottega.model.config import ModelConfig
from bottega.model.decoder import Decoder
from bottega.model.init import initialise


@pytest.mark.parametrize("tries", [1, 2, 5, 8])
def test_pass_at_k_is_the_share_of_draws_of_k_tries_with_one_that_passes(tries: int) -> None:
    for passed in range(tries + 1):
        outcomes = [True] * passed + [False] * (tries - passed)
        for k in range(1, tries + 1):
            draws = list(combinations(outcomes, k))
            assert chance_of_passing(tries, passed, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize(("tries", "passed", "k"), [(2, 0, 3), (2, 3, 1), (2, 1, 0)])
def test_impossible_estimates_are_refused(tries: int, passed: int, k: int) -> None:
    with pytest.raises(UserError, match="cannot be estimated"):
        chance_of_passing(tries, passed, k)


ASK = Prompt((Message("user", "def one():\n"),), Check("tests", tests="assert one() == 1\n"))


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("Here it is:\n```python\ndef f():\n    return 1\n```\nIt returns 1.", "def f():\n    return 1\n"),
        ("```\nx = 1\n", "x = 1\n"),
        ("Sure!\ndef f():\n    return 1", "def f():\n    return 1"),
        ("import math\n\ndef f():\n    return 1", "import math\n\ndef f():\n    return 1"),
        ("I cannot.", "I cannot."),
    ],
)
def test_a_program_is_found_in_what_was_said(answer: str, program: str) -> None:
    assert program_of(ASK, answer, "chat") == program


def test_a_completion_goes_on_from_its_prompt() -> None:
    assert program_of(ASK, "    return 1", "completion") == "def one():\n    return 1"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["def one():\n    return 1\n\ndef two():\n    return 2\n\n"] * 50, 280)


@pytest.fixture(scope="module")
def coder(tokenizer: Tokenizer) -> Decoder:
    """A model that knows the body of every function: it returns 1."""
    shape = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_layers=1,
        num_heads=2,
        num_kv_heads=2,
        head_dim=16,
        max_positions=64,
    )
    model = initialise(Decoder(shape), seed=0)
    texts = [f"def {name}():\n    return 1\n\n" for name in ("one", "two")]
    rows = [torch.tensor([[tokenizer.eot, *tokenizer.encode(text)]]) for text in texts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(120):
        ids = rows[step % 2]
        logits = model.logits(model(ids[:, :-1]))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def asked(name: str) -> Prompt:
    value = {"one": 1, "two": 2}[name]
    return Prompt(
        (Message("user", f"def {name}():\n"),), Check("tests", tests=f"assert {name}() == {value}\n")
    )


@pytest.mark.parametrize("k", [1, 3])
def test_programs_that_pass_their_tests_count(coder: Decoder, tokenizer: Tokenizer, k: int) -> None:
    score = pass_at_k(coder, tokenizer, [asked("one"), asked("two"), asked("one")], "completion", k=k)
    assert score.outcomes == (1.0, 0.0, 1.0)
    assert score.value == pytest.approx(2 / 3)
    assert score.low < 2 / 3 < score.high
    assert [(e.answer, e.correct) for e in score.examples][:2] == [
        ("    return 1", True),
        ("    return 1", False),
    ]


def test_a_prompt_without_room_has_failed_and_is_counted(coder: Decoder, tokenizer: Tokenizer) -> None:
    long = Prompt((Message("user", "# one two one two\n" * 20 + "def one():\n"),), asked("one").check)
    score = pass_at_k(coder, tokenizer, [long, asked("one")], "completion")
    assert score.outcomes == (0.0, 1.0)
    assert score.details["too_long"] == 1.0


def test_prompts_without_tests_are_an_error(coder: Decoder, tokenizer: Tokenizer) -> None:
    other = Prompt((Message("user", "one"),), Check("exact", ("1",)))
    with pytest.raises(UserError, match="no tests"):
        pass_at_k(coder, tokenizer, [other], "completion")
    with pytest.raises(UserError, match="no prompts"):
        pass_at_k(coder, tokenizer, [], "completion")
