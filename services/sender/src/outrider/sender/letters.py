"""Letters: everything that one message is made of, read once and kept per version, and rendered to bytes."""

from collections import OrderedDict
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from outrider.events.access_tokens import AccessTokens, uses_oauth2
from outrider.events.campaign import CampaignSettings, StepPlan
from outrider.events.database import Pool, Row
from outrider.events.delivery import SendStep
from outrider.events.dkim_signing import DkimKey
from outrider.events.ids import address_key, domain_key, domain_of
from outrider.events.message import Json
from outrider.events.rendering import BadTemplate, Template, compile_step
from outrider.events.service import Settings
from outrider.events.tokens import Keyring
from outrider.events.vault import Opener
from outrider.sender.bearing import Bearing
from outrider.sender.composing import CampaignPlan, Letter, Mailer, Person, compose
from outrider.sender.smtp import Server

TEMPLATES_KEPT = 2000
PLAN = "select settings, steps from campaigns where campaign_id = $1"
PLAN_WITH_VERSIONS = """
select settings, steps,
    coalesce((select version from gates where stream = $2), 0) as campaign_version,
    coalesce((select version from gates where stream = $3), 0) as contact_version
from campaigns where campaign_id = $1
"""


class Letters:
    """Reads people, templates and credentials from the vault; compiled templates are kept by version."""

    def __init__(self, settings: Settings, log: Pool, tables: Pool) -> None:
        """Raises ValueError for keys that cannot be read."""
        self._settings = settings
        self._log = log
        self._tables = tables
        self._keys = Keyring.parse(settings.hash_key)
        self._opener = Opener(settings.seal_private_key)
        self.tokens = AccessTokens(settings, log, self._opener)
        """Of the credentials that log in with OAuth2."""
        self._templates: OrderedDict[tuple[UUID, int, int], Template | BadTemplate] = OrderedDict()

    async def letter(self, job: SendStep, mailer: Mailer, version: int) -> Letter | None:
        """All that the message is made of; None where the person, the campaign or the step is gone.

        `mailer` is the credential at that version of its stream. The versions of campaign and contact are read first:
        what changes later is newer than what the claim asserts.
        """
        campaign, contact = f"campaign-{job.campaign_id}", f"contact-{job.contact_id}"
        row = await self._tables.fetchrow(PLAN_WITH_VERSIONS, job.campaign_id, campaign, contact)
        if row is None:
            return None
        versions = {
            campaign: row["campaign_version"],
            contact: row["contact_version"],
            f"credential-{job.credential_id}": version,
        }
        plan = _plan_of(row)
        if job.position not in plan.steps:
            return None
        template = await self.template(job.account_id, job.campaign_id, plan.steps[job.position])
        person = await self._person(job)
        if template is None or person is None:
            return None
        domain = await self._thread_domain(job, mailer)
        address = await self.postal_address(job.account_id) if plan.settings.unsubscribe_footer else None
        return Letter(job, person, mailer, plan, template, domain, address, versions)

    async def postal_address(self, account: UUID) -> str | None:
        """Of the account, for the footer of its mails."""
        value: Json | None = await self._read(account, account, "postal_address")
        return None if value is None else value.get("postal_address")

    async def _thread_domain(self, job: SendStep, mailer: Mailer) -> str:
        if job.first_credential_id is not None:
            first = await self._read(job.account_id, job.first_credential_id, "server")
            if first is not None:
                return domain_of(first["from_email"])
        return domain_of(mailer.from_email)

    async def plan(self, campaign: UUID) -> CampaignPlan | None:
        """Its settings and steps; None where it is not known."""
        row = await self._tables.fetchrow(PLAN, campaign)
        return None if row is None else _plan_of(row)

    async def template(self, account: UUID, campaign: UUID, step: StepPlan) -> Template | BadTemplate | None:
        """The step's compiled template as it stands; None where it is gone."""
        key = (campaign, step.position, step.template_version)
        if found := self._templates.get(key):
            self._templates.move_to_end(key)
            return found
        source = await self._read(account, campaign, f"template-{step.position}-{step.template_version}")
        if source is None:
            return None
        compiled: Template | BadTemplate
        try:
            compiled = compile_step(source["subject"], source["body_html"], source.get("body_text"))
        except BadTemplate as broken:  # was refused at creation, but the rules may have changed since
            compiled = broken
        self._templates[key] = compiled
        if len(self._templates) > TEMPLATES_KEPT:
            self._templates.popitem(last=False)
        return compiled

    async def _person(self, job: SendStep) -> Person | None:
        merge = await self._read(job.account_id, job.contact_id, "person")
        if merge is None:
            return None
        email: str = merge["email"]
        key = self._keys.address_key
        return Person(
            email,
            merge,
            address_key(key, job.account_id, email),
            domain_key(key, job.account_id, domain_of(email)),
        )

    async def mailer(self, account: UUID, credential: UUID) -> Mailer | None:
        """The credential with its secrets opened; None where it is gone. Raises Unsealable."""
        about = await self._read(account, credential, "server")
        sealed = await self._read(account, credential, "secrets")
        if about is None or sealed is None:
            return None
        secrets = self._opener.open(credential, sealed)
        authorities = self._settings.trust_ca
        return Mailer(
            Server(
                about["smtp_host"],
                about["smtp_port"],
                about["smtp_security"],
                about["smtp_username"],
                secrets.get("smtp_password", ""),
                Bearing(account, credential, self.tokens) if uses_oauth2(about) else None,
                hostname=domain_of(about["from_email"]),
                allow_insecure=self._settings.allow_insecure_hosts,
                authorities=Path(authorities) if authorities else None,
            ),
            about["from_email"],
            about.get("from_name"),
            about.get("reply_to"),
            _signing(about, secrets),
        )

    async def _read(self, account: UUID, owner: UUID, name: str) -> Any:  # noqa: ANN401  # a jsonb column
        return await self._log.fetchval(
            "select value from log.vault where owner = $1 and name = $2 and account_id = $3", owner, name, account
        )

    def render(self, letter: Letter, date: datetime) -> bytes:
        """The message as it goes into DATA. Raises CannotRender, BadHeader, BadTemplate."""
        return compose(letter, self._keys, self._settings.public_url, date)


def _plan_of(row: Row) -> CampaignPlan:
    steps = [StepPlan.model_validate(step) for step in row["steps"]["steps"]]
    return CampaignPlan(CampaignSettings.model_validate(row["settings"]), {step.position: step for step in steps})


def _signing(about: Json, secrets: Json) -> DkimKey | None:
    key, names = secrets.get("dkim_private_key"), about.get("dkim")
    return None if key is None or names is None else DkimKey(names["domain"], names["selector"], key)
