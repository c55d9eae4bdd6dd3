"""Decisions about webhooks, how deliveries are signed and retried, and which addresses they may reach."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from outrider.api.webhook import (
    MOST_FORMER,
    Webhook,
    ask,
    change,
    disable,
    former_secrets,
    register,
    remove,
    rotate,
    still_signing,
    webhook,
)
from outrider.api.webhooks import patience, signing
from outrider.events.errors import Refused
from outrider.events.message import Event, Json
from outrider.events.testing import given
from outrider.events.webhook import (
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookIsDisabled,
    WebhookNotFound,
    WebhookRegistered,
    WebhookRemoved,
    WebhookSecretRotated,
    WebhookTestRequested,
)

ID = UUID("0190b7a4-0000-7000-8000-000000000901")
REGISTERED = WebhookRegistered(webhook_id=ID, event_filters=("*",))
DISABLED = WebhookDisabled(webhook_id=ID, reason="gone")
ENABLED = WebhookEnabled(webhook_id=ID)
REMOVED = WebhookRemoved(webhook_id=ID)
TEST = WebhookTestRequested(webhook_id=ID, test_id=ID)
ROTATED = WebhookSecretRotated(webhook_id=ID, former_until=datetime(2026, 3, 3, tzinfo=UTC))
Decide = Callable[[Webhook], Sequence[Event]]


def changing(filters: tuple[str, ...] | None = None, *, url: bool = False, enable: bool = False) -> Decide:
    return lambda state: change(ID, filters, url_changed=url, enable=enable, state=state)


def test_a_webhook_stands_once_it_is_registered() -> None:
    given(webhook).when(partial(register, REGISTERED)).then(REGISTERED)
    given(webhook, REGISTERED).when(partial(register, REGISTERED)).then()


def test_only_what_is_different_is_a_change() -> None:
    given(webhook, REGISTERED).when(changing(("*",))).then()
    changed = WebhookChanged(webhook_id=ID, event_filters=("enrollment.*",), url_changed=False)
    given(webhook, REGISTERED).when(changing(("enrollment.*",))).then(changed)
    moved = WebhookChanged(webhook_id=ID, event_filters=("*",), url_changed=True)
    given(webhook, REGISTERED).when(changing(url=True)).then(moved)
    given(webhook, REGISTERED, DISABLED).when(changing(enable=True)).then(ENABLED)
    given(webhook, REGISTERED).when(changing(enable=True)).then()


def test_a_disabled_webhook_is_disabled_once_and_delivers_nothing() -> None:
    given(webhook, REGISTERED).when(partial(disable, ID, "gone")).then(DISABLED)
    given(webhook, REGISTERED, DISABLED).when(partial(disable, ID, "failing")).then()
    given(webhook, REGISTERED, DISABLED).when(partial(ask, TEST)).refused(WebhookIsDisabled)
    given(webhook, REGISTERED, DISABLED, ENABLED).when(partial(ask, TEST)).then(TEST)


def test_nothing_is_left_of_a_removed_webhook() -> None:
    given(webhook, REGISTERED).when(partial(remove, ID)).then(REMOVED)
    given(webhook, REGISTERED, REMOVED).when(partial(remove, ID)).then()
    given(webhook, REGISTERED, REMOVED).when(partial(disable, ID, "gone")).then()
    for decide in (changing(url=True), partial(rotate, ROTATED), partial(ask, TEST)):
        given(webhook, REGISTERED, REMOVED).when(decide).refused(WebhookNotFound)


HISTORY = st.lists(st.sampled_from([REGISTERED, DISABLED, ENABLED, REMOVED, ROTATED, TEST]), max_size=8)
DECISIONS = st.sampled_from([
    partial(register, REGISTERED),
    changing(("campaign.*",), enable=True),
    partial(disable, ID, "failing"),
    partial(remove, ID),
])  # fmt: skip


@examples(history=HISTORY, decide=DECISIONS)
def test_the_same_again_records_nothing(history: list[Event], decide: Decide) -> None:
    state = webhook.fold(history)
    try:
        state = webhook.fold(decide(state), state)
        assert not decide(state)
    except Refused:
        assert not state.stands


def verified(secret: str, body: bytes, headers: dict[str, str]) -> Any:  # noqa: ANN401  # JSON
    return Verifier(secret).verify(body.decode(), headers)


def test_a_delivery_verifies_by_the_standard_under_the_new_secret_and_the_former() -> None:
    new, former, other = signing.new_secret(), signing.new_secret(), signing.new_secret()
    body = json.dumps({"type": "enrollment.sent", "name": "Zoë"}).encode()
    headers = dict(signing.headers([new, former], "id-1", datetime.now(UTC), body))
    assert verified(new, body, headers) == verified(former, body, headers) == json.loads(body)
    for secret, text in ((other, body), (new, body + b" ")):
        with pytest.raises(WebhookVerificationError):
            verified(secret, text, headers)


def test_a_former_secret_signs_for_a_day_however_often_it_is_rotated_meanwhile() -> None:
    endpoint: Json = {"sealed": {"secret": "0"}}
    start, hour = datetime(2026, 3, 2, tzinfo=UTC), timedelta(hours=1)
    for number in range(1, 4):
        endpoint = {"sealed": {"secret": str(number)}, "former": former_secrets(endpoint, start + 10 * number * hour)}

    def signs(hours: int) -> list[str]:
        return [one["sealed"]["secret"] for one in still_signing(endpoint, start + hours * hour)]

    assert (signs(33), signs(34), signs(44), signs(54)) == (["2", "1", "0"], ["2", "1"], ["2"], [])
    for number in range(9):
        endpoint = {"sealed": {"secret": str(number)}, "former": former_secrets(endpoint, start)}
    assert len(still_signing(endpoint, start)) == MOST_FORMER


def test_eight_attempts_take_about_28_hours() -> None:
    assert patience.ATTEMPTS == 8
    for lot in (0.0, 0.5, 1.0):
        seconds = [patience.delay_seconds(attempts, lot) or 0 for attempts in range(1, 8)]
        assert seconds == sorted(seconds)
        assert 24 < sum(seconds) / 3600 < 31
    assert patience.delay_seconds(8, 0.5) is None


def test_what_fails_again_and_again_rests_longer_but_never_over_a_minute() -> None:
    assert [patience.rest_seconds(failures) for failures in (1, 4, 5, 6, 9, 10, 2000)] == [0, 0, 2, 4, 32, 60, 60]
