"""The house's own face, for owners: colour, line, logo, and the picture where a page is shared."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.catalog import faces, uploads
from store.catalog.face_pictures import store_logo, store_social
from store.catalog.sellers import current_face
from store.kit.database import end_read, transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, status, typed
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import OWNERS, opens_to, takes

bp = Blueprint("face", __name__, url_prefix="/admin/settings/face")

_LOGO = {"logo_sha256": "", "logo_width": 0, "logo_height": 0, "logo_has_name": False}
_STORE = {"logo": store_logo, "social": store_social}
_GIVEN_UP: dict[str, dict[str, Any]] = {"logo": _LOGO, "social": {"social_sha256": ""}}


@bp.route("", methods=["GET", "POST"])
@opens_to(OWNERS)
@takes(lambda: 2 * uploads.LARGEST_BYTES + 100_000)
def edit() -> Any:
    """What a press changes shows on every page and in every letter that leaves from now on."""
    face = current_face()
    values, errors = _of_face(face), dict[str, str]()
    if request.method == "POST":
        values = typed()
        end_read()
        pictures, errors = _pictures()
        try:
            if not errors:
                with transaction():
                    _set(values, pictures)
        except InvalidFields as refusal:
            errors = refusal.faults
        if not errors:
            flash("Saved. Pages show it now, and letters that leave from now on.")
            return redirect(url_for("face.edit"), 303)
    page = render_template(
        "admin/face.html",
        face=face,
        values=values,
        errors=errors,
        largest=uploads.LARGEST_BYTES,
        green=faces.GREEN,
    )
    return page, status(errors)


def _of_face(face: faces.HouseFace) -> Typed:
    has_name = "yes" if face.logo_has_name else ""
    return Typed(accent=face.accent, line=face.line, logo_has_name=has_name)


def _pictures() -> tuple[dict[str, Any], dict[str, str]]:
    """What was uploaded or given up, and what is wrong with it."""
    found: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, store in _STORE.items():
        file = request.files.get(name)
        if file is not None and file.filename:
            try:
                found |= store(file.stream.read(uploads.LARGEST_BYTES + 1))
            except uploads.PictureRefused as refusal:
                faults[name] = refusal.sentence
        elif f"no_{name}" in request.form:
            found |= _GIVEN_UP[name]
    return found, faults


def _set(values: Typed, pictures: dict[str, Any]) -> None:
    said = {"accent": values["accent"], "line": values["line"]}
    has_name = values.is_ticked("logo_has_name")
    before, after = faces.change_face(**said, **({"logo_has_name": has_name} | pictures))
    audit.record(Act.FACE_CHANGED, before=_facts(before), after=_facts(after))


def _facts(face: faces.HouseFace) -> dict[str, Any]:
    return {
        "colour": face.accent or "our own",
        "line": face.line,
        "logo": face.logo_sha256[:12],
        "name beside the logo": face.logo_has_name,
        "picture": face.social_sha256[:12],
    }
