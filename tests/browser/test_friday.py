"""A Friday afternoon at the desk: everything that an office manager does between two meetings."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from pyotp import TOTP

from store.demo.seed import edition_files
from store.kit.database import transaction
from store.staff.people import add_staff
from tests.browser.conftest import Look
from tests.browser.places import follow
from tests.browser.shop import LiveShop

pytestmark = pytest.mark.browser

MIRA, LEAVER, PASSWORD = "mira@friday.example", "tom@friday.example", "four plain words here"


def the_code(secret: str, steps: int) -> str:
    """What Mira's phone shows so many half minutes from now: each code counts once."""
    return TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30 * steps))


def come_in(page: Page, secret: str) -> None:
    """Past the password and the second step."""
    page.goto("/admin/")
    page.get_by_label("E-mail address").fill(MIRA)
    page.get_by_label("Password").fill(PASSWORD)
    follow(page, page.get_by_role("button", name="Sign in"))
    page.get_by_label("Code").fill(the_code(secret, 0))
    follow(page, page.get_by_role("button", name="Sign in"))
    expect(page).to_have_title(re.compile("Home"))


def second_step(page: Page, shop: LiveShop) -> str:
    """Mira's authenticator, which she turned on when she was new; what it makes its codes of."""
    with shop.app.app_context(), transaction():
        add_staff(MIRA, "owner", PASSWORD)
        add_staff(LEAVER, "editor", PASSWORD)
    page.goto("/admin/account/two-step")
    page.get_by_label("E-mail address").fill(MIRA)
    page.get_by_label("Password").fill(PASSWORD)
    follow(page, page.get_by_role("button", name="Sign in"))
    page.goto("/admin/account/two-step")
    secret = page.locator("main code").first.inner_text().replace("-", "")
    page.get_by_label("Code from the app").fill(the_code(secret, -1))
    page.get_by_label("Your password").fill(PASSWORD)
    follow(page, page.get_by_role("button", name="Turn on"))
    page.get_by_text("Menu", exact=True).click()
    follow(page, page.get_by_role("button", name="Sign out"))
    return secret


def test_a_friday_afternoon(visit: Callable[[Look], Page], shop: LiveShop) -> None:
    page = visit(Look(1280, 900))
    out, promised = shop.publication(editions=1), shop.publication()
    anna, ben = f"anna@{out}.example", f"ben@{promised}.example"
    shop.order(out, anna)
    shop.order(promised, ben)
    secret = second_step(page, shop)
    come_in(page, secret)
    main = page.locator("main")

    # Upload, look at the checks, say what changed, send a test, release: and watch it arrive.
    page.goto(f"/admin/publications/{out}")
    follow(page, page.get_by_role("link", name="Upload an edition"))
    page.get_by_label("PDF, EPUB or both").set_input_files(list(edition_files(2)))
    page.get_by_label("What changed").fill("- The Act of Friday")
    page.get_by_role("button", name="Upload").click()
    expect(page).to_have_title(re.compile("^Edition 2 of "))
    expect(main).to_contain_text(re.compile(r"\d+ to mend · \d+ to look at · \d+ passed"))
    expect(main).to_contain_text("The Act of Friday")
    follow(page, page.get_by_role("button", name="Send a test to me"))
    assert "[test]" in str(shop.letter(MIRA, "[test]")["Subject"]).lower()
    page.get_by_text("Release to 1 person…").click()
    page.get_by_role("button", name="Release edition 2 to 1 person").click()
    expect(main).to_contain_text("The account is complete")
    shop.letter(anna, "edition 2")

    # "I did not get it": found from the head, answered on her page, sent again in three presses.
    page.keyboard.press("/")
    page.keyboard.type(anna)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(main).to_contain_text("Did it reach them?")
    follow(page, page.get_by_role("button", name="Send the links again").first)
    shop.letter(anna, "your copies")

    # The other publication is late.
    page.goto(f"/admin/publications/{promised}")
    follow(page, page.get_by_role("link", name="Move the date"))
    page.get_by_label("New date", exact=True).fill("2198-05-14")
    page.get_by_label("Why, in your words").fill("Two schools are still to read it.")
    follow(page, page.get_by_role("button", name="Show the letter with this"))
    follow(page, page.get_by_role("button", name="Move the date and tell 1 person"))
    shop.letter(ben, "comes on 14 may 2198")

    # Tom has left.
    page.goto("/admin/staff")
    follow(page, page.get_by_role("link", name=f"Change or remove… {LEAVER}"))
    follow(page, page.get_by_role("link", name=f"Remove {LEAVER}…"))
    page.get_by_label("Your own password").fill(PASSWORD)
    page.get_by_label("A code from your app").fill(the_code(secret, 1))
    follow(page, page.get_by_role("button", name=f"Remove {LEAVER}"))

    # And all of it is on record, the newest first.
    page.goto("/admin/audit")
    said = [re.sub(r"\s+", " ", one) for one in main.locator("tbody th").all_inner_texts()]
    begins = [
        f"Removed {LEAVER}",
        "Moved the date of",
        "Sent all links to",
        "Released",
        "Sent a test of",
        "Uploaded files of",
        "Signed in",
    ]
    seen = [next((begin for begin in begins if text.startswith(begin)), text) for text in said]
    assert seen[: len(begins)] == begins
