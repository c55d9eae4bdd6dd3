# pyright: reportUnknownMemberType=false
# click leaves decorators partly untyped.
"""The command line's part for secrets: made, and sealed for other keys."""

import os
import sys
from functools import partial

import rich_click as click

from outrider.local.cli_operator import as_json_option, done


@click.group()
def keys() -> None:
    """Make the secrets of a deployment."""


@keys.command("new")
@click.option("--database-url", required=True, help="Postgres, as an owner who may create roles.")
@click.option("--nats-url", required=True, help="nats-server, with user and password.")
def keys_new(database_url: str, nats_url: str) -> None:
    """Print every secret of a new deployment, fresh, one KEY=value a line. Nothing is kept: keep them yourself.

    As the Secret that the chart wants: `outrider keys new --database-url ... --nats-url ... |
    kubectl create secret generic outrider --from-env-file=/dev/stdin`

    For a new deployment only. Whoever loses HASH_KEY can no longer tell which mail an answer belongs to; whoever loses
    SEAL_PRIVATE_KEY has to ask every customer for every mail password again.
    """
    from outrider.local.keys import Keys  # noqa: PLC0415  # `--help` needs none of it

    for key, value in Keys.fresh().deployment(database_url, nats_url).items():
        click.echo(f"{key}={value}")


@keys.command("pair")
def keys_pair() -> None:
    """Print a fresh pair to seal with, PUBLIC_KEY and PRIVATE_KEY. Nothing is kept: keep it yourself.

    To rotate SEAL_* or WEBHOOK_SEAL_*: docs/operations.md, "Rotate the seal keys".
    """
    from outrider.events.vault import new_key_pair  # noqa: PLC0415  # `--help` needs none of it

    public, private = new_key_pair()
    click.echo(f"PUBLIC_KEY={public}\nPRIVATE_KEY={private}")


@click.command()
@as_json_option
def reseal(*, as_json: bool) -> None:
    """Seal every password and webhook secret for the newest key, so that the former private keys can be thrown away.

    Takes `OUTRIDER_SEAL_PRIVATE_KEY` (mail accounts) and `OUTRIDER_WEBHOOK_SEAL_PRIVATE_KEY` (webhooks), each the
    newest key first and the former ones behind it, with commas between; what it has no key for it leaves alone.
    Without either it takes those of `.outrider/keys.json`. Works on `OUTRIDER_DATABASE_URL` (the owner's).

    Services run on meanwhile. It can be ended at any time (Ctrl-C) and begun again. Run it once more after some
    minutes: only when it has nothing left to do, and nothing is unopened, no former key is needed any more.

    The exit code is 1 if there is something that none of the keys opens: its owners are named, and have to be given
    their secrets again.
    """
    from outrider.local import operating  # noqa: PLC0415  # as above
    from outrider.local import reseal as resealing  # noqa: PLC0415

    with operating.progress(shown=not as_json) as tell:
        rows = done(partial(resealing.reseal, environment=os.environ, tell=tell))
    operating.show(rows, resealing.COLUMNS, as_json=as_json, none="")
    sys.exit(1 if any(row["unopened"] for row in rows) else 0)


COMMANDS = (keys, reseal)
