"""The reply-watcher as a process: ``python -m outrider.reply_watcher``."""

from outrider.events.inbound import ReclassifyInbound
from outrider.events.service import Service, main
from outrider.events.tokens import Keyring
from outrider.reply_watcher.access import Access
from outrider.reply_watcher.handlers import Correcting
from outrider.reply_watcher.matching import Matching
from outrider.reply_watcher.projections import watching
from outrider.reply_watcher.recording import Recorder
from outrider.reply_watcher.scanning import Scanner
from outrider.reply_watcher.verifying import Verifying
from outrider.reply_watcher.watching import Watchers


async def build(service: Service) -> None:
    """One projection, and a task for every mailbox."""
    reader = service.read(watching)
    settings, keys = service.settings, Keyring.parse(service.settings.hash_key)
    matching = Matching(keys, service.tables, service.work, service.log, service.log_pool)
    recorder = Recorder(service.log, service.log_pool, service.work, service.clock, matching)
    scanner = Scanner(service.work, keys, matching, recorder)
    access = Access(settings, service.log_pool, service.log)
    watchers = Watchers(service.log_pool, service.tables, access, scanner, settings.imap_poll_seconds)
    correcting = Correcting(service.log, service.clock)
    service.bus.serve("reply_watcher", {ReclassifyInbound: correcting.on_reclassify}, reader.reach)
    service.bus.inquiries.answer("verify.imap", Verifying(access).verify)
    service.loops.append(watchers.run)
    service.figures.append(watchers.measure)
    service.stopping.append(watchers.stop)


if __name__ == "__main__":
    main("reply_watcher", build)
