"""The folder `.outrider/`: who may use it, which ports it remembers, where everything lies."""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from outrider.local.errors import Failed

FREE = range(18000, 30000)
"""Below the ports that systems lend to outgoing connections: nobody's client sits on ours when we come back."""


def write_private(path: Path, text: str) -> None:
    """The file has this text, mode 600; cut short at any moment it has the old text or the new one."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def secret(path: Path) -> str:
    """Answer the password in this file, made at the first call, readable by its owner alone."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8")


def is_free(port: int) -> bool:
    """Say whether a server could listen there on loopback now."""
    with suppress(OSError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a server
        probe.bind(("127.0.0.1", port))
        return True
    return False


class Ports:
    """Which name listens where, kept in a file: clients outlive a restart."""

    def __init__(self, path: Path, *, usual: bool = True) -> None:
        """Read what was picked in earlier runs. Without `usual` no well-known port is ever tried."""
        self._path = path
        self._usual = usual
        self._picked: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def __getitem__(self, name: str) -> int:
        """Answer the port that was picked for this name; KeyError if none was."""
        return self._picked[name]

    def pick(self, name: str, usual: int = 0) -> int:
        """Answer the port of the last run if it is free, else the usual one, else any that is free; remember it."""
        others = {port for other, port in self._picked.items() if other != name}
        wanted = [self._picked.get(name, 0), usual if self._usual else 0]
        for port in (*wanted, *secrets.SystemRandom().sample(FREE, 100)):
            if port and port not in others and is_free(port):
                self._picked[name] = port
                write_private(self._path, json.dumps(self._picked, indent=1))
                return port
        raise Failed(f"no free port for {name} between {FREE.start} and {FREE.stop}")


@dataclass(frozen=True)
class Home:
    """Where one system keeps its data, keys, logs and process ids."""

    path: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Home":
        """OUTRIDER_HOME if it is set, else `.outrider` where we stand."""
        return cls(Path(environment.get("OUTRIDER_HOME") or ".outrider").absolute())

    @property
    def logs(self) -> Path:
        """One `<process>.log` each."""
        return self.path / "log"

    @property
    def pids(self) -> Path:
        """One `<process>.pid` each, while it runs."""
        return self.path / "run"

    @property
    def env(self) -> Path:
        """What a client needs to know, to be sourced by a shell."""
        return self.path / "env"

    def prepare(self) -> None:
        """The folders exist; others on this machine may pass through (Postgres may have to), not look around.

        Raises Failed if the data are another user's: root could write there, and lock that user out.
        """
        with suppress(FileNotFoundError):
            owner = (self.path / "keys.json").stat().st_uid
            if owner != os.geteuid():
                raise Failed(f"{self.path} belongs to the user with id {owner}: run as that one, or set OUTRIDER_HOME")
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711)
        for folder in (self.logs, self.pids):
            folder.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the data for this process alone, until the end of the block or of the process. Raises Failed."""
        self.prepare()
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise Failed(
                    f"already running on {self.path} as process {file.read().strip() or '?'}; `make down` ends it"
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def runner(self) -> int | None:
        """Answer the process id of the runner that holds the data, if one does."""
        with suppress(FileNotFoundError), (self.path / "lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
        return None
