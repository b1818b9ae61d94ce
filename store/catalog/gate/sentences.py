"""Every finding of the gate: its code, how serious it is, and the sentence staff read."""

from typing import Literal

Level = Literal["pass", "warn", "fail"]

_EXPORT = "Export the file again from the program it was made with, then upload the new file."
_EXPORT_BOOK = "Export the book again, then upload the new file."
_ZIPPED = "Export the book again rather than zipping it by hand, then upload the new file."

_ANY: dict[str, tuple[Level, str]] = {
    "empty": ("fail", "The file is empty. Choose the file again and upload it once more."),
    "missing": ("fail", "The file could not be uploaded. Try again."),
    "too-big": ("fail", "The file must be {limit} or smaller. This one is {size}."),
    "wrong-type": (
        "fail",
        "The file must be a PDF or EPUB. This is {what}. Save it as PDF or EPUB, then upload that.",
    ),
    "wrong-type-packed": (
        "fail",
        "The file must be a PDF or EPUB. This is a zip archive with {name} in it. Unpack it, then upload that file by itself.",
    ),
    "checker-out-of-time": (
        "fail",
        f"Checking this file took too long: readers would struggle with it too. {_EXPORT}",
    ),
    "checker-out-of-memory": (
        "fail",
        f"This file swells to far more than its size when opened. {_EXPORT}",
    ),
    "checker-stopped": (
        "fail",
        f"This file could not be opened: something inside it is badly damaged, or swells to far more than its size. {_EXPORT}",
    ),
    "and-more": ("warn", "There are {count} more findings like these."),
    "cover-made": ("pass", "A cover picture was taken from the file."),
    "cover-unreadable": (
        "warn",
        "The cover picture inside the file could not be read. Upload a cover for the publication.",
    ),
    "same-bytes": (
        "warn",
        "This is exactly the same file as in the last edition. Check that you chose the new one.",
    ),
    "pages-halved": (
        "warn",
        "The last edition had {before} pages, this one has {now}. Check that the file is complete.",
    ),
    "words-halved": (
        "warn",
        "The last edition had {before} words, this one has {now}. Check that the file is complete.",
    ),
    "size-jump": (
        "warn",
        "The last edition's file was {before}, this one is {now}. Check that it is the right file.",
    ),
    "identifier-differs": (
        "warn",
        "Its identifier is another than that of the last edition. Check that it is the right publication: reading apps will treat it as a different book. It was {before}, and is {now}.",
    ),
    "modified-not-newer": (
        "warn",
        "The file says that it was last modified at {now}, the last edition's at {before}. Reading apps may not see it as newer: export it again so that its date is renewed.",
    ),
    "tags-lost": (
        "warn",
        "The last edition was tagged for screen readers and this file is not. Export it again with the option for tagged or accessible PDF.",
    ),
}

_PDF: dict[str, tuple[Level, str]] = {
    "type-pdf": ("pass", "This is a PDF, judged by its content."),
    "pdf-opens": ("pass", "It opens and has {pages} pages."),
    "pdf-unprotected": ("pass", "It is not protected with a password."),
    "pdf-no-active-content": ("pass", "It holds no scripts, programs or attachments."),
    "pdf-title": ("pass", "Its title is set: {title}."),
    "pdf-language": ("pass", "Its language is set: {language}."),
    "pdf-tagged": ("pass", "It is tagged, so that screen readers can follow it."),
    "pdf-bookmarks": ("pass", "It has bookmarks to move around by."),
    "pdf-password": (
        "fail",
        "This PDF is protected with a password. Export it again without protection.",
    ),
    "pdf-restricted": (
        "fail",
        "This PDF is protected against printing or changing (an owner password). Export it again without protection.",
    ),
    "pdf-truncated": (
        "fail",
        "The end of this PDF is missing: it was cut off while being saved or copied. Upload the complete file.",
    ),
    "pdf-extra-after": (
        "fail",
        "Behind the end of this PDF stand {count} more bytes, so that some readers do not find its end. Open it in Acrobat or Preview, save it as a new PDF, then upload that.",
    ),
    "pdf-damaged": (
        "fail",
        "The table of contents that programs need to open this PDF is wrong, so readers would have to guess. Open it in Acrobat or Preview, save it as a new PDF, then upload that.",
    ),
    "pdf-extra-before": (
        "fail",
        f"There is something else in front of the PDF inside this file. {_EXPORT}",
    ),
    "pdf-html": (
        "fail",
        f"This PDF is also a web page, as disguised files are. {_EXPORT}",
    ),
    "pdf-zip": (
        "fail",
        f"This PDF is also a zip archive, as disguised files are. {_EXPORT}",
    ),
    "pdf-no-pages": ("fail", f"This PDF has no pages. {_EXPORT}"),
    "pdf-too-many-pages": (
        "fail",
        "This PDF has {pages} pages; {limit} is the most. Split it into several publications.",
    ),
    "pdf-pages-disputed": (
        "fail",
        "This PDF has {one} pages for one program and {other} for another. Open it in Acrobat or Preview, save it as a new PDF, then upload that.",
    ),
    "pdf-page-size": (
        "fail",
        "Page {page} has an impossible size. Set a usual paper size such as A4, export again, then upload the new file.",
    ),
    "pdf-image-size": (
        "fail",
        "A picture in this PDF measures {width} by {height} pixels, more than readers can open. Make it smaller, export again, then upload the new file.",
    ),
    "pdf-javascript": (
        "fail",
        "This PDF holds a script (JavaScript), which many readers block. Export it again without scripts or form calculations.",
    ),
    "pdf-launch": (
        "fail",
        "This PDF wants to start a program on the reader's machine. Remove that link or button, export again, then upload the new file.",
    ),
    "pdf-form-sending": (
        "fail",
        "This PDF holds a button that sends or loads form data. Remove the button, export again, then upload the new file.",
    ),
    "pdf-xfa": (
        "fail",
        "This PDF is an XFA form, which most readers cannot show. Export it as an ordinary PDF, for example by printing it to PDF.",
    ),
    "pdf-rich-media": (
        "fail",
        "This PDF holds film, sound or Flash (rich media), which most readers cannot play. Link to it on the web instead, export again, then upload the new file.",
    ),
    "pdf-program-attached": (
        "fail",
        "A program is attached inside this PDF ({name}). Remove the attachment, export again, then upload the new file.",
    ),
    "pdf-attachment": (
        "warn",
        "A file is attached inside this PDF ({name}). Check that buyers are meant to have it; many readers do not show attachments.",
    ),
    "pdf-file-links": (
        "warn",
        "Links in this PDF point to files on the author's own machine ({count}, for example {example}). They will not work for buyers: change them to web addresses.",
    ),
    "pdf-signed": (
        "warn",
        "This PDF carries a digital signature. Buyers get it unchanged, so that it stays valid.",
    ),
    "pdf-odd": (
        "warn",
        "Parts of this PDF are not written as the standard asks ({count}). It opens; a fresh export would be safer.",
    ),
    "pdf-no-title": (
        "warn",
        "The PDF has no title inside. Set one in the document's properties: screen readers and browser tabs read it out instead of the file name.",
    ),
    "pdf-poor-title": (
        "warn",
        "The title inside the PDF is “{title}”. Set the real one in the document's properties: screen readers and browser tabs read it out instead of the file name.",
    ),
    "pdf-no-language": (
        "warn",
        "The PDF does not say which language it is in. Set the document's language, so that screen readers pronounce it rightly.",
    ),
    "pdf-odd-language": (
        "warn",
        "The PDF says that its language is “{language}”, which is no language's code. Set one such as en-GB, so that screen readers pronounce it rightly.",
    ),
    "pdf-tags-empty": (
        "warn",
        "The PDF says that it is tagged, but no page is reached by its tags, so that screen readers must guess its order. Export it again with the option for tagged or accessible PDF.",
    ),
    "pdf-tags-partly": (
        "warn",
        "The PDF says that it is tagged, but its tags reach less than half of its pages. Export it again with the option for tagged or accessible PDF.",
    ),
    "pdf-ua-unfounded": (
        "warn",
        "The PDF claims PDF/UA, the standard for accessible PDF, but lacks {lacking}. The publication page does not repeat that claim. Add what is missing, or take the claim out, then export again.",
    ),
    "pdf-author-path": (
        "warn",
        "The PDF names a folder of the author's machine in its metadata ({path}), which every buyer can read. Remove hidden information from it, then upload the new file.",
    ),
    "pdf-untagged": (
        "warn",
        "The PDF is not tagged, so that screen readers must guess its order. Export it again with the option for tagged or accessible PDF.",
    ),
    "pdf-no-bookmarks": (
        "warn",
        "The PDF has {pages} pages and no bookmarks. Export it again with bookmarks made from the headings.",
    ),
    "pdf-no-text": (
        "warn",
        "No text could be read from this PDF: it looks like pictures of pages. Nobody can search it and screen readers stay silent. Run text recognition (OCR) over it.",
    ),
}

_EPUB: dict[str, tuple[Level, str]] = {
    "type-epub": ("pass", "This is an EPUB, judged by its content."),
    "epub-container": ("pass", "Its archive is sound: {entries} files, every checksum right."),
    "epub-well-formed": ("pass", "All {documents} of its pages are well formed."),
    "epub-unprotected": ("pass", "It carries no copy protection."),
    "epub-links": ("pass", "Every link and picture inside it leads somewhere."),
    "epub-title": ("pass", "Its title is set: {title}."),
    "epub-language": ("pass", "Its language is set: {language}."),
    "epub-accessibility": ("pass", "It says for whom it is accessible."),
    "epub-repaired": (
        "warn",
        "The entry that marks the file as an EPUB (mimetype) {fault}, and some readers refuse such a file. It was put in order; the content is unchanged.",
    ),
    "epub-truncated": (
        "fail",
        "The end of this EPUB is missing: it was cut off while being saved or copied. Upload the complete file.",
    ),
    "epub-damaged": ("fail", f"This EPUB is damaged: {{what}}. {_EXPORT_BOOK}"),
    "epub-entry-damaged": ("fail", f"{{name}} inside this EPUB is damaged. {_EXPORT_BOOK}"),
    "epub-extra-data": (
        "fail",
        f"This EPUB holds hidden data beside its files, as disguised files do. {_ZIPPED}",
    ),
    "epub-extra-after": (
        "fail",
        f"Behind the end of this EPUB stand {{count}} more bytes, so that some readers do not find its end. {_EXPORT_BOOK}",
    ),
    "epub-headers-disagree": (
        "fail",
        f"This EPUB says two different things about {{name}}, so readers would disagree. {_ZIPPED}",
    ),
    "epub-overlap": (
        "fail",
        f"Files inside this EPUB overlap ({{name}}), as disguised files do. {_ZIPPED}",
    ),
    "epub-zip64": (
        "fail",
        f"This EPUB is written in the format for huge archives (zip64), which readers do not open. {_ZIPPED}",
    ),
    "epub-method": (
        "fail",
        f"{{name}} is compressed in a way that EPUB does not allow. {_ZIPPED}",
    ),
    "epub-encrypted": (
        "fail",
        "This EPUB is protected with a password ({name}). Export it again without protection.",
    ),
    "epub-drm": (
        "fail",
        "This EPUB carries copy protection (DRM, in {name}). Export it again without protection.",
    ),
    "epub-name": (
        "fail",
        "The name {name} inside this EPUB is not allowed: {why}. Rename that file, then export the book again.",
    ),
    "epub-name-twice": (
        "fail",
        "Two files inside this EPUB have the same name but for capital letters or the way its accents are written ({name}). Rename one, then export again.",
    ),
    "epub-too-many-entries": (
        "fail",
        "This EPUB holds {count} files; {limit} is the most. Split it into several publications.",
    ),
    "epub-too-large": (
        "fail",
        f"This EPUB swells to far more than its size when opened ({{name}}). {_EXPORT_BOOK}",
    ),
    "epub-not-well-formed": (
        "fail",
        "{name}, line {line}: {what}. The page is not well formed: Kindle and Google Play refuse such a book, and readers may show nothing. Correct that line, then export again.",
    ),
    "epub-entities": (
        "fail",
        f"{{name}} defines its own abbreviations (DTD entities), which readers refuse for safety. {_EXPORT_BOOK}",
    ),
    "epub-remote-script": (
        "fail",
        "{name}, line {line}: a script is loaded from another website ({url}). Remove it, then export again.",
    ),
    "epub-no-package": (
        "fail",
        f"This EPUB does not say where its contents list (package file) is. {_EXPORT_BOOK}",
    ),
    "epub-no-spine": (
        "fail",
        f"The contents list of this EPUB ({{name}}) names no pages to read. {_EXPORT_BOOK}",
    ),
    "epub-page-missing": (
        "fail",
        f"The page {{target}} is named in the contents list but is not in the book. {_EXPORT_BOOK}",
    ),
    "epub-page-misspelt": (
        "fail",
        "The page {target} is named in the contents list, but the file in the book is called {name}. Readers tell capital letters apart and would not find it. Write both the same, then export again.",
    ),
    "epub-item-misspelt": (
        "warn",
        "The file {target} is named in the contents list, but the file in the book is called {name}. Readers tell capital letters apart and will not find it. Write both the same, then export again.",
    ),
    "epub-item-missing": (
        "warn",
        "The file {target} is named in the contents list but is not in the book. Kindle, Google Play and Apple Books may refuse it. Add the file or take its mention out, then export again.",
    ),
    "epub-missing-picture": (
        "warn",
        "{name}, line {line}: names {url}, which is not in the book. Kindle (error E999) and Google Play may refuse it. Add the file or take out the line, then export again.",
    ),
    "epub-broken-link": (
        "warn",
        "{name}, line {line}: the link {url} leads nowhere. Kindle and Google Play may refuse the book. Correct the link, then export again.",
    ),
    "epub-remote-content": (
        "warn",
        "{name}, line {line}: {url} is loaded from the web and will be missing without a connection. Put it into the book.",
    ),
    "epub-script": (
        "warn",
        "{name}, line {line}: the page holds a script. Many readers ignore scripts; check that the book can be read without.",
    ),
    "epub-no-title": ("warn", "The EPUB has no title inside. Set one, then export again."),
    "epub-no-language": (
        "warn",
        "The EPUB does not say which language it is in. Set it, so that screen readers pronounce it rightly.",
    ),
    "epub-odd-language": (
        "warn",
        "The EPUB says that its language is “{language}”, which is no language's code. Set one such as en-GB, so that screen readers pronounce it rightly.",
    ),
    "epub-no-identifier": (
        "warn",
        "The EPUB has no identifier (such as an ISBN). Stores refuse such a book; set one.",
    ),
    "epub-no-contents": (
        "warn",
        "The EPUB has no table of contents with entries that readers can open. Export it again with one.",
    ),
    "epub-no-accessibility": (
        "warn",
        "The EPUB says nothing about its accessibility. Add the accessibility metadata (schema:accessMode and its companions), so that the publication page can show it.",
    ),
    "epub-claim-unfounded": (
        "warn",
        "The EPUB claims “{claim}”, but {why}. The publication page does not repeat that claim. Mend the book or take the claim out, then export again.",
    ),
    "epub-private": (
        "warn",
        "{name} inside this EPUB holds private data ({what}), which every buyer would get. Take it out, then upload the new file.",
    ),
    "epub-leftovers": (
        "warn",
        "This EPUB holds files that a computer or a shop left in it and that no reader shows ({names}). Some stores refuse such a book. Take them out, then upload the new file.",
    ),
    "epub-unlisted": (
        "warn",
        "This EPUB holds files that are not in its contents list and that no page leads to ({names}). Readers do not show them, but everybody who unpacks the book can read them. Take out what buyers are not meant to have, such as old drafts, then upload the new file.",
    ),
    "epub-unlisted-used": (
        "warn",
        "{name} inside this EPUB is used but is not in its contents list (manifest). Some readers will not open it. Add it to the list, then export again.",
    ),
}

SENTENCES = _ANY | _PDF | _EPUB
