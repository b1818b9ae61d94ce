"""What the page of an edition shows: a draft with its bar of acts, a release to come, and one under
way or over; and the part of it that its script asks for again."""

from datetime import datetime, timedelta
from typing import Any

from flask import Response, render_template, request, url_for

from store.admin.editions import SEVERITIES, files_shown
from store.catalog.models import Edition
from store.distribution import live, people, recalling
from store.distribution.checks import Rank, accessibility, ranked
from store.distribution.coverage import Coverage
from store.distribution.recipients import RECALLED, WITHDRAWN, batch_of
from store.distribution.rehearsal import Rehearsal, counted_in_prospect, in_prospect, must_be_typed
from store.kit import clock
from store.kit.config import config
from store.kit.forms import Typed, status
from store.kit.paging import id_in
from store.kit.web import FRAMING_POLICY, shut_in
from store.mail.models import Batch, BatchStatus, Occasion
from store.staff.guard import may, who
from store.stories.editions import edition_story

# Of those whose letters are in trouble, so many stand on the page itself.
_SHOWN = 5
Count = tuple[int, str, str | None]


def draft(
    edition: Edition, values: Typed | None = None, errors: dict[str, str] | None = None
) -> Response:
    """All that is known before the press, and the acts in sight throughout."""
    seen = in_prospect(edition, _chosen())
    values, errors = values or Typed(when="now"), errors or {}
    page = render_template(
        "admin/edition_draft.html",
        **_frame(edition, files=True),
        rehearsal=seen,
        mend=ranked(seen.checks, Rank.MEND),
        look=ranked(seen.checks, Rank.LOOK),
        passed=ranked(seen.checks, Rank.PASSED),
        offers=accessibility(edition.assets),
        told=_counts(edition, people.GETS, seen.occasions, people.WHY_TOLD),
        not_told=_counts(edition, people.LEFT_OUT, seen.left_out, people.WHY_NOT),
        letters=_other_letters(edition, seen),
        must_type=must_be_typed(seen.recipients),
        many=_people(seen.recipients),
        takes=duration(seen.recipients),
        values=values,
        errors=errors,
        summary=_anchored(errors, is_later=values["when"] == "later"),
        zone=config().zone.key,
        earliest=_earliest(),
        delay=config().release_delay,
        text=seen.letter.text,
        letter_url=url_for("releases.letter", **(_here(edition) | _asked_for())),
        severities={key: words for key, words, _ in SEVERITIES},
        tester=who(),
    )
    answer = Response(page, status=status(errors))
    answer.headers["Content-Security-Policy"] = FRAMING_POLICY
    return answer


def letter(edition: Edition) -> Response:
    """The letter's HTML, which asks for nothing and opens nothing."""
    return shut_in(in_prospect(edition, _chosen()).letter.html)


def scheduled(edition: Edition) -> str:
    """When it goes out, and how to take it back."""
    counted = counted_in_prospect(edition)
    return render_template(
        "admin/edition_scheduled.html",
        **_frame(edition, files=True),
        **_coming(edition, counted.recipients),
        told=_counts(edition, people.GETS, counted.occasions, people.WHY_TOLD),
        not_told=_counts(edition, people.LEFT_OUT, counted.left_out, people.WHY_NOT),
    )


def scheduled_part(edition: Edition) -> str:
    """The countdown. The people were counted with the page and are not counted again for it."""
    counted = id_in(request.args.get("people")) or 0
    return render_template(
        "admin/edition_scheduled_part.html", edition=edition, **_coming(edition, counted)
    )


def progress(edition: Edition) -> str:
    """Meter, figures, time left; reloading it is enough to follow."""
    state = _state(edition)
    left_out = state["account"].left_out
    return render_template(
        "admin/edition_released.html",
        **_frame(edition, files=True, released_to=_owed(state["account"])),
        **state,
        troubled=_troubled(edition, state["account"]),
        not_told=_counts(edition, people.LEFT_OUT, left_out, people.WHY_NOT),
    )


def progress_part(edition: Edition) -> str:
    """Heading, acts and columns together."""
    return render_template("admin/edition_released_part.html", edition=edition, **_state(edition))


def batch(edition: Edition) -> Batch:
    """The letters of a release. Refuses (`NotReleased`)."""
    found = batch_of(edition)
    if found is None:
        raise recalling.NotReleased
    return found


def _here(edition: Edition) -> dict[str, Any]:
    return {"slug": edition.publication.slug, "number": edition.number}


def _frame(
    edition: Edition, *, files: bool = False, released_to: int | None = None
) -> dict[str, Any]:
    return {
        "edition": edition,
        "publication": edition.publication,
        "files": files_shown(edition) if files else [],
        "story": edition_story(edition, released_to),
    }


def _coming(edition: Edition, counted: int) -> dict[str, Any]:
    return {
        "people": counted,
        "many": _people(counted),
        "countdown": in_words(edition.release_at),
        "zone": config().zone.key,
        "part_url": url_for("releases.part", **_here(edition), people=counted),
    }


def _state(edition: Edition) -> dict[str, Any]:
    account, letters = live.live(edition), batch(edition)
    later = live.count_due_later(letters) if account.waiting else 0
    is_going = letters.status is BatchStatus.RUNNING and account.waiting > later
    pace = live.letters_per_second(letters) if is_going else 0.0
    return {
        "account": account,
        "batch": letters,
        "is_going": is_going,
        "later": later,
        "time_left": time_left(account.waiting - later, pace) if is_going else "",
        "columns": _columns(edition, account),
        "owed": account.total - sum(account.left_out.values()),
        "part_url": url_for("releases.part", **_here(edition)),
        "counted_at": clock.now(),
    }


def _columns(edition: Edition, account: Coverage) -> list[tuple[int, str, str, str | None]]:
    """The columns as the meter and the figures show them: count, words, kind, address."""
    shown = [
        (account.handed_over, "handed over", "over"),
        (account.waiting, "waiting", "wait"),
        (account.held, "held", "held"),
        (account.undeliverable, "undeliverable", "fail"),
        (account.came_back, "came back", "fail"),
        (account.missing, "missing", "fail" if account.missing else ""),
        (sum(account.left_out.values()), "left out", ""),
    ]
    names = people.COLUMNS
    return [(*one, _list_url(edition, name)) for one, name in zip(shown, names, strict=True)]


def _list_url(edition: Edition, column: str, why: str | None = None) -> str | None:
    """The list behind a number, for who may see customers."""
    if not may("support"):
        return None
    return url_for("coverage.listed", **_here(edition), column=column, why=why)


def _counts(
    edition: Edition, column: str, counted: dict[str, int], words: dict[Any, str]
) -> list[Count]:
    """Each number with why, the largest first, and its list."""
    return [
        (count, words.get(why, why), _list_url(edition, column, why))
        for why, count in sorted(counted.items(), key=lambda one: -one[1])
    ]


def _owed(account: Coverage) -> int:
    """To how many it was released: those recalled and withdrawn since among them."""
    kept = sum(count for why, count in account.left_out.items() if why not in (RECALLED, WITHDRAWN))
    return account.total - kept


def _troubled(edition: Edition, account: Coverage) -> list[tuple[str, people.Person]]:
    """The first of those whose letters could not be delivered, came back or are held."""
    found: list[tuple[str, people.Person]] = []
    for column in ("undeliverable", "came_back", "held"):
        if getattr(account, column) and len(found) < _SHOWN:
            some = people.some_people(people.of_column(edition, column), size=_SHOWN)
            found += [(column, one) for one in some.rows]
    return found[:_SHOWN]


def _chosen() -> int | Occasion | None:
    """Whose letter is shown: the customer of `?customer=`, for who may see customers, or one who
    is told for the reason of `?as=`."""
    if may("support") and (customer := id_in(request.args.get("customer"))):
        return customer
    why = request.args.get("as", "")
    return Occasion(why) if why in set(Occasion) else None


def _asked_for() -> dict[str, str]:
    return {name: request.args[name] for name in ("as", "customer") if name in request.args}


def _other_letters(edition: Edition, seen: Rehearsal) -> list[tuple[str, str]]:
    """Words and address for the letter of each reason, where there are several."""
    if len(seen.occasions) < 2:
        return []
    return [
        (
            f"{count:,} who {people.WHY_TOLD.get(Occasion(why), 'are told of it')}",
            url_for("releases.one", **(_here(edition) | {"as": why})) + "#letter",
        )
        for why, count in seen.occasions.items()
    ]


def _anchored(errors: dict[str, str], *, is_later: bool) -> dict[str, str]:
    """Errors by the ids of their fields: both forms of the bar ask for people and tick."""
    if not is_later:
        return errors
    return {
        f"{name}-later" if name in ("people", "unmended") else name: words
        for name, words in errors.items()
    }


def _earliest() -> str:
    """The first moment that may be set, as the field of the form takes it."""
    at = clock.now() + timedelta(seconds=config().release_delay)
    return f"{at.astimezone(config().zone):%Y-%m-%dT%H:%M}"


def _people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def duration(count: int) -> str:
    """How long so many letters take at the set pace: `about 11 minutes`."""
    if not config().mail_rate:
        return "as long as the mail server needs"
    minutes = count / config().mail_rate / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return f"about {round(minutes)} minute{'' if round(minutes) == 1 else 's'}"
    return f"about {round(minutes / 60)} hours"


def in_words(moment: datetime | None) -> str:
    """`in 9 minutes`, `in 3 days`; what is due now is `in a moment`."""
    seconds = int((moment - clock.now()).total_seconds()) if moment else 0
    if seconds < 1:
        return "in a moment"
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= 2 * size or size == 1:
            count = round(seconds / size)
            return f"in {count} {name}" + ("" if count == 1 else "s")
    raise AssertionError("seconds always fit")


def time_left(waiting: int, per_second: float) -> str:
    """`About 4 minutes left at 2 letters a second.`; nothing where nothing can be said."""
    if waiting < 1 or per_second <= 0:
        return ""
    minutes = waiting / per_second / 60
    pace = f"{per_second:.1f}".removesuffix(".0") if per_second < 10 else f"{per_second:,.0f}"
    if minutes < 1:
        return f"Less than a minute left at {pace} letters a second."
    if minutes < 90:
        count = round(minutes)
        return f"About {count} minute{'' if count == 1 else 's'} left at {pace} letters a second."
    return f"About {round(minutes / 60)} hours left at {pace} letters a second."
