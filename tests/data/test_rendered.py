"""Tokenizers and chat templates of other families, as folders in their style."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bottega.data.chat import encode_chat
from bottega.data.records import Message
from bottega.data.tokenizer import CONTROL, Tokenizer
from bottega.errors import UserError

LLAMA_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
LLAMA_TEMPLATE = """{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
QWEN_TEMPLATE = """{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' %}
        {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {%- generation %}
            {%- if loop.last %}{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}
            {{- content + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def folder_in_style(
    tokenizer: Tokenizer, folder: Path, tokens: tuple[str, ...], template: str, **config: Any
) -> Path:
    """Our merges with other control tokens, behind the vocabulary as other families have them."""
    tokenizer.save(folder)
    model = json.loads((folder / "tokenizer.json").read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    model["added_tokens"] = [
        {"id": 360 + i, "content": token, "special": "think" not in token, **flags}
        for i, token in enumerate(tokens)
    ]
    vocab = model["model"]["vocab"]
    model["model"]["vocab"] = {f"unused{i}" if i < len(CONTROL) else token: i for token, i in vocab.items()}
    model["normalizer"] = {"type": "NFC"}
    (folder / "tokenizer.json").write_text(json.dumps(model))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config})
    )
    (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.fixture(scope="module")
def llama(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_in_style(
        tokenizer,
        tmp_path_factory.mktemp("llama"),
        LLAMA_TOKENS,
        LLAMA_TEMPLATE,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
    )


@pytest.fixture(scope="module")
def qwen(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_in_style(
        tokenizer,
        tmp_path_factory.mktemp("qwen"),
        QWEN_TOKENS,
        QWEN_TEMPLATE,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )


@pytest.fixture(scope="module")
def pairs(llama: Path, qwen: Path) -> dict[str, tuple[Tokenizer, Any]]:
    from transformers import AutoTokenizer

    folders = {"llama": llama, "qwen": qwen}
    return {name: (Tokenizer.load(f), AutoTokenizer.from_pretrained(f)) for name, f in folders.items()}


CONTENT = st.text(st.sampled_from("ab \n.中é\u0301"), max_size=10)
TURNS = st.lists(
    st.tuples(CONTENT, CONTENT).map(lambda t: [Message("user", t[0]), Message("assistant", t[1])]),
    min_size=1,
    max_size=3,
).map(lambda turns: [message for turn in turns for message in turn])


@pytest.mark.parametrize("style", ["llama", "qwen"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=TURNS, prompt=st.booleans())
def test_a_folder_s_own_template_gives_the_ids_that_transformers_gives(
    pairs: dict[str, tuple[Tokenizer, Any]], style: str, messages: list[Message], prompt: bool
) -> None:
    ours, theirs = pairs[style]
    expected = theirs.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in messages],
        add_generation_prompt=prompt,
        return_dict=True,
        return_assistant_tokens_mask=style == "qwen",
    )
    encoded = encode_chat(ours, messages, prompt)
    assert encoded.ids == expected["input_ids"]
    if style == "qwen":
        assert encoded.weights == expected["assistant_masks"]


def counted(tokenizer: Tokenizer, messages: list[Message]) -> str:
    encoded = encode_chat(tokenizer, messages)
    assert encoded.weights is not None
    kept = [i for i, weight in zip(encoded.ids, encoded.weights, strict=True) if weight]
    return tokenizer.decode(kept, skip_control=False)


def test_without_generation_blocks_the_answers_are_found_by_rendering_prefixes(llama: Path) -> None:
    messages = [
        Message("user", "hi"),
        Message("assistant", "hello"),
        Message("user", "more"),
        Message("assistant", "well", weight=0.5),
    ]
    assert counted(Tokenizer.load(llama), messages) == "hello<|eot_id|>well<|eot_id|>"


@pytest.mark.parametrize(("style", "frame"), [("llama", 4), ("qwen", 2)])
def test_control_tokens_in_messages_stay_text_in_a_foreign_template(
    pairs: dict[str, tuple[Tokenizer, Any]], style: str, frame: int
) -> None:
    tokenizer = pairs[style][0]
    attack = "x" + "".join(tokenizer.control) + "y"
    ids = encode_chat(tokenizer, [Message("user", attack)]).ids
    harmless = encode_chat(tokenizer, [Message("user", "xy")]).ids
    values = tokenizer.control.values()
    assert [i for i in ids if i in values] == [i for i in harmless if i in values]
    assert len([i for i in harmless if i in values]) == frame + (style == "qwen") * 2
    assert attack in tokenizer.decode(ids)


def test_the_names_of_other_families_are_known(llama: Path, qwen: Path) -> None:
    loaded = Tokenizer.load(llama)
    assert (loaded.eot, loaded.pad, loaded.im_start) == (361, None, None)
    assert loaded.end_ids == {361, 364}
    loaded = Tokenizer.load(qwen)
    assert (loaded.eot, loaded.pad, loaded.im_start, loaded.im_end) == (360, 360, 361, 362)
    assert loaded.end_ids == {360, 362}
    assert loaded.vocab_size == 365


def test_a_template_that_refuses_is_reported_with_its_reason(
    tokenizer: Tokenizer, fresh: Callable[[], Path]
) -> None:
    refusing = "{{ raise_exception('roles must alternate') }}"
    folder = folder_in_style(tokenizer, fresh(), QWEN_TOKENS, refusing)
    with pytest.raises(UserError, match="refuses these messages: roles must alternate"):
        encode_chat(Tokenizer.load(folder), [Message("user", "a")])


def test_a_template_cannot_reach_python(tokenizer: Tokenizer, fresh: Callable[[], Path]) -> None:
    escaping = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    folder = folder_in_style(tokenizer, fresh(), QWEN_TOKENS, escaping)
    with pytest.raises(UserError, match="refuses these messages: access to attribute '__class__'"):
        encode_chat(Tokenizer.load(folder), [Message("user", "a")])


def test_a_broken_template_is_reported(tokenizer: Tokenizer, fresh: Callable[[], Path]) -> None:
    folder = folder_in_style(tokenizer, fresh(), QWEN_TOKENS, "{% if %}")
    with pytest.raises(UserError, match="not valid Jinja"):
        encode_chat(Tokenizer.load(folder), [Message("user", "a")])


def test_without_template_and_chat_tokens_a_chat_is_refused(
    tokenizer: Tokenizer, fresh: Callable[[], Path]
) -> None:
    folder = folder_in_style(tokenizer, fresh(), ("<|endoftext|>",), "")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no im_start token"):
        encode_chat(Tokenizer.load(folder), [Message("user", "a")])
