"""The checker of pages passes a good page and catches each fault; the frames that we ship hold."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from store.catalog.covers import cover_path
from store.catalog.drawn_covers import draw_cover
from store.catalog.faces import PLAIN
from tests.pages import check_letter_html, check_page

TEMPLATES = Path(__file__).parent.parent / "templates"

GOOD = """<!DOCTYPE html>
<html lang="en-GB"><head><meta charset="utf-8"><title>Your details</title>
<link rel="canonical" href="https://shop.example.org/"><link rel="stylesheet" href="/static/a.css">
<script src="/static/a.js" defer></script>
<script type="application/ld+json">{"@type": "Book"}</script></head>
<body><a href="#main">Skip</a><main id="main"><h1>Your details</h1>
<form method="post"><input type="hidden" name="key" value="1">
<label for="email">E-mail</label><p id="hint">Why</p>
<input id="email" aria-describedby="hint"><label>Name <input name="name"></label>
<button>Continue</button></form><img src="/cover.png" alt="">
<svg role="img" viewBox="0 0 1 1"><title>Half</title><rect width="1" height="1"/></svg>
</main></body></html>"""

PAGE_FAULTS = [
    ("</form>", "</div></form>", "End tag (div) seen too early"),
    ("<!DOCTYPE html>\n", "", "DOCTYPE"),
    ("<h1>Your details</h1>", "", "0 h1"),
    ("<h1>Your details</h1>", "<h1>A</h1><h1>B</h1>", "2 h1"),
    ("<h1>Your details</h1>", "<h1> </h1>", "an empty h1"),
    ("<title>Your details</title>", "<title> </title>", "no words in <title>"),
    ("<title>Your details</title>", "", "no words in <title>"),
    (' lang="en-GB"', "", "no language"),
    ('<main id="main">', '<main id="main"></main><main>', "2 main"),
    ('<a href="#main">Skip</a>', "", "first link does not skip"),
    ('<main id="main">', '<main id="other">', "leads nowhere"),
    ('<main id="main">', '<main><div id="main"></div>', "is not <main>"),
    ('<label for="email">E-mail</label>', "", "no label"),
    ('<label for="email">E-mail</label>', '<label for="email"> </label>', "no label"),
    ("<label>Name <input", "<label><input", "no label"),
    ('<p id="hint">', '<p id="email">', "stands 2 times"),
    ('<p id="hint">', '<p id="a b">', "holds a blank"),
    ('<p id="hint">', "<p>", 'aria-describedby="hint" leads nowhere'),
    ("<button>Continue</button></form>", "</form><button>Go</button>", "without type outside"),
    ("<button>Continue", "<button>", "a button without words"),
    (' src="/static/a.js" defer', "", "an inline <script>"),
    ('{"@type": "Book"}', "{'@type'}", "not JSON"),
    ("<h1>", '<h1 style="color:red">', "a style attribute"),
    ("</head>", "<style>p{}</style></head>", "a <style> element"),
    ("<h1>", '<h1 onclick="x()">', "a handler onclick"),
    ("</main>", '<a href="javascript:x()">x</a></main>', "a javascript: address"),
    (' alt=""', "", "an img without alt"),
    ("<title>Half</title>", "", "a drawing without a name"),
    ('src="/cover.png"', 'src="https://cdn.example.org/c.png"', "from elsewhere"),
    ('src="/cover.png"', 'src="//cdn.example.org/c.png"', "from elsewhere"),
    ('src="/cover.png"', 'src="data:image/png;base64,AA"', "from elsewhere"),
    ('src="/cover.png"', 'src="/c.png" srcset="https://x.example/c.png 2x"', "from elsewhere"),
    ('href="/static/a.css"', 'href="https://cdn.example.org/a.css"', "from elsewhere"),
]

LETTER = """<!DOCTYPE html>
<html lang="en-GB"><head><title>Ready</title><style>p{margin:0}</style></head>
<body><table role="presentation"><tr><td style="padding:0"><h1>Ready</h1>
<p><a href="https://shop.example.org/library/a">Open</a></p></td></tr></table></body></html>"""

LETTER_FAULTS = [
    ("</p>", "</b></p>", "end tag"),
    ("<h1>Ready</h1>", "", "0 h1"),
    ("<title>Ready</title>", "", "no words in <title>"),
    (' lang="en-GB"', "", "no language"),
    (' role="presentation"', "", "role=presentation"),
    ("</p>", '<img src="cid:a" alt=""></p>', "a picture that is none of ours"),
    ("</head>", '<link rel="stylesheet" href="https://x.example/a.css"></head>', "<link> has no"),
    ("</p>", "<script>x()</script></p>", "<script> has no place"),
    ("<h1>", '<h1 onclick="x()">', "a handler"),
    ("https://shop.example.org", "", "without a whole address"),
    (">Open<", "><", "without words"),
    ("p{margin:0}", "p{background:url(https://x.example/a)}", "loads something"),
    ("padding:0", "background:url(/a)", "loads something"),
]


def spoil(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_a_good_page_passes() -> None:
    check_page(GOOD, path="/")


@pytest.mark.parametrize(("old", "new", "words"), PAGE_FAULTS)
def test_a_page_with_a_fault_is_told_so(old: str, new: str, words: str) -> None:
    with pytest.raises(AssertionError) as told:
        check_page(spoil(GOOD, old, new), path="/order")
    assert str(told.value).startswith("/order: ")
    assert words in str(told.value)


def test_all_faults_of_a_page_are_told_at_once() -> None:
    spoiled = spoil(spoil(GOOD, ' alt=""', ""), ' lang="en-GB"', "")
    with pytest.raises(AssertionError, match=r"no language; an img without alt"):
        check_page(spoiled, path="/")


def test_a_good_letter_passes() -> None:
    check_letter_html(LETTER)


@pytest.mark.parametrize(("old", "new", "words"), LETTER_FAULTS)
def test_a_letter_with_a_fault_is_told_so(old: str, new: str, words: str) -> None:
    with pytest.raises(AssertionError) as told:
        check_letter_html(spoil(LETTER, old, new))
    assert words in str(told.value)


@pytest.fixture
def templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
    )
    environment.globals["asset"] = lambda name: f"/static/{name}"
    environment.globals.update(draw_cover=draw_cover, cover_path=cover_path)
    environment.globals["csrf_token"] = lambda: "token"
    environment.globals["get_flashed_messages"] = lambda **_: [("warn", "Saved & kept")]
    return environment


SELLER = SimpleNamespace(
    trading_name="Sample <Press>",
    legal_name="Sample Press Ltd",
    charity_number="000000",
    company_number="01234567",
    address="1 Sample Street\nLondon N1 0AA",
    email="hello@example.org",
    phone="020 7946 0000",
)
WHO = (
    "Sample <Press>, a trading name of Sample Press Ltd, registered charity 000000, "
    "company number 01234567, registered in England and Wales. 1 Sample Street, London N1 0AA."
)

# Every component at once, with values that would break out of a careless template.
EVERYTHING = """{% extends "base.html" %}
{% import "components/forms.html" as forms %}{% import "components/page.html" as parts %}
{% set errors = {"email": "Enter \\"it\\"", "now": ["Tick it"], "kind": "Choose", "form": "Alas"} %}
{% block title %}All{% endblock %}{% block description %}All of it{% endblock %}
{% block main %}{{ forms.error_summary(errors) }}<h1>All</h1>
{{ parts.crumbs([("Home", "/")]) }}{{ parts.cover(publication) }}{{ parts.tag("<New>") }}
<form method="post" novalidate>{{ forms.form_key("k") }}{{ forms.csrf() }}
{{ forms.email_field("email", "E-mail", '"><b>', errors, "Why") }}
{{ forms.text_field("price", "Price", tight=true, optional=true) }}
{{ forms.textarea("notes", "Notes", "</textarea><b>") }}
{{ forms.checkbox("now", "Now", true, errors, "Hint") }}{{ forms.checkbox("later", "Later") }}
{{ forms.select("status", "Status", [("a", "A"), ("b", "B")], "b") }}
{{ forms.radios("kind", "Kind", [("a", "A", "Hint"), ("b", "B")], "b", errors, "Which") }}
{{ forms.file_upload("file", "File", hint="PDF", accept=".pdf", multiple=true) }}
{{ forms.date_field("on", "On", "2027-03-31") }}{{ parts.button("Go") }}</form>
{{ parts.post_button("/x", "Press", "second", {"a": '"'}, token=true) }}
{% call parts.note("warn", "Heed", status=true) %}<p>Words</p>{% endcall %}
{{ parts.summary_list([{"key": "E-mail", "value": "<i>", "url": "/c"}, {"key": "B", "value": 1}]) }}
{{ parts.facts([("A", "B"), ("C", "")]) }}
{{ parts.files([{"url": "/f", "label": "Download", "detail": "1 MB", "checksum": "ab"}]) }}
{{ parts.timeline([("Today", "Pay", true), ("Later", "Read")]) }}
{% call parts.table("People") %}<tbody><tr><td>A</td></tr></tbody>{% endcall %}
{{ parts.pagination({"words": ("Newer ones", "Older ones"), "previous_url": none, "next_url": "/n"}) }}
{{ parts.empty_state("None", "Yet", "/p", "Begin") }}{% endblock %}"""


def publication(slug: str, title: str, cover_sha256: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        slug=slug,
        title=title,
        subtitle="And & more",
        author="A. Author",
        cover_sha256=cover_sha256,
    )


TITLES = [
    "Mud",
    "Donaudampfschifffahrtsgesellschaftskapitän" * 3,
    "実践ガイド" * 12,
    "<b>&",
    "word " * 80,
]


@pytest.mark.parametrize("title", TITLES)
def test_every_component_makes_a_good_page(templates: Environment, title: str) -> None:
    page = templates.from_string(EVERYTHING).render(
        seller=SELLER,
        demo_mode=True,
        canonical_url="https://shop.example.org/all",
        publication=publication("a-slug", title),
    )
    check_page(page, path="/all")
    assert "<title>Error: All – Sample &lt;Press&gt;</title>" in page


def test_every_component_stands_on_some_page() -> None:
    texts = {path: path.read_text() for path in TEMPLATES.rglob("*.html")}
    unused = {
        name
        for path, text in texts.items()
        for name in re.findall(r"macro ([a-z]\w+)\(", text)
        if not any(re.search(rf"\b{name}\(", _where_used(one)) for one in texts.values())
    }
    assert unused == set()


def _where_used(text: str) -> str:
    """A template's text without its first comment and the heads of its macros."""
    return re.sub(r"(?s)\A\{#.*?#\}|macro \w+", "", text)


def test_a_page_without_seller_or_variables_still_stands(templates: Environment) -> None:
    page = templates.get_template("refusal.html").render(heading="Not found", sentence="No.")
    check_page(page, path="/nowhere")
    assert '<meta name="robots" content="noindex">' in page


def test_a_refusal_offers_its_way_out_as_a_link_or_as_a_button(templates: Environment) -> None:
    words = {"heading": "Old", "sentence": "So.", "way_out_url": "/x", "way_out_label": "Go on"}
    refusal = templates.get_template("refusal.html")
    assert '<a class="button " href="/x">Go on</a>' in refusal.render(words)
    pressed = refusal.render(words, way_out_method="post", way_out_fields={"form_key": "1"})
    check_page(pressed, path="/x")
    assert '<form method="post" action="/x">' in pressed
    assert '<input type="hidden" name="form_key" value="1">' in pressed


@pytest.mark.parametrize("signed_in", [True, False])
def test_the_desk_shows_its_navigation_to_staff_alone(
    templates: Environment, signed_in: bool
) -> None:
    page = templates.get_template("refusal.html").render(
        layout="admin/base.html",
        active="orders",
        current_user=SimpleNamespace(
            is_authenticated=signed_in, known_as="Mira", role="owner", has_shortcut=True
        ),
        request=SimpleNamespace(path="/admin/orders"),
        second_factor_due=lambda: None,
        may=lambda roles: roles == "support",
        desk_zone=lambda: "London",
        heading="Alas",
        sentence="So.",
        seller=SELLER,
    )
    check_page(page, path="/admin/orders")
    assert ("Sign out" in page) is signed_in
    assert ('aria-current="page">Orders' in page) is signed_in
    assert "Saved &amp; kept" in page


def test_a_cover_is_always_the_same_for_a_slug_and_differs_between_slugs(
    templates: Environment,
) -> None:
    cover = templates.get_template("components/cover.html").module.cover  # type: ignore[attr-defined]
    drawn = {slug: cover(publication(slug, "Same")) for slug in map(str, range(60))}
    again = {slug: cover(publication(slug, "Same")) for slug in map(str, range(60))}
    assert drawn == again
    assert len(set(drawn.values())) == 18  # three shapes in six palettes


def test_an_uploaded_cover_is_shown_instead(templates: Environment) -> None:
    cover = templates.get_template("components/cover.html").module.cover  # type: ignore[attr-defined]
    shown = cover(publication("a", "Mud", "a" * 64))
    assert f'src="/covers/{"a" * 64}/640.jpg"' in shown
    assert f"/covers/{'a' * 64}/320.webp 320w" in shown
    assert 'alt="Cover of Mud"' in shown
    assert "<svg" not in shown


BLOCKS = """{% block body %}{{ press("https://shop.example.org/library/a", "Open your copies") }}
{%- endblock %}{% block foot_reason %}You bought it.{% endblock %}"""


@pytest.fixture
def letter(templates: Environment) -> dict[str, str]:
    """Both parts of a short letter."""
    parts = {}
    for ending in ("html", "txt"):
        source = f'{{% extends "letters/base.{ending}" %}}'
        source += f'{{% from "letters/macros.{ending}" import press %}}' + BLOCKS
        template = templates.overlay(autoescape=ending == "html").from_string(source)
        parts[ending] = template.render(seller=SELLER, face=PLAIN, subject="Edition 2 & more")
    return parts


def test_a_letter_says_who_writes_and_why_in_both_parts(letter: dict[str, str]) -> None:
    check_letter_html(letter["html"])
    assert "Sample &lt;Press&gt;, a trading name of" in letter["html"]
    assert "You bought it." in letter["html"]
    # The outbox leaves one blank line where the templates leave more.
    assert re.sub(r"\n{3,}", "\n\n", letter["txt"]).strip() == (
        "Sample <Press>\n\nEdition 2 & more\n\n"
        "Open your copies:\nhttps://shop.example.org/library/a\n\n--\nYou bought it.\n\n"
        f"{WHO} hello@example.org, 020 7946 0000\n\n"
        "Questions? Just reply: a person reads it."
    )
