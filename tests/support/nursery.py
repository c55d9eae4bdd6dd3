"""A quick start for the services of tests: forked from one process that has imported them all.

Nine tenths of the processor time that a service needs to start go into imports. What is forked does what `python -m`
of the same module does, with the environment, the outputs and the signals that `launch` would give it.
How services start from nothing is proven by the tests of `outrider up` and of the README.
"""

import atexit
import ctypes
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

from outrider.local.leash import tied
from outrider.local.services import SANDBOX_MODULE, SERVICES, module
from outrider.local.serving import Identity, Part, Process, environment, launch

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MODULES = (SANDBOX_MODULE, *(module(name) for name in SERVICES))
LOOK_SECONDS = 0.005
REQUEST_BYTES = 200_000


def start(part: Part, log: Path) -> Process:
    """Start it as `launch` does, forked where it is a service of ours and the system is Linux."""
    python, *options = part.command
    if sys.platform != "linux" or part.who != Identity() or python != sys.executable or options[:1] != ["-m"]:
        return launch(part, log)
    return _nursery().fork(part, options[1], log) if options[1] in MODULES else launch(part, log)


@cache
def _nursery() -> "Nursery":
    return Nursery()


@dataclass
class Forked:
    """A process that was forked for us and is our child, as `subprocess.Popen` shows one."""

    pid: int
    returncode: int | None = field(default=None)

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same, once it has ended. Raises subprocess.TimeoutExpired after so many seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(LOOK_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """It gets the signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """It gets SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that has imported the services, and forks itself; it ends with this one."""

    def __init__(self) -> None:
        """It runs; it may still be importing."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._libc, self._socket = ctypes.CDLL(None, use_errno=True), ours
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # ourselves
                [sys.executable, "-u", "-m", "tests.support.nursery", str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                preexec_fn=tied(signal.SIGKILL),  # noqa: PLW1509  # called from the main thread, as `launch` is
            )

        atexit.register(self.close)

    def close(self) -> None:
        """It has ended; what it forked goes on."""
        self._socket.close()
        self._process.wait()

    def fork(self, part: Part, program: str, log: Path) -> Forked:
        """The program begins to run, as a child of this process."""
        wanted = {
            "program": program,
            "environment": environment(part),
            "log": str(log),
            "orphan_signal": int(part.orphan_signal),
            "parent": os.getpid(),
        }
        self._adopting(1)
        try:
            self._socket.send(json.dumps(wanted).encode())
            pid = int(self._socket.recv(REQUEST_BYTES))
        finally:
            self._adopting(0)
        return Forked(pid)

    def _adopting(self, wanted: int) -> None:
        """While it is on, an orphan of our descendants becomes our child: prctl(2)."""
        if self._libc.prctl(PR_SET_CHILD_SUBREAPER, wanted, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def _await_requests(requests: socket.socket) -> str:
    """Fork for every request; returns in the child only, with the program that it is to be."""
    while text := requests.recv(REQUEST_BYTES):
        read, write = os.pipe()
        between = os.fork()
        if not between:
            if child := os.fork():
                os.write(write, str(child).encode())
                os._exit(0)
            os.closerange(3, max(read, write, requests.detach()) + 1)
            return _become(**json.loads(text))
        os.waitpid(between, 0)  # the child is an orphan now, and adopted
        requests.send(os.read(read, REQUEST_BYTES))
        os.close(read)
        os.close(write)
    raise SystemExit


def _become(program: str, environment: dict[str, str], log: str, orphan_signal: int, parent: int) -> str:
    """This process is what `launch` would have made of it, but for the imports."""
    while os.getppid() != parent:
        time.sleep(0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, orphan_signal, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # the parent ended before prctl
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    os.environ.clear()
    os.environ.update(environment)
    return program


def main() -> None:
    """Import everything, then fork for whoever asks; in the child, run what it is to be."""
    for name in MODULES:
        with suppress(ModuleNotFoundError):
            import_module(f"{name}.__main__")
        import_module(name)
    gc.freeze()
    program = _await_requests(socket.socket(fileno=int(sys.argv[1])))
    for name in (program, f"{program}.__main__"):
        sys.modules.pop(name, None)
    sys.argv = [program]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
