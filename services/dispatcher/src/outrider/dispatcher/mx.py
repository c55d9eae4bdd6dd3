"""DNS: whether a domain takes mail at all. Three answers; only a definite no is one."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final, Literal

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

Verdict = Literal["takes_mail", "takes_none", "unknown"]
AT_ONCE: Final = 50
PER_QUERY_SECONDS: Final = 2.0


class MxResolver:
    """Asks one resolver; what it answers is kept nowhere but in dnspython's cache, by its time to live."""

    def __init__(self, server: str = "") -> None:
        """`server` is host:port, empty for the system's."""
        self._resolver = dns.asyncresolver.Resolver(configure=False) if server else _of_the_system()
        if server:
            host, _, port = server.rpartition(":")
            self._resolver.nameservers = [host.strip("[]")]
            self._resolver.port = int(port)
        self._resolver.cache = dns.resolver.LRUCache(10_000)
        self._resolver.timeout = PER_QUERY_SECONDS
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def verdicts(self, domains: Collection[str], seconds: float) -> Mapping[str, Verdict]:
        """Every domain's verdict, one query for each; what is not answered within `seconds` is unknown."""
        tasks = {domain: asyncio.create_task(self._verdict(domain, seconds)) for domain in set(domains)}
        if not tasks:
            return {}
        _, late = await asyncio.wait(tasks.values(), timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return {domain: "unknown" if task in late else task.result() for domain, task in tasks.items()}

    async def _verdict(self, domain: str, seconds: float) -> Verdict:
        async with self._turns:
            try:
                answer = await self._resolver.resolve(domain, "MX", lifetime=seconds, search=False)
            except dns.resolver.NXDOMAIN:
                return "takes_none"
            except dns.resolver.NoAnswer:  # RFC 5321 5.1: the address record is an implicit MX
                return await self._has_address(domain, seconds)
            except (dns.exception.DNSException, OSError, ValueError):
                return "unknown"
        exchanges = [record.exchange for record in answer]
        return "takes_none" if exchanges == [dns.name.root] else "takes_mail"  # RFC 7505: a null MX

    async def _has_address(self, domain: str, seconds: float) -> Verdict:
        for kind in ("A", "AAAA"):
            try:
                await self._resolver.resolve(domain, kind, lifetime=seconds, search=False)
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
