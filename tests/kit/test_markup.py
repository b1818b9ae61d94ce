"""Markdown as pages and letters show it: addresses to the letter, links that lead somewhere."""

import re

import pytest

from store.kit.markup import cut_markdown, dead_links, pictures, plain_lines, render_markdown

SHOP = "https://shop.example.org"


def html(text: str) -> str:
    return str(render_markdown(text, SHOP)).replace(' rel="noopener noreferrer"', "")


def text(text: str) -> str:
    return plain_lines(text, SHOP)


@pytest.mark.parametrize(
    "address",
    [
        "https://www.gov.example/forms/send__form__v2.pdf",
        "https://www.gov.example/a**b**c",
        "https://www.gov.example/*a*/_b_/__c__/d",
        "http://x.example/?a[0]=1&b=2&copy=3&lt;=4".replace("lt;", "lt"),
        "https://law.example/Act_(2026)",
        "https://x.example/a~b~c#d__e__f",
    ],
)
def test_an_address_written_plainly_is_a_link_to_the_letter(address: str) -> None:
    for before, after in (
        ("See ", " now."),
        ("See ", "."),
        ("(see ", ")."),
        ("**", "**"),
        ("", ""),
    ):
        shown = html(f"{before}{address}{after}")
        links = re.findall(r'<a href="([^"]+)">([^<]+)</a>', shown)

        assert len(links) == 1
        wanted = address.replace("&", "&amp;")
        assert links[0][1] == wanted
        assert links[0][0] == wanted.replace("[", "%5B").replace("]", "%5D")
        bare = text(f"{before}{address}{after}")
        assert bare == f"{before}{address}{after}".replace(
            "**" if before == "**" else "\0", ""
        ) or (before == "**" and bare == address)


@pytest.mark.parametrize(
    ("written", "shown", "plain"),
    [
        ("__init__", "<p>__init__</p>", "__init__"),
        ("2 ** 3 ** 4", "<p>2 ** 3 ** 4</p>", "2 ** 3 ** 4"),
        ("snake_case_name", "<p>snake_case_name</p>", "snake_case_name"),
        ("www.x.example/a**b**c", "<p>www.x.example/a**b**c</p>", "www.x.example/a**b**c"),
        ("*it* and _it_", "<p><em>it</em> and <em>it</em></p>", "*it* and _it_"),
        ("**2027** is near", "<p><strong>2027</strong> is near</p>", "2027 is near"),
        ("**a https://x.example/b__c__d**", ('<p><strong>a <a href="https://x.example/b__c__d">'
         "https://x.example/b__c__d</a></strong></p>"), "a https://x.example/b__c__d"),
        (r"send\_form\_2", "<p>send_form_2</p>", "send_form_2"),
        (r"https://x.example/send\_form", ('<p><a href="https://x.example/send_form">'
         "https://x.example/send_form</a></p>"), "https://x.example/send_form"),
        ("`**a** [b](c)`", "<p><code>**a** [b](c)</code></p>", "`**a** [b](c)`"),
        ("[the Act](https://law.example/Act_(2026))",
         '<p><a href="https://law.example/Act_(2026)">the Act</a></p>',
         "the Act (https://law.example/Act_(2026))"),
        ("[a](https://x.example/ \"Title\")", '<p><a href="https://x.example/" title="Title">a</a></p>',
         "a (https://x.example/)"),
        ("[the Act][act]\n\n[act]: https://law.example/act__1__",
         '<p><a href="https://law.example/act__1__">the Act</a></p>',
         "the Act (https://law.example/act__1__)"),
        ("<https://x.example/a__b__c>", ('<p><a href="https://x.example/a__b__c">'
         "https://x.example/a__b__c</a></p>"), "https://x.example/a__b__c"),
        ("[https://x.example/a**b**](https://x.example/a**b**)",
         '<p><a href="https://x.example/a**b**">https://x.example/a**b**</a></p>',
         "https://x.example/a**b**"),
        ("[us](mailto:a_b@x.example)", '<p><a href="mailto:a_b@x.example">us</a></p>',
         "us (a_b@x.example)"),
        ("[us](/terms)", f'<p><a href="{SHOP}/terms">us</a></p>', f"us ({SHOP}/terms)"),
        ("[us](www.x.example)", '<p><a href="https://www.x.example">us</a></p>',
         "us (https://www.x.example)"),
        ("[us](//x.example/a)", '<p><a href="https://x.example/a">us</a></p>',
         "us (https://x.example/a)"),
        ("[us](page.html)", "<p>us</p>", "us"),
        ("[us](#part)", "<p>us</p>", "us"),
        ("![A chart](/chart.png)", f'<p><a href="{SHOP}/chart.png">A chart</a></p>',
         f"A chart ({SHOP}/chart.png)"),
        ("![A chart](chart.png)", "<p>A chart</p>", "A chart"),
        ("![](chart.png)", "<p>chart.png</p>", "chart.png"),
        ("[![A chart](https://x.example/c.png)](https://x.example/)",
         '<p><a href="https://x.example/">A chart</a></p>', None),
    ],
)  # fmt: skip
def test_each_mark_is_what_it_means_on_the_page_and_in_the_text(
    written: str, shown: str, plain: str | None
) -> None:
    assert html(written) == shown
    if plain is not None:
        assert text(written) == plain


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "JaVaScRiPt:x", "ftp://x/y"]
)
def test_an_address_that_could_do_harm_is_no_link(href: str) -> None:
    assert "href" not in html(f"[x]({href})")
    assert "href" not in html(f"![x]({href})")
    assert text(f"[x]({href})") == "x"


def test_html_of_the_writers_own_is_text() -> None:
    assert html("<b onclick=x>1</b>") == "<p>&lt;b onclick=x&gt;1&lt;/b&gt;</p>"


def test_lines_arrive_in_the_text_part_as_they_were_written() -> None:
    lines = f"{'long ' * 1000}\n.\n..two\nFrom the board\na\ttab\ntrailing \n- item\n* item\n\nend"

    assert text(lines) == lines


def test_what_leads_nowhere_and_what_is_not_shown_is_named() -> None:
    written = "[a](page.html) [b](#x) [c](/terms) [d](https://x.example) ![e](p.png) [f](page.html)"

    assert (dead_links(written), pictures(written)) == (["page.html", "#x"], ["p.png"])


PARAGRAPH = ("The duties of a setting follow the new code. " * 120)[:4999].rstrip() + "."


@pytest.mark.parametrize(
    "written",
    [
        "\n\n".join([PARAGRAPH] * 100),
        "\n".join(f"- Item {n}: https://x.example/a__b__{n} is **new**." for n in range(3000)),
        "\n".join(f"{n}. Item\n\n   More of it." for n in range(2000)),
        " ".join([PARAGRAPH] * 60),
        "word " * 60_000,
        "x" * 300_000,
        f"# New\n\n{' '.join([PARAGRAPH] * 60)}",
        "\n".join(["> quoted **much**", ">"] * 3000),
        "é" * 60_000,
    ],
    ids=["paragraphs", "list", "loose", "paragraph", "words", "x", "heading", "quotes", "accents"],
)
def test_a_long_text_is_cut_where_it_fits(written: str) -> None:
    cut = cut_markdown(written, 70_000)

    assert cut.is_cut
    assert written.startswith(cut.text)
    assert 20_000 < len(html(cut.text).encode()) <= 70_000
    assert cut.ends


def test_a_cut_stands_between_two_blocks_or_sentences_and_never_in_an_address() -> None:
    paragraphs = cut_markdown("\n\n".join([PARAGRAPH] * 100), 70_000).text
    assert paragraphs.split("\n\n")[-1] == PARAGRAPH
    items = cut_markdown("- One\n- Two and more\n" * 5000, 10_000).text
    assert items.endswith(("- One", "- Two and more"))
    addresses = cut_markdown("[See. This](https://x.example/a) " * 5000, 10_000).text
    assert addresses.endswith("[See. This](https://x.example/a)")
    assert cut_markdown(" ".join([PARAGRAPH] * 60), 70_000).text.endswith(".")


def test_a_reference_given_at_the_end_is_known_in_the_part_that_is_kept() -> None:
    long = "\n\n".join(["[the Act][act] says so."] * 3000 + ["[act]: https://law.example/act"])

    cut = cut_markdown(long, 10_000)

    assert cut.is_cut
    assert '<a href="https://law.example/act">the Act</a> says so.</p>' in html(cut.text)
    assert text(cut.text).endswith("the Act (https://law.example/act) says so.")


def test_a_text_that_fits_is_left_alone() -> None:
    assert cut_markdown("- One\n- Two", 70_000) == type(cut_markdown("", 1))("- One\n- Two", False)
