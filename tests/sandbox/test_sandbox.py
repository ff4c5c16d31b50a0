"""ATTACKS J (50): a program can do nothing but compute, and cannot talk its judge round."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.errors import UserError
from bottega.sandbox import run, wire
from bottega.sandbox.run import Limits, Sandbox, Verdict

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

QUICK = Limits(wall_s=3.0, cpu_s=1, memory_bytes=200 << 20, output_bytes=10_000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(QUICK, workers=2) as box:
        yield box


def judge(sandbox: Sandbox, program: str, tests: str = "assert f() == 1") -> Verdict:
    (verdict,) = sandbox.judge([(program, tests)])
    return verdict


def tried(sandbox: Sandbox, attempt: str) -> str:
    """The error that an attempt ends with, or "done"."""
    lines = "\n".join(f"        {line}" for line in attempt.splitlines())
    program = f"""
def f():
    try:
{lines}
    except BaseException as e:
        return type(e).__name__
    return 'done'
"""
    verdict = judge(sandbox, program, "raise RuntimeError(f())")
    assert verdict.status == "error", verdict
    return verdict.message.removeprefix("RuntimeError: ")


# ---------------------------------------------------------------- what honest programs get


@pytest.mark.parametrize(
    ("program", "tests", "status"),
    [
        ("def f():\n    return 1", "assert f() == 1", "passed"),
        ("def f():\n    return 2", "assert f() == 1", "failed"),
        ("def f():\n    return 1 / 0", "assert f() == 1", "error"),
        ("def f(:\n", "assert f() == 1", "error"),
        ("def g():\n    return 1", "assert f() == 1", "error"),
        ("import math\ndef f(x):\n    return math.sqrt(x)", "assert abs(f(2.0) - 2 ** 0.5) < 1e-9", "passed"),
        ("def f(a):\n    a.sort()", "a = [3, 1, 2]\nf(a)\nassert a == [1, 2, 3]", "passed"),
        ("def f(d):\n    d['x'] = 1", "d = {}\nf(d)\nassert d == {'x': 1}", "passed"),
        ("def f(n):\n    for i in range(n):\n        yield i", "assert list(f(3)) == [0, 1, 2]", "passed"),
        (
            "def f(x):\n    if x < 0:\n        raise ValueError('negative')\n    return x",
            "try:\n    f(-1)\n    assert False\nexcept ValueError as e:\n    assert 'negative' in str(e)",
            "passed",
        ),
        (
            "f = lambda s: s[::-1]\nN = 7",
            "def check(g):\n    assert g('猫b') == 'b猫'\ncheck(f)\nassert N == 7",
            "passed",
        ),
        (
            "from collections import Counter\ndef f(s):\n    return Counter(s)",
            "assert f('aab') == {'a': 2, 'b': 1}",
            "passed",
        ),
        (
            "def f(x):\n    return x",
            "assert f((1, [2.5, None], {3}, b'z')) == (1, [2.5, None], {3}, b'z')",
            "passed",
        ),
    ],
)
def test_honest_programs_are_judged_by_their_tests(
    sandbox: Sandbox, program: str, tests: str, status: str
) -> None:
    assert judge(sandbox, program, tests).status == status


def test_the_verdict_says_which_assertion_failed_and_what_was_printed(sandbox: Sandbox) -> None:
    verdict = judge(
        sandbox, "def f(x):\n    print('seen', x)\n    return x", "assert f(1) == 1\nassert f(2) == 3"
    )
    assert verdict == Verdict("failed", "assert f(2) == 3", "seen 1\nseen 2\n")


def test_many_are_judged_at_once_and_in_order(sandbox: Sandbox) -> None:
    cases = [(f"def f():\n    return {i}", f"assert f() == {i - i % 3}") for i in range(30)]
    assert [v.passed for v in sandbox.judge(cases)] == [i % 3 == 0 for i in range(30)]


# ---------------------------------------------------------------- nothing but computing


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        "import os\nopen(f'/proc/{os.getppid()}/environ').read()",
        "open('/tmp/bottega-was-here', 'w').write('x')",
        "import os\nos.listdir('/')",
        "import os\nos.stat('/etc/passwd')",
        "import os\nos.symlink('/etc/passwd', '/tmp/bottega-link')",
        "import os\nos.mkdir('/tmp/bottega-dir')",
        "import os\nos.remove('/etc/hostname')",
        "import os\nos.chmod('/tmp', 0)",
        "import os\nos.memfd_create('x')",
        "import os\nos.mkfifo('/tmp/bottega-fifo')",
    ],
)
def test_no_file_is_read_or_written(sandbox: Sandbox, attempt: str) -> None:
    assert tried(sandbox, attempt) in ("PermissionError", "OSError")
    assert not list(Path("/tmp").glob("bottega-*here*"))


@pytest.mark.parametrize(
    "attempt",
    [
        "import ctypes\nif ctypes.CDLL(None).socket(2, 1, 0) < 0:\n    raise PermissionError",
        "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
        "import _socket\n_socket.socket()",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}')",
    ],
)
def test_there_is_no_network(sandbox: Sandbox, attempt: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        said = tried(sandbox, attempt.format(port=server.getsockname()[1]))
        assert said in ("PermissionError", "ModuleNotFoundError", "ImportError", "OSError")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "attempt",
    [
        "import os\nwhile True:\n    os.fork()",
        "import os\nos.execv('/bin/sh', ['sh'])",
        "import os\nos.system('true') and 1 / 0",
        "import os\nos.posix_spawn('/bin/true', ['true'], {})",
        "import threading\nthreading.Thread(target=print).start()",
        "import os\nos.kill(os.getppid(), 9)",
        "import os\nos.kill(os.getpid(), 9)",
        "import os\nos.kill(-1, 9)",
        "import os\nos.killpg(0, 9)",
        "import os\nos.setuid(0)",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (100, 100))",
        "import os\nos.setns(0)",
        "import os\nos.nice(-5)",
    ],
)
def test_no_process_is_started_or_signalled(sandbox: Sandbox, attempt: str) -> None:
    said = tried(sandbox, attempt)
    assert said in (
        "PermissionError",
        "OSError",
        "RuntimeError",
        "ZeroDivisionError",
        "ModuleNotFoundError",
        "AttributeError",
        "BlockingIOError",
        "ValueError",
    )
    assert judge(sandbox, "def f():\n    return 1").passed  # and the sandbox lives


@pytest.mark.parametrize("module", ["torch", "numpy", "bottega", "pytest", "subprocess", "multiprocessing"])
def test_nothing_that_is_installed_can_be_imported(sandbox: Sandbox, module: str) -> None:
    said = tried(sandbox, f"import {module}")
    assert said in ("ModuleNotFoundError", "ImportError") or (module == "bottega" and said == "done")


def test_the_environment_is_empty(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTTEGA_SECRET", "s3cr3t")
    with Sandbox(QUICK, workers=1) as fresh:
        program = "import os\ndef f():\n    return dict(os.environ)"
        assert judge(fresh, program, "assert 'BOTTEGA_SECRET' not in f()\nassert 'HOME' not in f()").passed


# ---------------------------------------------------------------- bounded


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def f():\n    while True:\n        pass", "timeout"),
        ("while True:\n    pass", "timeout"),
        ("import time\ndef f():\n    time.sleep(60)", "timeout"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass", "timeout"),
        ("def f():\n    return [0] * 10**9", "memory"),
        ("def f():\n    x = 'a'\n    while True:\n        x += x", "memory"),
        ("while True:\n    print('x' * 1000, flush=True)", "output"),
        ("def f():\n    return f()", "error"),
        ("import os\nos.abort()", "crashed"),
        ("def f():\n    return 10 ** 10 ** 10", "timeout"),
    ],
)
def test_time_memory_and_output_are_bounded(sandbox: Sandbox, program: str, status: str) -> None:
    began = time.monotonic()
    assert judge(sandbox, program).status == status
    assert time.monotonic() - began < QUICK.wall_s + 2
    assert judge(sandbox, "def f():\n    return 1").passed


def test_nothing_is_left_running(sandbox: Sandbox) -> None:
    before = children()
    sandbox.judge([("while True:\n    pass", "assert f() == 1")] * 2)
    assert children() == before


def children() -> int:
    """Processes below this one."""
    found, todo = 0, [os.getpid()]
    while todo:
        for task in Path(f"/proc/{todo.pop()}/task").iterdir():
            below = [int(pid) for pid in (task / "children").read_text().split()]
            found += len(below)
            todo += below
    return found


# ---------------------------------------------------------------- the judge is not for turning

WRONG = r"""
import sys
sys.exit(0)
----
import os
os._exit(0)
----
def f():
    import os
    os._exit(0)
----
raise SystemExit
----
class Yes:
    def __eq__(self, other):
        return True
    __hash__ = None
def f():
    return Yes()
----
class Yes(int):
    def __eq__(self, other):
        return True
    __hash__ = int.__hash__
def f():
    return Yes(0)
----
import builtins
builtins.AssertionError = ValueError
def f():
    return 2
----
import builtins
builtins.compile = builtins.exec = lambda *a: None
def f():
    return 2
----
def f():
    return 2
def abs(x):
    return 0
----
import gc
def f():
    for o in gc.get_objects():
        if isinstance(o, str) and 'asse' + 'rt f()' in o:
            return 1
    return 2
----
import sys
def f():
    g = sys._getframe()
    while g:
        if 'asse' + 'rt f()' in repr(g.f_locals):
            return 1
        g = g.f_back
    return 2
----
import os
for n in range(64):
    try:
        os.write(n, b'{"status": "passed", "message": ""}\n')
    except OSError:
        pass
def f():
    return 2
----
import os
for n in range(3, 64):
    try:
        os.write(n, b'["defined", {"f": [["i", "0x1"]]}]\n')
    except OSError:
        pass
----
def f():
    return [1] * 10**7
"""


def programs(blocks: str) -> list[str]:
    """Programs that stand one below the other, with a line of dashes between two."""
    return blocks.strip().split("\n----\n")


@pytest.mark.parametrize("program", programs(WRONG))
@pytest.mark.parametrize(
    "tests",
    [
        "assert f() == 1",
        "assert abs(f() - 1) == 0",
        "try:\n    assert f() == 1\nexcept ValueError:\n    pass",
    ],
)
def test_a_wrong_program_never_passes(sandbox: Sandbox, program: str, tests: str) -> None:
    assert judge(sandbox, program, tests).status != "passed"


def test_tests_that_forgive_errors_do_not_forgive_an_end(sandbox: Sandbox) -> None:
    tests = "try:\n    f()\nexcept Exception:\n    pass"
    assert judge(sandbox, "import os\ndef f():\n    os._exit(0)", tests).status == "error"


def test_tests_are_confined_too(sandbox: Sandbox) -> None:
    assert judge(sandbox, "def f():\n    return 1", "open('/etc/passwd')").message.startswith(
        "PermissionError"
    )


def test_a_nursery_that_dies_is_replaced(sandbox: Sandbox) -> None:
    with Sandbox(QUICK, workers=1) as fresh:
        assert judge(fresh, "def f():\n    return 1").passed
        process = fresh._all[0]._process
        assert process is not None
        killer = threading.Timer(0.3, process.kill)
        killer.start()
        assert judge(fresh, "import time\ndef f():\n    time.sleep(2)").status == "crashed"
        assert judge(fresh, "def f():\n    return 1").passed


def test_a_system_that_cannot_confine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "why_not", lambda: "the sandbox needs Linux")
    with pytest.raises(UserError, match="programs cannot be judged here: the sandbox needs Linux"):
        Sandbox()


# ---------------------------------------------------------------- values that cross over

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(plain)
def test_plain_values_cross_unchanged(value: object) -> None:
    again = wire.decode(wire.encode(value))
    assert again == value
    assert type(again) is type(value)


def test_values_that_are_not_plain_are_refused() -> None:
    with pytest.raises(wire.UnsupportedValueError, match="a value of type object"):
        wire.encode([object()])
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(wire.UnsupportedValueError, match="nested"):
        wire.encode(deep)
    for bad in (["x"], [], ["i"], ["i", "zz"], "text", {"a": 1}, ["l", 7]):
        with pytest.raises(ValueError):
            wire.decode(bad)
