"""What a list of letters shows of each: the news first, in few words, and then something else."""

import re

import pytest
from flask import Flask
from markupsafe import Markup

from store.kit.database import transaction
from store.mail.letters import kinds, preview, preview_letter, render_letter
from store.mail.mime import LetterText
from tests.factories import a_seller

TITLE = "Effective SEND Practice in the Early Years"
READY = {"is_ready": True}
WAITS = {"is_ready": False}
LONG = "Effective SEND Practice in the Early Years: Next Steps following the Improvement Plan 2023, Revised"


@pytest.fixture(autouse=True)
def seller(app: Flask) -> None:
    with transaction():
        a_seller()


def subject_of(kind: str, **given: object) -> str:
    """The subject of a letter with sample values, some of them other ones."""
    context = preview_letter(kind).context
    # The facts of a confirmation stand in one value.
    values = {"letter": context["letter"] | given} if "letter" in context else given
    return render_letter(kind, context | values).subject


def with_title(kind: str, title: str) -> LetterText:
    """A letter with sample values about a publication of this title, where it names one."""
    context = preview_letter(kind).context
    holds = context.get("letter", context)
    named = holds | ({"title": title} if "title" in holds else {})
    return render_letter(kind, context | {"letter": named} if "letter" in context else named)


@pytest.mark.parametrize("kind", [one for one in kinds() if not one.startswith("staff_")])
def test_a_subject_is_short_and_its_preheader_says_something_else(kind: str) -> None:
    letter = preview(kind)
    # With a title of twenty letters, which stands last.
    short = with_title(kind, "T" * 20).subject
    assert len(short) <= 60
    assert "TTT" not in short or short.endswith("T" * 20)
    news = letter.subject.partition(":")[0].casefold().split()
    found = re.search(r'(?s)<div class="preheader"[^>]*>(.*?)</div>', letter.html)
    assert found is not None
    shown = " ".join(Markup(found[1]).striptags().casefold().split())
    assert len(shown) >= 30
    runs = [" ".join(news[at : at + 4]) for at in range(len(news) - 3)]
    assert [run for run in runs if run in shown] == []


@pytest.mark.parametrize(
    ("kind", "given", "subject"),
    [
        ("order_confirmation", READY, f"Your order is ready: {TITLE}"),
        ("order_confirmation", WAITS, f"Your order is paid: {TITLE}"),
        ("order_confirmation", WAITS | {"is_free": True}, f"Your order is placed: {TITLE}"),
        ("order_confirmation", WAITS | {"is_preorder": True}, f"Your pre-order is paid: {TITLE}"),
        ("order_confirmation", READY | {"is_gift": True}, f"A copy for you: {TITLE}"),
        ("order_settled", {"keeps_it": True, "is_given_back": True}, "is yours again"),
        ("order_settled", {"keeps_it": True, "is_given_back": False}, "stays yours"),
        (
            "order_settled",
            {"keeps_it": False, "is_given_back": True},
            "is back at its first address",
        ),
        ("order_settled", {"keeps_it": False, "is_given_back": False}, "stays at its new address"),
        ("payment_failed", {"was_given_back": True}, "was given back"),
        ("erasure_told", {"is_at_once": True}, "Your data is to be erased"),
        ("erasure_told", {"is_at_once": False}, "Your data is to be erased on 15 March 2027"),
        (
            "date_moved",
            {"old": ""},
            "It comes by the end of January 2027: Effective SEND Practice…",
        ),
        (
            "offer",
            {"total": None, "code": "EARLY20"},
            "The code EARLY20 cannot be used: Effective SEND Practice in the Early…",
        ),
    ],
)
def test_the_subject_says_what_became_of_it(
    kind: str, given: dict[str, object], subject: str
) -> None:
    assert subject_of(kind, **given).endswith(subject)


@pytest.mark.parametrize("title", [LONG, LONG.replace(":", ""), "S" * 200, "Kinder " * 28])
@pytest.mark.parametrize("kind", [one for one in kinds() if not one.startswith("staff_")])
def test_a_long_title_is_cut_behind_the_news_and_stands_whole_in_the_letter(
    kind: str, title: str
) -> None:
    letter = with_title(kind, title)
    assert len(letter.subject) <= 70
    news, colon, told = letter.subject.partition(": ")
    assert len(news) <= 50
    if colon and told.endswith("…"):
        assert title.startswith(told[:-1])
        assert title in " ".join(letter.text.split())
        # Between two words, where there are any.
        assert " " not in title or not title[len(told) - 1].isalnum()


@pytest.mark.parametrize(
    ("title", "told"),
    [
        (LONG, f"{TITLE}…"),
        (LONG.replace(":", ""), f"{TITLE} Next…"),
        ("S" * 66, f"{'S' * 51}…"),
        ("S" * 52, "S" * 52),
        (f"{TITLE} (Second edition)", f"{TITLE}…"),
        (
            "On Noticing: how to look at a child and write it down",
            "On Noticing: how to look at a child and write…",
        ),
    ],
)
def test_the_news_of_an_edition_names_it_and_as_much_of_the_title_as_there_is_room(
    title: str, told: str
) -> None:
    assert subject_of("edition_notice", title=title) == f"Edition 2 is out: {told}"
