"""Templates say what is wrong with them, escape what they must, and cannot hang."""

import html
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider.events.rendering import (
    LARGEST_SAMPLE,
    BadTemplate,
    CannotRender,
    Merge,
    Scalar,
    add_pixel,
    check,
    compile_step,
    sample,
)
from outrider.events.rendering_text import text_of

ADA = Merge(first_name="Ada", company="Lovelace & Sons", custom={"role": "CTO", "job title": "Dr.", "seats": 7})
SECONDS = 5.0
"""Far above what any of these takes: the alternative is minutes."""


def rendered(source: str, merge: Merge = ADA) -> str:
    """The source as a plain-text body."""
    assert check("s", "h", source) == []
    return compile_step("s", "h", source).render(merge).text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hi {{first_name}} of {{ company }}", "Hi Ada of Lovelace & Sons"),
        ('{{ first_name | default: "there" }}', "Ada"),
        ("{{custom.role}}, {{ custom['job title'] }}, {{ custom.none }}.", "CTO, Dr., ."),
        ("{% if company %}at {{ company }}{% else %}at yours{% endif %}", "at Lovelace & Sons"),
        ("{% unless last_name %}no{% endunless %}{{ first_name.size }}{{ custom.role.size }}", "no33"),
        ("{% case custom.role %}{% when 'CTO' %}chief{% else %}other{% endcase %}", "chief"),
        ("{% assign x = custom.seats | times: 2 %}{{ x }}{% if custom.seats > 5 %}!{% endif %}", "14!"),
        ("{% capture x %}{{ first_name }}{% endcapture %}{{ x | upcase }}", "ADA"),
        ("{{ company | split: ' ' | first }}", "Lovelace"),
        ("{% comment %}{{ nothing }}{% endcomment %}{% raw %}{{ nothing }}{% endraw %}", "{{ nothing }}"),
        ("no tags } at { all %} }}", "no tags } at { all %} }}"),
    ],
)
def test_a_template_says_what_it_should(source: str, text: str) -> None:
    assert rendered(source) == text


@pytest.mark.parametrize("nobody", [Merge(), Merge(first_name="", company="", custom={"role": ""})])
def test_a_missing_or_empty_value_is_empty_and_false(nobody: Merge) -> None:
    source = "[{{first_name}}{{custom.role}}]{{ first_name | default: 'there' }}{% if company %}never{% endif %}"
    assert rendered(source, nobody) == "[]there"


def test_values_are_escaped_in_html_alone() -> None:
    template = compile_step("{{first_name}}", "<p>{{first_name}}</p>", "{{first_name}}")
    made = template.render(Merge(first_name="<b>\"A\" & 'B'</b>"))
    assert made.html == "<p>&lt;b&gt;&#34;A&#34; &amp; &#39;B&#39;&lt;/b&gt;</p>"
    assert made.subject == made.text == "<b>\"A\" & 'B'</b>"


@pytest.mark.parametrize(
    "filters", ["escape", "escape_once", "append: '<i>' | replace: 'i', 'b'", "url_decode", "strip"]
)
def test_no_filter_undoes_the_escaping_of_a_value(filters: str) -> None:
    source = "{% capture x %}{{ first_name }}{% endcapture %}{{ first_name | F }}{{ x | F }}".replace("F", filters)
    assert check("s", source) == []
    assert "<script" not in compile_step("s", source).render(Merge(first_name="%3Cscript%3E<script>")).html


@given(st.text(st.characters(codec="utf-8")))
def test_no_value_breaks_out(value: str) -> None:
    made = compile_step("a{{custom.x}}b", "<p>{{custom.x}}</p>", "{{custom.x}}").render(Merge(custom={"x": value}))
    assert made.text == value.replace("\r\n", "\n").replace("\r", "\n")
    assert html.unescape(made.html[3:-4]) == html.unescape(html.escape(made.text))
    assert not set(made.html[3:-4]) & set("<>\"'")
    assert (made.subject.splitlines(), made.subject.isprintable()) == ([made.subject], made.subject.isprintable())
    assert "\0" not in made.subject


def test_a_subject_is_one_line() -> None:
    made = compile_step("Hi {{first_name}}\n", "h").render(Merge(first_name="A\r\nBcc: x@y.z\0\x85\u2028B"))
    assert made.subject == "Hi A Bcc: x@y.z   B"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Hi\n {{ firstname }}", "line 2, column 5: unknown field 'firstname'"),
        ("{{ custom }}", "line 1, column 4: unknown field 'custom'"),
        ("{{ custom.a.b }}", "line 1, column 4: unknown field 'custom.a.b'"),
        ("{{ custom[first_name] }}", "line 1, column 4: unknown field 'custom.[...]'"),
        ("{{ first_name | append: now }}", "line 1, column 25: unknown field 'now'"),
        ("{{ first_name | shout }}", "line 1, column 17: unknown filter 'shout'"),
        ("{{ first_name | safe }}", "line 1, column 17: unknown filter 'safe'"),
        ("{% if company %}", "line 1, column 1: expected tag endif"),
        ("{% endif %}", "line 1, column 4: unexpected tag 'endif'"),
        ("a {{ first_name", "line 1, column 3: {{ is never closed"),
        ("a {% if", "line 1, column 3: {% is never closed"),
        ("{{ first_name last_name }}", "line 1, column 15: expected end of expression"),
        ("{% include 'x' %}", "line 1, column 4: unexpected tag 'include'"),
        ("{% for x in company %}{% endfor %}", "line 1, column 4: unexpected tag 'for'"),
        ("{{ (1..3) | join }}", "line 1, column 4: ranges are not allowed"),
        ("{% if (1..9) contains 'x' %}{% endif %}", "line 1, column 7: ranges are not allowed"),
        ("{{ 100 | divided_by: custom.n }}", "line 1, column 10: divided_by: can't divide by 0"),
    ],
)
def test_a_broken_template_says_where(source: str, message: str) -> None:
    for problems, where in (
        (check(source, "h"), "subject"),
        (check("s", source), "body_html"),
        (check("s", "h", source), "body_text"),
    ):
        assert [one.field for one in problems] == [where]
        assert problems[0].message.startswith(message)


def test_all_problems_of_a_step_are_told_at_once() -> None:
    problems = check("{{a}} {{b}}", "{{c", "{{ email | d }}")
    assert [one.field for one in problems] == ["subject", "subject", "body_html", "body_text"]
    with pytest.raises(BadTemplate) as refused:
        compile_step("{% if", "{{c", "t")
    assert [one.field for one in refused.value.problems] == ["subject", "body_html"]


def test_the_unsubscribe_link_stands_in_bodies_only() -> None:
    assert [one.field for one in check("{{unsubscribe_url}}", "{{unsubscribe_url}}", "{{unsubscribe_url}}")] == [
        "subject"
    ]


def test_a_contact_whose_values_do_not_go_with_the_template_gets_nothing() -> None:
    template = compile_step("s", "{% if custom.seats > 5 %}many{% endif %}")
    assert check("s", "{% if custom.seats > 5 %}many{% endif %}") == []
    with pytest.raises(CannotRender) as refused:
        template.render(Merge(custom={"seats": "hush"}))
    assert refused.value.problem.field == "body_html"
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "source",
    [
        "{{ " * 100_000,
        "{{" + " " * 100_000 + "}}",
        "{% if" + " " * 100_000,
        "{{ first_name }}" * 50_000,
        "{{" + " a" * 50_000 + "}}",
        "{% raw %}" * 400,
        "{% assign x = 'aaaaaaaa' %}" + "{% assign x = x | append: x %}" * 60 + "{{ x }}",
        "{% assign x = 'aaaaaaaa' %}" + "{% assign x = x | replace: 'a', x %}" * 60,
        "{% assign x = 'aaaaaaaa' %}" + "{% assign x = x | split: '' | join: x %}" * 60,
        "{% assign x = 'aaaaaaaa' %}" + "{% capture x %}{{ x }}{{ x }}{% endcapture %}" * 60,
        "{% assign x = 9 %}" + "{% assign x = x | times: x %}" * 60,
        "{% assign x = '" + "<&" * 200 + "' %}" + "{{ x | escape | escape | url_encode | url_encode }}" * 490,
        "".join(f"{{% assign x{number} = 1 %}}" for number in range(490)),
        "{% if company %}" * 40 + "{% endif %}" * 40,
        "x" * (LARGEST_SAMPLE + 1),
        "{{ first_name }}" + "<table><tr><td>" * 5000,
    ],
)
def test_no_template_hangs_or_swells(source: str) -> None:
    started = time.perf_counter()
    if not check("s", source):
        compile_step("s", source).render(ADA)
    assert time.perf_counter() - started < SECONDS


@given(
    st.lists(
        st.sampled_from(
            [
                "{{",
                "}}",
                "{%",
                "%}",
                " ",
                "if",
                "first_name",
                "|",
                "append",
                ":",
                "'",
                "x",
                ".",
                "endif",
                "\n",
                "<p>",
                "1",
                "=",
                "assign",
            ]
        )
    )
)
def test_whatever_an_author_types_is_judged(words: list[str]) -> None:
    source = "".join(words)
    problems = check(source, source, source)
    if not problems:
        compile_step(source, source, source).render(ADA)
    assert all(one.message for one in problems)


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none())))
def test_any_custom_value_renders(custom: dict[str, Scalar]) -> None:
    made = compile_step("s", "{{ custom.a }}{% if custom.b %}{{ custom.b | append: custom.a }}{% endif %}")
    made.render(
        Merge(custom={**custom, "a": next(iter(custom.values()), None), "b": next(reversed(custom.values()), None)})
    )


def test_text_is_derived_from_the_rendered_html() -> None:
    body = (
        "<html><head><title>No</title><style>p{}</style></head><body><div style='display: none'>No</div>"
        "<p>Hi {{first_name}},</p>\n<p>a <b>bold</b>   offer{% if company %} for {{company}}{% endif %}<br>two</p>"
        "<ul><li>One<li>Two</ul><table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>"
        "<p style='padding-left:9999em'><a href='https://x.example/?a=1&amp;b=2'>see</a></p>"
        "<a href='https://x.example'>https://x.example</a></body></html>"
    )
    assert compile_step("s", body).render(Merge(first_name="<Ada>", company="A & B")).text == (
        "Hi <Ada>,\n\na bold offer for A & B\ntwo\n\n  * One\n  * Two\na b\nc\n\n"
        "[see](https://x.example/?a=1&b=2)\n\nhttps://x.example"
    )


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<table>",
                "</table>",
                "<tr>",
                "<td>",
                "</ul>",
                "<ul>",
                "<ol>",
                "<li value=3>",
                "</li>",
                "</a>",
                "<a href=x>",
                "<br>",
                "x",
                "&",
                "<!--",
                "-->",
                "<?xml ",
                "\0",
                "<style>",
                "<svg>",
                "<p style='display:;:none;x'>",
                "<a href='https://a/'>https://a/</a>",
                "\n",
            ]
        )
    )
)
def test_any_html_has_a_text(words: list[str]) -> None:
    assert "\r" not in text_of("".join(words))


def test_a_sample_shows_every_field() -> None:
    made = compile_step("{{first_name}} {{last_name}} {{company}}", "{{email}} {{custom.role}}").render(sample())
    assert (made.subject, made.text) == ("Ada Lovelace Example Ltd", "ada@example.com [role]")


def test_the_pixel_stands_at_the_end_of_the_body() -> None:
    pixel = '<img src="https://x/?a&amp;b" width="1" height="1" alt="" style="border:0;width:1px;height:1px">'
    assert add_pixel("<body>x</BODY ></html>", "https://x/?a&b") == f"<body>x{pixel}</BODY ></html>"
    assert add_pixel("x", "https://x/?a&b") == f"x{pixel}"
