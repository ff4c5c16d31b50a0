"""The process that programs are forked from: it has imported what they may use, and serves one job at a time.

A program and its tests run in two confined processes that talk through pipes. The tests see the program's
functions as proxies: a call goes over, and what comes back is rebuilt from plain values. So a program cannot
end the tests early, replace their comparisons or look at what they expect. Nor does it find them in its own
memory: they are read after it was forked.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import io
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from bottega.sandbox import wire
from bottega.sandbox.confine import confine

# What programs may import: once confined, a process opens no file.
PRELOADED = (
    *("abc", "array", "base64", "bisect", "calendar", "cmath", "collections", "collections.abc", "copy"),
    *("dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq"),
    *("inspect", "itertools", "json", "keyword", "math", "numbers", "operator", "os", "pprint", "queue"),
    *("random", "re", "secrets", "statistics", "string", "struct", "sys", "textwrap", "time", "traceback"),
    *("types", "typing", "unicodedata", "uuid", "warnings", "zlib", "encodings.idna", "encodings.latin_1"),
)
MAX_LINE_BYTES = 4_000_000
UNCONFINED = 97  # exit status of a child that could not be confined, and ran nothing
_SHOWN_CHARS = 400


class ProgramEndedError(BaseException):
    """The program's process is gone, or said what no program says. No test may take it for an answer."""


def main() -> None:
    """Serve jobs until there are no more."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            __import__(name)
    sys.path[:] = []
    gc.freeze()  # what is shared is not copied by a child's garbage collection
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    while (job := _read_part()) is not None:
        results.write(json.dumps(serve(json.loads(job))) + "\n")
        results.flush()


def _read_part() -> str | None:
    """The next part of a job, and not a byte beyond it; None at the end."""
    size = _read_exactly(8)
    return _read_exactly(int.from_bytes(size, "big")).decode() if size else None


def _read_exactly(size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = os.read(0, size - len(found))
        if not piece:
            return b""
        found += piece
    return found


def serve(job: dict[str, Any]) -> dict[str, Any]:
    """Run one program against the tests that follow it; the verdict, and what the program printed."""
    calls, answers, printed, verdict = (os.pipe() for _ in range(4))
    limits = {"cpu_s": job["cpu_s"], "memory_bytes": job["memory_bytes"]}
    program = _fork(
        lambda: _run_program(job["program"], calls[0], answers[1]),
        output=printed[1],
        keep=(calls[0], answers[1]),
        limits=limits,
    )
    source = _read_part() or ""
    tests = _fork(
        lambda: _run_tests(source, answers[0], calls[1], verdict[1]),
        output=None,
        keep=(answers[0], calls[1], verdict[1]),
        limits=limits,
    )
    for end in (calls[0], calls[1], answers[0], answers[1], printed[1], verdict[1]):
        os.close(end)
    try:
        said, shown, why = _wait(verdict[0], printed[0], job["wall_s"], job["output_bytes"])
    finally:
        os.close(verdict[0])
        os.close(printed[0])
        for child in (program, tests):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status, of_tests = (os.waitpid(child, 0)[1] for child in (program, tests))
    if UNCONFINED in (os.waitstatus_to_exitcode(status), os.waitstatus_to_exitcode(of_tests)):
        return {"status": "unconfined"}
    found = _judged(said, why, status)
    return {**found, "output": shown.decode("utf-8", "replace")}


def _fork(
    work: Callable[[], None], *, output: int | None, keep: tuple[int, ...], limits: dict[str, int]
) -> int:
    """Run ``work`` in a confined child; its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing if output is None else output, 1)
        os.dup2(nothing if output is None else output, 2)
        status = UNCONFINED
        confine(cpu_s=limits["cpu_s"], memory_bytes=limits["memory_bytes"], keep=keep)
        status = 1
        work()
        sys.stdout.flush()
        status = 0
    finally:
        os._exit(status)


def _wait(verdict: int, printed: int, wall_s: float, output_bytes: int) -> tuple[bytes, bytes, str]:
    """The verdict's line, what was printed, and why the waiting ended where there is no verdict."""
    deadline = time.monotonic() + wall_s
    said, shown, open_ends = b"", b"", {verdict, printed}
    while verdict in open_ends:
        left = deadline - time.monotonic()
        if left <= 0:
            return said, shown, "timeout"
        for end in select.select(list(open_ends), [], [], left)[0]:
            piece = os.read(end, 65536)
            if not piece:
                open_ends.discard(end)
            elif end == verdict:
                said += piece
            else:
                shown += piece
                if len(shown) > output_bytes:
                    return said, shown[:output_bytes], "output"
    while printed in open_ends and select.select([printed], [], [], 0)[0] and len(shown) < output_bytes:
        piece = os.read(printed, 65536)
        if not piece:
            break
        shown += piece
    return said, shown[:output_bytes], ""


def _judged(said: bytes, why: str, status: int) -> dict[str, Any]:
    if why == "timeout":
        return {"status": "timeout", "message": "the time ran out"}
    if why == "output":
        return {"status": "output", "message": "it printed too much"}
    try:
        found = json.loads(said)
    except ValueError:
        return {"status": "crashed", "message": "the tests' process ended without a verdict"}
    if found["status"] == "gone" and os.WIFSIGNALED(status):
        if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
            return {"status": "timeout", "message": "the processor time ran out"}
        return {"status": "crashed", "message": f"the program died of signal {os.WTERMSIG(status)}"}
    if found["status"] == "gone":
        return {"status": "error", "message": "the program ended itself"}
    return {"status": str(found["status"]), "message": str(found["message"])[:_SHOWN_CHARS]}


# ---------------------------------------------------------------- in the program's process


def _run_program(source: str, calls: int, answers: int) -> None:
    """Execute the program, tell what it defines, and answer calls."""
    incoming, outgoing = os.fdopen(calls, "rb"), os.fdopen(answers, "wb")

    def answer(line: str) -> None:
        sys.stdout.flush()  # once the tests have their verdict this process is ended
        outgoing.write(line.encode() + b"\n")
        outgoing.flush()

    names: dict[str, Any] = {"__name__": "program"}
    try:
        exec(compile(source, "program", "exec"), names)
        answer(json.dumps(["defined", _described(names)]))
    except BaseException as error:
        answer(json.dumps(["raised", *_error(error)]))
        return
    for line in incoming:
        name, arguments, options = json.loads(line)
        try:
            args = [wire.decode(argument) for argument in arguments]
            result = names[name](*args, **{key: wire.decode(value) for key, value in options.items()})
            # What the function did to lists and dictionaries that it was given goes back too.
            answer(json.dumps(["value", wire.encode(result), wire.encode(args)]))
        except BaseException as error:
            answer(json.dumps(["raised", *_error(error)]))


def _described(names: dict[str, Any]) -> dict[str, Any]:
    """What the program defines: null for what can be called, the value of what is plain."""
    found: dict[str, Any] = {}
    for name, value in names.items():
        if callable(value):
            found[name] = None
        elif not name.startswith("__") and not hasattr(value, "__next__"):
            with contextlib.suppress(wire.UnsupportedValueError):
                found[name] = [wire.encode(value)]
    return found


def _error(error: BaseException) -> tuple[str, str]:
    return type(error).__name__, str(error)[:_SHOWN_CHARS]


# ---------------------------------------------------------------- in the tests' process


def _run_tests(source: str, answers: int, calls: int, verdict: int) -> None:
    """Execute the tests with the program's functions as proxies, and say how it went."""
    incoming, outgoing = os.fdopen(answers, "rb"), os.fdopen(calls, "wb")
    names: dict[str, Any] = {"__name__": "tests"}
    try:
        names |= _proxies(incoming, outgoing)
        exec(compile(source, "tests", "exec"), names)
        found = {"status": "passed", "message": ""}
    except AssertionError as error:
        found = {"status": "failed", "message": str(error) or _line_of(error, source)}
    except ProgramEndedError as error:
        found = {"status": "gone", "message": str(error)}
    except MemoryError:
        found = {"status": "memory", "message": "the memory ran out"}
    except BaseException as error:
        found = {"status": "error", "message": ": ".join(_error(error))}
    os.write(verdict, json.dumps(found).encode())


def _line_of(error: BaseException, source: str) -> str:
    """The tests' own line that failed."""
    trace = error.__traceback__
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = source.splitlines()
    return lines[line - 1].strip() if 0 < line <= len(lines) else "an assertion failed"


def _proxies(incoming: io.BufferedReader, outgoing: io.BufferedWriter) -> dict[str, Any]:
    """What the program defines, by name, each function as a call to the other process."""

    def reply() -> list[Any]:
        line = incoming.readline(MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise ProgramEndedError("the program ended, or gave more than can be read")
        try:
            said = json.loads(line)
            kind, first, second = said if len(said) == 3 else (*said, None)
        except (ValueError, TypeError, RecursionError) as error:
            raise ProgramEndedError(f"the program said what no program says: {error}") from None
        if kind == "raised":
            raise _as_error(str(first), str(second))
        return [kind, first, second]

    def proxy(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            sent = [
                name,
                [wire.encode(argument) for argument in arguments],
                {key: wire.encode(value) for key, value in options.items()},
            ]
            try:
                outgoing.write(json.dumps(sent).encode() + b"\n")
                outgoing.flush()
            except BrokenPipeError:
                raise ProgramEndedError("the program has ended") from None
            _, value, after = reply()
            result = plain(value)
            for mine, theirs in zip(arguments, plain(after), strict=False):
                _put_back(mine, theirs)
            return result

        call.__name__ = name
        return call

    def plain(value: Any) -> Any:
        try:
            return wire.decode(value)
        except (ValueError, RecursionError) as error:
            raise ProgramEndedError(f"the program said what no program says: {error}") from None

    kind, defined, _ = reply()
    if kind != "defined" or not isinstance(defined, dict):
        raise ProgramEndedError("the program did not say what it defines")
    return {
        name: proxy(name) if value is None else plain(value[0])
        for name, value in defined.items()
        if not hasattr(builtins, name)  # the tests' own len() counts
    }


def _put_back(mine: Any, theirs: Any) -> None:
    """Give a list, set or dictionary of the tests the content that the program left in it."""
    if type(mine) is list and type(theirs) is list:
        mine[:] = theirs
    elif type(mine) in (dict, set) and type(mine) is type(theirs):
        mine.clear()
        mine.update(theirs)


def _as_error(name: str, message: str) -> BaseException:
    """The program's exception as one of the tests' own, which may expect it."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and kind is not AssertionError:
        with contextlib.suppress(TypeError):
            return kind(message)
    if name == "MemoryError":
        return MemoryError()
    return RuntimeError(f"{name}: {message}")
