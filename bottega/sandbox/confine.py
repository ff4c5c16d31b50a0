"""Taking everything from a process but computing: no files, no network, no other processes, bounded memory.

Called in a forked child before anything untrusted runs; nothing of it can be undone. A seccomp filter lets a
few dozen system calls through and answers all others with "operation not permitted", so that opening a file,
a socket or a process fails like any other error of the program's own. Standard library only: a sandboxed
process imports this file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from typing import Final

_NOBODY: Final = 65534
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 4, 38, 22
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
# Classic BPF: load a word, compare for equality, compare for at least, return.
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
# Offsets in struct seccomp_data; the low halves of 64-bit arguments, which both machines store first.
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_2 = 0, 4, 16, 32

# What Python needs to compute, to read and write pipes that are open already, and to end.
_CALLS: Final[dict[str, dict[str, int]]] = {
    "x86_64": {
        "read": 0,
        "write": 1,
        "close": 3,
        "fstat": 5,
        "poll": 7,
        "lseek": 8,
        "mmap": 9,
        "mprotect": 10,
        "munmap": 11,
        "brk": 12,
        "rt_sigaction": 13,
        "rt_sigprocmask": 14,
        "rt_sigreturn": 15,
        "readv": 19,
        "writev": 20,
        "select": 23,
        "sched_yield": 24,
        "mremap": 25,
        "madvise": 28,
        "nanosleep": 35,
        "getpid": 39,
        "exit": 60,
        "uname": 63,
        "gettimeofday": 96,
        "getrlimit": 97,
        "getrusage": 98,
        "sysinfo": 99,
        "times": 100,
        "getuid": 102,
        "getgid": 104,
        "geteuid": 107,
        "getegid": 108,
        "getppid": 110,
        "sigaltstack": 131,
        "arch_prctl": 158,
        "gettid": 186,
        "futex": 202,
        "sched_getaffinity": 204,
        "clock_gettime": 228,
        "clock_getres": 229,
        "clock_nanosleep": 230,
        "exit_group": 231,
        "tgkill": 234,
        "pselect6": 270,
        "ppoll": 271,
        "set_robust_list": 273,
        "prlimit64": 302,
        "getrandom": 318,
        "membarrier": 324,
        "rseq": 334,
    },
    "aarch64": {
        "close": 57,
        "lseek": 62,
        "read": 63,
        "write": 64,
        "readv": 65,
        "writev": 66,
        "pselect6": 72,
        "ppoll": 73,
        "fstat": 80,
        "exit": 93,
        "exit_group": 94,
        "futex": 98,
        "set_robust_list": 99,
        "nanosleep": 101,
        "clock_gettime": 113,
        "clock_getres": 114,
        "clock_nanosleep": 115,
        "sched_getaffinity": 123,
        "sched_yield": 124,
        "tgkill": 131,
        "sigaltstack": 132,
        "rt_sigaction": 134,
        "rt_sigprocmask": 135,
        "rt_sigreturn": 139,
        "times": 153,
        "uname": 160,
        "getrusage": 165,
        "gettimeofday": 169,
        "getpid": 172,
        "getppid": 173,
        "getuid": 174,
        "geteuid": 175,
        "getgid": 176,
        "getegid": 177,
        "gettid": 178,
        "sysinfo": 179,
        "brk": 214,
        "munmap": 215,
        "mremap": 216,
        "mmap": 222,
        "mprotect": 226,
        "madvise": 233,
        "prlimit64": 261,
        "getrandom": 278,
        "membarrier": 283,
        "rseq": 293,
    },
}
_ARCHES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32: Final = 0x40000000  # x86_64 has every call a second time under another number


def why_not() -> str:
    """Why programs cannot be confined on this system; empty where they can."""
    if sys.platform != "linux":
        return "the sandbox needs Linux (its seccomp filters); run this in a Linux container or machine"
    if platform.machine() not in _CALLS:
        return f"the sandbox knows the system calls of {' and '.join(_CALLS)}, not of {platform.machine()}"
    return ""


def confine(*, cpu_s: int, memory_bytes: int, keep: tuple[int, ...]) -> None:
    """Give up everything for good. ``keep``: the open files to keep, besides the standard ones.

    Raises ``OSError`` where the system refuses: then nothing untrusted may run.
    """
    _close_all_but({0, 1, 2, *keep})
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        resource.setrlimit(nothing, (0, 0))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    _prctl(_PR_SET_DUMPABLE, 0)  # no other process of this user may look into this one
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _filter_calls()


def _close_all_but(keep: set[int]) -> None:
    highest = max(keep)
    for number in range(highest + 1):
        if number not in keep:
            try:
                os.close(number)
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
    os.closerange(highest + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _prctl(option: int, argument: int, pointer: object = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(argument), pointer or zero, zero, zero):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _filter_calls() -> None:
    code = _instructions(platform.machine(), os.getpid())
    memory = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(memory))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))


def _instructions(machine: str, pid: int) -> bytes:
    """The filter, in classic BPF (struct sock_filter: code, jump if true, jump if false, constant)."""
    refuse = _ERRNO | errno.EPERM
    calls = dict(_CALLS[machine])
    tgkill, prlimit = calls.pop("tgkill"), calls.pop("prlimit64")
    code = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _ARCHES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    for number in calls.values():
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    # A signal to itself (abort), and asking for its limits without setting them.
    code += _if_argument(tgkill, _ARGUMENT_0, pid, refuse)
    code += _if_argument(prlimit, _ARGUMENT_2, 0, refuse)
    code += [(_RETURN, 0, 0, refuse)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _if_argument(call: int, offset: int, value: int, refuse: int) -> list[tuple[int, int, int, int]]:
    """Allow one call where both halves of a 64-bit argument say ``value``."""
    return [
        (_EQUAL, 0, 6, call),
        (_LOAD, 0, 0, offset),
        (_EQUAL, 0, 3, value),
        (_LOAD, 0, 0, offset + 4),
        (_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refuse),
    ]
