from __future__ import annotations

import math

import pytest
import torch

from bottega.data.chat import encode_chat
from bottega.data.records import Conversation, Message
from bottega.data.tokenizer import Tokenizer
from bottega.errors import UserError
from bottega.evals.bits import answer_bits_per_byte, bits_per_byte
from bottega.model.decoder import Decoder

SHORT = ["The cat sat.", "狗躺在火边。", "2 + 2 = 4", "x"]
LONG = "The bird sang in the tree and the dog lay by the fire. " * 12


@torch.no_grad()
def bits_of_one(model: Decoder, tokenizer: Tokenizer, text: str) -> float:
    """The definition, one document at a time and in one piece."""
    ids = torch.tensor([[tokenizer.require("eot"), *tokenizer.encode(text)]])
    logprobs = model.logits(model(ids[:, :-1])).log_softmax(-1)
    return -logprobs.gather(-1, ids[:, 1:, None]).sum().item() / math.log(2)


def test_bits_per_byte_is_the_definition(model: Decoder, tokenizer: Tokenizer) -> None:
    score = bits_per_byte(model, tokenizer, SHORT, context=64)
    expected = [bits_of_one(model, tokenizer, text) for text in SHORT]
    assert score.outcomes == pytest.approx(expected, rel=1e-5)
    assert score.sizes == tuple(len(text.encode()) for text in SHORT)
    assert score.value == pytest.approx(sum(expected) / sum(score.sizes), rel=1e-6)
    assert score.low <= score.value <= score.high


def test_batch_neighbours_change_nothing(model: Decoder, tokenizer: Tokenizer) -> None:
    together = bits_per_byte(model, tokenizer, [*SHORT, LONG], context=64, batch_tokens=4096)
    alone = bits_per_byte(model, tokenizer, [*SHORT, LONG], context=64, batch_tokens=1)
    assert together.outcomes == pytest.approx(alone.outcomes, rel=1e-5)


def test_a_document_that_fits_is_read_in_one_window(model: Decoder, tokenizer: Tokenizer) -> None:
    score = bits_per_byte(model, tokenizer, [LONG], context=1024)
    assert score.outcomes[0] == pytest.approx(bits_of_one(model, tokenizer, LONG), rel=1e-5)


@torch.no_grad()
def test_every_token_of_a_long_document_counts_once_with_at_least_half_a_window_before_it(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    context, stride = 32, 16
    ids = [tokenizer.require("eot"), *tokenizer.encode(LONG)]
    assert len(ids) > 4 * context
    nats = 0.0
    for place in range(1, len(ids)):
        # the window that scores ids[place] ends at the first multiple of the stride beyond it
        end = context if place <= context else context + -(-(place - context) // stride) * stride
        end = min(end, len(ids) - 1)
        start = max(0, end - context)
        logits = model.logits(model(torch.tensor([ids[start:place]])))[0, -1]
        nats -= logits.log_softmax(-1)[ids[place]].item()
    score = bits_per_byte(model, tokenizer, [LONG], context=context, stride=stride)
    assert score.outcomes[0] == pytest.approx(nats / math.log(2), rel=1e-5)
    assert score.details["tokens"] == len(ids) - 1


def test_a_uniform_model_needs_the_logarithm_of_the_vocabulary(model: Decoder, tokenizer: Tokenizer) -> None:
    class Uniform(Decoder):
        def logits(self, hidden: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*hidden.shape[:-1], self.config.vocab_size)

    score = bits_per_byte(Uniform(model.config), tokenizer, SHORT, context=64)
    tokens = sum(len(tokenizer.encode(text)) for text in SHORT)
    assert score.value == pytest.approx(
        tokens * math.log2(model.config.vocab_size) / sum(len(t.encode()) for t in SHORT)
    )


def test_empty_documents_are_counted_and_nothing_else(model: Decoder, tokenizer: Tokenizer) -> None:
    with_empty = bits_per_byte(model, tokenizer, ["", *SHORT, ""], context=64)
    assert with_empty.details["empty_documents"] == 2
    assert with_empty.n == len(SHORT)
    assert with_empty.value == bits_per_byte(model, tokenizer, SHORT, context=64).value


def test_no_text_at_all_is_an_error(model: Decoder, tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="no held-out text"):
        bits_per_byte(model, tokenizer, ["", ""], context=64)


TALKS = [
    Conversation((Message("user", "2 + 2?"), Message("assistant", "It is 4."))),
    Conversation(
        (
            Message("user", "The cat?"),
            Message("assistant", "It sat.", weight=0.0),
            Message("user", "狗？"),
            Message("assistant", "狗躺在火边。"),
        )
    ),
]


@torch.no_grad()
def bits_of(model: Decoder, ids: list[int], counted: list[int]) -> float:
    """The definition: the bits of the tokens at these places, each after all before it."""
    logprobs = model.logits(model(torch.tensor([ids[:-1]])))[0].log_softmax(-1)
    return -sum(logprobs[place - 1, ids[place]].item() for place in counted) / math.log(2)


@pytest.mark.parametrize("chat", [False, True])
def test_of_a_conversation_the_answers_count_and_nothing_else(
    chat: bool, model: Decoder, tokenizer: Tokenizer
) -> None:
    expected = []
    for talk in TALKS:
        if chat:
            ids = encode_chat(tokenizer, talk.messages).ids
            answer = tokenizer.encode("assistant\n" + talk.messages[-1].content)[
                len(tokenizer.encode("assistant\n")) :
            ]
            last = len(ids) - 1 - len(tokenizer.encode("\n"))  # the end mark
        else:
            ids = [tokenizer.require("eot")]
            for message in talk.messages:
                ids += [*tokenizer.encode(message.content), *tokenizer.encode("\n")]
            answer, last = tokenizer.encode(talk.messages[-1].content), len(ids) - len(tokenizer.encode("\n"))
        assert ids[last - len(answer) : last] == answer
        expected.append(bits_of(model, ids, list(range(last - len(answer), last))))
    score = answer_bits_per_byte(model, tokenizer, TALKS, 128, chat=chat)
    assert score.outcomes == pytest.approx(expected, rel=1e-5)
    assert score.sizes == (len("It is 4."), len("狗躺在火边。".encode()))


def test_a_long_conversation_is_read_in_windows_and_each_answer_counts_once(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    turns = [Message("user", "Where?"), Message("assistant", LONG)] * 2
    score = answer_bits_per_byte(model, tokenizer, [Conversation(tuple(turns))], 32, chat=True)
    assert score.details["tokens"] == 2 * len(tokenizer.encode(LONG))


def test_chat_and_plain_are_scores_of_the_same_cases(model: Decoder, tokenizer: Tokenizer) -> None:
    plain, chat = (answer_bits_per_byte(model, tokenizer, TALKS, 128, chat=way) for way in (False, True))
    assert plain.cases == chat.cases
    assert plain.template != chat.template


def test_conversations_without_an_answer_are_an_error(model: Decoder, tokenizer: Tokenizer) -> None:
    silent = Conversation((Message("user", "Hello?"),))
    with pytest.raises(UserError, match="no held-out text"):
        answer_bits_per_byte(model, tokenizer, [silent], 64, chat=True)
