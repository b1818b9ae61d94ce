"""The desk as a publisher uses it: sign in, upload, look, release, follow, account."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Locator, Page, expect

from store.demo.seed import edition_files
from store.kit import clock
from store.orders.models import Order
from tests.browser.conftest import DESK_DARK, Look, Walker, looks, new_context, sign_in
from tests.browser.shop import LiveShop, open_shop

pytestmark = pytest.mark.browser


@pytest.fixture(params=looks(DESK_DARK), ids=str)
def page(request: pytest.FixtureRequest, visit: Callable[[Look], Page]) -> Page:
    """The owner's page: at a desk in the dark; the other looks in the long run."""
    return visit(request.param)


def test_an_edition_goes_from_upload_to_everybody_in_three_presses(
    page: Page, shop: LiveShop
) -> None:
    slug = shop.publication()
    people = [f"{name}@{slug}.example" for name in ("anna", "ben")]
    for address in people:
        shop.order(slug, address)
    sign_in(page, shop)
    page.goto(f"/admin/publications/{slug}")
    page.get_by_role("link", name="Upload an edition").click()
    page.get_by_label("PDF, EPUB or both").set_input_files(list(edition_files(1)))
    page.get_by_label("What changed").fill("- The first edition")
    page.get_by_role("button", name="Upload").click()  # the first press
    expect(page).to_have_title(re.compile("^Edition 1 of "))
    main = page.locator("main")
    expect(main).to_contain_text("Nothing is sent yet.")
    expect(main).to_contain_text("The first edition")
    letter = page.frame_locator("iframe.letter")
    expect(letter.locator("body")).to_contain_text("The first edition")
    assert shop.letters(people[0], "edition 1") == []
    page.get_by_text("Release to 2 people…").click()  # the second
    page.get_by_role("button", name="Release edition 1 to 2 people").click()  # the third
    for address in people:
        shop.letter(address, "edition 1")
    shop.until(lambda: _reloaded(page, "The account is complete"), "the account adds up")
    expect(page.get_by_role("img").first).to_have_accessible_name(re.compile("2 handed over"))


def test_from_home_to_sent_are_four_presses(browser: Browser, tmp_path: Path) -> None:
    with open_shop(tmp_path) as own:
        slug = own.publication(editions=1)
        own.order(slug, f"anna@{slug}.example")
        page = new_context(browser, own, DESK_DARK).new_page()
        sign_in(page, own)
        presses: list[str] = []

        def press(what: Locator) -> None:
            presses.append(what.inner_text())
            what.click()

        press(page.get_by_role("link", name=re.compile("^Upload the next edition of ")))
        page.get_by_label("PDF, EPUB or both").set_input_files(list(edition_files(2)))
        press(page.get_by_role("button", name="Upload"))
        press(page.get_by_text("Release to 1 person…"))
        press(page.get_by_role("button", name="Release edition 2 to 1 person"))

        own.letter(f"anna@{slug}.example", "edition 2")
        page.context.close()
    assert len(presses) == 4


def test_a_lost_letter_a_refund_and_a_gift_are_three_presses_from_home(
    visit: Callable[[Look], Page], shop: LiveShop
) -> None:
    page = visit(DESK_DARK)
    slug = shop.publication(editions=1)
    lost, refunded, given = (f"{name}@{slug}.example" for name in ("lost", "back", "gift"))
    for address in (lost, refunded):
        shop.order(slug, address)
    reference = shop.ask(sa.select(Order.reference).where(Order.email == refunded))
    sign_in(page, shop)

    def find(text: str) -> None:  # the first press of each
        page.goto("/admin/")
        search = page.get_by_role("banner").get_by_role("searchbox")
        search.fill(text)
        search.press("Enter")

    find(lost)
    page.get_by_role("button", name="Send the links again").first.click()
    shop.letter(lost, "your copies")

    find(reference)
    page.get_by_role("link", name="Refund…").click()
    page.get_by_role("button", name=f"Refund order {reference}").click()
    shop.letter(refunded, "refund")

    page.goto("/admin/")
    page.get_by_role("navigation", name="Desk").get_by_role("link", name="Publications").click()
    page.locator("main tr", has=page.locator(f'a[href$="/{slug}"]')).get_by_text(
        "Give a copy"
    ).click()
    page.get_by_label("E-mail address").fill(given)
    page.get_by_label("Reason").fill("helped with the research")
    page.get_by_role("button", name="Give this copy").click()
    shop.letter(given)


def _reloaded(page: Page, words: str) -> bool:
    page.reload()
    return words in page.locator("main").inner_text()


def test_the_page_of_a_release_swaps_its_buttons_with_its_state(
    visit: Callable[[Look], Page], shop: LiveShop
) -> None:
    page = visit(DESK_DARK)  # without scripts the page is loaded again by hand
    slug = shop.publication()
    shop.order(slug, f"waits@{slug}.example", wants_now=False)
    shop.upload(slug, 1)
    shop.schedule(slug, clock.now() + timedelta(hours=1))
    sign_in(page, shop)
    page.goto(f"/admin/publications/{slug}/editions/1")
    take_back = page.get_by_role("button", name="Take it back")
    take_back.focus()
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch") as fetched:
        pass
    fetched.value.finished()
    page.evaluate("new Promise(done => setTimeout(done))")  # what was fetched has its turn
    expect(take_back).to_be_focused()
    shop.schedule(slug, clock.now() - timedelta(seconds=1))
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(take_back).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()


def test_a_date_moves_and_who_would_rather_cancel_does_so_behind_the_letter(
    visit: Callable[[Look], Page], shop: LiveShop
) -> None:
    page = visit(DESK_DARK)
    slug = shop.publication()
    anna, ben = (f"{name}@{slug}.example" for name in ("anna", "ben"))
    for address in (anna, ben):
        shop.order(slug, address)
    sign_in(page, shop)
    page.goto(f"/admin/publications/{slug}")
    page.get_by_role("link", name="Move the date").click()
    page.get_by_label("New date", exact=True).fill("2198-05-14")
    page.get_by_label("Why, in your words").fill("Two schools are still to read it.")
    page.get_by_label("Why, in your words", exact=True).press("Tab")
    page.get_by_role("button", name="Show the letter with this").press("Enter")
    letter = page.frame_locator("iframe.letter")
    expect(letter.locator("body")).to_contain_text("Two schools are still to read it.")
    page.get_by_text("Text", exact=True).click()
    expect(page.locator("pre")).to_contain_text("/orders/…/cancel")
    page.get_by_role("button", name="Move the date and tell 2 people").click()
    expect(page.locator("main")).to_contain_text("comes on 14 May 2198")
    for address in (anna, ben):
        shop.letter(address, "comes on 14 may 2198")
    page.reload()
    expect(page.get_by_role("link", name=re.compile(r"^2\s*handed over"))).to_be_visible()

    page.goto(shop.path_in(shop.letter(anna, "comes on"), "orders"))
    page.get_by_role("button", name="Cancel and get").click()
    expect(page.get_by_role("alert")).to_contain_text("Tick the box if you are sure")
    page.get_by_label("Yes, cancel order").check()
    page.get_by_role("button", name="Cancel and get").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled and refunded")
    shop.letter(anna, "refund")


def test_a_file_that_the_gate_refuses_is_told_in_words(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    sign_in(page, shop)
    page.goto(f"/admin/publications/{slug}/upload")
    page.get_by_label("PDF, EPUB or both").set_input_files(
        {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"Dear reader"}
    )
    page.get_by_role("button", name="Upload").click()
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("There is a problem")
    expect(page).to_have_title(re.compile("^Error: "))


def test_a_test_letter_comes_to_the_person_who_asks(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    shop.upload(slug, 1)
    sign_in(page, shop)
    page.goto(f"/admin/publications/{slug}/editions/1")
    page.get_by_role("button", name="Send a test to me").click()
    expect(page.locator("main")).to_contain_text(f"A test is on its way to {shop.owner}.")
    assert "[test]" in str(shop.letter(shop.owner, "[test]")["Subject"]).lower()


def test_an_order_is_found_by_its_reference_and_paid_back(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    address = f"anna@{slug}.example"
    order_page = shop.order(slug, address)
    sign_in(page, shop)
    find = page.get_by_role("banner").get_by_role("searchbox")
    find.fill(address)
    find.press("Enter")
    page.locator("main table a").first.click()
    page.get_by_role("link", name="Refund…").click()
    page.get_by_role("button", name=re.compile("Refund|back")).click()
    shop.letter(address, "refund")
    page.goto(order_page)
    expect(page.locator("h1")).to_have_text("This order is cancelled and refunded")


def test_signing_out_closes_the_desk(page: Page, shop: LiveShop) -> None:
    sign_in(page, shop)
    page.get_by_text("Menu", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    page.goto("/admin/orders")
    expect(page).to_have_title(re.compile("Sign in"))


def test_a_slash_leads_to_the_search_and_the_menu_closes_by_itself(owner: Walker) -> None:
    page = owner.go("desk publications")
    find, menu = page.get_by_role("banner").get_by_role("searchbox"), page.locator("details.menu")
    page.keyboard.press("/")
    expect(find).to_be_focused()
    page.keyboard.type("a/b")
    expect(find).to_have_value("a/b")
    page.get_by_text("Menu", exact=True).click()
    expect(menu.get_by_role("link", name="Publications")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    page.get_by_text("Menu", exact=True).click()
    page.locator("main").click(position={"x": 1, "y": 1})
    expect(menu).not_to_have_attribute("open", "")


def test_a_slash_that_was_turned_off_leads_nowhere(owner: Walker) -> None:
    page = owner.go("desk account")
    page.get_by_role("button", name="Turn the key off").click()
    find = page.get_by_role("banner").get_by_role("searchbox")
    expect(page.get_by_role("button", name="Turn the key on")).to_be_visible()
    page.keyboard.press("/")
    expect(find).not_to_be_focused()
    page.get_by_role("button", name="Turn the key on").click()
    expect(page.get_by_role("button", name="Turn the key off")).to_be_visible()
    page.keyboard.press("/")
    expect(find).to_be_focused()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_head_is_one_row_at_every_width(owner: Walker, width: int) -> None:
    page = owner.go("desk orders")
    page.set_viewport_size({"width": width, "height": 800})
    tallest = page.evaluate("document.querySelector('header.head').getBoundingClientRect().height")
    assert tallest < 64
