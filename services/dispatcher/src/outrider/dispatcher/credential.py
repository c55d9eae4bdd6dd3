"""Credential: whether a campaign may mail through it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from outrider.events.aggregate import Aggregate
from outrider.events.credential import (
    CredentialAdded,
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRemoved,
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
    daily_limit: int = 0


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
        case CredentialAdded(campaign_id=campaign, daily_limit=limit):
            return Credential("enabled", campaign, limit)
        case CredentialChanged(daily_limit=limit):
            return replace(state, daily_limit=limit)
        case CredentialDisabled():
            return replace(state, status="disabled")
        case CredentialReenabled():
            return replace(state, status="enabled")
        case CredentialRemoved():
            return replace(state, status="removed")
        case _:
            return state


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


def remove(credential_id: UUID, state: Credential) -> Sequence[Event]:
    """It is gone."""
    if state.status in {"absent", "removed"} or state.campaign_id is None:
        return []
    return [CredentialRemoved(credential_id=credential_id, campaign_id=state.campaign_id)]
