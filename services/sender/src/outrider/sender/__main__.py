"""The sender as a process: ``python -m outrider.sender``."""

from functools import partial

from outrider.events.delivery import ResolveSend
from outrider.events.drain import Drain, each
from outrider.events.service import Service, main
from outrider.events.test_send import SendTest
from outrider.events.tokens import Keyring
from outrider.sender.handlers import Sending
from outrider.sender.letters import Letters
from outrider.sender.partitions import Partitions
from outrider.sender.projections import sending as gates
from outrider.sender.recording import Records
from outrider.sender.resolving import KIND as ANSWERED
from outrider.sender.resolving import Resolving
from outrider.sender.sending_tests import SendingTests
from outrider.sender.settling import KIND, settle_started, settling
from outrider.sender.verifying import Verifying


async def build(service: Service) -> None:
    """One projection, jobs of the partitions that are its own, one kind of to-do, and test sends."""
    reader = service.read(gates)
    settled = service.read(settling(service.clock, service.settings.settle_seconds), work=True)
    letters = Letters(service.settings, service.log_pool, service.tables)
    records = Records(service.log, service.log_pool, service.clock)
    sending = Sending(service.log, service.tables, service.clock, letters, records, reader.reach)
    partitions = Partitions(service.bus, service.log_pool, sending.send_step)
    service.loops.append(partitions.run)
    service.drain(Drain(KIND, each(partial(settle_started, records)), service.work, service.clock), settled)
    tests = SendingTests(
        service.log, service.log_pool, service.tables, service.clock, letters, Keyring.parse(service.settings.hash_key)
    )
    resolving = Resolving(service.log, service.clock, service.settings.settle_seconds)
    service.bus.serve("sender_commands", {ResolveSend: resolving.on_resolve_send}, reader.reach)
    service.drain(Drain(ANSWERED, each(resolving.settle_answered), service.work, service.clock, batch=1), settled)
    service.bus.serve("sender_tests", {SendTest: tests.on_send_test}, reader.reach)
    service.bus.inquiries.answer("verify.smtp", Verifying(letters).verify)
    service.stopping.extend([sending.stop, partitions.stop, tests.stop, partitions.leave])


if __name__ == "__main__":
    main("sender", build)
