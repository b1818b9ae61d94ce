"""What a free sample is cut from comes along as far as it was chosen, and not a word farther."""

import io
import re
from pathlib import Path

import pikepdf
import pypdfium2
import pytest

from store.catalog.gate.epub_reading import read_book
from store.catalog.gate.inspection import judge
from store.catalog.gate.pdf_part import cut
from store.catalog.gate.pieces import Reading
from store.catalog.samples import _clean
from store.demo.seed import edition_files
from tests.catalog.files import book, package, page, raw_pdf, stream

HOSTILE = """<section onclick="steal()"><h1 style="color:red">One</h1>
<script>steal()</script><style>p{}</style><p>A <b class="x" id="main">bold</b> word.<br/>
<a href="javascript:steal()">press</a> <a href="https://web.example/a?b=1&amp;c">web</a>
<a href="c1.xhtml#start">inside</a> <a href="//web.example/x">odd</a></p>
<iframe src="https://web.example/">frame</iframe><form action="/x"><input name="a"/>kept words</form>
<img src="p.png" alt="A boat &lt;b&gt;"/><svg xmlns="http://www.w3.org/2000/svg"><title>A sail</title>
<script>steal()</script></svg><object data="x.swf">film</object><h4>Two</h4>loose <i>words</i>
<table><tr><th scope="col">H</th><td colspan="2">c</td></tr></table><ul><li>item</li></ul>
<p lang="fr" dir="ltr">mot</p></section>"""
READ = """<div lang="en">
<h2>One</h2>
<p>A <b>bold</b> word.<br>
press <a href="https://web.example/a?b=1&amp;c" rel="nofollow noopener noreferrer">web</a>
inside odd</p>
<p>kept words</p>
<p>[Picture: A boat &lt;b&gt;][Picture: A sail]</p>
<h3>Two</h3>
<p>loose <i>words</i></p>
<table><tbody>
<tr><th scope="col">H</th><td colspan="2">c</td></tr>
</tbody></table>
<ul>
<li>item</li>
</ul>
<p lang="fr" dir="ltr">mot</p>
</div>"""


def reading_of(folder: Path, body: str) -> Reading:
    path = folder / "book.epub"
    path.write_bytes(book({"EPUB/c1.xhtml": page(body), "EPUB/p.png": b"", "EPUB/x.swf": b""}))
    return read_book(path)


def test_of_a_hostile_chapter_only_its_words_and_plain_shape_come_along(tmp_path: Path) -> None:
    (chapter,) = reading_of(tmp_path, HOSTILE).chapters
    assert (chapter.title, _clean(chapter.html)) == ("One", READ)


def test_what_the_reading_program_lets_through_is_cleaned_again() -> None:
    said = '<p onclick="x()">a<script>x()</script><img src="https://web.example/p"><a href="javascript:x()">b</a>'
    assert _clean(said) == '<p>a<a rel="nofollow noopener noreferrer">b</a></p>'


def test_a_look_inside_begins_at_the_first_heading_with_words_behind_it(tmp_path: Path) -> None:
    words = " ".join(["word"] * 60)
    found = reading_of(tmp_path, f"<h1>Title</h1><h2>Chapter</h2><p>{words}</p><p>{words}.</p>")
    assert found.opening == ["Chapter", words, f"{words}."]


def test_a_long_book_is_cut_between_chapters_and_begins_with_its_text(tmp_path: Path) -> None:
    names = ("title", "one", "two")
    items = "".join(
        f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>'
        for name in names
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    opf = package(items=items).replace(b'<itemref idref="c1"/>', spine.encode())
    words = " ".join(["word"] * 2400)
    files = {f"EPUB/{name}.xhtml": page(f"<h1>{name}</h1><p>{words}</p>") for name in names[1:]}
    path = tmp_path / "book.epub"
    path.write_bytes(book({"EPUB/package.opf": opf, "EPUB/title.xhtml": page("A book"), **files}))
    assert [one.title for one in read_book(path).chapters] == ["one", "two"]


def a_tagged_pdf() -> bytes:
    """Three pages that share their resources; each is linked to by the first, tagged, and described
    by a text of its own; a table's element spans all of them."""
    content = b"/P <</MCID 0>> BDC BT /F1 24 Tf 72 700 Td (Secret%d) Tj ET EMC /X%d Do"
    resources = b"<< /Font << /F1 9 0 R >> /XObject << /X1 10 0 R /X2 11 0 R /X3 12 0 R >> >>"
    leaf = (
        b"<< /Type /Page /Parent 2 0 R /Contents %d 0 R /StructParents %d /Resources 8 0 R"
        b" /PieceInfo << /Own (Secret3) >> %s >>"
    )
    picture = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Name (Secret%d)"
    annotation = b"<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] %s /StructParent 7 >>"
    element = b"<< /Type /StructElem /S /P /P 14 0 R /Pg %d 0 R /K 0 /ActualText (Secret%d) >>"
    return raw_pdf(
        [
            (
                b"<< /Type /Catalog /Pages 2 0 R /StructTreeRoot 13 0 R /Lang (en-GB)"
                b" /MarkInfo << /Marked true >> /Outlines << /Title (Secret3) >> >>"
            ),
            b"<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 /MediaBox [0 0 595 842] >>",
            leaf % (6, 0, b"/Annots [18 0 R 19 0 R]"),
            leaf % (7, 1, b""),
            leaf % (20, 2, b""),
            stream(content % (1, 1)),
            stream(content % (2, 2)),
            resources,
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            *[stream(b"0 0 m", picture % number) for number in (1, 2, 3)],
            b"<< /Type /StructTreeRoot /K 14 0 R >>",
            (
                b"<< /Type /StructElem /S /Document /P 13 0 R /K [15 0 R 16 0 R 17 0 R]"
                b" /Alt (Secret1 Secret2 Secret3) >>"
            ),
            element % (3, 1),
            element % (4, 2),
            element % (5, 3),
            annotation % b"/Dest [5 0 R /Fit]",
            annotation % b"/A << /S /URI /URI (https://web.example/) >>",
            stream(content % (3, 3)),
        ],
        b"/Info << /Title (A guide) /Author (Ada) >>",
    )


def test_pages_that_are_cut_out_keep_tags_and_title_and_nothing_of_other_pages(
    tmp_path: Path,
) -> None:
    whole, part = tmp_path / "whole.pdf", tmp_path / "part.pdf"
    whole.write_bytes(a_tagged_pdf())
    cut(whole, part, 1, 2)
    report = judge("pdf", part, tmp_path)
    assert report.accepted
    facts = {
        name: report.facts[name] for name in ("pages", "title", "author", "language", "tagged")
    }
    assert facts == {
        "pages": 2,
        "title": "A guide (free sample)",
        "author": "Ada",
        "language": "en-GB",
        "tagged": True,
    }
    with pypdfium2.PdfDocument(part) as document:
        words = [one.get_textpage().get_text_bounded().strip() for one in document]
    assert words == ["Secret1", "Secret2"]
    with pikepdf.open(part) as document:
        kept = [str(one.A.URI) for one in document.pages[0].Annots]
        seen = [int(number) for number in re.findall(rb"Secret(\d)", _all_of(document))]
    assert (kept, set(seen)) == (["https://web.example/"], {1, 2})


def test_bookmarks_that_lead_to_chosen_pages_stay(tmp_path: Path) -> None:
    source, part = edition_files(2)[0], tmp_path / "part.pdf"
    cut(source, part, 4, 6)
    with pikepdf.open(part) as document, document.open_outline() as outline:
        titles = [one.title for one in outline.root]
    assert titles == [
        "1 What the Improvement Plan set out",
        "2 An inclusive and enabling environment",
        "3 Noticing early",
    ]


def _all_of(document: pikepdf.Pdf) -> bytes:
    """Every object as text, streams unpacked."""
    out = io.BytesIO()
    document.save(out, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.all)
    return out.getvalue()


@pytest.mark.parametrize("name", ["tagged-pdfua1", "rotations-and-cropboxes"])
def test_pages_of_real_files_pass_the_gate(name: str, tmp_path: Path) -> None:
    source, part = Path(__file__).parent / "samples" / f"{name}.pdf", tmp_path / "part.pdf"
    before = judge("pdf", source, tmp_path).facts
    cut(source, part, 1, 1)
    after = judge("pdf", part, tmp_path)
    assert after.accepted
    assert (after.facts["pages"], after.facts["tagged"]) == (1, before["tagged"])
