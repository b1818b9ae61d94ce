"""The first page of the desk."""

from typing import Any

from flask import Blueprint, redirect, render_template, url_for

from store.admin import overview
from store.kit import clock
from store.payments.sums import sums_since
from store.staff.guard import STAFF, opens_to

bp = Blueprint("home", __name__, url_prefix="/admin")


@bp.get("/")
@opens_to(STAFF)
def home() -> Any:
    """Orders and money, what goes out next, what failed, what needs a person."""
    failed = overview.failed()
    scheduled, waiting, due = overview.goes_out_next()
    return render_template(
        "admin/home.html",
        steps=overview.first_steps(),
        today=sums_since(overview.today()),
        total=sums_since(),
        scheduled=scheduled,
        waiting=waiting,
        next_due=due if due and due > clock.now() else None,
        failed=failed,
        needs=overview.needs_a_person(),
    )


@bp.get("", strict_slashes=False)
@opens_to(STAFF)
def bare() -> Any:
    """The address without its slash."""
    return redirect(url_for("home.home"), 301)
