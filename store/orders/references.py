"""References of orders, read aloud and copied by hand."""

from store.kit.text import clean_line

# No 0 or O, 1, I or L: a reference is read aloud and copied by hand.
REFERENCE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def reference_in(text: str) -> str | None:
    """An order's reference as stored (`ABCD-EFGH`), whatever case, blanks and hyphens it came
    with; None where `text` is none."""
    letters = "".join(one for one in clean_line(text).upper() if one.isalnum())
    if len(letters) != 8 or set(letters) - set(REFERENCE_LETTERS):
        return None
    return f"{letters[:4]}-{letters[4:]}"
