"""Ordering as a visitor does it: the page, the form, the payment, the order's own page."""

from io import BytesIO
from urllib.parse import urlsplit

import pikepdf
import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from store.catalog.sellers import state_seller
from store.entitlements.links import library_url, order_url
from store.kit.database import transaction
from store.orders.models import Customer, Order
from store.payments.checkout import begin_checkout
from tests.browser.shop import LiveShop, link_of

pytestmark = pytest.mark.browser


def fill_in(page: Page, slug: str, address: str) -> None:
    """From the publication's page to the review."""
    page.goto(f"/publications/{slug}")
    page.get_by_role("link", name="Pre-order for £12.50").first.click()
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Your name").fill("Zoë Ní Bhriain")
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_title("Check your order – Early Years Sample Press")


def pay(page: Page, button: str = "Pay £12.50") -> None:
    """From the review through the payment page."""
    page.get_by_role("button", name="Order and pay £12.50").click()
    page.get_by_role("button", name=button).click()


def orders_of(shop: LiveShop, address: str) -> int:
    return int(shop.ask(sa.select(sa.func.count()).where(Order.email == address)))


def test_a_preorder_is_paid_and_its_page_and_letter_say_so(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    address = f"zoe@{slug}.example"
    fill_in(page, slug, address)
    main = page.locator("main")
    expect(main).to_contain_text(address)
    expect(main).to_contain_text("Ticked or not, you can cancel until it comes, and get all of")
    page.get_by_label("Send me the guide straight away").check()
    pay(page)
    expect(page.locator("h1")).to_have_text("Thank you for your pre-order")
    expect(main).to_contain_text("You paid £12.50.")
    letter = shop.letter(address, "order")
    assert link_of(page.url) == link_of(shop.path_in(letter, "orders"))
    expect(page.locator(".over")).to_contain_text("Paid. Order ")
    reference = page.locator(".over").inner_text().removeprefix("Paid. Order ")
    body = letter.get_body(("plain",))
    assert body is not None
    assert f"Reference: {reference}" in body.get_content()
    page.reload()
    expect(page.locator("h1")).to_have_text("Thank you for your pre-order")


def test_a_declined_card_loses_nothing_and_paying_again_works(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    address = f"zoe@{slug}.example"
    fill_in(page, slug, address)
    pay(page, "Decline the card")
    main = page.locator("main")
    expect(main).to_contain_text("The payment was not made")
    expect(main).to_contain_text("You have not been charged.")
    expect(main).to_contain_text(f"z•••@{slug}.example")
    # The order keeps what was typed; its link, which may have got out, does not show it.
    expect(main).to_contain_text("As you typed it")
    pay(page)
    expect(page.locator("h1")).to_have_text("Thank you for your pre-order")
    assert orders_of(shop, address) == 1


def test_leaving_without_paying_keeps_what_was_typed(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    address = f"zoe@{slug}.example"
    fill_in(page, slug, address)
    page.get_by_label("Send me the guide straight away").check()
    pay(page, "Leave without paying")
    expect(page.locator("main")).to_contain_text("You have not been charged.")
    expect(page.get_by_label("Send me the guide straight away")).to_be_checked()
    page.get_by_role("button", name="Change e-mail").click()
    expect(page.locator("main")).to_contain_text("what you leave empty stays as it was")
    page.get_by_label("E-mail address").fill("two." + address)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("main")).to_contain_text("two." + address)
    pay(page)
    expect(page.locator("main")).to_contain_text(f"t•••@{slug}.example")
    expect(page.locator("main")).to_contain_text("Zoë Ní Bhriain")
    assert orders_of(shop, "two." + address) == 1
    # Another address is another order; the one before is given up.
    assert shop.ask(sa.select(Order.status).where(Order.email == address)) == "cancelled"


def test_going_back_and_pressing_again_is_still_one_order(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    address = f"zoe@{slug}.example"
    fill_in(page, slug, address)
    page.get_by_role("button", name="Order and pay £12.50").click()
    expect(page.get_by_role("button", name="Pay £12.50")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Order and pay £12.50").click()
    page.get_by_role("button", name="Pay £12.50").click()
    expect(page.locator("h1")).to_have_text("Thank you for your pre-order")
    assert orders_of(shop, address) == 1
    assert len(shop.letters(address)) <= 1


def test_a_double_press_is_one_order_and_one_payment(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    address = f"zoe@{slug}.example"
    fill_in(page, slug, address)
    page.get_by_role("button", name="Order and pay £12.50").dblclick()
    page.get_by_role("button", name="Pay £12.50").dblclick()
    expect(page.locator("h1")).to_have_text("Thank you for your pre-order")
    shop.letter(address, "order")
    assert orders_of(shop, address) == 1
    assert len(shop.letters(address)) == 1


def test_errors_are_named_first_and_at_the_field(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    page.goto(f"/publications/{slug}/order")
    page.get_by_label("E-mail address").fill("zoe@")
    page.get_by_label("Your name").fill("Zoë")
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_title("Error: Your details – Early Years Sample Press")
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("There is a problem")
    assert page.locator("main > *").first.get_attribute("role") == "alert"
    field = page.get_by_label("E-mail address")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("zoe@")
    expect(page.get_by_label("Your name")).to_have_value("Zoë")
    words = summary.get_by_role("link").inner_text()
    described = (field.get_attribute("aria-describedby") or "").split()
    beside = [" ".join(page.locator(f"#{one}").inner_text().split()) for one in described]
    assert f"Error: {words}" in beside
    summary.get_by_role("link").click()
    expect(field).to_be_focused()


def test_a_typo_in_a_big_domain_can_be_mended_or_passed(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    page.goto(f"/publications/{slug}/order")
    page.get_by_label("E-mail address").fill("zoe@gmial.com")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("main")).to_contain_text("Did you mean zoe@gmail.com?")
    page.get_by_role("button", name="Use zoe@gmail.com").click()
    expect(page.locator("main")).to_contain_text("zoe@gmail.com")
    expect(page.locator("h1")).to_have_text("Check your order")


def test_cancelling_pays_all_of_it_back(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    address = f"zoe@{slug}.example"
    page.goto(shop.order(slug, address))
    page.get_by_role("link", name="Cancel this order").click()
    expect(page.locator("h1")).to_have_text("Cancel this order?")
    page.get_by_role("button", name="Cancel and get £12.50 back").click()
    expect(page.get_by_role("alert")).to_contain_text("Tick the box if you are sure")
    page.get_by_label("Yes, cancel order").check()
    page.get_by_role("button", name="Cancel and get £12.50 back").click()
    expect(page.locator("h1")).to_have_text("This order is cancelled and refunded")
    expect(page.locator("main")).to_contain_text("£12.50 back")
    assert "refund" in str(shop.letter(address, "refund")["Subject"]).lower()
    page.reload()
    expect(page.locator("main")).to_contain_text("We have paid £12.50 back")


@pytest.mark.parametrize("kind", ["pro-forma", "receipt"])
def test_what_is_printed_fits_one_sheet(page: Page, shop: LiveShop, kind: str) -> None:
    slug = shop.publication(title="A guide to " + "early years " * 12)
    address = f"zoe@{slug}.example"
    shop.order(slug, address, pays=kind == "receipt")
    order_id = shop.ask(sa.select(Order.id).where(Order.email == address))
    with shop.app.app_context():
        with transaction() as session:
            state_seller(bank_details="Sample Bank\nSort code 00-00-00\nAccount 00000000")
            order = session.get_one(Order, order_id)
            order.organisation, order.purchase_order_number = "Oak Tree Nursery School", "PO-7"
            order.billing_address = "\n".join(f"Line {line} of the address" for line in range(8))
            path, reference = urlsplit(order_url(order_id)).path, order.reference
        if kind == "pro-forma":
            begin_checkout(order_id, "manual")
    page.goto(f"{path}/receipt" if kind == "receipt" else path)
    with pikepdf.open(BytesIO(page.pdf(format="A4"))) as printed:
        assert len(printed.pages) == 1
    page.emulate_media(media="print")
    words = page.locator("main").inner_text()
    head = f"Receipt {reference} Paid" if kind == "receipt" else "Pro-forma"
    assert words.startswith(head)
    expect(page.get_by_text("Questions?")).to_be_hidden()
    expect(page.locator("footer")).to_be_hidden()
    said = (
        "Oak Tree Nursery School",
        "Line 7",
        "PO-7",
        reference,
        "1 × A guide to early",
        "£12.50",
    )
    assert [one for one in said if one not in words] == []


def test_an_address_is_changed_by_a_letter_to_the_new_one(page: Page, shop: LiveShop) -> None:
    slug = shop.publication()
    old, new = f"old@{slug}.example", f"new@{slug}.example"
    order_page = shop.order(slug, old)
    customer_id = shop.ask(sa.select(Customer.id).where(Customer.email == old))
    with shop.app.app_context():
        page.goto(urlsplit(library_url(customer_id)).path)
    page.get_by_role("link", name="Change your e-mail address").click()
    page.get_by_label("New e-mail address").fill(new)
    page.get_by_role("button", name="Mail me the link").click()
    expect(page.locator("h1")).to_have_text("Look in the new mailbox")
    page.goto(shop.path_in(shop.letter(new), "address"))
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Use this address").click()
    expect(page.locator("h1")).to_have_text("Your address is changed")
    shop.letter(old, "address")
    page.goto(order_page)
    expect(page.locator("h1")).to_have_text("This link no longer works")


def test_consent_given_later_lets_the_copy_go(page: Page, shop: LiveShop) -> None:
    slug = shop.publication(editions=1)
    address = f"zoe@{slug}.example"
    page.goto(shop.order(slug, address, wants_now=False))
    page.get_by_role("link", name="Ask for your copy straight away").click()
    page.get_by_role("button", name="Send my copy").click()
    expect(page.get_by_role("alert")).to_contain_text("Tick the box")
    page.get_by_label("Send me the guide straight away").check()
    page.get_by_role("button", name="Send my copy").click()
    expect(page.locator("main")).to_contain_text("Your copy is ready.")
