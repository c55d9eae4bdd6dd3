"""`outrider up` as a person meets it: a process of its own, on data of its own."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from outrider.local.home import Home
from outrider.local.serving import OK, call, command_line
from tests.support.waiting import wait_until

STOP_SECONDS = 60
"""It takes 15 at most; a machine that is busy with other tests has leave to be late."""
PRIVATE = 0o600
PROGRAM = (sys.executable, "-m", "outrider.local")


def parent_of(pid: int) -> int:
    """Answer who started it; 0 if it has ended meanwhile. Linux, where ps need not be installed: proc(5)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Up:
    """A runner on one home, which may end and be started again."""

    def __init__(self, home: Path) -> None:
        """Nothing runs yet."""
        self.home = Home(home)
        self.out = home.with_suffix(".out")
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `outrider` to its end."""
        return subprocess.run(  # noqa: S603  # our own program
            [*PROGRAM, command],
            env=self._environment(settings),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def start(self, *options: str) -> None:
        """It runs, and has said that it is ready."""
        with self.out.open("w") as file:
            process = subprocess.Popen(  # noqa: S603  # our own program
                [*PROGRAM, "up", *options], env=self._environment({}), stdout=file, stderr=file
            )
        self.process = process

        def said() -> bool:
            assert process.poll() is None, self.out.read_text()
            return self.last_line().startswith("ready: ")

        wait_until("ready", said, 240)

    def ensure(self) -> None:
        """It runs."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def end(self, number: int) -> float:
        """It has ended by this signal; answers after how many seconds everything it had started was gone, too."""
        assert self.process is not None
        pids = self.everything()
        self.process.send_signal(number)
        return wait_until("all processes gone", lambda: self.process_ended() and not any(map(command_line, pids)))

    def process_ended(self) -> bool:
        """Say whether the runner itself has ended."""
        return self.process is None or self.process.poll() is not None

    def everything(self) -> list[int]:
        """Answer the ids of the runner's children, its watchdog included, and of their descendants."""
        assert self.process is not None
        parents = {
            pid: parent_of(pid)
            for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        }
        found = [self.process.pid]
        for pid in found:  # grows while it is read
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]

    def last_line(self) -> str:
        """Answer the last line it has printed, if it printed any."""
        lines = self.out.read_text().splitlines()
        return lines[-1] if lines else ""

    def env(self) -> Mapping[str, str]:
        """Answer the env file as a shell reads it."""
        shown = subprocess.run(  # noqa: S603  # our own file
            ["/bin/sh", "-c", f"set -a; . '{self.home.env}'; env"], env={}, capture_output=True, text=True, check=True
        )
        pairs = (line.partition("=") for line in shown.stdout.splitlines())
        return {name: value for name, _, value in pairs if name.startswith("OUTRIDER_")}

    def pid(self, name: str) -> int:
        """Answer what the pid file of this process says; 0 while there is none."""
        try:
            return int((self.home.pids / f"{name}.pid").read_text() or 0)
        except FileNotFoundError:
            return 0

    def account(self) -> tuple[int, object]:
        """Ask the API for the account of the env file: Postgres has to answer, too."""
        env = self.env()
        port = int(env["OUTRIDER_URL"].rpartition(":")[2])
        status, body = call(port, "GET", "/account", {"Authorization": f"Bearer {env['OUTRIDER_API_KEY']}"})
        return status, json.loads(body) if status == OK else body

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("OUTRIDER_")}
        return {**others, "OUTRIDER_HOME": str(self.home.path), **settings}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Up]:
    """One set of data for this file; whatever still runs at its end is ended."""
    up = Up(tmp_path_factory.mktemp("runner") / "home")
    yield up
    if not up.process_ended():
        up.end(signal.SIGTERM)


@pytest.fixture
def up(home: Up) -> Up:
    """A runner that is up."""
    home.ensure()
    return home


def test_it_says_where_it_is_and_writes_what_a_client_needs(up: Up) -> None:
    env = up.env()
    assert set(env) == {
        *("OUTRIDER_URL", "OUTRIDER_API_KEY", "OUTRIDER_OPERATOR_TOKEN", "OUTRIDER_NATS_URL", "OUTRIDER_DATABASE_URL"),
        *("OUTRIDER_SMTP_PORT", "OUTRIDER_IMAP_PORT", "OUTRIDER_SANDBOX_URL"),
    }
    assert up.last_line() == f"ready: {env['OUTRIDER_URL']}"
    assert env["OUTRIDER_URL"].startswith("http://127.0.0.1:")
    assert up.account()[0] == OK


def test_nobody_else_reads_the_secrets(up: Up) -> None:
    for name in ("env", "keys.json", "account.json", "postgres/password", "nats/password", "nats/nats.conf"):
        assert stat.S_IMODE((up.home.path / name).stat().st_mode) == PRIVATE, name


def test_its_account_has_no_limit(up: Up) -> None:
    _, account = up.account()
    assert isinstance(account, dict)
    assert account["plan"] == {"monthly_limit": None}


def test_a_second_one_on_the_same_data_says_so_and_ends(up: Up) -> None:
    second = up.run("up")
    assert second.returncode != 0
    assert second.stdout.splitlines()[-1].startswith("failed: already running")
    assert up.account()[0] == OK


def test_status_shows_every_process_and_that_all_are_ready(up: Up) -> None:
    shown = up.run("status")
    assert shown.returncode == 0, shown.stdout
    for name in ("postgres", "nats", "sandbox", "api", "dispatcher", "sender", "reply-watcher"):
        assert f"{up.pid(name)}" in shown.stdout


def test_the_doctor_finds_it_in_good_health(up: Up) -> None:
    shown = up.run("doctor")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr == ""
    for check in ("runner", "postgres", "reply-watcher", "port api", "port smtp", "disk", "clock", "reader api.v1"):
        assert f"\n{check}" in shown.stdout, check


@pytest.mark.parametrize("name", ["sender", "nats", "postgres", "sandbox"])
def test_a_process_that_is_killed_comes_back(name: str, up: Up) -> None:
    killed = up.pid(name)
    os.kill(killed, signal.SIGKILL)
    wait_until(f"another {name}", lambda: up.pid(name) not in {0, killed})
    wait_until(f"the account, after {name} was killed", lambda: up.account()[0] == OK)
    wait_until("said so", lambda: f"{name} is back" in up.out.read_text())


def test_killed_itself_it_leaves_no_process_and_starts_again_with_everything_kept(up: Up) -> None:
    before, account = up.env(), up.account()
    up.end(signal.SIGKILL)
    up.start()
    assert up.env() == before
    assert up.account() == account


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_stops_everything_in_time(number: signal.Signals, up: Up) -> None:
    assert up.end(number) < STOP_SECONDS
    assert up.process is not None
    assert up.process.returncode == 0
    assert up.last_line() == "stopped; all data are kept"
    assert list(up.home.pids.iterdir()) == []


def test_down_ends_it_from_elsewhere_and_is_content_if_nothing_runs(up: Up) -> None:
    pids = up.everything()
    assert up.run("down").returncode == 0
    assert not any(map(command_line, pids))
    wait_until("the runner ended", up.process_ended)
    assert up.run("down").returncode == 0


def test_it_ends_with_what_started_it_if_it_is_told_to(home: Up) -> None:
    if not home.process_ended():
        home.end(signal.SIGTERM)
    out = home.home.path.with_suffix(".parent")
    script = f"'{sys.executable}' -m outrider.local up --with-parent > '{out}'; echo only so that the shell stays"
    environment = {**os.environ, "OUTRIDER_HOME": str(home.home.path)}
    shell = subprocess.Popen(["/bin/sh", "-c", script], env=environment)  # noqa: S603  # our own program
    wait_until("ready", lambda: out.exists() and "ready: " in out.read_text(), 240)
    shell.kill()
    shell.wait()
    wait_until("the runner ended", lambda: home.home.runner() is None)


def test_the_servers_alone_are_enough_to_restore_a_backup(home: Up) -> None:
    if not home.process_ended():
        home.end(signal.SIGTERM)
    home.start("--servers-only")
    assert (bool(home.pid("postgres")), home.pid("sender")) == (True, 0)
    restored = home.run("restore")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "\nbrought back: 0\n" in restored.stdout
    home.end(signal.SIGTERM)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"OUTRIDER_NATS_SERVER": "/nowhere/nats-server"}, "nats cannot be started"),
        ({"OUTRIDER_CLOCK": "2026-01-05T08:00:00+00:00@60"}, "clock"),
        ({"OUTRIDER_NO_SUCH_SETTING": "1"}, "OUTRIDER_NO_SUCH_SETTING"),
    ],
)
def test_when_it_cannot_start_the_last_line_says_why(settings: Mapping[str, str], why: str, home: Up) -> None:
    if not home.home.env.exists():
        home.start()
    if not home.process_ended():
        home.end(signal.SIGTERM)
    failed = home.run("up", **settings)
    assert failed.returncode != 0
    assert failed.stdout.splitlines()[-1].startswith("failed: ")
    assert why in failed.stdout.splitlines()[-1]
    assert home.home.runner() is None
    assert list(home.home.pids.iterdir()) == []
