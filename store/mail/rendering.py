"""What a letter says: its templates filled in, the HTML with its styles where mail programs look."""

import re
from collections.abc import Callable
from typing import Any, cast

import css_inline
import jinja2
from flask import current_app

from store.kit.config import config
from store.kit.formatting import FILTERS
from store.kit.text import clean_line
from store.mail.mime import LetterText

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")

# Inlined letter by letter (60 µs each, tried): inlining the template's source would make an HTML
# parser read Jinja, and would miss what a value brings, such as the lists in notes on a change.
_inliner = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)

_seller: Callable[[], Any] | None = None


def register_seller(current_seller: Callable[[], Any]) -> None:
    """Say how the seller of today is found; a room above the outbox knows."""
    global _seller  # noqa: PLW0603 - set once, while the shop is put together
    _seller = current_seller


def seller() -> Any:
    """Who sells, as stated now: `trading_name`, `email`, `reply_to` and more."""
    if _seller is None:
        raise RuntimeError("no room has said who sells")
    return _seller()


def render_letter(kind: str, context: dict[str, Any]) -> LetterText:
    """Fill in `letters/<kind>/{subject.txt,body.txt,body.html}`; a variable that is missing raises.

    `seller` and `base_url` are always there; a `seller` in the context wins (an order keeps the
    one it saw).
    """
    values = {"base_url": config().base_url} | context
    if "seller" not in values:
        values["seller"] = seller()
    text, html = _environments()
    folder = f"letters/{kind}"
    subject = clean_line(text.get_template(f"{folder}/subject.txt").render(values))
    values["subject"] = subject
    return LetterText(
        subject=subject,
        text=_tidy(text.get_template(f"{folder}/body.txt").render(values)),
        html=_inliner.inline(html.get_template(f"{folder}/body.html").render(values)),
    )


def _environments() -> tuple[jinja2.Environment, jinja2.Environment]:
    """One that escapes nothing and one that escapes all: a macro shared by both parts follows
    its caller only where the whole environment agrees."""
    found = current_app.extensions.get("colophon.letters")
    if found is None:
        found = current_app.extensions["colophon.letters"] = (
            _environment(escapes=False),
            _environment(escapes=True),
        )
    return cast(tuple[jinja2.Environment, jinja2.Environment], found)


def _environment(*, escapes: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=current_app.jinja_loader,
        autoescape=escapes,  # noqa: S701 - plain text is not to be escaped
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Another process may replace files while letters go; a batch is cut from one state.
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    return environment


def _tidy(text: str) -> str:
    """One blank line at most, so that templates need not count them; lines stay as written."""
    return _BLANK_LINES.sub("\n\n", text).strip() + "\n"
