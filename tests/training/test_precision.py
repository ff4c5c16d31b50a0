from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bottega.errors import UserError
from bottega.machine import cpu_flags
from bottega.training.compilation import should_compile
from bottega.training.environment import doctor_report, matmul_flops
from bottega.training.precision import choose_precision

CPU = torch.device("cpu")
FAST = bool({"amx_bf16", "avx512_bf16"} & cpu_flags())


def test_auto_picks_what_this_cpu_is_fast_at_and_says_why() -> None:
    chosen = choose_precision("cpu")
    assert chosen.dtype == (torch.bfloat16 if FAST else torch.float32)
    assert "CPU" in chosen.reason
    assert chosen.warning == ""


@pytest.mark.skipif(FAST, reason="this CPU is fast at bfloat16")
def test_bfloat16_on_a_cpu_without_units_for_it_warns() -> None:
    chosen = choose_precision("cpu", "bfloat16")
    assert chosen.dtype == torch.bfloat16
    assert "about 100 times slower than float32" in chosen.warning


def test_float32_can_be_asked_for_anywhere() -> None:
    assert choose_precision("cpu", "float32").dtype == torch.float32


def test_an_unknown_precision_is_refused_with_those_known() -> None:
    with pytest.raises(UserError, match="'fp8' is not known: use auto, float32 or bfloat16"):
        choose_precision("cpu", "fp8")


def test_without_a_compiler_auto_runs_plainly_and_on_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    on, why = should_compile("auto", CPU, torch.float32, 1e20)
    assert not on
    assert "no C++ compiler was found" in why
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler and none was found: install g\+\+"):
        should_compile("on", CPU, torch.float32, 1e20)
    assert should_compile("off", CPU, torch.float32, 1e20)[0] is False


def test_auto_compiles_long_runs_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "g++"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert should_compile("auto", CPU, torch.bfloat16, 1e9)[0] is False
    assert should_compile("auto", CPU, torch.bfloat16, 1e16)[0] is True
    assert should_compile("on", CPU, torch.bfloat16, 1e9)[0] is True


def test_the_report_of_this_machine(tmp_path: Path) -> None:
    report = doctor_report("cpu", folder=tmp_path / "not" / "yet")
    assert report.cores >= 1
    assert report.memory_bytes > 1 << 28
    assert report.disk_free_bytes > 0
    assert report.torch_version == torch.__version__
    assert report.matmul_flops == {}
    assert matmul_flops(CPU, torch.float32, seconds=0.01) > 1e8
