"""No child outlives its supervisor, kill -9 included: the kernel's signal on Linux, a watchdog on a pipe everywhere."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

GRACE_SECONDS = 5.0
PR_SET_PDEATHSIG = 1


def tied(number: int) -> Callable[[], None] | None:
    """Make a preexec_fn: the child gets this signal when the thread that started it ends, so start from the main one.

    Linux only (prctl(2)); it survives `user=` and `unshare --user`, not a setpriv in between.
    """
    if sys.platform != "linux":
        return None
    parent, libc = os.getpid(), ctypes.CDLL(None)

    def between_fork_and_exec() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the supervisor ended before prctl

    return between_fork_and_exec


class Watchdog:
    """A process that ends the held ones when this one ends, however it ends: its pipe then reads end-of-file."""

    def __init__(self) -> None:
        """Start it."""
        self._held: dict[int, int] = {}
        self._process = self._start()

    def hold(self, pid: int, number: int) -> None:
        """Name a process, and the signal that is to end it."""
        self._held[pid] = number
        self._say(f"+ {pid} {int(number)}\n")

    def release(self, pid: int) -> None:
        """Forget a process that ended: its number may be given to another."""
        if self._held.pop(pid, None) is not None:
            self._say(f"- {pid}\n")

    def close(self) -> None:
        """End the watchdog, and with it whatever is still held."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.wait()

    def _start(self) -> subprocess.Popen[str]:
        """A session of its own is out of reach of Ctrl-C; closed outputs let the supervisor's reader see its end."""
        process = subprocess.Popen(
            [sys.executable, "-E", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            text=True,
            bufsize=1,
        )
        if process.stdin is None:
            raise RuntimeError("the watchdog has no pipe")
        self._pipe = process.stdin
        return process

    def _say(self, line: str) -> None:
        try:
            self._pipe.write(line)
        except OSError:  # somebody ended it: another one takes over
            self._process.wait()
            self._process = self._start()
            for pid, number in self._held.items():
                self._pipe.write(f"+ {pid} {int(number)}\n")


def watch() -> None:
    """Read names until end-of-file, then end every held process, and after the grace kill what is left."""
    held: dict[int, int] = {}
    for line in sys.stdin:
        sign, pid, *number = line.split()
        if sign == "+":
            held[int(pid)] = int(number[0])
        else:
            held.pop(int(pid), None)
    for pid, number in held.items():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(_runs(pid) for pid in held) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in filter(_runs, held):
        os.kill(pid, signal.SIGKILL)


def _runs(pid: int) -> bool:
    """A process that ended and that nobody collects (a container without an init) has no command line any more."""
    try:
        os.kill(pid, 0)
        if sys.platform != "linux":
            return True
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123  # pathlib takes longer to import than all else
            return bool(file.read())
    except OSError:
        return False


if __name__ == "__main__":
    watch()
