"""Credential: whether a campaign may mail through it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from outrider.events.aggregate import Aggregate
from outrider.events.credential import (
    ChangeCredential,
    CredentialAdded,
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRemoved,
    CredentialReplaced,
    DisabledReason,
    NewCredential,
    ReenableCredential,
    SmtpCredentialNotFound,
)
from outrider.events.message import Event


@dataclass(frozen=True, slots=True)
class Credential:
    """What is remembered of a credential."""

    status: Literal["absent", "enabled", "disabled", "removed"] = "absent"
    campaign_id: UUID | None = None
    limits: tuple[int, bool, UUID | None] = (0, False, None)
    """Daily limit, whether follow-ups are exempt, mailbox."""
    disabled_reason: DisabledReason | None = None


@dataclass(frozen=True, slots=True)
class BounceFacts:
    """What came of the messages since it was added or re-enabled, and the campaign's rule."""

    sends: int
    """Messages that a server accepted or refused for good."""
    bounces: int
    min_sends: int
    threshold: float
    """Percent of sends."""


def evolve(state: Credential, event: Event) -> Credential:
    """The state after the event."""
    match event:
        case CredentialAdded(campaign_id=campaign):
            return Credential("enabled", campaign, _limits(event))
        case CredentialChanged():
            return replace(state, limits=_limits(event))
        case CredentialDisabled(reason=reason):
            return replace(state, status="disabled", disabled_reason=reason)
        case CredentialReenabled():
            return replace(state, status="enabled", disabled_reason=None)
        case CredentialRemoved():
            return replace(state, status="removed")
        case _:
            return state


def _limits(of: CredentialAdded | CredentialChanged | NewCredential) -> tuple[int, bool, UUID | None]:
    return of.daily_limit, of.follow_ups_exempt, of.mailbox_id


credential = Aggregate("credential", Credential(), evolve)


def add(campaign_id: UUID, new: NewCredential, state: Credential) -> Sequence[Event]:
    """The campaign may mail through it."""
    if state.status != "absent":
        return []
    return [
        CredentialAdded(
            credential_id=new.credential_id,
            campaign_id=campaign_id,
            daily_limit=new.daily_limit,
            follow_ups_exempt=new.follow_ups_exempt,
            mailbox_id=new.mailbox_id,
        )
    ]


def change(command: ChangeCredential, state: Credential) -> Sequence[Event]:
    """Other limits, hosts or secrets hold; one whose log-in was refused is tried again with another password."""
    new = command.credential
    if state.status in {"absent", "removed"} or state.campaign_id != command.campaign_id:
        raise SmtpCredentialNotFound
    daily_limit, follow_ups_exempt, _ = state.limits
    if command.limits is None or "daily_limit" in command.limits:
        daily_limit = new.daily_limit
    if command.limits is None or "follow_ups_exempt" in command.limits:
        follow_ups_exempt = new.follow_ups_exempt
    if not command.replaced and (daily_limit, follow_ups_exempt, new.mailbox_id) == state.limits:
        return []
    changed = CredentialChanged(
        credential_id=new.credential_id,
        campaign_id=command.campaign_id,
        daily_limit=daily_limit,
        follow_ups_exempt=follow_ups_exempt,
        mailbox_id=new.mailbox_id,
    )
    if command.logs_in_anew and state.disabled_reason == "auth_failed":
        return [changed, CredentialReenabled(credential_id=new.credential_id, campaign_id=command.campaign_id)]
    return [changed]


def reenable(command: ReenableCredential, state: Credential) -> Sequence[Event]:
    """It is used again."""
    if state.status in {"absent", "removed"} or state.campaign_id != command.campaign_id:
        raise SmtpCredentialNotFound
    if state.status == "enabled":
        return []
    return [CredentialReenabled(credential_id=command.credential_id, campaign_id=command.campaign_id)]


def judge(credential_id: UUID, facts: BounceFacts, state: Credential) -> Sequence[Event]:
    """It is disabled when too many of enough messages bounced."""
    if facts.sends < max(1, facts.min_sends) or facts.bounces * 100 <= facts.threshold * facts.sends:
        return []
    return disable(credential_id, "bounce_rate", state)


def disable(credential_id: UUID, reason: DisabledReason, state: Credential) -> Sequence[Event]:
    """Nothing is mailed through it until it is re-enabled."""
    if state.status != "enabled" or state.campaign_id is None:
        return []
    return [CredentialDisabled(credential_id=credential_id, campaign_id=state.campaign_id, reason=reason)]


def replace_by(credential_id: UUID, usable: Sequence[UUID], state: Credential) -> Sequence[Event]:
    """Its open steps go to others, if it was removed, or is burned: too many of its messages came back.

    One whose log-in or whose use was refused keeps them: whoever owns it mends that, or removes it.
    """
    burned = state.status == "disabled" and state.disabled_reason == "bounce_rate"
    if not usable or state.campaign_id is None or not (burned or state.status == "removed"):
        return []
    return [CredentialReplaced(credential_id=credential_id, campaign_id=state.campaign_id, by=tuple(usable))]


def remove(credential_id: UUID, state: Credential) -> Sequence[Event]:
    """It is gone."""
    if state.status in {"absent", "removed"} or state.campaign_id is None:
        return []
    return [CredentialRemoved(credential_id=credential_id, campaign_id=state.campaign_id)]
