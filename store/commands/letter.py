"""Commands about letters: what is owed, what one looks like, sending one again."""

import click
import sqlalchemy as sa

from store.commands.base import in_shop, json_option, print_json, print_table, who_types
from store.kit.database import db, transaction
from store.mail import letters, outbox
from store.mail.models import Delivery, DeliveryStatus, stands_at
from store.staff.acts import Act
from store.staff.audit import record

_COLUMNS = ("id", "kind", "status", "due_at", "sent_at", "tries", "is_possibly_twice", "reason")


@click.group()
def letter() -> None:
    """Letters owed to customers and staff."""


@letter.command("list")
@click.option("--status", type=click.Choice([str(s) for s in DeliveryStatus]), help="Only these.")
@click.option("--kind", help="Only letters of this kind.")
@click.option("--limit", default=50, show_default=True, help="How many, newest first.")
@json_option
@in_shop
def list_(status: str | None, kind: str | None, limit: int, as_json: bool) -> None:
    """The newest letters and where each stands."""
    query = sa.select(Delivery).order_by(Delivery.id.desc()).limit(limit)
    if status:
        query = query.where(stands_at(DeliveryStatus(status)))
    if kind:
        query = query.where(Delivery.kind == kind)
    found = db.session.scalars(query).all()
    if as_json:
        print_json([{name: getattr(row, name) for name in _COLUMNS} for row in found])
        return
    head = ("letter", "kind", "status", "due", "sent", "tries", "possibly twice", "reason")
    print_table(
        head,
        [
            (
                row.id,
                row.kind,
                row.status,
                f"{row.due_at:%Y-%m-%d %H:%M}",
                f"{row.sent_at:%Y-%m-%d %H:%M}" if row.sent_at else "",
                row.tries,
                "yes" if row.is_possibly_twice else "",
                row.reason,
            )
            for row in found
        ],
    )


@letter.command()
@click.argument("kind", required=False)
@click.option("--html", is_flag=True, help="The HTML part instead of the text part.")
@in_shop
def preview(kind: str | None, html: bool) -> None:
    """A letter of this kind with sample values; without KIND, the kinds there are."""
    if kind is None:
        click.echo("\n".join(letters.kinds()))
        return
    text = letters.preview(kind)
    click.echo(text.html if html else f"Subject: {text.subject}\n\n{text.text}", nl=html)


@letter.command()
@click.argument("letter_id", metavar="ID", type=int)
@in_shop
def retry(letter_id: int) -> None:
    """Send a letter again that failed, came back, is held or was left out."""
    with transaction():
        outbox.send_again(letter_id, who_types())
        record(Act.LETTER_RETRIED, (Delivery, letter_id))
    click.echo(f"Letter {letter_id} is queued again.")
