from __future__ import annotations

import random
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import bottega.training.checkpoint as checkpoint_module
from bottega.errors import UserError
from bottega.training.checkpoint import Checkpoint, Checkpoints


def checkpoint(step: int, size: int = 10) -> Checkpoint:
    weights = {"w": torch.full((size,), float(step))}
    optimizer = {"adamw/w/step": torch.tensor(float(step)), "adamw/w/exp_avg": torch.arange(float(size))}
    return Checkpoint(step, weights, optimizer, {"seconds": 1.5})


def store(folder: Path, warnings: list[str] | None = None, **identity: object) -> Checkpoints:
    return Checkpoints(folder / "checkpoints", identity, (warnings if warnings is not None else []).append)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_gives_back_exactly_what_was_saved(tmp_path: Path) -> None:
    saved = checkpoint(3)
    store(tmp_path).save(saved)
    found = store(tmp_path).newest()
    assert found is not None
    assert (found.step, found.state) == (3, {"seconds": 1.5})

    def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
        return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)

    assert same(found.weights, saved.weights)
    assert same(found.optimizer, saved.optimizer)


def test_restores_the_random_state_of_torch_numpy_and_python(tmp_path: Path) -> None:
    torch.randn(3), np.random.rand(3), random.gauss(0, 1)
    store(tmp_path).save(checkpoint(1))
    expected = (torch.randn(5).tolist(), np.random.randn(5).tolist(), [random.gauss(0, 1) for _ in range(5)])
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    store(tmp_path).newest()
    found = (torch.randn(5).tolist(), np.random.randn(5).tolist(), [random.gauss(0, 1) for _ in range(5)])
    assert found == expected


def test_keeps_the_newest_two_and_no_scratch(tmp_path: Path) -> None:
    for step in (1, 2, 3, 12):
        store(tmp_path).save(checkpoint(step))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000003", "step-00000012"]


def test_holds_no_pickle(tmp_path: Path) -> None:
    folder = store(tmp_path).save(checkpoint(1))
    assert {p.name for p in folder.iterdir()} == {
        "weights.safetensors", "optimizer.safetensors", "random.safetensors", "state.json",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["weights.safetensors", "random.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flipped", "missing", "cut"])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(
    tmp_path: Path, name: str, damage: str
) -> None:
    store(tmp_path).save(checkpoint(1))
    folder = store(tmp_path).save(checkpoint(2))
    path = folder / name
    if damage == "flipped":
        flip_a_byte(path)
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:20])
    warnings: list[str] = []
    found = store(tmp_path, warnings).newest()
    assert found is not None
    assert found.step == 1
    assert len(warnings) == 1
    assert "step-00000002 is damaged" in warnings[0]
    assert "using the one before it" in warnings[0]


def test_when_all_are_damaged_the_message_says_what_to_do(tmp_path: Path) -> None:
    flip_a_byte(store(tmp_path).save(checkpoint(1)) / "weights.safetensors")
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged: delete it to start again"):
        store(tmp_path).newest()


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    store(tmp_path, lr=0.1).save(checkpoint(1))
    with pytest.raises(UserError, match=r"belongs to another run: lr was 0\.1 and is now 0\.2"):
        store(tmp_path, lr=0.2).newest()


def test_a_disk_that_fills_up_while_saving_leaves_the_one_before_intact(tmp_path: Path) -> None:
    store(tmp_path).save(checkpoint(1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # a write beyond fails, as on a full disk
    try:
        with pytest.raises(UserError, match="could not save the checkpoint of step 2") as caught:
            store(tmp_path).save(checkpoint(2, size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "that of step 1 is intact" in str(caught.value)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    found = store(tmp_path).newest()
    assert found is not None
    assert found.step == 1


def test_a_disk_too_small_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    size = shutil.disk_usage(
        tmp_path
    ).free  # elements of 4 bytes: four times what is free, and no memory used
    weights = {"w": torch.zeros(1).expand(size)}
    with pytest.raises(
        UserError, match=r"it needs \d+ MB and the disk has \d+ MB left; there is no earlier one"
    ):
        store(tmp_path).save(Checkpoint(1, weights, {}, {}))


def test_a_run_begun_again_is_not_overtaken_by_the_checkpoints_of_the_one_before(tmp_path: Path) -> None:
    for step in (100, 200, 5):
        store(tmp_path).save(checkpoint(step))
    found = store(tmp_path).newest()
    assert found is not None
    assert found.step == 5
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]


def test_what_a_killed_run_left_half_written_goes_with_the_next_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".writing-step-00000008").mkdir(parents=True)
    store(tmp_path).save(checkpoint(9))
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000009"]


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(checkpoint_module, "FORMAT", 0)
        store(tmp_path).save(checkpoint(1))
    with pytest.raises(UserError, match="has format 0, this version reads 1"):
        store(tmp_path).newest()
