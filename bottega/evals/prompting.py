"""How a prompt is put to a model, where its answer ends, and how the answer is read out of what came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from bottega.data.records import Prompt

if TYPE_CHECKING:
    from bottega.data.tokenizer import Tokenizer

Mode = Literal["completion", "fill", "chat", "plain"]
TEMPLATES: Mapping[Mode, str] = {
    "completion": "<|endoftext|>{text}, continued",
    "fill": "<|endoftext|><|fim_prefix|>{before}<|fim_suffix|>{after}<|fim_middle|>",
    "chat": "the chat template; the answer is the assistant's turn",
    "plain": "<|endoftext|>{text} and a new line, where chat was never taught; the next line is the answer",
}


def encode_prompt(tokenizer: Tokenizer, prompt: Prompt, mode: Mode) -> list[int]:
    """The token ids that the model is to continue."""
    if mode == "chat":
        from bottega.data.chat import encode_chat

        return list(encode_chat(tokenizer, prompt.messages, add_generation_prompt=True).ids)
    eot = tokenizer.require("eot")
    if mode == "fill":
        prefix, suffix, middle = (tokenizer.require(f"fim_{p}") for p in ("prefix", "suffix", "middle"))
        before, after = (tokenizer.encode(message.content) for message in prompt.messages)
        return [eot, prefix, *before, suffix, *after, middle]
    text = request_text(prompt)
    return [eot, *tokenizer.encode(text + "\n" if mode == "plain" else text)]


def request_text(prompt: Prompt) -> str:
    """The messages as plain text: one message as it stands, several one below the other."""
    return "\n".join(message.content for message in prompt.messages)


def stop_strings(mode: Mode, stop: str = "\n") -> tuple[str, ...]:
    """What ends an answer, besides the end marks."""
    return (stop,) if mode in ("completion", "fill") else ()


def stop_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """The marks that end a turn or a document."""
    return frozenset(i for i in (tokenizer.eot, tokenizer.im_end) if i is not None)


def read_answer(text: str, mode: Mode, stop: str = "\n") -> str:
    """The answer in what the model said: its turn in chat, else all before ``stop``."""
    if mode == "chat":
        return text
    if mode == "plain":  # whoever continues a request may begin with a blank line
        text = text.lstrip("\n")
    return text.partition(stop)[0]
