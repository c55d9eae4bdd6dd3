"""Given synthetic mail in ten languages: programs are told from people, opt-outs from other words."""

import time

import pytest

from outrider.reply_watcher.classifying import AutomaticReply, HumanReply, OptOut, classify
from outrider.reply_watcher.mail import parse
from tests.inbound_scores.synthetic_classifying import automatic_replies, dated_texts, human_replies, opt_outs


def test_automatic_replies_of_every_vendor_are_known() -> None:
    missed = [one.name for one in automatic_replies() if not isinstance(classify(parse(one.raw)), AutomaticReply)]
    assert missed == []


def test_the_day_of_return_is_read_in_every_language() -> None:
    wrong = [one.name for one in dated_texts() if classify(parse(one.raw)) != AutomaticReply(one.day)]
    assert wrong == []


def test_wishes_to_be_left_alone_are_known() -> None:
    missed = [one.name for one in opt_outs() if not isinstance(classify(parse(one.raw)), OptOut)]
    assert missed == []


def test_people_who_come_near_to_them_are_left_alone() -> None:
    taken = [one.name for one in human_replies() if not isinstance(classify(parse(one.raw)), HumanReply)]
    assert taken == []


@pytest.mark.parametrize("end", ["です", "お願いします", "thanks ", "la la ", "Anna "])
def test_a_wish_with_a_long_tail_is_read_at_once(end: str) -> None:
    head = b"From: bob@example.com\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    began = time.process_time()
    classify(parse(head + f"配信を停止してください。Unsubscribe me {end * (230 // len(end))}x".encode()))
    assert time.process_time() - began < 3


@pytest.mark.parametrize("line", [b"a\n", b"\n\n", b"<a@b.c>\n", b"550 5.1.1 \n", b"user ", b"\xe4\xb8\x8d"])
def test_no_mail_takes_long(line: bytes) -> None:
    """As much as is fetched of one message (128 KiB): processor time, and much more of it than is needed."""
    head = b"From: MAILER-DAEMON@mx.example\r\nReturn-Path: <>\r\nSubject: Delivery failure\r\n\r\n"
    raw = head + line * (131_072 // len(line))
    began = time.process_time()
    classify(parse(raw), ["bob@example.com"])
    assert time.process_time() - began < 3
