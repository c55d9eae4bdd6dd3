"""The claims of thousands of credentials, by several replicas and without any mail: they hardly ever collide."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import NAMESPACE_OID, UUID, uuid5

from outrider.events.campaign import CampaignSettings, StepPlan
from outrider.events.delivery import DeliveryStarted, SendStep
from outrider.events.ids import delivery_id, partition
from outrider.events.rendering import BadTemplate
from outrider.events.telemetry import APPENDS
from outrider.sender.claiming import Claims, Day, NotClaimed
from outrider.sender.composing import CampaignPlan, Letter, Mailer, Person
from outrider.sender.quota import day_id, quota_day
from outrider.sender.smtp import Server
from tests.support.kernel import ACCOUNT, Kernel, kernel

REPLICAS = 4
CREDENTIALS = 2000
IN_DOUBT = 0
"""The partition that a second replica takes from too, as when a lease has run out unnoticed."""
LIMIT = 3
AT_ONCE = 50
CAMPAIGN = UUID(int=7)
PLAN = CampaignPlan(CampaignSettings(), {1: StepPlan(position=1, delay_minutes=0, thread=False)})
MAILER = Mailer(Server("mail.example.com", 587, "starttls"), "ann@sender.example", "Ann", None)


def named(what: str, number: int) -> UUID:
    """The same ids every time, and with them the same partitions."""
    return uuid5(NAMESPACE_OID, f"{what} {number}")


@dataclass
class Replica:
    """One process' claims: one at a time for each credential, as at a desk."""

    kernel: Kernel
    claims: Claims
    given_up: list[UUID] = field(default_factory=list[UUID])
    turns: dict[UUID, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    days: dict[UUID, Day] = field(default_factory=dict[UUID, Day])

    async def claim(self, letter: Letter) -> DeliveryStarted | NotClaimed:
        """Claim it."""
        credential = letter.job.credential_id
        async with self.turns[credential]:
            stream = quota_day.stream(day_id(credential, self.kernel.clock.now().date()))
            return await self.claims.claim(letter, self.days.setdefault(credential, Day(stream)))

    async def claim_all(self, letters: Sequence[Letter]) -> list[DeliveryStarted | NotClaimed]:
        """Claim these, so many at once as workers would."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(letter: Letter) -> DeliveryStarted | NotClaimed:
            async with places:
                return await self.claim(letter)

        return await asyncio.gather(*map(one, letters))


@asynccontextmanager
async def replica(urls: Mapping[str, str]) -> AsyncGenerator[Replica]:
    async with kernel(urls, "sender") as own:
        given_up: list[UUID] = []
        claims = Claims(own.log, own.tables, own.clock, lambda _, claim, __: given_up.append(claim.delivery_id))
        yield Replica(own, claims, given_up)


def letter(number: int, own: Kernel) -> Letter:
    """The message of this number: the credentials have their first ones in order, then their second ones."""
    enrollment, contact = named("enrollment", number), named("contact", number)
    job = SendStep(
        account_id=ACCOUNT,
        seen=0,
        delivery_id=delivery_id(enrollment, 1),
        enrollment_id=enrollment,
        campaign_id=CAMPAIGN,
        contact_id=contact,
        credential_id=named("credential", number % CREDENTIALS),
        position=1,
        attempt=1,
        planned_at=own.clock.now(),
        previous_delivery_id=None,
    )
    person = Person(f"p{number}@people.example", {}, f"key-{number}", "key-of-the-domain")
    return Letter(job, person, MAILER, PLAN, BadTemplate([]), "sender.example")


async def know(own: Kernel, letters: Sequence[Letter]) -> None:
    """The projection knows them all: streams that nothing has happened to yet, so that the log agrees."""
    credentials = {item.job.credential_id for item in letters}
    streams = [f"campaign-{CAMPAIGN}", *(f"credential-{found}" for found in credentials)]
    streams += [f"enrollment-{item.job.enrollment_id}" for item in letters]
    streams += [f"contact-{item.job.contact_id}" for item in letters]
    await own.tables.execute(
        "insert into gates (stream, version) select stream, 0 from unnest($1::text[]) s (stream)", streams
    )
    await own.tables.execute(
        "insert into credentials (credential_id, campaign_id, daily_limit, follow_ups_exempt) "
        "select credential_id, $2, $3, false from unnest($1::uuid[]) c (credential_id)",
        list(credentials),
        CAMPAIGN,
        LIMIT,
    )


def conflicts() -> float:
    """How many groups of events this process was told to decide anew."""
    return APPENDS.labels("conflict")._value.get()  # type: ignore[no-any-return]  # noqa: SLF001  # prometheus has no getter


async def test_the_claims_of_two_thousand_credentials_hardly_ever_collide(urls: Mapping[str, str]) -> None:
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(replica(urls)) for _ in range(REPLICAS)]
        letters = [letter(number, replicas[0].kernel) for number in range(3 * CREDENTIALS)]
        first = letters[:CREDENTIALS]
        in_doubt = [item for item in letters[CREDENTIALS:] if partition(item.job.credential_id) == IN_DOUBT]
        await know(replicas[0].kernel, [*first, *in_doubt])

        before = conflicts()
        shares = [
            [item for item in first if partition(item.job.credential_id) % REPLICAS == n] for n in range(REPLICAS)
        ]
        found = await asyncio.gather(*(one.claim_all(share) for one, share in zip(replicas, shares, strict=True)))
        collided = conflicts() - before
        print(f"{collided:.0f} conflicts in {CREDENTIALS} claims")  # noqa: T201  # the figure, with -s
        assert collided < CREDENTIALS / 100

        half = len(in_doubt) // 2
        found += await asyncio.gather(replicas[0].claim_all(in_doubt[:half]), replicas[1].claim_all(in_doubt[half:]))
        assert conflicts() - before - collided <= half, (
            "each credential's two may collide once, and then both are claimed"
        )

    claimed = [item.delivery_id for share in found for item in share if isinstance(item, DeliveryStarted)]
    assert sorted(claimed) == sorted(item.job.delivery_id for item in [*first, *in_doubt])
    assert not any(one.given_up for one in replicas)
