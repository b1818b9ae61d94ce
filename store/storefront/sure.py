"""The box behind a mailed link, before what costs something or cannot be undone.

Robots open letters and send forms as they stand, so a form without the tick does nothing.
"""

from typing import Any

from flask import Response, render_template, request

from store.kit.web import private_page

SURE = "sure"


def is_sure(box: str = SURE) -> bool:
    """Whether the form that was sent has its box ticked."""
    return request.form.get(box) == "yes"


def sure_page(template: str, unticked: str, *, box: str = SURE, **shown: Any) -> Response:
    """The page with the box; where its form was sent without the tick, with the sentence
    `unticked` at the box (422)."""
    errors = {box: unticked} if request.method == "POST" else {}
    return private_page(
        render_template(template, errors=errors, **shown), status=422 if errors else 200
    )
