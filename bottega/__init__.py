"""Bottega: the workshop that turns a GPT into a ChatGPT."""

import os

__version__ = "0.1.0"

# torch's own option, read when it allocates for the first time: tensors of 2 MiB and more lie on huge pages.
# Without them a step of training 13.8M parameters on a CPU meets 50,000 page faults.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
