"""The reply-watcher as a process: ``python -m outrider.reply_watcher``."""

from outrider.events.service import Service, main
from outrider.events.tokens import Keyring
from outrider.reply_watcher.matching import Matching
from outrider.reply_watcher.projections import watching
from outrider.reply_watcher.scanning import Scanner
from outrider.reply_watcher.watching import Watchers


async def build(service: Service) -> None:
    """One projection, and a task for every mailbox."""
    service.read(watching)
    keys = Keyring.parse(service.settings.hash_key)
    matching = Matching(keys, service.tables, service.log)
    scanner = Scanner(service.log, service.log_pool, service.work, service.clock, keys, matching)
    watchers = Watchers(service.settings, service.log_pool, service.tables, scanner)
    service.loops.append(watchers.run)


if __name__ == "__main__":
    main("reply_watcher", build)
