"""Make the pages that nginx shows by itself, busy.html and too-large.html, in the look of the shop: the shop
may not be there to be asked for its stylesheet. `python docs/ops/nginx/make_pages.py` after a change of it."""

import re
from pathlib import Path

from store.kit.static_files import thinned

FOLDER = Path(__file__).parent
STYLE = FOLDER.parents[2] / "static" / "colophon.css"
# The rules of the stylesheet that these pages need, by what they are for.
USED = (
    *(":root", "*,::before,::after", "html", "body", "main,.bar", "main", "h1,h2,h3", "h1"),
    *("p,ul,ol,dl,form,table", ".lead", ".sheet,.empty", ".narrow", ":is(.narrow,.pair) h1"),
    ":is(.note,.sheet,.empty,.leaf,form)>:last-child",
)
BUSY = (
    "Very many people are here at once, or the shop is being started again. Please come back in a minute. "
    "Your orders, your links and your copies stay as they are. If you had just pressed a button, look "
    "whether it worked before you press it again."
)
TOO_LARGE = (
    "That is larger than we can take, so nothing of it was taken. Please go back and send less."
)
PAGES = {
    "busy.html": ("We are not there for a moment", BUSY),
    "too-large.html": ("That is too large", TOO_LARGE),
}
_PAGE = """<!DOCTYPE html>
<html lang="en-GB">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{heading}</title>
    <meta name="robots" content="noindex">
    <meta name="color-scheme" content="light dark">
    <style>{style}</style>
  </head>
  <body class="shop">
    <div></div>
    <main id="main">
      <div class="narrow">
        <div class="sheet">
          <h1>{heading}</h1>
          <p class="lead">{sentence}</p>
        </div>
      </div>
    </main>
  </body>
</html>
"""


def style() -> str:
    """The rules above as they stand in the shop's stylesheet, with the colours of the dark."""
    whole = thinned(STYLE.read_text(encoding="utf-8"))
    dark = re.search(r"@media screen and \(prefers-color-scheme:dark\)\{:root\{[^}]*\}\}", whole)
    if dark is None:
        raise SystemExit("the stylesheet has no colours of the dark at its head")
    first: dict[str, str] = {}
    for rule in re.finditer(r"(?:^|(?<=\}))([^{}@]+)\{[^{}]*\}", whole):
        first.setdefault(rule[1], rule[0])
    head, *rest = (first[name] for name in USED)
    return "".join((head, dark[0], *rest))


def pages() -> dict[str, str]:
    """The pages by the names of their files."""
    return {
        name: _PAGE.format(style=style(), heading=heading, sentence=sentence)
        for name, (heading, sentence) in PAGES.items()
    }


if __name__ == "__main__":
    for name, page in pages().items():
        (FOLDER / name).write_text(page, encoding="utf-8")
