"""Whether a domain takes mail: three answers, by a resolver on loopback."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from outrider.dispatcher.mx import AT_ONCE, MxResolver

ZONE: Mapping[tuple[str, str], str] = {
    ("mail.example.", "MX"): "10 mx.mail.example.",
    ("null.example.", "MX"): "0 .",
    ("implicit.example.", "A"): "192.0.2.1",
    ("six.example.", "AAAA"): "2001:db8::1",
    ("bare.example.", "TXT"): '"nothing"',
}
ASKED: list[str] = []
LATE = asyncio.Event()


class Nameserver(asyncio.DatagramProtocol):
    """Answers from ZONE; NXDOMAIN for a name that is not in it, SERVFAIL or silence by name."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to answer on."""
        self.transport = cast("asyncio.DatagramTransport", transport)  # 3.11's own is no subclass of it

    async def answer_late(self, query: dns.message.Message, addr: tuple[str, int]) -> None:
        """Answer once somebody has given up."""
        await LATE.wait()
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "MX", "10 mx.late.example."))
        self.transport.sendto(answer.to_wire(), addr)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one query."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        ASKED.append(f"{name} {kind}")
        if name.startswith("silent"):
            return
        if name == "late.example.":
            self.late = asyncio.create_task(self.answer_late(query, addr))
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name == "broken.example.":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in ZONE:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, ZONE[name, kind]))
        elif name not in {known for known, _ in ZONE}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def server() -> AsyncGenerator[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Nameserver, local_addr=("127.0.0.1", 0))
    ASKED.clear()
    LATE.clear()
    yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    transport.close()


@pytest.fixture
async def resolver(server: str) -> MxResolver:
    return MxResolver(server)


async def test_only_a_definite_no_is_a_no(resolver: MxResolver) -> None:
    names = ("mail", "null", "implicit", "six", "bare", "gone", "broken")
    found = await resolver.verdicts({f"{name}.example" for name in names}, 5)
    assert {domain.partition(".")[0]: verdict for domain, verdict in found.items()} == {
        "mail": "takes_mail",
        "null": "takes_none",
        "implicit": "takes_mail",
        "six": "takes_mail",
        "bare": "takes_none",
        "gone": "takes_none",
        "broken": "unknown",
    }


async def test_what_is_not_answered_in_time_is_unknown(resolver: MxResolver) -> None:
    found = await resolver.verdicts({"silent.example", "mail.example"}, 0.5)
    assert found == {"silent.example": "unknown", "mail.example": "takes_mail"}


async def test_a_domain_is_asked_for_once(resolver: MxResolver) -> None:
    await resolver.verdicts(["mail.example"] * 100, 5)
    await resolver.verdicts(["mail.example"], 5)
    assert ASKED == ["mail.example. MX"]


async def test_no_more_answers_are_kept_than_there_is_room_for(server: str) -> None:
    resolver = MxResolver(server, kept=3)
    for name in ("mail", "gone1", "gone2", "mail", "gone3", "gone4", "mail", "gone1"):
        await resolver.verdicts([f"{name}.example"], 5)
    asked = [name.partition(".")[0] for name in ASKED]
    assert asked == ["mail", "gone1", "gone2", "gone3", "gone4", "gone1"], "what was used least recently is forgotten"


async def test_callers_that_ask_at_once_share_a_query(resolver: MxResolver) -> None:
    found = await asyncio.gather(*(resolver.verdicts(["mail.example", "gone.example"], 5) for _ in range(10)))
    assert found == [{"mail.example": "takes_mail", "gone.example": "takes_none"}] * 10
    assert sorted(ASKED) == ["gone.example. MX", "mail.example. MX"]


async def test_a_caller_that_gives_up_leaves_the_query_to_the_others(resolver: MxResolver) -> None:
    patient = asyncio.create_task(resolver.verdicts(["late.example"], 10))
    hasty = await resolver.verdicts(["late.example"], 0.05)
    LATE.set()
    assert (hasty, await patient) == ({"late.example": "unknown"}, {"late.example": "takes_mail"})


async def test_fifty_are_asked_at_once_and_no_more(resolver: MxResolver) -> None:
    names = {f"silent{number}.example" for number in range(AT_ONCE + 20)}
    asking = asyncio.create_task(resolver.verdicts(names, 1.0))
    verdicts = await asking
    assert set(verdicts.values()) == {"unknown"}
    assert len({asked.partition(" ")[0] for asked in ASKED}) == AT_ONCE


async def test_nothing_is_asked_for_nobody(resolver: MxResolver) -> None:
    assert await resolver.verdicts((), 5) == {}


async def test_a_name_that_is_none_is_unknown(resolver: MxResolver) -> None:
    assert await resolver.verdicts(["a..b"], 1) == {"a..b": "unknown"}
