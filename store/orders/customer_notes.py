"""What staff note of a customer: for the next who answers them, and for the customer, who may ask to
read it."""

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db
from store.kit.errors import InvalidFields, NotFound
from store.kit.paging import SHORT_PAGE, Page, Place, paginate
from store.kit.text import clean_text
from store.orders.models import Customer, CustomerNote

LONGEST = 1_000


class NoteUnknown(NotFound):
    """No note of this number about this customer."""

    sentence = "There is no such note any more."


def notes_of(customer_id: int, place: Place) -> Page[CustomerNote]:
    """What is noted of a customer, newest first."""
    query = sa.select(CustomerNote).where(CustomerNote.customer_id == customer_id)
    return paginate(query, place, CustomerNote.id.desc(), size=SHORT_PAGE)


def add_note(customer: Customer, text: str, who: str) -> CustomerNote:
    """Note something of a customer. Refuses `InvalidFields`: nothing, or too much."""
    text = clean_text(text)
    if not text:
        raise InvalidFields({"note": "Write what the next who answers them should know."})
    if len(text) > LONGEST:
        said = f"A note can have at most {LONGEST:,} characters; this has {len(text):,}."
        raise InvalidFields({"note": said})
    note = CustomerNote(customer_id=customer.id, text=text, who=who, written_at=clock.now())
    db.session.add(note)
    db.session.flush()
    return note


def remove_note(number: int, customer_id: int) -> None:
    """Take a note out for good. Refuses `NoteUnknown`."""
    found = db.session.get(CustomerNote, number)
    if found is None or found.customer_id != customer_id:
        raise NoteUnknown
    db.session.delete(found)
    db.session.flush()
