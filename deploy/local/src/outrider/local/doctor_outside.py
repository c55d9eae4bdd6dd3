"""The doctor's look at what others see: hosts of API and tracking, their certificates, domains that mail is from."""

import asyncio
import socket
import ssl
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from outrider.dispatcher.mx import MxResolver
from outrider.events.database import Pool
from outrider.local.finding import BAD, OK, WARN, Finding

SECONDS: Final = 10.0
SOON: Final = timedelta(days=21)
NOW: Final = timedelta(days=3)
MOST_DOMAINS: Final = 200
RESERVED: Final = frozenset({"example", "invalid", "localhost", "test"})
"""Last labels of nobody's domains (RFC 2606 section 2), as the sandbox has them."""
DOMAINS: Final = """
select distinct lower(split_part(value ->> 'from_email', '@', 2)) as domain, value -> 'dkim' ->> 'domain' as signer,
    value -> 'dkim' ->> 'selector' as selector
from log.vault
where name = 'server' and kind = 'credential' and value ->> 'from_email' like '%@%'
order by 1, 2, 3
limit $1
"""
HOSTS: Final = (
    ("API", "OUTRIDER_URL", "clients call it"),
    ("tracking", "OUTRIDER_PUBLIC_URL", "links in mails lead there"),
)


async def hosts(environment: Mapping[str, str]) -> AsyncGenerator[Finding]:
    """Whether each public address resolves, and for how long its certificate is good."""
    for name, variable, purpose in HOSTS:
        if not (url := environment.get(variable)):
            continue
        place = urlsplit(url)
        host, secure = place.hostname or "", place.scheme == "https"
        port = place.port or (443 if secure else 80)
        try:
            found = await asyncio.to_thread(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            yield Finding(f"{name} host", BAD, f"{host}: {error.strerror}", f"make its DNS record: {purpose}")
            continue
        addresses = sorted({str(entry[4][0]) for entry in found})
        yield Finding(f"{name} host", OK, f"{host} is {', '.join(addresses)}")
        if secure:
            yield await asyncio.to_thread(_certificate, name, host, port, environment.get("OUTRIDER_TRUST_CA") or None)
        elif not all(ip_address(one.partition("%")[0]).is_loopback for one in addresses):
            yield Finding(
                f"{name} certificate", BAD, f"{variable} is http", "bring TLS: keys and links go in the clear"
            )


def _certificate(name: str, host: str, port: int, authorities: str | None) -> Finding:
    check = f"{name} certificate"
    try:
        context = ssl.create_default_context()
        if authorities:
            context.load_verify_locations(authorities)
        with (
            socket.create_connection((host, port), timeout=SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host) as secure,
        ):
            given = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Finding(check, BAD, f"{host}: {error.verify_message}", "renew it, or name the host in it")
    except OSError as error:
        return Finding(check, BAD, f"{host}:{port}: {error}", "is the Ingress or the load balancer up?")
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(given["notAfter"])), UTC)
    left = until - datetime.now(UTC)
    state = BAD if left < NOW else WARN if left < SOON else OK
    advice = "" if state == OK else "renew it: is cert-manager at work?"
    return Finding(check, state, f"good until {until:%Y-%m-%d}, {left.days} days", advice)


async def domains(pool: Pool, resolver: MxResolver) -> AsyncGenerator[Finding]:
    """What the DNS says of each domain that mail is sent from: MX, SPF, DMARC, and DKIM where it is signed here."""
    signers: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    reserved = set[str]()
    for row in await pool.fetch(DOMAINS, MOST_DOMAINS):
        if row["domain"].rpartition(".")[2] in RESERVED:
            reserved.add(row["domain"])
        else:
            signers[row["domain"]] |= {(row["selector"], row["signer"])} if row["selector"] else set()
    if reserved:
        yield Finding("domains", OK, f"{len(reserved)} for examples and tests (RFC 2606): not looked at")
    if not signers:
        return
    mx = await resolver.verdicts(list(signers), SECONDS)
    if set(mx.values()) == {"unknown"}:
        yield Finding("resolver", BAD, "answers no question about a domain", "OUTRIDER_DNS, or the system's: is it up?")
        return
    yield Finding("resolver", OK, f"answers; {len(signers)} domains of mail accounts looked at")
    names = {name for domain, keys in signers.items() for name in _names(domain, keys)}
    texts = dict(zip(names, await asyncio.gather(*(resolver.texts(name) for name in names)), strict=True))
    for domain, keys in signers.items():
        for finding in judged(domain, mx[domain], texts, keys):
            yield finding


def _names(domain: str, keys: Collection[tuple[str, str]]) -> Sequence[str]:
    return (domain, f"_dmarc.{domain}", *(f"{selector}._domainkey.{signer}" for selector, signer in keys))


def judged(
    domain: str, mx: str, texts: Mapping[str, Sequence[str] | None], keys: Collection[tuple[str, str]]
) -> Sequence[Finding]:
    """What is wrong with one domain, or that nothing is. `texts` are TXT records by name; None: nobody could tell."""
    check, found = f"domain {domain}", list[Finding]()
    if mx == "takes_none":
        found.append(
            Finding(check, BAD, "takes no mail: answers and bounces are lost", f"make an MX record of {domain}")
        )
    if texts[domain] is not None:
        found += _spf(check, [one for one in texts[domain] or () if one.lower().split(" ")[0] == "v=spf1"])
    dmarc = texts[f"_dmarc.{domain}"]
    if dmarc is not None and not any(one.lower().replace(" ", "").startswith("v=dmarc1") for one in dmarc):
        advice = f"make a TXT record of _dmarc.{domain}, `v=DMARC1; p=none` at least: large providers want one"
        found.append(Finding(check, WARN, "has no DMARC record", advice))
    for selector, signer in sorted(keys):
        name = f"{selector}._domainkey.{signer}"
        record = texts[name]
        if record is not None and not any(_has_key(one) for one in record):
            advice = f"make the TXT record of {name}, or take the DKIM key from the mail account"
            found.append(Finding(check, BAD, f"is signed for with {selector}, of which there is no key", advice))
    untold = [name for name in _names(domain, keys) if texts[name] is None]
    if untold or mx == "unknown":
        found.append(Finding(check, WARN, f"the resolver cannot tell: {', '.join(untold) or 'MX'}", "ask again"))
    return found or [Finding(check, OK, "MX, SPF and DMARC are there" + (", and its DKIM key" if keys else ""))]


def _has_key(record: str) -> bool:
    """Whether a DKIM record has a key: an empty one was withdrawn (RFC 6376 3.6.1)."""
    tags = [tag.partition("=") for tag in record.split(";")]
    return any(name.strip() == "p" and value.strip() for name, _, value in tags)


def _spf(check: str, records: Sequence[str]) -> Sequence[Finding]:
    if not records:
        return [
            Finding(check, WARN, "has no SPF record", "say which servers mail for it: ask your mail provider which")
        ]
    if len(records) > 1:
        return [
            Finding(check, BAD, f"has {len(records)} SPF records, so none counts", "make one of them (RFC 7208 4.5)")
        ]
    if records[0].lower().split()[-1] in {"+all", "all"}:
        return [Finding(check, BAD, "lets everybody mail for it (SPF +all)", "end it with ~all or -all")]
    return []
