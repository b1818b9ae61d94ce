"""After a restore: what would leave, the press that lets letters leave again, and money whose order is
lost."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for

from store.backups.after_restore import let_letters_go
from store.kit.database import transaction
from store.mail import restores
from store.payments.looking_back import still_asked
from store.payments.strays import open_strays, settle_stray
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import OWNERS, STAFF, may, opens_to, who

bp = Blueprint("restores", __name__, url_prefix="/admin/after-restore")


@bp.get("")
@opens_to(STAFF)
def one() -> Any:
    """What waits since the restore, and whether any of it may have left before."""
    waiting = restores.waiting_letters()
    return render_template(
        "admin/after_restore.html",
        restore=restores.holding(),
        waiting=waiting,
        letters=sum(one.letters for one in waiting),
        twice=sum(one.twice for one in waiting),
        # Editors see no orders, and no money.
        strays=open_strays() if may("support") else [],
        asked=still_asked(),
    )


@bp.post("/go")
@opens_to(OWNERS)
def go() -> Any:
    """Letters leave again."""
    with transaction():
        for restore in let_letters_go(who()):
            audit.record(Act.LETTERS_LET_GO, restore)
    flash("Letters leave again.")
    return redirect(url_for("home.home"), 303)


@bp.post("/payments/<int:number>/settled")
@opens_to(OWNERS)
def settle(number: int) -> Any:
    """Somebody has looked after money whose order is lost."""
    with transaction():
        stray = settle_stray(number, who())
        facts = {"payment": stray.payment_id, "order": stray.order_reference}
        audit.record(Act.MONEY_WITHOUT_ORDER, stray, after=facts)
    flash("Noted.")
    return redirect(url_for("restores.one"), 303)
