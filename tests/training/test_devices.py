"""Which device is meant, and what is said where there is none."""

from __future__ import annotations

import pytest
import torch

from bottega.errors import UserError
from bottega.training.devices import choose_device

WITHOUT_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")


@WITHOUT_CUDA
def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


@WITHOUT_CUDA
@pytest.mark.parametrize("asked", ["cuda", "cuda:1"])
def test_cuda_without_a_card_is_a_users_error_with_the_remedy(asked: str) -> None:
    with pytest.raises(UserError, match=f"{asked}: torch finds no CUDA device here; use auto or cpu"):
        choose_device(asked)


def test_a_device_that_does_not_exist_is_a_users_error() -> None:
    with pytest.raises(UserError, match="there is no device 'gpu': use auto, cpu, cuda"):
        choose_device("gpu")
