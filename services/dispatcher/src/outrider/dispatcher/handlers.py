"""Which command goes where: the table of contents of the dispatcher."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from outrider.dispatcher.desk import Desk
from outrider.dispatcher.handlers_campaigns import (
    on_change_campaign,
    on_create_campaign,
    on_delete_campaign,
    on_pause,
    on_resume,
)
from outrider.dispatcher.handlers_contacts import on_add_contact, on_change_contact, on_delete_contact, on_erase_contact
from outrider.dispatcher.handlers_credentials import (
    on_add_credential,
    on_change_credential,
    on_reenable,
    on_remove_credential,
)
from outrider.dispatcher.handlers_enrolling import (
    on_delete_enrollment,
    on_dispatch,
    on_enroll_contact,
    on_enroll_import,
)
from outrider.dispatcher.handlers_outreaches import on_change_outreach, on_create_outreach, on_delete_outreach
from outrider.dispatcher.handlers_people import (
    on_change_plan,
    on_close_account,
    on_delete_import,
    on_fail_import,
    on_import_contacts,
    on_issue_key,
    on_open_account,
    on_revoke_key,
    on_unsubscribe,
)
from outrider.dispatcher.handlers_steps import on_add_step, on_change_step, on_delete_step
from outrider.dispatcher.handlers_suppressions import on_suppress, on_unsuppress
from outrider.events.account import ChangePlan, CloseAccount, IssueApiKey, OpenAccount, RevokeApiKey
from outrider.events.campaign import (
    AddStep,
    ChangeCampaign,
    ChangeStep,
    CreateCampaign,
    DeleteCampaign,
    DeleteEnrollment,
    DeleteStep,
    DispatchBatch,
    EnrollContact,
    EnrollImport,
    PauseCampaign,
    ResumeCampaign,
)
from outrider.events.commands import Answer
from outrider.events.contact import (
    AddContact,
    ChangeContact,
    DeleteContact,
    DeleteImport,
    EraseContact,
    FailImport,
    ImportContacts,
    MergeContact,
    SuppressAddress,
    UnsubscribeContact,
    UnsuppressAddress,
)
from outrider.events.credential import AddCredential, ChangeCredential, ReenableCredential, RemoveCredential
from outrider.events.drain import Drain
from outrider.events.message import Command
from outrider.events.outreach import ChangeOutreach, CreateOutreach, DeleteOutreach

Handler = Callable[[Any], Awaitable[Answer]]


def handlers(desk: Desk, drains: Mapping[str, Drain]) -> dict[type[Command], Handler]:
    """Every command of this service with the function that carries it out."""
    return {
        OpenAccount: partial(on_open_account, desk),
        ChangePlan: partial(on_change_plan, desk),
        CloseAccount: partial(on_close_account, desk, drains["close_account"]),
        IssueApiKey: partial(on_issue_key, desk),
        RevokeApiKey: partial(on_revoke_key, desk),
        ImportContacts: partial(on_import_contacts, desk, drains["import_chunk"]),
        FailImport: partial(on_fail_import, desk),
        DeleteImport: partial(on_delete_import, desk, drains["delete_import"]),
        AddContact: partial(on_add_contact, desk),
        ChangeContact: partial(on_change_contact, desk),
        MergeContact: partial(on_change_contact, desk),
        DeleteContact: partial(on_delete_contact, desk, drains["stop_contact"]),
        EraseContact: partial(on_erase_contact, desk, drains["stop_contact"]),
        UnsubscribeContact: partial(on_unsubscribe, desk, drains["stop_contact"]),
        SuppressAddress: partial(on_suppress, desk),
        UnsuppressAddress: partial(on_unsuppress, desk),
        CreateOutreach: partial(on_create_outreach, desk),
        ChangeOutreach: partial(on_change_outreach, desk),
        DeleteOutreach: partial(on_delete_outreach, desk),
        CreateCampaign: partial(on_create_campaign, desk),
        ChangeCampaign: partial(on_change_campaign, desk),
        DeleteCampaign: partial(on_delete_campaign, desk, drains["delete_campaign"]),
        EnrollImport: partial(on_enroll_import, desk, drains["enroll_chunk"]),
        EnrollContact: partial(on_enroll_contact, desk),
        DeleteEnrollment: partial(on_delete_enrollment, desk),
        DispatchBatch: partial(on_dispatch, desk, drains["plan_batch"]),
        ChangeStep: partial(on_change_step, desk),
        AddStep: partial(on_add_step, desk),
        DeleteStep: partial(on_delete_step, desk),
        PauseCampaign: partial(on_pause, desk),
        ResumeCampaign: partial(on_resume, desk),
        AddCredential: partial(on_add_credential, desk),
        ChangeCredential: partial(on_change_credential, desk),
        RemoveCredential: partial(on_remove_credential, desk),
        ReenableCredential: partial(on_reenable, desk),
    }
