"""Generating with the 13.8M shape, 64 + 128 tokens: the engine beside llama.cpp.

``python -m benchmarks.llamacpp [--precision auto|float32|bfloat16] [--repeats 5]``

llama.cpp reads the GGUF file that ``bottega export --format gguf`` writes of the same model, its matrices in
bfloat16 whatever the engine has. ``llamacpp-alone``: one prompt; ``llamacpp-8``: eight at once, each a
sequence of its own in one batch. Both take the likeliest token, and both have all the machine's cores. Needs
llama-cpp-python, which ``make bench`` builds from source.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import SHAPE, peer_model
from benchmarks.generate import NEW, PROMPT, beside, draw_prompts
from benchmarks.measure import precision_and_repeats
from bottega.data.tokenizer import Tokenizer
from bottega.model.gguf import write_gguf
from bottega.model.hub import load_model, save_model

TEXTS = [f"The {a} sat on the {b} and saw {c}." for a in "abcdefg" for b in "hijklmn" for c in "opqrstu"]


# Of llama.cpp's log. It is called for as long as the library is loaded, so it must never be collected.
_SILENCE = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
    lambda level, text, data: None
)


class LlamaCpp:
    """A model in llama.cpp with room for some sequences, decoded greedily."""

    def __init__(self, file: Path, sequences: int) -> None:
        import llama_cpp

        self.api: Any = llama_cpp
        self.api.llama_log_set(_SILENCE, None)
        self.api.llama_backend_init()
        self.model = self.api.llama_model_load_from_file(
            str(file).encode(), self.api.llama_model_default_params()
        )
        params = self.api.llama_context_default_params()
        params.n_ctx = sequences * (PROMPT + NEW)
        params.n_batch = params.n_ubatch = sequences * PROMPT
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = os.cpu_count() or 1
        self.context = self.api.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("llama.cpp could not make a context")
        self.batch = self.api.llama_batch_init(sequences * PROMPT, 0, 1)

    def generate(self, prompts: list[list[int]]) -> list[list[int]]:
        """``NEW`` tokens after each prompt."""
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        rows = [(token, i, s) for s, prompt in enumerate(prompts) for i, token in enumerate(prompt)]
        last = [(s + 1) * PROMPT - 1 for s in range(len(prompts))]
        found: list[list[int]] = [[] for _ in prompts]
        for step in range(NEW):
            self._decode(rows, last)
            for s, place in enumerate(last):
                logits = self.api.llama_get_logits_ith(self.context, place)
                found[s].append(int(np.ctypeslib.as_array(logits, (SHAPE["vocab_size"],)).argmax()))
            rows = [(found[s][-1], PROMPT + step, s) for s in range(len(prompts))]
            last = list(range(len(prompts)))
        return found

    def _decode(self, rows: list[tuple[int, int, int]], wanted: list[int]) -> None:
        """Read (token, position, sequence) rows; logits of the wanted ones are kept."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, i in wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        if code := self.api.llama_decode(self.context, batch):
            raise SystemExit(f"llama_decode gave {code}")


def main() -> None:
    chosen, repeats = precision_and_repeats(__doc__)
    with tempfile.TemporaryDirectory() as place:
        folder, file = Path(place) / "model", Path(place) / "model.gguf"
        peer_model(PROMPT + NEW, use_cache=True).save_pretrained(folder)
        save_model(load_model(folder), Path(place) / "whole", Tokenizer.train(TEXTS, 290))
        write_gguf(Path(place) / "whole", file, "benchmark")
        model = load_model(folder, dtype=chosen.dtype).eval()
        for name, rows in (("llamacpp-alone", 1), ("llamacpp-8", 8)):
            prompts = draw_prompts(rows).tolist()
            answer = partial(LlamaCpp(file, rows).generate, prompts)
            beside(name, model, prompts, "llama.cpp", answer, repeats)


if __name__ == "__main__":
    main()
