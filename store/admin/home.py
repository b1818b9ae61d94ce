"""The first page of the desk."""

from typing import Any

from flask import Blueprint, render_template

from store.admin.guard import STAFF, opens_to

bp = Blueprint("home", __name__, url_prefix="/admin")


@bp.get("/")
@opens_to(STAFF)
def home() -> Any:
    """Orders and money, what goes out next, what failed, what needs a person."""
    return render_template("admin/home.html")
