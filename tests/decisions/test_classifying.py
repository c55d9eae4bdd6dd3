"""Given the bytes of a message, what it is: a mail of each class, and nothing that raises."""

import string
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider.reply_watcher.classifying import (
    AutomaticReply,
    Bounce,
    DeliveryNotice,
    FeedbackReport,
    HumanReply,
    OptOut,
    Verdict,
    classify,
    concerns,
)
from outrider.reply_watcher.mail import Mail, parse

OURS = "<0123456789abcdef0123456789abcdef.0a0123456789abcdef@sales.example>"


def mail(body: str, subject: str = "Re: Your invoices", **headers: str) -> Mail:
    """Answer a reply of Bob's to a mail of ours, with these headers besides or instead."""
    usual = {
        "From": "Bob <bob@example.com>",
        "To": "Ann <ann@sales.example>",
        "Date": "Sun, 22 Nov 2026 10:00:00 +0000",
        "Message-ID": "<1@example.com>",
        "In-Reply-To": OURS,
        "Content-Type": "text/plain; charset=utf-8",
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in (usual | {"Subject": subject} | named).items() if value]
    return parse("\r\n".join([*lines, "", body]).encode())


def verdict(body: str, subject: str = "Re: Your invoices", **headers: str) -> Verdict:
    return classify(mail(body, subject, **headers))


def returned(status: str, diagnostic: str, action: str = "failed", original: str = "") -> Mail:
    """Answer a delivery report (RFC 3464) with our message returned."""
    report = f"""This is the mail system at host mx.example.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

{original}Final-Recipient: rfc822; bob@example.com
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {diagnostic}

--b
Content-Type: message/rfc822

From: ann@sales.example
To: bob@example.com
Message-ID: {OURS}

Hello
--b--
"""
    return mail(
        "--b\nContent-Type: text/plain\n\n" + report,
        "Undelivered Mail Returned to Sender",
        From="MAILER-DAEMON@mx.example",
        Return_Path="<>",
        Auto_Submitted="auto-replied",
        In_Reply_To="",
        Content_Type='multipart/report; report-type=delivery-status; boundary="b"',
    )


@pytest.mark.parametrize(
    ("status", "diagnostic", "kind", "reason"),
    [
        ("5.1.1", "550 5.1.1 <bob@example.com>: User unknown", "hard", "user_unknown"),
        ("5.1.1", "550 5.1.1 The email account that you tried to reach does not exist", "hard", "user_unknown"),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied", "hard", "user_unknown"),
        ("5.1.2", "Host or domain name not found. Name service error", "hard", "host_unknown"),
        ("5.2.2", "552 5.2.2 The email account that you tried to reach is over quota", "soft", "mailbox_full"),
        ("4.2.2", "452 4.2.2 Mailbox full", "soft", "mailbox_full"),
        (
            "5.7.1",
            "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
            "block",
            "policy",
        ),
        ("5.7.26", "550-5.7.26 This mail has been blocked because the sender is unauthenticated.", "block", "policy"),
        ("5.7.1", "554 5.7.1 Message rejected as spam by Content Filtering.", "block", "content"),
        ("5.3.4", "552 5.3.4 Message size exceeds fixed maximum message size", "soft", "content"),
        ("4.7.28", "421 4.7.28 Our system has detected an unusual rate of mail", "soft", "rate_limited"),
        ("4.4.1", "connect to mx.example[192.0.2.1]:25: Connection timed out", "soft", "expired"),
        ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled", "soft", "suspended"),
        ("5.0.0", "550 no", "soft", "other"),
        ("5.3.0", "5.1.0 - Unknown address error 550-'5.7.1 Access denied'", "block", "policy"),
        ("5.1.1", "550 5.1.1 Refused due to recipient preferences", "soft", "policy"),
        ("5.4.4", "Name service error for domain example.com: Host not found, try again", "soft", "host_unknown"),
        ("5.0.0", "550 mx.example.com does not exist", "hard", "host_unknown"),
        ("5.0.0", "host mx.example.com [192.0.2.1]: 550 : User unknown", "hard", "user_unknown"),
        ("5.6.0", "552 5.6.0 Headers too large", "block", "content"),
        ("5.0.0", "550 You do not have permission to post to this group", "block", "policy"),
    ],
)
def test_a_delivery_report_says_whom_how_badly_and_why(status: str, diagnostic: str, kind: str, reason: str) -> None:
    found = classify(returned(status, diagnostic))
    assert isinstance(found, Bounce)
    assert (found.recipients, found.kind, found.reason) == (("bob@example.com",), kind, reason)
    assert found.status_code == (status if status != "5.3.0" else "5.7.1")


def test_the_returned_message_names_ours() -> None:
    assert returned("5.1.1", "User unknown").candidates[0] == OURS


def test_of_two_addresses_the_one_we_mailed_is_meant() -> None:
    forwarded = returned("5.1.1", "User unknown", original="Original-Recipient: rfc822; robert@example.com\n")
    for mailed in ("bob@example.com", "Robert@example.com"):
        found = classify(forwarded, [mailed])
        assert isinstance(found, Bounce)
        assert found.recipients == (mailed.lower(),)


def test_of_several_recipients_ours_says_why() -> None:
    full = "Final-Recipient: rfc822; eve@example.com\nAction: failed\nStatus: 5.2.2\n\n"
    late = "Final-Recipient: rfc822; joe@example.com\nAction: delayed\nStatus: 4.4.1\n\n"
    several = returned("5.1.1", "User unknown", original=full + late)
    assert classify(several, ["bob@example.com"]) == Bounce(("bob@example.com",), "hard", "5.1.1", "user_unknown")
    assert classify(several, ["eve@example.com"]) == Bounce(("eve@example.com",), "soft", "5.2.2", "mailbox_full")
    assert classify(several, ["joe@example.com"]) == DeliveryNotice("delayed")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("host mx.example.com[192.0.2.1] refused to\n talk to me: 421 no", "block"),
        ("pipe to |/usr/bin/sort bob\n generated by bob@example.com\n template: No such user", "soft"),
        ("SMTP error from remote mail server after end of data:\n host mx.example: 550 User unknown", "soft"),
    ],
)
def test_where_it_failed_says_whom_the_words_mean(said: str, kind: str) -> None:
    body = f"A message could not be delivered:\n  bob@example.com\n{said}"
    found = verdict(body, "Mail delivery failed", From="mailer-daemon@mx.example", In_Reply_To="")
    assert isinstance(found, Bounce)
    assert (found.recipients, found.kind) == (("bob@example.com",), kind)


def test_a_report_whose_header_lost_its_parts_is_read() -> None:
    report = """This is a MIME-encapsulated message

--b.1480038548/mx.example

The following address failed.

--b.1480038548/mx.example
Content-Type: message/delivery-status

Final-Recipient: rfc822; bob@example.com
Action: failed
Status: 5.1.1

--b.1480038548/mx.example--
"""
    found = verdict(report, "Returned mail", From="MAILER-DAEMON@mx.example", In_Reply_To="", Content_Type="")
    assert found == Bounce(("bob@example.com",), "hard", "5.1.1", "user_unknown")


@pytest.mark.parametrize(
    ("action", "kind"), [("delayed", "delayed"), ("delivered", "delivered"), ("relayed", "relayed")]
)
def test_a_report_without_a_failure_is_no_bounce(action: str, kind: str) -> None:
    assert classify(returned("4.4.1" if action == "delayed" else "2.0.0", "queued", action)) == DeliveryNotice(kind)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (
            "550 5.1.1 no such user\n\n--- copy of your message ---\nTo: bob@example.com",
            {"X_Failed_Recipients": "bob@example.com"},
        ),
        ("<bob@example.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy.", {}),
        ("Your message to bob@example.com could not be delivered: user unknown.", {"Return_Path": "<>"}),
    ],
)
def test_a_bounce_in_words_is_one_too(body: str, headers: dict[str, str]) -> None:
    found = verdict(body, "failure notice", From="MAILER-DAEMON@mx.example", In_Reply_To="", **headers)
    assert isinstance(found, Bounce)
    assert (found.recipients, found.kind, found.reason) == (("bob@example.com",), "hard", "user_unknown")


def test_a_warning_in_words_is_no_bounce() -> None:
    body = "Delivery to bob@example.com has been delayed. We will continue to try for 3 days; do not resend."
    assert verdict(body, "Delayed mail", From="postmaster@mx.example") == DeliveryNotice("delayed")


def test_a_read_receipt_is_no_reply() -> None:
    told = "--b\nContent-Type: message/disposition-notification\n\nDisposition: x\n--b--"
    body = f"--b\nContent-Type: text/plain\n\nRead.\n{told}"
    kind = 'multipart/report; report-type=disposition-notification; boundary="b"'
    assert verdict(body, "Read: Your invoices", Content_Type=kind) == DeliveryNotice("delivered")


def test_a_feedback_report_names_who_complained() -> None:
    body = (
        "--b\nContent-Type: text/plain\n\nAn abuse report.\n--b\nContent-Type: message/feedback-report\n\n"
        "Feedback-Type: abuse\nOriginal-Rcpt-To: <bob@example.com>\n\n--b\nContent-Type: message/rfc822\n\n"
        f"To: bob@example.com\nMessage-ID: {OURS}\n\nHello\n--b--\n"
    )
    kind = 'multipart/report; report-type=feedback-report; boundary="b"'
    report = mail(body, "FW: Hello", From="fbl@provider.example", In_Reply_To="", Content_Type=kind)
    assert classify(report) == FeedbackReport("bob@example.com")
    assert report.candidates[0] == OURS


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        ("Re: Your invoices", {"Auto_Submitted": "auto-replied"}),
        ("Re: Your invoices", {"Auto_Submitted": "auto-replied (vacation)", "Return_Path": "<>"}),
        ("Re: Your invoices", {"X_Autoreply": "yes"}),
        ("Re: Your invoices", {"X_Autorespond": "Away", "Precedence": "bulk"}),
        ("Re: Your invoices", {"Precedence": "auto_reply"}),
        ("Automatic reply: Your invoices", {"X_Auto_Response_Suppress": "All"}),
        ("Automatische Antwort: Ihre Rechnungen", {}),
        ("Réponse automatique : Vos factures", {"Return_Path": "<>"}),
        ("Respuesta automática: Sus facturas", {}),
        ("自動応答: 請求書", {}),
        ("自动回复: 发票", {}),
    ],
)
def test_an_automatic_reply_is_known_by_its_header(subject: str, headers: dict[str, str]) -> None:
    assert isinstance(verdict("Thank you for your mail.", subject, **headers), AutomaticReply)


@pytest.mark.parametrize(
    ("headers", "subject"),
    [
        ({"Precedence": "bulk"}, "Re: Your invoices"),
        ({"Auto_Submitted": "no"}, "Re: Your invoices"),
        ({"X_Auto_Response_Suppress": "All"}, "Re: Your invoices"),
        ({}, "Re: Automatic reply: Your invoices"),
        ({}, "Out of office next week?"),
        ({}, "Vacation plans"),
    ],
)
def test_one_weak_sign_does_not_make_a_program_of_a_person(headers: dict[str, str], subject: str) -> None:
    assert isinstance(verdict("Let us talk about it.", subject, **headers), HumanReply)


@pytest.mark.parametrize(
    ("body", "day"),
    [
        ("I am out of the office until December 4.", date(2026, 12, 4)),
        ("I am away and will be back on 4 January.", date(2027, 1, 4)),
        ("I am out of office from 11/20/2026 to 11/27/2026, returning on 11/30/2026.", date(2026, 11, 30)),
        ("Ich bin bis zum 04.12.2026 nicht im Büro.", date(2026, 12, 4)),
        ("Ich bin ab dem 7. Dezember wieder erreichbar.", date(2026, 12, 7)),
        ("Je suis absent jusqu'au 4 décembre.", date(2026, 12, 4)),
        ("Estaré fuera de la oficina hasta el 4 de diciembre de 2026.", date(2026, 12, 4)),
        ("Estou ausente até 4 de dezembro.", date(2026, 12, 4)),
        ("Sono fuori ufficio fino al 4 dicembre.", date(2026, 12, 4)),
        ("Ik ben afwezig tot en met 4 december.", date(2026, 12, 4)),
        ("Jestem nieobecny do 4 grudnia.", date(2026, 12, 4)),
        ("12月4日まで休暇をいただいております。", date(2026, 12, 4)),
        ("Absent jusqu'au 05/01/2027.", date(2027, 1, 5)),
        ("我不在办公室,直到2026年12月4日。", date(2026, 12, 4)),
        ("Back on 2026-12-04.", date(2026, 12, 4)),
        ("Back on 04/12/2026.", date(2026, 12, 4)),
        ("Back on 05/01/2027.", None),
        ("I am away. Call +49 30 1234-5678 until I am back.", None),
        ("I was away until November 3.", None),
    ],
)
def test_the_day_of_return_is_read_where_it_is_clear(body: str, day: date | None) -> None:
    found = verdict(body, Auto_Submitted="auto-replied")
    assert isinstance(found, AutomaticReply)
    assert found.returns_on == day


@pytest.mark.parametrize(
    ("stated", "day"),
    [("2026-12-04", date(2026, 12, 4)), ("2026-13-45", None), ("2099-12-31", None)],
)
def test_the_day_that_apple_mail_states_is_taken_where_it_is_one_within_a_year(stated: str, day: date | None) -> None:
    found = verdict("Away.", Auto_Submitted="auto-replied", X_Apple_Criteria=f"startDate=2026-11-01;endDate={stated}")
    assert isinstance(found, AutomaticReply)
    assert found.returns_on == day


@pytest.mark.parametrize(
    "body",
    [
        "STOP",
        "Unsubscribe.",
        "please remove me",
        "Please remove me from your mailing list.\n\nBob",
        "Hi, please take me off your list. Thanks",
        "Stop emailing me!",
        "Do not contact me again.",
        "Bitte abmelden",
        "Bitte nehmen Sie mich aus Ihrem Verteiler.",
        "Schreiben Sie mir nicht mehr.",
        "Désabonnez-moi s'il vous plaît",
        "Por favor, no me escriban más",
        "Cancellatemi dalla lista",
        "Uitschrijven graag",
        "Proszę usunąć? Wypisz mnie.",
        "配信停止してください",
        "请勿再发",
        "Unsubscribe\n\nOn Sun, Nov 22, 2026 at 9:00 AM Ann <ann@sales.example> wrote:\n> Hello Bob,\n> are you well?",
    ],
)
def test_who_asks_to_be_left_alone_opts_out(body: str) -> None:
    assert verdict(body) == OptOut()


@pytest.mark.parametrize(
    "body",
    [
        "Stop by my office tomorrow.",
        "Don't stop now, this is good.",
        "How do your customers unsubscribe from the reminders?",
        "Please remove the second invoice from the list.",
        "Yes.\n\n> Reply STOP to unsubscribe",
        "Sounds good.\n\nOn Sun, Nov 22, 2026 at 9:00 AM Ann <ann@sales.example> wrote:\n> unsubscribe me",
        "We had to remove me from the rota, so let us talk on Friday.",
    ],
)
def test_who_speaks_of_it_in_passing_does_not(body: str) -> None:
    assert isinstance(verdict(body), HumanReply)


def test_a_reply_shows_what_its_writer_wrote() -> None:
    quote = "On Sun, Nov 22, 2026 at 9:00 AM Ann <ann@sales.example> wrote:\n> Hello Bob,\n> shall we?"
    assert verdict(f"Yes, gladly.\nCall me.\n\n{quote}") == HumanReply("Re: Your invoices", "Yes, gladly. Call me.")


def test_a_snippet_is_short_and_html_is_read() -> None:
    found = verdict(f"<html><body><p>Dear Ann,</p><p>{'well ' * 100}</p></body></html>", Content_Type="text/html")
    assert isinstance(found, HumanReply)
    assert found.snippet.startswith("Dear Ann, well well")
    assert len(found.snippet) == 200


def test_a_forwarded_bounce_is_a_persons_mail() -> None:
    body = "Look what I got:\n\n> Your message to x@example.com could not be delivered. 550 5.1.1 User unknown"
    assert isinstance(verdict(body, "Fwd: Undelivered Mail Returned to Sender"), HumanReply)


def test_headers_are_read() -> None:
    read = mail("Hello", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", References=f"<0@x.example>\r\n {OURS}", X_GM_THRID="17")
    assert (read.message_id, read.sender, read.recipients) == (
        "<1@example.com>",
        "bob@example.com",
        ("ann@sales.example",),
    )
    assert (read.subject, read.thread) == ("Grüße", "17")
    assert read.candidates == (OURS, "<0@x.example>")
    assert read.sent_at
    assert read.sent_at.isoformat() == "2026-11-22T10:00:00+00:00"


def test_an_own_id_without_brackets_is_found_in_the_text() -> None:
    assert OURS in mail(f"Message-ID: {OURS[1:-1]}", In_Reply_To="").candidates


def test_the_header_alone_tells_whether_a_body_is_worth_reading() -> None:
    assert concerns(returned("5.1.1", "User unknown"))
    assert concerns(mail("", Auto_Submitted="auto-replied"))
    assert not concerns(mail(""))


HEADERS = st.sampled_from(
    [
        "From", "To", "Subject", "Date", "References", "Content-Type", "Content-Transfer-Encoding", "Auto-Submitted",
        "Return-Path", "X-Failed-Recipients", "Action", "Status", "Final-Recipient", "Feedback-Type",
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"multipart/report; report-type=delivery-status; boundary=b", b"message/delivery-status", b"<>",
            b"text/html",
            b"message/rfc822", b"message/feedback-report", b"base64", b"text/plain; charset=nonsense", b"uuencode",
            b"MAILER-DAEMON", b"=?utf-8?b?/////?=", b"=?nonsense?q?=ff?=", b"failed", b"Undelivered mail", b'"@<@,;:',
            b"Thu, 99 Foo 20266 99:99:99 +9999", b'multipart/mixed; boundary=""',
        ]
    ),
)  # fmt: skip


@given(st.lists(st.tuples(HEADERS, VALUES), max_size=8), st.lists(VALUES, max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(headers: list[tuple[str, bytes]], body: list[bytes]) -> None:
    head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
    read = parse(head + b"\r\n" + b"\r\n--b\r\n".join(body))
    assert isinstance(classify(read), Verdict)
    assert read.candidates is not None
    assert concerns(read) in (True, False)


@given(st.binary(max_size=400) | st.text(string.printable, max_size=400).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_garbage_is_a_reply_or_a_notice_and_never_an_error(raw: bytes) -> None:
    assert len(parse(raw).snippet) <= 200
    assert isinstance(classify(parse(raw)), Verdict)
