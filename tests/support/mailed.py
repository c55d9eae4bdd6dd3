"""A campaign whose message was accepted, as the log would have it: for tests that run no sender."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx

from outrider.events.clock import real_clock
from outrider.events.database import connect
from outrider.events.delivery import DeliveryEvent, DeliveryStarted, EmailSent
from outrider.events.ids import delivery_id, new_id
from outrider.events.log import Log, Write
from tests.support.http import CREDENTIAL, STEP
from tests.support.system import System


async def mailed(
    gateway: System, client: httpx.AsyncClient, ago: timedelta, *, accepted: bool = True
) -> tuple[str, UUID]:
    """A campaign whose one message was accepted so long ago, or is on its way since; its path, and the message."""
    rows = [{"email": f"{new_id()}@tracking.example"}]
    people = (await client.post("/contact_imports", json={"contact_import": {"name": "One", "contacts": rows}})).json()
    body = {"campaign": {"name": "Tracked", "smtp_credentials": [CREDENTIAL], "sequence_steps": [STEP]}}
    path = f"/campaigns/{(await client.post('/campaigns', json=body)).json()['id']}"
    await client.post(f"{path}/enroll", json={"contact_import_id": people["id"]})
    await client.post(f"{path}/dispatch")
    one = (await client.get(f"{path}/enrollments")).json()[0]
    enrollment = UUID(one["id"])
    said = DeliveryEvent(
        delivery_id=delivery_id(enrollment, 1),
        enrollment_id=enrollment,
        campaign_id=UUID(path.rpartition("/")[2]),
        contact_id=UUID(one["contact_id"]),
        credential_id=UUID(one["smtp_credential_id"]),
        position=1,
        attempt=1,
    ).model_dump()
    at = datetime.now(UTC) - ago
    begun = DeliveryStarted(**said, claim=new_id(), day=at.date(), counted=True, template_version=1, planned_at=at)
    sent = EmailSent(**said, planned_at=at, sent_at=at, status_code="250")
    events = (begun, sent) if accepted else (begun,)
    position = await record(gateway, client, f"delivery-{said['delivery_id']}", *events)
    await client.get("/account", headers={"Outrider-Min-Position": str(position)})
    return path, said["delivery_id"]


async def record(gateway: System, client: httpx.AsyncClient, stream: str, *events: DeliveryEvent) -> int:
    """What the sender would have recorded; the position."""
    pool = await connect(gateway.site.role_urls()["outrider_sender"], "log", size=1)
    try:
        account = UUID((await client.get("/account")).json()["id"])
        verdict = await Log(pool, real_clock()).append(account, Write(stream, 0, events, new_id()))
        return verdict.position
    finally:
        await pool.close()
