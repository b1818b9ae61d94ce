"""PDFs at the upload gate: what is refused, what is said, what is read out of them."""

import io
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from tests.catalog.documents import protected
from tests.catalog.files import book, fails, inspect, pdf, raw_pdf, stream, warns

XMP = b"""<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'
 xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:pdfaid='http://www.aiim.org/pdfa/ns/id/'
 xmlns:pdfuaid='http://www.aiim.org/pdfua/ns/id/'>
<rdf:Description rdf:about='' pdfaid:part='2' pdfaid:conformance='A'><pdfuaid:part>1</pdfuaid:part>
<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>Good practice</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>Ada Author</rdf:li><rdf:li>Ben Writer</rdf:li></rdf:Seq></dc:creator>
<dc:identifier>urn:isbn:9780306406157</dc:identifier>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
WITH_ACTION = b"/OpenAction 6 0 R"


def test_a_sound_pdf_passes_with_a_cover_and_its_words(tmp_path: Path) -> None:
    report = inspect(pdf(), tmp_path)

    assert fails(report) == []
    assert {"type-pdf", "pdf-opens", "pdf-unprotected", "pdf-no-active-content"} <= {
        finding.code for finding in report.findings if finding.level == "pass"
    }
    facts = report.facts
    assert (facts["pages"], facts["words"], facts["text_sample"]) == (1, 2, "Good morning")
    assert report.cover_png is not None
    with Image.open(io.BytesIO(report.cover_png)) as cover:
        assert (cover.format, cover.width, cover.height) == ("PNG", 640, 906)


def test_an_encrypted_pdf_that_needs_a_password_is_refused(tmp_path: Path) -> None:
    report = inspect(protected(owner="o", user="u"), tmp_path)

    assert [finding.sentence for finding in report.findings] == [
        "This PDF is protected with a password. Export it again without protection."
    ]


def test_an_encrypted_pdf_that_opens_but_forbids_printing_is_refused(tmp_path: Path) -> None:
    assert fails(inspect(protected(owner="o", user=""), tmp_path)) == ["pdf-restricted"]


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>", "pdf-javascript"),
        (b"<< /S /J#61vaScript /J#53 (app.alert\\(1\\)) >>", "pdf-javascript"),
        (b"<< /S /Rendition /JS (app.alert\\(1\\)) >>", "pdf-javascript"),
        (b"<< /S /URI /URI (javascript:alert\\(1\\)) >>", "pdf-javascript"),
        (b"<< /S /GoTo /Next [<< /S /Launch /F (calc.exe) >>] >>", "pdf-launch"),
        (b"<< /S /SubmitForm /F (https://x.example) >>", "pdf-form-sending"),
        (b"<< /S /ImportData /F (x.fdf) >>", "pdf-form-sending"),
        (b"<< /XFA (x) >>", "pdf-xfa"),
        (b"<< /Type /Annot /Subtype /RichMedia >>", "pdf-rich-media"),
    ],
)
def test_what_a_reader_should_never_run_is_refused(
    tmp_path: Path, action: bytes, code: str
) -> None:
    assert fails(inspect(pdf(action, catalog=WITH_ACTION), tmp_path)) == [code]


def test_a_script_hidden_in_an_object_stream_is_found(tmp_path: Path) -> None:
    out, plain = io.BytesIO(), pdf(b"<< /S /JavaScript /JS (x) >>", catalog=WITH_ACTION)
    with pikepdf.open(io.BytesIO(plain)) as document:
        document.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    assert b"JavaScript" not in out.getvalue()

    assert fails(inspect(out.getvalue(), tmp_path)) == ["pdf-javascript"]


def test_a_text_that_speaks_of_scripts_is_no_script(tmp_path: Path) -> None:
    note = b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (/S /JavaScript /Launch) >>"

    report = inspect(pdf(note, page=b"/Annots [6 0 R]"), tmp_path)

    assert report.accepted


@pytest.mark.parametrize(
    ("name", "content", "code", "level"),
    [
        (b"data.csv", b"a,b", "pdf-attachment", "warn"),
        (b"setup.EXE", b"anything", "pdf-program-attached", "fail"),
        (b"harmless.txt", b"MZ\x90\x00", "pdf-program-attached", "fail"),
    ],
)
def test_attachments_are_said_and_programs_refused(
    tmp_path: Path, name: bytes, content: bytes, code: str, level: str
) -> None:
    file = b"<< /Type /Filespec /F (%s) /UF (%s) /EF << /F 7 0 R >> >>" % (name, name)
    names = b"/Names << /EmbeddedFiles << /Names [(a) 6 0 R] >> >>"

    report = inspect(pdf(file, stream(content), catalog=names), tmp_path)

    found = [(one.code, one.level) for one in report.findings if name.decode() in one.sentence]
    assert found == [(code, level)]
    assert "pdf-no-active-content" not in {one.code for one in report.findings}


def test_links_to_files_of_the_author_are_only_a_warning(tmp_path: Path) -> None:
    action = b"<< /S /URI /URI (file:///C:/Users/ada/notes.doc) >>"

    report = inspect(pdf(action, catalog=WITH_ACTION), tmp_path)

    assert report.accepted
    assert "pdf-file-links" in warns(report)


@pytest.mark.parametrize(("pages", "refused"), [(5000, []), (5001, ["pdf-too-many-pages"])])
def test_five_thousand_pages_are_the_most(tmp_path: Path, pages: int, refused: list[str]) -> None:
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(pages))
    tree = b"<< /Type /Pages /Kids [%s] /Count %d /MediaBox [0 0 595 842] >>" % (kids, pages)
    leaf = b"<< /Type /Page /Parent 2 0 R >>"
    content = raw_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", tree, *([leaf] * pages)])

    assert fails(inspect(content, tmp_path)) == refused


def test_a_pdf_without_pages_is_refused(tmp_path: Path) -> None:
    tree = b"<< /Type /Pages /Kids [] /Count 0 >>"

    report = inspect(raw_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", tree]), tmp_path)

    assert fails(report) == ["pdf-no-pages"]


def test_a_page_tree_that_bites_its_tail_is_refused(tmp_path: Path) -> None:
    tree = b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"

    report = inspect(raw_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", tree]), tmp_path)

    assert len(fails(report)) == 1
    assert fails(report)[0] in {"pdf-damaged", "pdf-no-pages"}


@pytest.mark.parametrize(
    ("entries", "refused"),
    [
        (b"/MediaBox [0 0 7 100]", ["pdf-page-size"]),
        (b"/MediaBox [0 0 8 100]", []),
        (b"/MediaBox [0 0 28801 100]", ["pdf-page-size"]),
        (b"/MediaBox [595 842 0 0]", []),
        (b"/MediaBox [0 0 20000 100] /UserUnit 2", ["pdf-page-size"]),
        (b"/CropBox [0 0 4 4]", ["pdf-page-size"]),
        (b"/CropBox [900 900 1000 1000]", ["pdf-page-size"]),
    ],
)
def test_a_page_of_impossible_size_is_refused(
    tmp_path: Path, entries: bytes, refused: list[str]
) -> None:
    assert fails(inspect(pdf(page=entries), tmp_path)) == refused


@pytest.mark.parametrize(("side", "refused"), [(14_000, []), (15_000, ["pdf-image-size"])])
def test_a_picture_above_two_hundred_megapixels_is_refused(
    tmp_path: Path, side: int, refused: list[str]
) -> None:
    size = b"/Type /XObject /Subtype /Image /Width %d /Height %d" % (side, side)
    colours = b"/ColorSpace /DeviceGray /BitsPerComponent 8"

    assert fails(inspect(pdf(stream(b"", size + colours)), tmp_path)) == refused


def test_a_pdf_that_is_also_a_web_page_is_refused(tmp_path: Path) -> None:
    content = pdf().replace(b"%\xe2\xe3\xcf\xd3", b"%<HTML>")

    assert fails(inspect(content, tmp_path)) == ["pdf-html"]


def test_a_pdf_with_something_in_front_is_refused(tmp_path: Path) -> None:
    assert fails(inspect(b"HTTP/1.1 200 OK\r\n\r\n" + pdf(), tmp_path)) == ["pdf-extra-before"]


def test_a_pdf_that_is_also_a_zip_archive_is_refused(tmp_path: Path) -> None:
    assert fails(inspect(pdf() + book(), tmp_path)) == ["pdf-zip"]


def test_a_pdf_whose_end_is_missing_is_refused(tmp_path: Path) -> None:
    assert fails(inspect(pdf()[:-7], tmp_path)) == ["pdf-truncated"]


@pytest.mark.parametrize(
    ("behind", "refused"),
    [
        (b"\n" * 1023, []),
        (b"\0" * 1023, []),
        (b"------WebKitFormBoundary--", []),
        (b"\n" * 1024, ["pdf-extra-after"]),
        (b"\0" * 5000, ["pdf-extra-after"]),
        (b"x" * 2_000_000, ["pdf-extra-after"]),
    ],
    ids=["a kilobyte", "zeros", "a boundary", "more", "much more", "two megabytes"],
)
def test_the_end_mark_is_looked_for_in_the_last_kilobyte_as_readers_do(
    tmp_path: Path, behind: bytes, refused: list[str]
) -> None:
    report = inspect(pdf() + behind, tmp_path)  # the mark has a line end behind it already

    assert fails(report) == refused
    assert not any("cut off" in finding.sentence for finding in report.findings)


@pytest.mark.parametrize("filling", [b"", b"y" * 3000], ids=["near", "far"])
def test_an_update_whose_own_end_did_not_arrive_is_called_cut_off(
    tmp_path: Path, filling: bytes
) -> None:
    content = pdf() + b"4 0 obj\n<< /Length 9000 >>\nstream\n" + filling

    report = inspect(content, tmp_path)

    assert fails(report) == ["pdf-truncated"]
    assert "it was cut off" in report.failures[0].sentence


def test_a_text_that_speaks_of_pdf_is_called_what_it_is(tmp_path: Path) -> None:
    report = inspect(b"The first line of such a file is %PDF-1.7, as everybody knows.", tmp_path)

    assert (report.format, fails(report)) == (None, ["wrong-type"])
    assert "This is a plain text." in report.failures[0].sentence


def test_a_pdf_whose_table_of_offsets_is_wrong_is_refused_with_the_way_out(tmp_path: Path) -> None:
    content = pdf().replace(b"/Type /Catalog", b"/Type /Catalog" + b" " * 30)

    report = inspect(content, tmp_path)

    assert fails(report) == ["pdf-damaged"]
    assert "save it as a new PDF" in report.failures[0].sentence


def test_an_object_that_is_not_where_the_table_says_is_at_least_a_warning(tmp_path: Path) -> None:
    content = pdf(b"<< /Lost true >>").replace(b"6 0 obj", b"9 9 obj")

    report = inspect(content, tmp_path)

    assert "pdf-odd" in warns(report) or fails(report) == ["pdf-damaged"]


def test_a_signature_is_said(tmp_path: Path) -> None:
    signature = b"<< /Type /Sig /ByteRange [0 1 2 3] /Contents <00> >>"

    report = inspect(pdf(signature), tmp_path)

    assert (report.accepted, "pdf-signed" in warns(report)) == (True, True)


def test_what_an_accessible_pdf_says_of_itself_is_read(tmp_path: Path) -> None:
    catalog = (
        b"/Lang (en-GB) /MarkInfo << /Marked true >> /StructTreeRoot 7 0 R"
        b" /Outlines 8 0 R /Metadata 6 0 R"
    )
    outlines = b"<< /Type /Outlines /First 9 0 R /Last 9 0 R /Count 1 >>"
    entry = b"<< /Title (One) /Parent 8 0 R /Dest [3 0 R /Fit] >>"
    tree = b"<< /Type /StructTreeRoot /K << /S /P /Pg 3 0 R /K 0 >> >>"

    report = inspect(pdf(stream(XMP), tree, outlines, entry, catalog=catalog), tmp_path)

    assert warns(report) == []
    assert {name: report.facts[name] for name in ("title", "author", "language", "tagged")} == {
        "title": "Good practice",
        "author": "Ada Author, Ben Writer",
        "language": "en-GB",
        "tagged": True,
    }
    assert {name: report.facts[name] for name in ("bookmarks", "pdfua", "pdfa", "identifier")} == {
        "bookmarks": True,
        "pdfua": "1",
        "pdfa": "2a",
        "identifier": "urn:isbn:9780306406157",
    }


def test_a_pdf_without_title_language_and_tags_gets_advice(tmp_path: Path) -> None:
    assert warns(inspect(pdf(), tmp_path)) == ["pdf-no-title", "pdf-no-language", "pdf-untagged"]


def test_a_title_that_is_only_a_file_name_is_said_as_it_is(tmp_path: Path) -> None:
    content = pdf(b"<< /Title (Handbook final 3.docx) >>")
    content = content.replace(b"/Root 1 0 R", b"/Root 1 0 R /Info 6 0 R")

    said = [one.sentence for one in inspect(content, tmp_path).warnings if "title" in one.code]

    assert len(said) == 1
    assert said[0].startswith("The title inside the PDF is “Handbook final 3.docx”. Set the real")


def test_a_scan_without_text_is_said(tmp_path: Path) -> None:
    report = inspect(pdf(content=b"0 0 100 100 re f"), tmp_path)

    assert (report.accepted, "pdf-no-text" in warns(report)) == (True, True)


@pytest.mark.parametrize(
    "catalog",
    [b"/Lang 12 /MarkInfo 5 /Outlines (x)", b"/Metadata << >> /Names 7", b"/AcroForm [1 2 3]"],
)
def test_values_of_the_wrong_kind_never_crash_the_gate(tmp_path: Path, catalog: bytes) -> None:
    report = inspect(pdf(catalog=catalog), tmp_path)

    assert "checker-stopped" not in fails(report)


def test_metadata_that_reaches_for_other_files_reads_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not tell")
    outside = b"<!DOCTYPE a [<!ENTITY e SYSTEM 'file://%s'>]>" % str(secret).encode()
    xmp = outside + XMP.split(b"?>", 1)[1].replace(b"Good practice", b"&e;")

    report = inspect(pdf(stream(xmp), catalog=b"/Metadata 6 0 R"), tmp_path)

    assert "do not tell" not in str(report.to_json())


def test_a_page_count_that_two_programs_dispute_is_refused(tmp_path: Path) -> None:
    content = pdf().replace(b"/Count 1", b"/Count 3")

    assert fails(inspect(content, tmp_path)) == ["pdf-pages-disputed"]


@pytest.mark.parametrize(("pages", "said"), [(19, False), (20, True)])
def test_a_longer_pdf_without_bookmarks_gets_advice(tmp_path: Path, pages: int, said: bool) -> None:
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(pages))
    tree = b"<< /Type /Pages /Kids [%s] /Count %d /MediaBox [0 0 595 842] >>" % (kids, pages)
    leaves = [b"<< /Type /Page /Parent 2 0 R >>"] * pages
    content = raw_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", tree, *leaves])

    assert ("pdf-no-bookmarks" in warns(inspect(content, tmp_path))) is said
