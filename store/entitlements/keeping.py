"""What is kept of people, what for, how long, and what happens then: said once, for the privacy page and
for `docs/privacy.md`. Every table of the map `personal` stands here, and each time that
`clearing` keeps is in its words; tests compare them."""

from dataclasses import dataclass

from store.entitlements.clearing import EVIDENCE, MEMBERS, RECORDS, UNPAID

# The times in words, as every sentence below says them.
TIMES = {
    UNPAID: "400 days",
    EVIDENCE: "18 months",
    RECORDS: "seven years",
    MEMBERS: "30 days",
}


@dataclass(frozen=True)
class Kept:
    """Some things that are kept for one reason: what they are, in which tables, what for, how long."""

    what: str
    tables: tuple[str, ...]
    why: str
    until: str


KEPT: tuple[Kept, ...] = (
    Kept(
        "Your e-mail address and name",
        ("customers",),
        "To send you what you bought and each new edition.",
        "As long as you have copies, or an order of less than seven years. Who never paid for one is "
        "forgotten after 400 days.",
    ),
    Kept(
        "A second address",
        ("second_addresses",),
        "To reach you if the first mailbox is gone.",
        "Until you take it out or change the first, or who reads it has their own data erased.",
    ),
    Kept(
        "An address that was asked to confirm, or of two customers who became one",
        ("links", "customer_merges"),
        "To ask that mailbox, and to be able to undo the change.",
        "Two days if it never says yes, 14 days for two who became one. The address of before a change "
        "goes after 18 months. The links stay, without an address, so that an old one can say what to do.",
    ),
    Kept(
        "Orders, payments, refunds and receipts",
        (
            "orders",
            "order_lines",
            "order_moves",
            "consents",
            "checkouts",
            "payments",
            "refunds",
            "disputes",
            "transfers",
            "transfers_back",
        ),
        "Tax law asks for them, and for where our buyers live. They show what you and we agreed.",
        "Six years after the end of the business year, so seven years at most. Then names and addresses go from "
        "them. Amounts and days stay. Of an order that nobody paid they go after 400 days.",
    ),
    Kept(
        "The network address and browser that you ordered and downloaded with, the last digits of your card, "
        "and what we told your bank",
        ("orders", "downloads", "payments", "disputes"),
        "If your bank asks about a payment, we tell it what we know of your order.",
        "18 months, as a bank may ask for that long. Then they go.",
    ),
    Kept(
        "What you may read, and which news you stopped",
        ("entitlements", "notice_stops"),
        "To give you your copies, and to send what you want and nothing else.",
        "As long as you have copies.",
    ),
    Kept(
        "Letters that we sent you: kind, day, address, and what your mail server answered",
        ("deliveries", "attempts", "returned_letters", "captured_letters", "standstills"),
        "To see that nobody is missed, and that your copy came.",
        "Addresses and answers go after 18 months. That a letter went stays, without them. We keep no text.",
    ),
    Kept(
        "Addresses that letters came back from",
        ("address_holds", "repairs"),
        "So that we do not write to a dead mailbox.",
        "As long as it is your address. What we did about it goes after 18 months.",
    ),
    Kept(
        "What changed with your orders and letters, and what our staff note about them",
        ("status_changes", "customer_notes"),
        "So that who answers you knows what happened.",
        "Seven years. Then it goes.",
    ),
    Kept(
        "What our staff did with your data",
        ("audit_entries", "staff"),
        "So that it can be seen who did what. Addresses in it are masked.",
        "Seven years. Then it goes, and so does the name of who left us so long ago.",
    ),
    Kept(
        "That you asked us to erase what we know of you",
        ("erasures",),
        "To do it on the day, and again should an older state of our records come back.",
        "The day stays, under a number that leads to nobody.",
    ),
    Kept(
        "An address that asked for a price",
        ("offers",),
        "To mail you the price.",
        "Two days.",
    ),
    Kept(
        "Lists of members for whom a price is less",
        ("discount_members",),
        "To know who gets the price.",
        "30 days after the price ends.",
    ),
    Kept(
        "A list of buyers that we brought in from elsewhere",
        ("customer_imports", "import_lines"),
        "To give them the copies that they bought.",
        "30 days. Then the file and its rows go.",
    ),
    Kept(
        "How often something was asked for from a network or an address",
        ("rate_counts",),
        "So that nobody floods a mailbox or tries stolen cards.",
        "At most a day, and in a form that nobody can read back.",
    ),
)


def table_in_markdown() -> str:
    """The table of `docs/privacy.md`."""
    rows = [
        f"| {one.what} | {', '.join(f'`{table}`' for table in one.tables)} | {one.why} | {one.until} |"
        for one in KEPT
    ]
    return "\n".join(
        [
            "| what | tables | what for | how long, and what then |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    )
