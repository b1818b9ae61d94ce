"""Which columns hold something about people: one map of every table.

The copy of somebody's data gives what is `NAMES` or `TELLS`, and nothing else. An erasure takes out
what is `NAMES`, `FOLLOWS` or `SEALED` (`columns_of`), of the rows that are the person's
(`person.rows_of`). A table or column that is missing here fails a test. Tables are named by their
words, as the rooms that have some of them stand above this one.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from store.kit.database import Base


class Kind(StrEnum):
    """What a column is, where a copy and an erasure are concerned; the words are the reason why it
    stands in a copy, or does not."""

    NAMES = "says, or may say, who somebody is"
    TELLS = "tells of somebody, and does not say who it is"
    FOLLOWS = "follows from a name or an address, which is in the copy itself"
    SEALED = "holds what opens a door, other people’s data, or an answer that is under way"
    OPENS = "opens a door, or stands for one press of a form"
    OTHERS = "is of somebody else: who works here, or another customer"
    OURS = "is a number or a mark by which our own tables hang together"


# In a copy, and what an erasure takes out.
GIVEN = (Kind.NAMES, Kind.TELLS)
NAMING = (Kind.NAMES, Kind.FOLLOWS, Kind.SEALED)


@dataclass(frozen=True)
class Held:
    """A table with what is known of customers: its name for people, and what each column is."""

    title: str
    columns: dict[str, Kind]


def _held(title: str, **columns: str) -> Held:
    named = {Kind[kind.upper()]: names.split() for kind, names in columns.items()}
    return Held(title, {name: kind for kind, names in named.items() for name in names})


# In the order of a copy.
TABLES: dict[str, Held] = {
    "customers": _held(
        "Who you are",
        names="email name",
        tells="created_at erased_at",
        follows="email_key search_key",
        ours="id merged_into_id",
    ),
    "second_addresses": _held(
        "Your second address",
        names="email",
        tells="proved_at on_file_at",
        follows="email_key",
        ours="id customer_id",
    ),
    "customer_merges": _held(
        "Customers who became one with you",
        sealed="before",
        tells="merged_at parted_at",
        others="who parted_by",
        ours="id kept_id gone_id",
    ),
    "orders": _held(
        "Orders",
        names="email name organisation purchase_order_number billing_address vat_number "
        "given_reason network user_agent",
        tells="reference status country discount_amount discount_label total_amount currency "
        "placed_at paid_at place_until held_at came_at",
        follows="search_key",
        opens="form_key",
        ours="id customer_id seller_id discount_id",
    ),
    "order_lines": _held(
        "What was ordered",
        tells="title price_amount quantity vat_treatment vat_rate vat_amount is_preorder "
        "expected_on updates_months",
        ours="id order_id publication_id",
    ),
    "consents": _held(
        "What you agreed to", tells="kind wording_version given_at", ours="id order_id"
    ),
    "order_moves": _held(
        "Orders that went to another address",
        tells="moved_at held_at settled_at is_given_back",
        others="from_customer_id to_customer_id settled_by",
        ours="id order_id",
    ),
    "checkouts": _held(
        "Tries to pay",
        tells="gateway status amount currency failure created_at expires_at processing_at held_at",
        opens="gateway_reference pay_url",
        ours="id order_id ask_at",
    ),
    "payments": _held(
        "Payments",
        names="card_last4",
        tells="gateway amount currency method billing_country card_country received_at",
        ours="id order_id checkout_id gateway_payment_id",
    ),
    "refunds": _held(
        "Refunds",
        names="why",
        tells="status amount currency failure requested_at",
        others="who",
        ours="id payment_id request_key gateway_refund_id asked_at",
    ),
    "disputes": _held(
        "Payments that a bank contested",
        tells="gateway reason amount currency is_inquiry opened_at due_at won_at lost_at closed_at "
        "submitted_at",
        sealed="evidence",
        others="submitted_by",
        ours="id payment_id gateway_dispute_id",
    ),
    "transfers": _held(
        "Money that came by bank",
        names="note",
        tells="amount currency received_on recorded_at",
        others="who",
        opens="form_key",
        ours="id checkout_id",
    ),
    "transfers_back": _held(
        "Money that went back by bank",
        tells="amount currency asked_at sent_at",
        others="sent_by",
        ours="id payment_id key",
    ),
    "entitlements": _held(
        "What you may read",
        tells="seat granted_at available_at updates_months updates_until suspended_at held_at "
        "revoked_at revoked_reason",
        ours="id customer_id publication_id order_line_id from_edition_id",
    ),
    "notice_stops": _held(
        "News that you stopped",
        tells="stopped_at matters_pass complained_at",
        ours="id customer_id publication_id",
    ),
    "erasures": _held(
        "Erasures that were asked for",
        tells="asked_at due_at stopped_at done_at",
        others="who stopped_by",
        ours="id customer_id",
    ),
    "links": _held(
        "Links that we mailed you",
        names="new_email",
        tells="purpose created_at used_at revoked_at revoked_reason",
        opens="reference",
        ours="id customer_id order_id publication_id",
    ),
    "downloads": _held(
        "Downloads",
        names="network user_agent",
        tells="started_at",
        opens="grant_digest",
        ours="id customer_id asset_id order_id",
    ),
    "deliveries": _held(
        "Letters",
        names="address reason",
        tells="kind status occasion created_at due_at tries is_possibly_twice sent_at",
        sealed="facts",
        opens="message_id",
        ours="id dedupe_key batch_id customer_id order_id edition_id link_id priority claimed_by "
        "claimed_at",
    ),
    "attempts": _held(
        "Tries to hand a letter over",
        names="address reply",
        tells="started_at ended_at outcome",
        ours="id delivery_id worker",
    ),
    "returned_letters": _held(
        "Letters that came back",
        names="words address",
        tells="kind code came_at settled_at",
        opens="key",
        ours="id delivery_id",
    ),
    "captured_letters": _held(
        "Letters of a shop that sends none",
        names="recipient subject",
        tells="captured_at",
        sealed="octets",
        ours="id",
    ),
    "address_holds": _held(
        "Addresses that we write to no more",
        names="words",
        tells="kind came_at accepted_at given_up_at",
        follows="address_key",
        ours="id",
    ),
    "repairs": _held(
        "What staff did about letters that came back",
        names="words word",
        tells="kind code opened_at ended_at how",
        follows="address_key",
        others="who",
        ours="id delivery_id customer_id",
    ),
    "customer_notes": _held(
        "What staff noted",
        names="text",
        tells="written_at",
        others="who",
        ours="id customer_id",
    ),
    "offers": _held(
        "Prices that you asked for",
        names="email",
        tells="created_at ended_at",
        follows="email_key asked_key",
        opens="reference",
        ours="id publication_id discount_id order_id",
    ),
    "discount_members": _held(
        "Members’ prices that your address is listed for",
        follows="email_key",
        ours="id discount_id",
    ),
    "import_lines": _held(
        "Rows of a list that was brought in",
        names="value",
        tells="line reason",
        ours="id import_id",
    ),
    "status_changes": _held(
        "What changed, and when",
        names="why",
        tells="entity from_status to_status at",
        others="who",
        ours="id entity_id",
    ),
    "audit_entries": _held(
        "What staff did with your data",
        names="before after",
        tells="at act",
        others="staff_id operator place",
        ours="id entity entity_id",
    ),
}

# Tables that hold nothing of customers, or of which nothing can be told whose it is.
NOBODYS: dict[str, str] = {
    "assets": "files of editions",
    "backups": "when the shop was copied",
    "batch_counts": "numbers",
    "clearings": "how far each clearing has come",
    "batches": "releases, with the words of the mail server about us",
    "customer_imports": "a file of many people, which goes after 30 days; what was in it is theirs "
    "by then, and stands in their own rows",
    "date_moves": "dates of publications",
    "day_sums": "numbers",
    "desk_rules": "a rule for staff",
    "discounts": "prices",
    "editions": "what is published",
    "faces": "how the shop looks",
    "gateway_events": "ids of a payment firm’s messages; what they brought stands with the payment",
    "heartbeats": "worker processes",
    "journals": "the name of a file",
    "mailbox_places": "how far a mailbox was read",
    "measures": "numbers",
    "pace": "when the next letter leaves",
    "publications": "what is published",
    "rate_counts": "digests that lead back to nobody, for an hour or a day",
    "restores": "when the database was put back from a backup",
    "rests": "mail servers",
    "sample_chapters": "what is published",
    "samples": "what is published",
    "sellers": "who sells",
    "staff": "who works here, and is no customer by that",
    "standstills": "what a mail server said while no letter left",
    "statements": "paragraphs of the shop",
    "stray_payments": "money at a payment firm for orders that are not here, by its numbers there",
    "tallies": "numbers",
    "troubles": "what was not well with the machines",
}


def columns_of(table: str, *kinds: Kind) -> list[sa.Column[Any]]:
    """The columns of a table that are of these kinds."""
    named = TABLES[table].columns
    return [one for one in Base.metadata.tables[table].columns if named[one.name] in kinds]
