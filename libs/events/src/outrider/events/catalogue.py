"""Every event: on streams of which category it stands, and what causes it. `docs/events.md` is made of this.

Who writes a category stands in the files of `schema/`, where the database enforces it; what an event means, and what
its fields are, stands in its class.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from outrider.events.account import AccountClosed, AccountOpened, ApiKeyIssued, ApiKeyRevoked, PlanChanged
from outrider.events.campaign import (
    BatchDispatched,
    BatchPlanned,
    CampaignActivated,
    CampaignChanged,
    CampaignCompleted,
    CampaignCreated,
    CampaignDeleted,
    CampaignPaused,
    CampaignReopened,
    CampaignResumed,
    ImportEnrolled,
    StepsChanged,
    StepsRetimed,
)
from outrider.events.contact import (
    AddressReleased,
    AddressReserved,
    AddressSuppressed,
    AddressUnsuppressed,
    ContactAdded,
    ContactChanged,
    ContactCorrected,
    ContactDeleted,
    ContactForgotten,
    ContactUnsubscribed,
    ImportCompleted,
    ImportDeleted,
    ImportFailed,
    ImportStarted,
)
from outrider.events.credential import (
    CredentialAdded,
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRefused,
    CredentialRemoved,
    CredentialReplaced,
    QuotaClaimed,
    QuotaReleased,
)
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryFailed,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
)
from outrider.events.engagement import EmailOpened, LinkClicked
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCorrected,
    EnrollmentCreated,
    EnrollmentFinished,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepReopened,
    StepsScheduled,
)
from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    ComplaintReceived,
    InboundReclassified,
    OptOutReceived,
    ReplyReceived,
)
from outrider.events.mailbox import MailboxOpened, MailboxRefused
from outrider.events.message import Event
from outrider.events.outreach import (
    OutreachChanged,
    OutreachContactReleased,
    OutreachContactReserved,
    OutreachCreated,
    OutreachDeleted,
    OutreachJoined,
    OutreachLeft,
)
from outrider.events.test_send import TestSendEnded, TestSendStarted
from outrider.events.webhook import (
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRedeliveryRequested,
    WebhookRegistered,
    WebhookRemoved,
    WebhookSecretRotated,
    WebhookTestRequested,
)


class About(NamedTuple):
    """Where an event stands, and why."""

    category: str
    cause: str


EVENTS: Final[Mapping[type[Event], About]] = {
    AccountOpened: About("account", "`POST /accounts`"),
    AccountClosed: About("account", "`DELETE /accounts/:id`"),
    PlanChanged: About("account", "`PATCH /accounts/:id`"),
    ApiKeyIssued: About("account", "`POST /accounts`, `POST /api_keys`"),
    ApiKeyRevoked: About("account", "`DELETE /api_keys/:id`"),
    ImportStarted: About("import", "`POST /contact_imports`"),
    ImportCompleted: About("import", "the last row of the import was judged"),
    ImportFailed: About("import", "its body broke off, or the gateway that read it was killed"),
    ImportDeleted: About("import", "`DELETE /contact_imports/:id`"),
    ContactAdded: About("contact", "a row of an import, `POST /contacts`"),
    ContactChanged: About("contact", "`PATCH /contacts/:id`"),
    ContactDeleted: About("contact", "`DELETE /contacts/:id`, or of its import"),
    ContactUnsubscribed: About("contact", "`POST /u/<token>`, or an opt-out in an answer"),
    ContactCorrected: About("contact", "`POST /enrollments/:id/reclassify`"),
    ContactForgotten: About("contact", "`POST /contacts/:id/erase`"),
    AddressReserved: About("address", "the contact with this address is added, or gets it"),
    AddressReleased: About("address", "the contact is deleted, or gets another address"),
    AddressSuppressed: About("address", "`POST /suppressions`"),
    AddressUnsuppressed: About("address", "`DELETE /suppressions/:id`"),
    OutreachCreated: About("outreach", "`POST /outreaches`"),
    OutreachChanged: About("outreach", "`PATCH /outreaches/:id`"),
    OutreachDeleted: About("outreach", "`DELETE /outreaches/:id`"),
    OutreachJoined: About("outreach", "a campaign is created with it, or moved to it"),
    OutreachLeft: About("outreach", "a campaign is moved away, or deleted"),
    OutreachContactReserved: About(
        "outreachContact", "somebody is enrolled in a campaign of an outreach of unique contacts"
    ),
    OutreachContactReleased: About("outreachContact", "that campaign or enrollment is deleted before a mail went out"),
    CampaignCreated: About("campaign", "`POST /campaigns`"),
    CampaignChanged: About("campaign", "`PATCH /campaigns/:id`"),
    StepsChanged: About("campaign", "`PATCH`, `POST`, `DELETE /campaigns/:id/sequence_steps`"),
    CampaignActivated: About("campaign", "its first dispatch"),
    CampaignPaused: About("campaign", "`POST /campaigns/:id/pause`, or its last credential was disabled"),
    CampaignResumed: About("campaign", "`POST /campaigns/:id/resume`"),
    CampaignCompleted: About("campaign", "its last enrollment with a step left has ended"),
    CampaignReopened: About("campaign", "`StepReopened` after it had completed"),
    CampaignDeleted: About("campaign", "`DELETE /campaigns/:id`"),
    ImportEnrolled: About("campaign", "`POST /campaigns/:id/enroll`"),
    BatchDispatched: About("campaign", "`POST /campaigns/:id/dispatch`"),
    BatchPlanned: About("campaign", "the to-do `plan_batch` has planned everybody"),
    StepsRetimed: About("plan", "a resume, changed waits or windows, a late step, a credential that is gone"),
    CredentialAdded: About("credential", "`POST /campaigns`, `POST .../smtp_credentials`"),
    CredentialChanged: About("credential", "`PATCH .../smtp_credentials/:id`"),
    CredentialDisabled: About("credential", "too many bounces, or its log-in was refused"),
    CredentialReenabled: About("credential", "`POST .../smtp_credentials/:id/reenable`"),
    CredentialRemoved: About("credential", "`DELETE .../smtp_credentials/:id`"),
    CredentialReplaced: About("credential", "it was removed, or disabled for its bounces, and others are left"),
    QuotaClaimed: About("credentialDay", "the sender claims deliveries"),
    QuotaReleased: About("credentialDay", "no server accepted a claimed delivery"),
    CredentialRefused: About("credentialDay", "the server refused the log-in, the sender or the day's number"),
    EnrollmentCreated: About("enrollment", "`POST .../enroll`, `POST .../enroll_contact`"),
    EnrollmentSkipped: About("enrollment", "a rule at enrolling or at planning"),
    StepsScheduled: About("enrollment", "the to-do `plan_batch`"),
    EnrollmentReplied: About("enrollment", "`ReplyReceived`"),
    EnrollmentBounced: About("enrollment", "`EmailBounced`, `BounceReceived`"),
    EnrollmentUnsubscribed: About("enrollment", "`ContactUnsubscribed`"),
    EnrollmentStopped: About(
        "enrollment", "`DELETE /enrollments/:id`, a complaint, a contact or campaign that is gone"
    ),
    EnrollmentFinished: About("enrollment", "its last step was settled"),
    StepReopened: About("enrollment", "`DeliveryResolved` with `not_sent`"),
    EnrollmentCorrected: About("enrollment", "`InboundReclassified`"),
    DeliveryStarted: About("delivery", "a claim: every gate was open, and the day had room"),
    EmailSent: About("delivery", "the server answered the message with 2xx"),
    EmailBounced: About("delivery", "the server answered with 5xx"),
    DeliveryDeferred: About("delivery", "4xx, no connection, a refused credential, or a claim that was given up"),
    DeliveryFailed: About("delivery", "24 hours of deferrals"),
    DeliveryUnknown: About(
        "delivery", "the connection was lost behind the final dot, or no outcome came for 15 minutes"
    ),
    DeliveryResolved: About("delivery", "`POST /sends/:id/resolve`, an answer or a bounce"),
    TestSendStarted: About("testSend", "`POST /campaigns/:id/test_send`"),
    TestSendEnded: About("testSend", "its messages were mailed, or given up"),
    ReplyReceived: About("inbound", "a human answer was found in a mailbox"),
    BounceReceived: About("inbound", "a bounce was found in a mailbox"),
    AutoReplyReceived: About("inbound", "an automatic reply was found in a mailbox"),
    OptOutReceived: About("inbound", "an answer asks to be left alone"),
    ComplaintReceived: About("inbound", "a feedback report was found in a mailbox"),
    InboundReclassified: About("inbound", "`POST /enrollments/:id/reclassify`"),
    MailboxRefused: About("mailbox", "the IMAP server refused the log-in"),
    MailboxOpened: About("mailbox", "the log-in goes through again"),
    EmailOpened: About("engagement", "`GET /t/o/<token>.gif`, or a click that proves it"),
    LinkClicked: About("engagement", "`GET /t/c/<token>`"),
    WebhookRegistered: About("webhook", "`POST /webhooks`"),
    WebhookChanged: About("webhook", "`PATCH /webhooks/:id`"),
    WebhookSecretRotated: About("webhook", "`POST /webhooks/:id/rotate_secret`"),
    WebhookDisabled: About("webhook", "the endpoint answered 410, or failed for five days"),
    WebhookEnabled: About("webhook", "`PATCH /webhooks/:id` with `disabled_at: null`"),
    WebhookRemoved: About("webhook", "`DELETE /webhooks/:id`"),
    WebhookTestRequested: About("webhook", "`POST /webhooks/:id/test`"),
    WebhookRedeliveryRequested: About("webhook", "`POST /webhooks/:id/deliveries/:id/redeliver`"),
}
