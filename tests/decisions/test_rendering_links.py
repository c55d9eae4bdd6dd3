"""Links are found as browsers find them, and whatever a body is, in linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider.events.rendering_links import MOST_LINKS, lead_links


def led(body_html: str) -> str:
    return lead_links(body_html, lambda number, target: f"{number}|{target}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<a href="https://x.y/">x</a>', '<a href="1|https://x.y/">x</a>'),
        ("<A class=b HREF=http://x.y>q</A>", '<A class=b HREF="1|http://x.y">q</A>'),
        ("<a\nhref = 'HTTPS://x.y'>", '<a\nhref = "1|HTTPS://x.y">'),
        ("<a/href=http://x.y/>", '<a/href="1|http://x.y/">'),
        ('<a title=it\'s href="http://x.y">', '<a title=it\'s href="1|http://x.y">'),
        ('<a title="1 > 0" href="http://x.y">', '<a title="1 > 0" href="1|http://x.y">'),
        ('<area shape=rect href="http://x.y">', '<area shape=rect href="1|http://x.y">'),
        ('<a href="http://a"></a><a href="http://b">', '<a href="1|http://a"></a><a href="2|http://b">'),
    ],
)
def test_web_links_are_led_elsewhere(body: str, expected: str) -> None:
    assert led(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        '<a href="mailto:a@b.example">',
        '<a href="tel:+49">',
        '<a href="#top">',
        '<a href="/relative">',
        '<a href="//x.y/">',
        '<a href="javascript:alert(1)">',
        '<a href="http:///path">',
        "<a href>",
        "<a name=href>",
        '<a data-href="http://x.y">',
        '<img src="http://x.y/i.png">',
        '<abbr href="http://x.y">',
        '<link href="http://x.y">',
        '<!--[if mso]><a href="http://x.y"></a><![endif]-->',
        '<a href="http://x.y',
        "http://x.y",
        '<a href="http://m\u00fcller.example/">',
    ],
)
def test_everything_else_is_left_as_it_is(body: str) -> None:
    assert led(body) == body


def test_of_two_targets_the_first_holds_as_in_a_browser() -> None:
    body = "<a href=x href='http://z.y'>"
    assert led(body) == body


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://x.y/?a=1&amp;b=2", "https://x.y/?a=1&b=2"),
        ("https://x.y/?a=1&copy=2&lt=3", "https://x.y/?a=1&copy=2&lt=3"),
        ("https://x.y/&#x41;&#66;", "https://x.y/AB"),
        (" https://x.y/a\n b ", "https://x.y/a%20b"),
        ("https://x.y/\u00e4?\u20ac#%41", "https://x.y/%C3%A4?%E2%82%AC#%41"),
    ],
)
def test_a_target_is_what_a_browser_would_ask_for(written: str, meant: str) -> None:
    found: list[str] = []

    def keep(_: int, target: str) -> None:
        found.append(target)

    lead_links(f'<a href="{written}">', keep)
    assert found == [meant]


def test_a_target_cannot_break_out_of_its_quotes() -> None:
    body = lead_links("<a href='http://x.y/\"onclick=\"evil()'>", lambda _, target: target)
    assert body == '<a href="http://x.y/&quot;onclick=&quot;evil()">'


def test_links_beyond_the_most_are_left_as_they_are() -> None:
    body = led('<a href="http://x.y">' * (MOST_LINKS + 5))
    assert body.count("|") == MOST_LINKS


@given(st.text("<a href='\"=!->/ht:p.x\n", max_size=200))
def test_what_is_no_link_stands_unchanged(body: str) -> None:
    assert lead_links(body, lambda _, __: None) == body


@pytest.mark.parametrize(
    "piece", ["<a ", "<a href=", "<a href='", "<!--", "<a x=", "<a \n", "<a b='", "<a href=http://x>", "<a/"]
)
def test_a_body_that_is_made_to_last_takes_linear_time(piece: str) -> None:
    def seconds(times: int) -> float:
        began = time.process_time()
        led(piece * times)
        return time.process_time() - began

    seconds(1000)
    assert seconds(16_000) < 32 * max(seconds(2_000), 0.0005)  # linear is 8 times as long, quadratic 64 times
