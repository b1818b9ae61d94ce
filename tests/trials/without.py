"""Guards taken out in a life of a ready shop, to show that the trials notice."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from store import app as app_module
from store.distribution import import_export, releasing
from store.kit import clock, storage
from store.kit.database import db, transaction
from store.kit.mailboxes import address_key
from store.mail import claims, ledger
from store.mail.claims import Prepared
from store.mail.models import Delivery
from store.mail.worker import Drain
from store.orders import placing
from store.orders.models import Customer
from store.payments import fulfilment
from store.storefront import order_form


def _marks() -> None:
    """No mark before DATA, outcomes written down once per claim."""

    def send_and_record_later(self: Drain, letter: Prepared) -> None:
        self.line.send(letter.envelope, letter.octets)
        handed_over = self.__dict__.setdefault("handed_over", [])
        handed_over.append(letter.claim.delivery_id)
        if not self.claims:
            sent = {"status": "sent", "sent_at": clock.now(), "claimed_by": None}
            sent["claimed_at"] = None
            with transaction() as session:
                session.execute(
                    sa.update(Delivery).where(Delivery.id.in_(handed_over)).values(sent)
                )
            handed_over.clear()

    Drain._send = send_and_record_later  # type: ignore[method-assign]


def _commits_first(module: Any, name: str) -> Callable[[], None]:
    """A commit in the midst of what is to be all or nothing."""

    def take_out() -> None:
        real = getattr(module, name)

        def broken(*given: Any, **named: Any) -> Any:
            db.session.commit()
            return real(*given, **named)

        setattr(module, name, broken)

    return take_out


def _what_they_have() -> None:
    """An import that takes a known customer for one who has a copy, and commits each row in two."""

    def known(publication_id: int, rows: list[Any]) -> dict[str, bool]:
        keys = [address_key(row.email) for row in rows]
        query = sa.select(Customer.email_key).where(Customer.email_key.in_(keys))
        return dict.fromkeys(db.session.scalars(query), True)

    import_export._known = known
    _commits_first(import_export, "grant_imported")()


def _form_key() -> None:
    """Each press of a form is another order."""
    order_form.FORM_KEY = "(?!)"


def _shared_clock() -> None:
    """Each machine goes by its own clock."""
    ledger.shared_now = lambda _ask: clock.now()  # type: ignore[attr-defined]
    claims.shared_now_of = lambda _session: clock.now()  # type: ignore[attr-defined]


def _unbegun() -> None:
    """What was claimed and not begun is held as long as what is under way."""
    claims.UNBEGUN = claims.LEASE


def _waiting() -> None:
    """SQLite says that it has what the disk does not have yet."""
    real = app_module.prepare_engine

    def prepare(engine: sa.Engine) -> None:
        real(engine)
        if engine.dialect.name == "sqlite":
            sa.event.listen(
                engine, "connect", lambda line, _: line.execute("PRAGMA synchronous = OFF")
            )

    app_module.prepare_engine = prepare  # type: ignore[attr-defined]


def _files_waited_for() -> None:
    """A file counts as stored before it is on the disk."""
    storage.os.fsync = lambda _: None  # type: ignore[attr-defined]


GUARDS: dict[str, Callable[[], None]] = {
    "marks": _marks,
    "one commit of a release": _commits_first(releasing, "owe_notices"),
    "one commit of an order": _commits_first(placing, "accept_terms"),
    "one commit of a payment": _commits_first(fulfilment, "grant_order"),
    "one order for a form": _form_key,
    "the shared clock": _shared_clock,
    "two minutes": _unbegun,
    "what they have": _what_they_have,
    "the disk, rows": _waiting,
    "the disk, files": _files_waited_for,
}
