"""DNS: whether a domain takes mail at all. Three answers; only a definite no is one."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

Verdict = Literal["takes_mail", "takes_none", "unknown"]
AT_ONCE: Final = 50
PER_QUERY_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 10.0
"""With its repeats; most callers give up before."""
KEPT: Final = 10_000
"""Answers, the least recently used go first."""


@dataclass
class _Question:
    """A query under way, and how many wait for it."""

    task: "asyncio.Task[Verdict]"
    callers: int = 0


class MxResolver:
    """Asks one resolver; what it answers is kept nowhere but in dnspython's cache, by its time to live."""

    def __init__(self, server: str = "", kept: int = KEPT) -> None:
        """`server` is host:port, empty for the system's; no more than `kept` answers are remembered."""
        self._resolver = dns.asyncresolver.Resolver(configure=False) if server else _of_the_system()
        if server:
            host, _, port = server.rpartition(":")
            self._resolver.nameservers = [host.strip("[]")]
            self._resolver.port = int(port)
        self._resolver.cache = dns.resolver.LRUCache(kept)
        self._resolver.timeout = PER_QUERY_SECONDS
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[str, _Question] = {}

    async def verdicts(self, domains: Collection[str], seconds: float) -> Mapping[str, Verdict]:
        """Every domain's verdict; what is not answered within `seconds` is unknown.

        One query for each, also when several callers ask at once; it ends when the last of them has given it up.
        """
        questions = {domain: self._question(domain) for domain in set(domains)}
        if not questions:
            return {}
        try:
            await asyncio.wait([question.task for question in questions.values()], timeout=seconds)
            return {
                domain: question.task.result() if question.task.done() else "unknown"
                for domain, question in questions.items()
            }
        finally:
            for domain, question in questions.items():
                self._leave(domain, question)

    async def texts(self, name: str) -> Sequence[str] | None:
        """The TXT records of a name; None where nobody could tell."""
        async with self._turns:
            try:
                answer = await self._resolver.resolve(name, "TXT", lifetime=LONGEST_SECONDS, search=False)
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                return ()
            except (dns.exception.DNSException, OSError, ValueError):
                return None
        return [b"".join(record.strings).decode(errors="replace") for record in answer]

    def _question(self, domain: str) -> "_Question":
        question = self._asked.get(domain)
        if question is None or question.task.done():
            question = self._asked[domain] = _Question(asyncio.create_task(self._verdict(domain)))
        question.callers += 1
        return question

    def _leave(self, domain: str, question: "_Question") -> None:
        question.callers -= 1
        if question.callers == 0:
            question.task.cancel()
            if self._asked.get(domain) is question:
                del self._asked[domain]

    async def _verdict(self, domain: str) -> Verdict:
        async with self._turns:
            try:
                answer = await self._resolver.resolve(domain, "MX", lifetime=LONGEST_SECONDS, search=False)
            except dns.resolver.NXDOMAIN:
                return "takes_none"
            except dns.resolver.NoAnswer:  # RFC 5321 5.1: the address record is an implicit MX
                return await self._has_address(domain)
            except (dns.exception.DNSException, OSError, ValueError):
                return "unknown"
        exchanges = [record.exchange for record in answer]
        return "takes_none" if exchanges == [dns.name.root] else "takes_mail"  # RFC 7505: a null MX

    async def _has_address(self, domain: str) -> Verdict:
        for kind in ("A", "AAAA"):
            try:
                await self._resolver.resolve(domain, kind, lifetime=LONGEST_SECONDS, search=False)
            except dns.resolver.NXDOMAIN:
                return "takes_none"
            except dns.resolver.NoAnswer:
                continue
            except (dns.exception.DNSException, OSError, ValueError):
                return "unknown"
            return "takes_mail"
        return "takes_none"


def _of_the_system() -> dns.asyncresolver.Resolver:
    """A machine without a resolver answers nothing: every verdict is unknown."""
    try:
        return dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return dns.asyncresolver.Resolver(configure=False)
