"""After a restore: what would leave, and the press that lets letters leave again."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for

from store.backups.after_restore import let_letters_go
from store.kit.database import transaction
from store.mail import restores
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import OWNERS, STAFF, opens_to, who

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
