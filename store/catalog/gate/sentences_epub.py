"""The findings about EPUB files: code, how serious it is, and the sentence staff read."""

from store.catalog.gate.report import Level

_EXPORT = "Export the book again, then upload the new file."
_ZIPPED = "Export the book again rather than zipping it by hand, then upload the new file."

EPUB: dict[str, tuple[Level, str]] = {
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
    "epub-damaged": ("fail", f"This EPUB is damaged: {{what}}. {_EXPORT}"),
    "epub-entry-damaged": ("fail", f"{{name}} inside this EPUB is damaged. {_EXPORT}"),
    "epub-extra-data": (
        "fail",
        f"This EPUB holds hidden data beside its files, as disguised files do. {_ZIPPED}",
    ),
    "epub-extra-after": (
        "fail",
        f"Behind the end of this EPUB stand {{count}} more bytes, so that some readers do not find its end. {_EXPORT}",
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
        f"This EPUB swells to far more than its size when opened ({{name}}). {_EXPORT}",
    ),
    "epub-not-well-formed": (
        "fail",
        "{name}, line {line}: {what}. The page is not well formed: Kindle and Google Play refuse such a book, and readers may show nothing. Correct that line, then export again.",
    ),
    "epub-entities": (
        "fail",
        f"{{name}} defines its own abbreviations (DTD entities), which readers refuse for safety. {_EXPORT}",
    ),
    "epub-remote-script": (
        "fail",
        "{name}, line {line}: a script is loaded from another website ({url}). Remove it, then export again.",
    ),
    "epub-no-package": (
        "fail",
        f"This EPUB does not say where its contents list (package file) is. {_EXPORT}",
    ),
    "epub-no-spine": (
        "fail",
        f"The contents list of this EPUB ({{name}}) names no pages to read. {_EXPORT}",
    ),
    "epub-page-missing": (
        "fail",
        f"The page {{target}} is named in the contents list but is not in the book. {_EXPORT}",
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
