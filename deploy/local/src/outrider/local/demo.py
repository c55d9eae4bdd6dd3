"""`make demo`: a whole campaign on this machine in about a minute, held against what the mail servers saw."""

import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import cast

import httpx
from rich.console import Console
from rich.live import Live

from outrider.local import demo_campaign, demo_view
from outrider.local.checker import Said, Told, Verdict, check
from outrider.local.demo_client import Client, Json, Unexpected
from outrider.local.demo_view import Standing
from outrider.local.home import Home
from outrider.local.leash import tied

START, SPEED = "2026-11-23T08:00:00Z", 7200
"""A Monday; two hours pass in a second, so that five days take a minute."""
DEADLINE_SECONDS = 360.0
START_SECONDS = 120.0
STOP_SECONDS = 30.0
SETTLE_SECONDS = 45.0
"""How long after the last letter the statistics may take to show everything."""
LOOK_SECONDS = 0.5
LOG_SECONDS = 5.0


class Stopped(Exception):
    """The demo cannot go on; says why."""


def main() -> int:
    """Run it. Answers 0 if every message agrees; the last line printed is a JSON object with the figures."""
    console = Console(soft_wrap=True) if not sys.stdout.isatty() else Console()
    signal.signal(signal.SIGTERM, _interrupt)
    home = Home(Home.of(os.environ).path / "demo")
    began = time.monotonic()
    verdict, failure = Verdict(), ""
    try:
        with running(console, home) as facts:
            verdict = Demo(console, facts, began + DEADLINE_SECONDS).run()
    except (Stopped, Unexpected, httpx.HTTPError) as error:
        failure = str(error) or type(error).__name__
    except KeyboardInterrupt:
        failure = "interrupted"
    if failure:
        console.print(f"failed: {failure}", markup=False, highlight=False)
        console.print(f"logs: {home.logs}/", markup=False, highlight=False)
    agrees = verdict.agrees and not failure
    figures = {name.replace(" ", "_"): ours for name, (ours, _) in verdict.figures.items()}
    summary = {
        "people": figures.get("people", 0),
        "sent": figures.get("messages_sent", 0),
        "replied": figures.get("replied", 0),
        "bounced": figures.get("bounced", 0),
        "opened": figures.get("opened", 0),
        "doubled": verdict.doubled,
        "lost": verdict.lost,
        "unknown": verdict.unknown,
        "late": verdict.late,
        "agrees": agrees,
        "disagreements": verdict.disagreements,
        "problems": len(verdict.problems),
        "seconds": round(time.monotonic() - began, 1),
        **({"failed": failure} if failure else {}),
    }
    sys.stdout.write(json.dumps(summary, ensure_ascii=False) + "\n")
    sys.stdout.flush()
    return 0 if agrees else 130 if failure == "interrupted" else 1


@contextmanager
def running(console: Console, home: Home) -> Generator[dict[str, str]]:
    """Run the whole system on fresh data for the block, with what its env file says. Raises Stopped."""
    if pid := home.runner():
        raise Stopped(f"another demo runs as process {pid}")
    shutil.rmtree(home.path, ignore_errors=True)
    home.path.mkdir(parents=True)
    environment = {**os.environ, "OUTRIDER_HOME": str(home.path), "OUTRIDER_CLOCK": f"{START}@{SPEED}"}
    runner = subprocess.Popen(
        [sys.executable, "-m", "outrider.local", "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C reaches the demo alone, which stops it in order
        preexec_fn=tied(signal.SIGTERM),  # noqa: PLW1509  # no thread has been started yet
    )
    try:
        _await_ready(console, runner)
        yield _facts(home.env)
    finally:
        console.print("stopping the system")
        runner.send_signal(signal.SIGINT)
        try:
            runner.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            runner.kill()
            runner.wait()


def _await_ready(console: Console, runner: "subprocess.Popen[str]") -> None:
    """Show what the runner says until it is ready. Raises Stopped."""
    ready, said = threading.Event(), list[str]()

    def listen() -> None:
        for line in runner.stdout or ():
            said.append(line.rstrip())
            if not ready.is_set():
                console.print(f"  {line.rstrip()}", markup=False, highlight=False)
            if line.startswith("ready:"):
                ready.set()
        ready.set()

    threading.Thread(target=listen, daemon=True).start()
    if not ready.wait(START_SECONDS) or not any(line.startswith("ready:") for line in said):
        raise Stopped(
            said[-1].removeprefix("failed: ") if said else f"the system was not ready after {START_SECONDS:g} s"
        )


def _facts(path: Path) -> dict[str, str]:
    """Answer what a client must know."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: "".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}


@dataclass
class Demo:
    """One campaign, from the list of people to the verdict."""

    console: Console
    facts: Mapping[str, str]
    deadline: float

    def run(self) -> Verdict:
        """Answer how the two sides compare. Raises Unexpected, Stopped."""
        people = demo_campaign.read()
        with ExitStack() as stack:
            operator = Client(self.facts["OUTRIDER_URL"], self.facts["OUTRIDER_OPERATOR_TOKEN"])
            stack.callback(operator.close)
            account = operator.post("/accounts", {"account": {"name": f"Demo {secrets.token_hex(4)}"}})
            api = Client(self.facts["OUTRIDER_URL"], str(cast("Json", account["api_key"])["plaintext"]))
            stack.callback(api.close)
            contacts = [demo_campaign.contact(row) for row in people.rows]
            imported = api.post("/contact_imports", {"contact_import": {"name": "The list", "contacts": contacts}})
            self.console.print(
                f"imported {imported.get('record_count')} people from {len(people.rows)} rows, "
                f"{imported.get('skipped')} duplicates, {imported.get('rejected')} without an address"
            )
            smtp, imap = int(self.facts["OUTRIDER_SMTP_PORT"]), int(self.facts["OUTRIDER_IMAP_PORT"])
            campaign = str(api.post("/campaigns", {"campaign": demo_campaign.campaign(smtp, imap)})["id"])
            began = self._dispatch(api, campaign, str(imported["id"]))
            standing = self._follow(api, campaign, began)
            verdict = self._settled(api, campaign, imported, people)
            if standing:
                verdict.problems.append(f"not completed in {DEADLINE_SECONDS:g} s; it stood at {standing}")
            demo_view.show(self.console, verdict)
            return verdict

    def _dispatch(self, api: Client, campaign: str, imported: str) -> float:
        """Everybody is enrolled and every batch dispatched. Answers when the first was."""
        body = {"contact_import_id": imported, "batch_size": demo_campaign.BATCH_SIZE}
        enrolled = api.post(f"/campaigns/{campaign}/enroll", body)
        self.console.print(f"enrolled {enrolled.get('enrolled')} in {enrolled.get('batches')} batches")
        began = time.monotonic()
        for _ in range(cast("int", enrolled["batches"])):
            batch = api.post(f"/campaigns/{campaign}/dispatch", {})
            self.console.print(
                f"batch {batch.get('batch_number')}: {batch.get('scheduled')} people, first letters from "
                f"{batch.get('first_send_at')} to {batch.get('last_send_at')}"
            )
        return began

    def _follow(self, api: Client, campaign: str, began: float) -> str:
        """Show how far it is until nobody has a letter left. Answers how it stood at the deadline, else nothing."""
        logged, standing = 0.0, ""
        with Live(console=self.console, transient=False, auto_refresh=False) as live:
            while time.monotonic() < self.deadline:
                shown = api.get(f"/campaigns/{campaign}")
                now = Standing.of(time.monotonic() - began, shown, api.pages(f"/campaigns/{campaign}/enrollments"))
                standing = now.line
                if self.console.is_terminal:
                    live.update(now.panel(), refresh=True)
                elif now.seconds - logged >= LOG_SECONDS or shown.get("completed_at"):
                    logged = now.seconds
                    self.console.print(standing, markup=False, highlight=False)
                if shown.get("completed_at"):
                    return ""
                time.sleep(LOOK_SECONDS)
        return standing

    def _settled(self, api: Client, campaign: str, imported: Json, people: demo_campaign.People) -> Verdict:
        """Answer the verdict: the first that agrees, or the last one of the time that the statistics have."""
        until = min(time.monotonic() + SETTLE_SECONDS, self.deadline)
        addresses = {
            str(one["id"]): str(one["email"]) for one in api.pages(f"/contact_imports/{imported['id']}/contacts")
        }
        while True:
            told = cast("Told", httpx.get(f"{self.facts['OUTRIDER_SANDBOX_URL']}/record", trust_env=False).json())
            said = Said(
                imported=imported,
                campaign=api.get(f"/campaigns/{campaign}"),
                enrollments=api.pages(f"/campaigns/{campaign}/enrollments"),
                addresses=addresses,
                unknown=_unknown(api, campaign),
            )
            verdict = check(people, told, said)
            if (verdict.agrees and not told["waiting"]) or time.monotonic() > until:
                return verdict
            time.sleep(LOOK_SECONDS)


def _unknown(api: Client, campaign: str) -> int:
    """Answer of how many messages the engine does not know whether they arrived."""
    return len(api.pages(f"/sends?state=unknown&campaign_id={campaign}"))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
