"""Chapters chosen of an EPUB are a sound book of their own, and not a word of the others is in it."""

import io
import re
import zipfile
from pathlib import Path

import pytest

from store.catalog.gate.epub_part import build, contents_of
from store.catalog.gate.epub_reading import read_book
from store.catalog.gate.inspection import judge
from store.catalog.gate.pieces import NoPart
from store.demo.seed import edition_files
from tests.catalog.files import NAV, book, package, page, picture

NAMES = ("one", "two", "three")
WORDS = " ".join(["word"] * 60)
TWO = f"""<section id="top" onclick="steal('Secret')"><h1 id="two" style="x:Secret">Two</h1>
<!-- Secret --><?note Secret?><script>Secret</script><style>p{{content:"Secret"}}</style>
<p class="lead" data-x="Secret">{WORDS} <a href="one.xhtml#Secret">first</a> <a href="#two">here</a>
<a href="#Secret">nowhere</a> <a href="three.xhtml#three">third</a> <a href="https://web.example/?a=1&amp;b=2">web</a>
<a href="javascript:Secret">press</a> caf&e;</p>
<iframe src="one.xhtml">Secret</iframe><audio src="Secret.mp3">Secret</audio><center>kept</center>
<p><img src="p.png" alt="A boat" longdesc="one.xhtml"/><img src="drawn.svg" alt="A sail"/>
<img src="https://web.example/Secret.png" alt="A wave"/></p>
<math xmlns="http://www.w3.org/1998/Math/MathML" href="one.xhtml"><mi>x</mi></math></section>"""
CSS = b"""@import "Secret.css"; /* Secret */ @font-face { font-family: A; src: url("Secret.woff") }
.lead { background: url(Secret.png); color: #123 }"""


def a_book(**more: bytes) -> bytes:
    items = "".join(
        f'<item id="{one}" href="{one}.xhtml" media-type="application/xhtml+xml"/>' for one in NAMES
    )
    items += '<item id="p" href="p.png" media-type="image/png"/><item id="s" href="b.css" media-type="text/css"/>'
    items += '<item id="v" href="drawn.svg" media-type="image/svg+xml"/>'
    items += '<item id="q" href="secret.png" media-type="image/png"/>'
    spine = "".join(f'<itemref idref="{one}"/>' for one in NAMES)
    opf = package(items=items, metadata='<meta name="note" content="Secret"/>')
    nav = NAV.replace(
        b'<li><a href="c1.xhtml">One</a></li>',
        b'<li><a href="one.xhtml">Secret one</a></li><li><a href="two.xhtml#top">Second &amp; best</a></li>',
    ).replace(
        b"<body>",
        b'<body><nav epub:type="landmarks"><ol><li><a href="two.xhtml">Start</a></li></ol></nav>',
    )
    before = '<!DOCTYPE html [<!ENTITY e "e">]>'
    head = '<link rel="stylesheet" href="b.css"/><link rel="next" href="three.xhtml"/>'
    files = {
        "EPUB/package.opf": opf.replace(b'<itemref idref="c1"/>', spine.encode()),
        "EPUB/nav.xhtml": nav,
        "EPUB/one.xhtml": page(f"<h1>Secret</h1><p>Secret {WORDS}</p>"),
        "EPUB/two.xhtml": page(TWO, head=head, before=before),
        "EPUB/three.xhtml": page(f'<h1><span id="three">Three</span></h1><p>{WORDS}</p>'),
        "EPUB/b.css": CSS,
        "EPUB/p.png": picture(),
        "EPUB/secret.png": picture(size=(3, 3)),
        "EPUB/drawn.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><title>Secret</title></svg>',
    }
    return book(files | more)


def built(folder: Path, whole: bytes, *numbers: int) -> Path:
    source, part = folder / "whole.epub", folder / "part.epub"
    source.write_bytes(whole)
    build(source, part, set(numbers))
    return part


def everything(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_chapters_are_listed_under_the_names_of_the_contents(tmp_path: Path) -> None:
    source = tmp_path / "whole.epub"
    source.write_bytes(a_book())
    found = [(one.number, one.title) for one in contents_of(source)]
    assert found == [(1, "Secret one"), (2, "Second & best"), (3, "Three")]
    assert all(one.words >= 60 for one in contents_of(source))


def test_the_names_of_an_older_book_come_from_its_ncx(tmp_path: Path) -> None:
    ncx = b"""<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>The first</text>
</navLabel><content src="c1.xhtml"/></navPoint></navMap></ncx>"""
    opf = package().replace(
        b'<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>',
        b'<item id="nav" href="toc.ncx" media-type="application/x-dtbncx+xml"/>',
    )
    source = tmp_path / "whole.epub"
    source.write_bytes(book({"EPUB/package.opf": opf, "EPUB/toc.ncx": ncx}))
    assert [one.title for one in contents_of(source)] == ["The first"]


def test_of_what_is_left_out_not_a_word_comes_along(tmp_path: Path) -> None:
    part = built(tmp_path, a_book(), 2, 3)
    report = judge("epub", part, tmp_path)
    assert report.accepted
    assert [one.code for one in report.findings if one.level == "fail"] == []
    files = everything(part)
    assert [
        name for name, content in files.items() if b"secret" in (name.encode() + content).lower()
    ] == []
    assert set(files) == {
        "mimetype",
        "META-INF/container.xml",
        "EPUB/two.xhtml",
        "EPUB/three.xhtml",
        "EPUB/b.css",
        "EPUB/p.png",
        "sample-contents.xhtml",
        "sample.opf",
    }
    said = report.facts
    assert (said["title"], said["language"], said["author"]) == (
        "A small book (free sample)",
        "en-GB",
        "Ada Author",
    )
    assert said["identifier"] != "urn:isbn:9780306406157"


def test_what_was_chosen_comes_along_as_it_stands(tmp_path: Path) -> None:
    part = built(tmp_path, a_book(), 2, 3)
    two = everything(part)["EPUB/two.xhtml"].decode()
    links = dict(re.findall(r'<a(?: href="([^"]*)")?>([^<]*)</a>', two))
    assert set(re.findall(r"<a>([^<]*)</a>", two)) == {"first", "nowhere", "press"}
    assert {key: value for key, value in links.items() if key} == {
        "#two": "here",
        "../EPUB/three.xhtml#three": "third",
        "https://web.example/?a=1&amp;b=2": "web",
    }
    assert 'class="lead"' in two
    assert "cafe</p>" in " ".join(two.split())
    assert "kept" in two
    assert 'src="../EPUB/p.png" alt="A boat"' in two
    assert "[Picture: A sail]" in two
    assert "[Picture: A wave]" in two
    assert "<mi>x</mi>" in two
    assert "color: #123" in everything(part)["EPUB/b.css"].decode()
    (chapter,) = read_book(part).chapters
    assert "<h2>Two</h2>" in chapter.html
    assert "Second &amp; best" in everything(part)["sample-contents.xhtml"].decode()


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((), "Choose chapters of this EPUB."),
        ((1, 9), "Choose chapters of this EPUB."),
        ((1, 2, 3), "A sample is a part. Leave some chapters out."),
    ],
)
def test_what_is_no_part_is_refused(
    tmp_path: Path, numbers: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(NoPart) as refusal:
        built(tmp_path, a_book(), *numbers)
    assert refusal.value.sentence == sentence


def test_the_same_choice_makes_the_same_file(tmp_path: Path) -> None:
    first = built(tmp_path, a_book(), 2).read_bytes()
    assert built(tmp_path, a_book(), 2).read_bytes() == first
    assert built(tmp_path, a_book(), 3).read_bytes() != first


def test_of_a_real_book_each_chapter_alone_passes_the_gate(tmp_path: Path) -> None:
    whole = edition_files(2)[1]
    for one in contents_of(whole):
        part = built(tmp_path, whole.read_bytes(), one.number)
        report = judge("epub", part, tmp_path)
        assert report.accepted, one.title
        assert {finding.code for finding in report.findings if finding.level != "pass"} <= {
            "epub-no-accessibility"
        }
        assert zipfile.ZipFile(io.BytesIO(part.read_bytes())).testzip() is None
