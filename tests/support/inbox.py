"""A campaign that has mailed, its mailbox on a real server, and the reply-watcher's parts that read it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from outrider.events.campaign import CampaignCreated, CampaignSettings, StepPlan
from outrider.events.contact import ContactAdded, ContactChanged
from outrider.events.credential import CredentialAdded, CredentialChanged
from outrider.events.database import Pool
from outrider.events.delivery import DeliveryStarted
from outrider.events.ids import address_key
from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    ComplaintReceived,
    InboundEvent,
    OptOutReceived,
    ReplyReceived,
)
from outrider.events.log import Log, Write
from outrider.events.message import Event, Recorded
from outrider.events.projector import Reader, caught_up
from outrider.events.settings import Settings
from outrider.events.tokens import Keyring, message_id
from outrider.events.vault import Entry, Sealer, get, put
from outrider.local.keys import Keys
from outrider.reply_watcher.access import Access
from outrider.reply_watcher.matching import Matching
from outrider.reply_watcher.projections import watching
from outrider.reply_watcher.recording import Recorder
from outrider.reply_watcher.scanning import Scan, Scanner, Watched
from outrider.reply_watcher.watching import MAILBOXES, Watchers, shared
from tests.support.kernel import ACCOUNT, Kernel, kernel
from tests.support.mail import Mailboxes

ANN = "ann@sales.example"
PASSWORD = "correct horse"
KINDS = (ReplyReceived, BounceReceived, AutoReplyReceived, OptOutReceived, ComplaintReceived)


@dataclass(frozen=True)
class Sent:
    """One message of ours."""

    message_id: str
    address: str
    delivery: UUID
    enrollment: UUID
    contact: UUID
    credential: UUID


@dataclass
class Inbox:
    """One account's campaign, and whatever of the reply-watcher a test needs."""

    server: Mailboxes
    watcher: Kernel
    others: Mapping[str, Kernel]
    keys: Keys
    poll_seconds: float = 60.0
    campaign: UUID = field(default_factory=uuid4)
    credential: UUID = field(default_factory=uuid4)
    mailbox: UUID = field(default_factory=uuid4)

    @property
    def keyring(self) -> Keyring:
        """The keys that sign Message-IDs."""
        return Keyring.parse(self.keys.hash_key)

    @property
    def reader(self) -> Reader:
        """The reply-watcher's."""
        return Reader(watching, self.watcher.log, self.watcher.tables)

    async def record(self, member: str, stream: str, *events: Event, account: UUID = ACCOUNT) -> None:
        """These stand in the log, written by who may."""
        await self.others[member].log.append(account, Write(stream, None, events, uuid4()))

    async def put(self, *entries: Entry) -> None:
        """These stand in the vault."""
        await put(self.others["dispatcher"].pool, entries)

    async def add(
        self,
        credential: UUID,
        user: str = ANN,
        password: str = PASSWORD,
        mailbox: UUID | None = None,
        port: int | None = None,
    ) -> None:
        """The credential is part of the campaign, with this mailbox, on another server if a port is given."""
        await self.secret(credential, user, password, port)
        added = CredentialAdded(
            credential_id=credential, campaign_id=self.campaign, daily_limit=50, mailbox_id=mailbox or self.mailbox
        )
        await self.record("dispatcher", f"credential-{credential}", added)
        await caught_up(self.reader)

    async def secret(
        self, credential: UUID, user: str = ANN, password: str = PASSWORD, port: int | None = None
    ) -> None:
        """The vault says so of the credential."""
        server = {
            "from_email": user,
            "smtp_username": user,
            "imap_host": "127.0.0.1",
            "imap_port": port or self.server.port,
            "imap_security": "none",
            "imap_username": user,
        }
        sealed = Sealer(self.keys.seal_public_key).seal(
            credential, {"smtp_password": password, "imap_password": password}
        )
        await self.put(
            Entry(credential, "server", ACCOUNT, "credential", server),
            Entry(credential, "secrets", ACCOUNT, "credential", sealed),
        )

    async def changed(self, credential: UUID, password: str) -> None:
        """The credential has another password."""
        await self.secret(credential, password=password)
        event = CredentialChanged(
            credential_id=credential, campaign_id=self.campaign, daily_limit=50, mailbox_id=self.mailbox
        )
        await self.record("dispatcher", f"credential-{credential}", event)
        await caught_up(self.reader)

    async def begin(self, subject: str = "Hello {{ first_name }}", *, stops: bool = True) -> None:
        """The campaign has settings and a first step of this subject."""
        settings = CampaignSettings(stop_on_suspected_reply=stops)
        steps = (StepPlan(position=1, delay_minutes=0, thread=False),)
        await self.put(Entry(self.campaign, "template-1-1", ACCOUNT, "campaign", {"subject": subject}))
        created = CampaignCreated(campaign_id=self.campaign, settings=settings, steps=steps)
        await self.record("dispatcher", f"campaign-{self.campaign}", created)

    async def person(self, sent: Sent, *former: str) -> None:
        """The person is a contact of the account, called Bob, and had these addresses before."""
        await self.put(Entry(sent.contact, "person", ACCOUNT, "contact", {"email": sent.address, "first_name": "Bob"}))
        first, *others = [address_key(self.keyring.address_key, ACCOUNT, one) for one in (*former, sent.address)]
        added = ContactAdded(contact_id=sent.contact, import_id=None, address_key=first)
        changed = [ContactChanged(contact_id=sent.contact, address_key=key, is_moved=True) for key in others]
        await self.record("dispatcher", f"contact-{sent.contact}", added, *changed)
        await caught_up(self.reader)

    async def sent(
        self, name: str = "bob", *, known: bool = True, account: UUID = ACCOUNT, template_version: int = 1
    ) -> Sent:
        """Somebody was mailed step 1; `known`: the projection has heard of it."""
        delivery, enrollment, contact = uuid4(), uuid4(), uuid4()
        started = DeliveryStarted(
            delivery_id=delivery,
            enrollment_id=enrollment,
            campaign_id=self.campaign,
            contact_id=contact,
            credential_id=self.credential,
            position=1,
            attempt=1,
            claim=uuid4(),
            day=self.watcher.clock.now().date(),
            counted=True,
            template_version=template_version,
            planned_at=self.watcher.clock.now(),
        )
        address = f"{name}@example.com"
        await self.put(Entry(contact, "person", account, "contact", {"email": address}))
        await self.record("sender", f"delivery-{delivery}", started, account=account)
        if known:
            await caught_up(self.reader)
        signed = message_id(self.keyring, delivery, "sales.example")
        return Sent(signed, address, delivery, enrollment, contact, self.credential)

    async def arrives(self, content: bytes, folder: str = "INBOX", user: str = ANN) -> int:
        """The message is in the mailbox."""
        return await self.server.append(user, content, folder)

    async def inbound(self) -> Sequence[Recorded[Event]]:
        """Everything recorded about what came back."""
        found, _, _ = await self.watcher.log.read_after(0, {kind.name for kind in KINDS}, 100_000)
        return found

    async def kinds(self) -> dict[UUID, list[type[Event]]]:
        """The same, as the types of the events by delivery."""
        found: dict[UUID, list[type[Event]]] = {}
        for item in await self.inbound():
            assert isinstance(item.event, InboundEvent)
            assert item.event.delivery_id
            found.setdefault(item.event.delivery_id, []).append(type(item.event))
        return found

    async def words(self, owner: UUID, name: str) -> object:
        """What the vault has there."""
        return await get(self.watcher.pool, ACCOUNT, owner, name)

    async def watched(self) -> Watched:
        """The mailbox as the projection has it."""
        return shared(await self.watcher.tables.fetch(MAILBOXES))[self.mailbox]

    async def scan(self) -> int:
        """One pass, in a session of its own; how many it recorded."""
        watched = await self.watched()
        mailbox, session = await self.access.enter(watched)
        async with session:
            return await self.scanner.scan(Scan(watched, mailbox, await self.access.own_addresses(watched), session))

    async def cursor(self) -> int | None:
        """How far the inbox was read."""
        found: int | None = await self.watcher.work.fetchval("select uid from cursors where folder = 'INBOX'")
        return found

    @property
    def scanner(self) -> Scanner:
        """As a process makes it."""
        k = self.watcher
        matching = Matching(self.keyring, k.tables, k.work, k.log, k.pool)
        recorder = Recorder(Log(k.pool, k.clock), k.pool, k.work, k.clock, matching)
        return Scanner(k.work, self.keyring, matching, recorder)

    @property
    def access(self) -> Access:
        """The same."""
        settings = Settings(
            database_url="",
            log_url="",
            nats_url="",
            health_listen="",
            hash_key=self.keys.hash_key,
            seal_private_key=self.keys.seal_private_key,
            allow_insecure_hosts=True,
        )
        return Access(settings, self.watcher.pool, Log(self.watcher.pool, self.watcher.clock))

    def watchers(self) -> Watchers:
        """One replica."""
        pool: Pool = self.watcher.pool
        return Watchers(pool, self.watcher.tables, self.access, self.scanner, self.poll_seconds)


@asynccontextmanager
async def inbox(urls: Mapping[str, str], server: Mailboxes) -> AsyncGenerator[Inbox]:
    """A campaign with one credential, whose mailbox is empty."""
    async with (
        kernel(urls, "reply_watcher") as watcher,
        kernel(urls, "dispatcher") as dispatcher,
        kernel(urls, "sender") as sender,
    ):
        found = Inbox(server, watcher, {"dispatcher": dispatcher, "sender": sender}, Keys.fresh())
        await server.create(ANN, "INBOX")
        await found.add(found.credential)
        yield found


def reply(sent: Sent, text: str = "Yes, tell me more.", sender: str = "", number: int = 1, headers: str = "") -> bytes:
    """What a person answers."""
    return (
        f"From: Bob <{sender or sent.address}>\r\nTo: {ANN}\r\nSubject: Re: Hello\r\n"
        f"Message-ID: <{number}.{sent.delivery.hex[:8]}@example.com>\r\nIn-Reply-To: {sent.message_id}\r\n{headers}"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()


def away(sent: Sent) -> bytes:
    """What a program answers for a person."""
    return reply(sent, "I am out of office until further notice.", headers="Auto-Submitted: auto-replied\r\n")


def bounce(sent: Sent) -> bytes:
    """What a mail server answers that could not deliver (RFC 3464)."""
    return (
        "From: Mail Delivery System <MAILER-DAEMON@mx.example.com>\r\nReturn-Path: <>\r\n"
        f"To: {ANN}\r\nSubject: Undelivered Mail Returned to Sender\r\nMessage-ID: <b{sent.delivery.hex}@mx>\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n'
        "--x\r\nContent-Type: text/plain\r\n\r\nIt did not work.\r\n"
        "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
        f"Final-Recipient: rfc822; {sent.address}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n"
        "--x\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"Message-ID: {sent.message_id}\r\nSubject: Hello\r\n\r\n--x--\r\n"
    ).encode()
