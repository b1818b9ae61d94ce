"""Whole documents such as authors' programs write, made at run time: what the gate must take, and
what of them it must not."""

import hashlib
import io
import zlib
from collections.abc import Callable
from itertools import cycle

import pikepdf

from tests.catalog.files import (
    NAV,
    PICTURE_ITEM,
    Entry,
    archive,
    book,
    book_entries,
    changed,
    package,
    page,
    pdf,
    picture,
    raw_pdf,
    stream,
)

IDENTIFIER = "urn:isbn:9780306406157"  # of the made book, by which its fonts are obfuscated
WORDS = b"BT /F1 12 Tf 72 700 Td (Good practice in the early years) Tj ET"
CMAP = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def
/CMapType 2 def 1 begincodespacerange <00> <FF> endcodespacerange
4 beginbfchar <41> <0645> <42> <0631> <43> <062D> <44> <0628> endbfchar
endcmap CMapName currentdict /CMap defineresource pop end end"""
ENCRYPTION = b"""<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>
<enc:EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/>
<enc:CipherData><enc:CipherReference URI="EPUB/book.otf"/></enc:CipherData>
</enc:EncryptedData></encryption>"""
XMP = b"""<x:xmpmeta xmlns:x='adobe:ns:meta/'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description rdf:about='' xmlns:pdfaid='http://www.aiim.org/pdfa/ns/id/'>
<pdfaid:part>1</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
NCX = b"""<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><navMap>
<navPoint id="n1" playOrder="1"><navLabel><text>One</text></navLabel><content src="c1.xhtml"/>
</navPoint></navMap></ncx>"""


def manual(pages: int = 135) -> bytes:
    """A manual with bookmarks, its objects packed into streams and found by a table of their kind."""
    first = 6
    kids = b" ".join(b"%d 0 R" % (first + number) for number in range(pages))
    plain = raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R /Outlines 3 0 R >>",
            b"<< /Type /Pages /Kids [%s] /Count %d /MediaBox [0 0 595 842]"
            b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
            b" >> >> >>" % (kids, pages),
            b"<< /Type /Outlines /First 4 0 R /Last 4 0 R /Count 1 >>",
            b"<< /Title (Chapter 1) /Parent 3 0 R /Dest [6 0 R /Fit] >>",
            stream(WORDS),
            *[b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>"] * pages,
        ]
    )
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(plain)) as document:
        document.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return out.getvalue()


def form() -> bytes:
    """A PDF with a field to fill in."""
    field = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ada) /Rect [72 600 300 620]"
        b" /DA (/F1 12 Tf) /P 3 0 R >>"
    )
    return pdf(
        field,
        catalog=b"/AcroForm << /Fields [6 0 R] /NeedAppearances true >>",
        page=b"/Annots [6 0 R]",
    )


def rotated_arabic() -> bytes:
    """A page that is turned round, with Arabic text."""
    font = b"/Resources << /Font << /F1 5 0 R >> >>"
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842] >>",
            b"<< /Type /Page /Parent 2 0 R /Rotate 90 /Contents 4 0 R %s >>" % font,
            stream(b"BT /F1 24 Tf 72 700 Td (DCBA) Tj ET"),  # drawn from the left
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>",
            stream(CMAP),
        ]
    )


def protected(owner: str, user: str) -> bytes:
    """A PDF with a password to change it, and one to open it."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf())) as document:
        document.save(out, encryption=pikepdf.Encryption(owner=owner, user=user))
    return out.getvalue()


def archival() -> bytes:
    """A PDF that claims PDF/A-1b."""
    return pdf(stream(XMP, b"/Type /Metadata /Subtype /XML"), catalog=b"/Metadata 6 0 R")


def signed() -> bytes:
    """A PDF with a signature field that is signed."""
    signature = (
        b"<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /adbe.pkcs7.detached"
        b" /ByteRange [0 100 200 300] /Contents <%s> >>" % (b"00" * 200)
    )
    field = (
        b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Signature) /V 7 0 R"
        b" /Rect [0 0 0 0] /F 132 /P 3 0 R >>"
    )
    return pdf(
        field,
        signature,
        catalog=b"/AcroForm << /Fields [6 0 R] /SigFlags 3 >>",
        page=b"/Annots [6 0 R]",
    )


def long_book(chapters: int = 150) -> bytes:
    """A novel, a file for each chapter."""
    names = [f"chapter-{number:03}.xhtml" for number in range(chapters)]
    items = "".join(
        f'<item id="{name[:-6]}" href="{name}" media-type="application/xhtml+xml"/>'
        for name in names
    )
    links = "".join(f"<li><a href='{name}'>{name}</a></li>" for name in names)
    text = page("<p>Call me Ishmael, said the reader.</p>" * 100)
    return book(
        {
            "EPUB/package.opf": package(items=items),
            "EPUB/nav.xhtml": NAV.replace(b"</ol>", links.encode() + b"</ol>"),
            **{f"EPUB/{name}": text for name in names},
        }
    )


def fixed_layout() -> bytes:
    """A picture book whose pages have a fixed layout."""
    layout = '<meta property="rendition:layout">pre-paginated</meta>'
    head = '<meta name="viewport" content="width=900, height=1200"/>'
    return book(
        {
            "EPUB/package.opf": package(items=PICTURE_ITEM.format("p.png"), metadata=layout),
            "EPUB/c1.xhtml": page('<img src="p.png" alt="A blue page"/>', head=head),
            "EPUB/p.png": picture(),
        }
    )


def obfuscated_font() -> bytes:
    """A book whose font is obfuscated by its identifier, as the EPUB standard has it."""
    font = b"OTTO" + bytes(range(256)) * 8
    key = hashlib.sha1(IDENTIFIER.encode(), usedforsecurity=False).digest()
    masked = bytes(byte ^ mask for byte, mask in zip(font[:1040], cycle(key), strict=False))
    item = '<item id="f" href="book.otf" media-type="font/otf"/>'
    return book(
        {
            "META-INF/encryption.xml": ENCRYPTION,
            "EPUB/package.opf": package(items=item),
            "EPUB/c1.xhtml": page(
                "<p>Once</p>", head="<style>@font-face { src: url(book.otf) }</style>"
            ),
            "EPUB/book.otf": masked + font[1040:],
        }
    )


def old_book() -> bytes:
    """An EPUB 2 as older tools pack it: its contents an NCX, its mimetype entry compressed."""
    opf = package(items='<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>')
    opf = opf.replace(b'version="3.0"', b'version="2.0"')
    opf = opf.replace(b"<spine>", b'<spine toc="ncx">').replace(b' properties="nav"', b"")
    entries = book_entries({"EPUB/package.opf": opf, "EPUB/toc.ncx": NCX})
    return archive(changed(entries, "mimetype", stored=False))


def zeros(size: int) -> Entry:
    """An entry of so many zero bytes, packed in pieces so that making it takes no memory."""
    squeezer, packed, crc = zlib.compressobj(9, zlib.DEFLATED, -15), [], 0
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        packed.append(squeezer.compress(block))
        crc = zlib.crc32(block, crc)
    packed.append(squeezer.flush())
    return Entry(b"EPUB/big.bin", packed=b"".join(packed), size=size, crc=crc)


def gibibyte_bomb() -> bytes:
    """A book that swells to more than a gibibyte."""
    return archive([*book_entries(), zeros(1 << 30)])


# Each with what shows that it is what it is called: a fact that the gate reads out of it, or the
# code of a finding.
MADE: dict[str, tuple[Callable[[], bytes], str, object]] = {
    "manual.pdf": (manual, "pages", 135),
    "form.pdf": (form, "words", 2),
    "rotated-arabic.pdf": (rotated_arabic, "text_sample", "مرحب"),
    "password.pdf": (lambda: protected("o", "u"), "code", "pdf-password"),
    "archival.pdf": (archival, "pdfa", "1b"),
    "signed.pdf": (signed, "code", "pdf-signed"),
    "long.epub": (long_book, "entries", 155),
    "fixed-layout.epub": (fixed_layout, "fixed_layout", True),
    "obfuscated-font.epub": (obfuscated_font, "code", "epub-unprotected"),
    "epub-2.epub": (old_book, "epub_version", "2.0"),
    "bomb.epub": (gibibyte_bomb, "code", "epub-too-large"),
}
