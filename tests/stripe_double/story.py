"""`python -m tests.stripe_double.story`: the demonstration's story, its readers paying at the double.

The shop is real processes on a data folder of its own; the double's webhooks reach it over HTTP.
"""

import os
import sys
from collections.abc import Callable

import click

from store.commands.demo import free_port, play
from store.demo.story import Payment
from store.demo.visitor import Page, StoryEnds, Visitor
from store.payments.gateways.stripe_objects import EVENT_KINDS
from tests.stripe_double import StripeDouble

KEY = "rk_test_story"
SECRET = SECRET_OF_SHOP = "whsec_of_the_story"
DATA_DIR = "instance/stripe-story"
CARD = "4242424242424242"
DECLINED = "4000000000000002"
BUYERS = 4


def main() -> int:
    """Play it; 0 where everything held, else 1."""
    port = free_port()
    with StripeDouble() as double:
        double.send_webhooks_to(
            f"http://127.0.0.1:{port}/webhooks/stripe", secret=SECRET, events=list(EVENT_KINDS)
        )
        os.environ |= {
            "STORE_ENV": "demo",
            "STORE_DATA_DIR": os.environ.get("STORE_DATA_DIR", DATA_DIR),
            "STORE_STRIPE_SECRET_KEY": KEY,
            "STORE_STRIPE_WEBHOOK_SECRETS": SECRET_OF_SHOP,
            "STORE_STRIPE_API_BASE": double.url,
        }
        click.echo(f"  Stripe's double answers at {double.url}")
        return play(port, Payment("Continue to payment by card", pay, lambda say: look_back(double, say)))


def pay(visitor: Visitor, page: Page) -> Page:
    """A card that is declined, then one that is not."""
    declined = visitor.press(page, "Pay £12.50", card=DECLINED)
    if declined.status != 402:
        raise StoryEnds("this did not hold: a declined card leads back to the payment page")
    return visitor.press(declined, "Pay £12.50", card=CARD)


def look_back(double: StripeDouble, say: Callable[[str], None]) -> None:
    """Money once for each order, every message taken in, and no rule of Stripe's broken."""
    if not double.control.settle(30):
        raise StoryEnds("this did not happen within 30 s: every message is delivered")
    charges = double.control.state()["charge"]
    paid = [one for one in charges if one["paid"]]
    sessions = double.control.state()["checkout.session"]
    answers = [one["status"] for one in double.control.deliveries()]
    say(
        f"At Stripe: {len(sessions)} sessions, {len(charges) - len(paid)} declined cards, "
        f"{len(paid)} payments; {len(answers)} messages, {answers.count(200)} taken in at once."
    )
    if [len(sessions), len(paid), sum(one["amount"] for one in paid)] != [BUYERS, BUYERS, 5000]:
        raise StoryEnds("this did not hold: Stripe took £12.50 of each buyer, once")
    if set(answers) != {200}:
        raise StoryEnds("this did not hold: every message was answered with 200")
    if double.control.violations():
        raise StoryEnds("this did not hold: the double kept to Stripe's own description")


if __name__ == "__main__":
    sys.exit(main())
