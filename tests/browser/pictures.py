"""`python -m tests.browser.pictures`: take the pictures of the desk that the shopkeepers' guide shows,
of a shop made for it, at 1280 pixels in the light. Changed pages are taken again by the same command."""

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from store.mail import heartbeats
from tests.browser.conftest import (
    CHROMIUM,
    PATIENCE_MS,
    QUIET,
    Look,
    Visit,
    Walker,
    new_context,
    sign_in,
)
from tests.browser.places import Places
from tests.browser.shop import open_shop

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
COLOURS = 64  # of a page of ours, so that a picture weighs little
# The picture, and the page of `places` that it shows.
PICTURES = {
    "home": "desk",
    "publication": "desk publication",
    "move-a-date": "desk move date",
    "upload": "desk upload",
    "draft": "desk draft",
    "released": "desk released",
    "recall": "desk recall",
    "customer": "desk customer",
    "address": "desk address",
    "two-customers": "desk two customers",
    "end-links": "desk end links",
    "repairs": "desk letters that came back",
    "refund": "desk refund",
    "dispute": "desk dispute",
    "transfers": "desk transfers",
    "give-a-copy": "desk give a copy",
    "discounts": "desk discounts",
    "import": "desk a file of customers",
    "accountant": "desk accounts",
    "staff": "desk staff",
    "record": "desk record",
    "settings": "desk settings",
}


def main() -> None:
    """Take every picture."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open_shop(Path(folder)) as shop:
        places = Places(shop)
        places.stock()
        # The shop's worker is a thread here; this says that it is at work, as a worker would.
        with shop.app.app_context():
            heartbeats.beat()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            page = new_context(browser, shop, Look(1280, 900)).new_page()
            page.set_default_timeout(PATIENCE_MS)
            sign_in(page, shop)
            walker = Walker(page, Visit(shop.url), places)
            for name, place in PICTURES.items():
                walker.go(place)
                page.set_viewport_size({"width": 1280, "height": 900})
                page.evaluate("scrollTo(0, 0)")
                _save(page.screenshot(), FOLDER / f"{name}.png")
            browser.close()


def _save(shot: bytes, path: Path) -> None:
    picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS)
    picture.save(path, optimize=True)


if __name__ == "__main__":
    main()
