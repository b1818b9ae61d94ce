"""When a batch stops by itself: chance in an old list never stops it, a server that is against us
does within a few letters. Lists are drawn with fixed seeds."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from store.kit.database import db, transaction
from store.kit.status import advance
from store.mail import brake, worker
from store.mail.brake import Answers, is_unclear
from store.mail.models import Batch, BatchStatus
from tests.conftest import Clock, on_both_when_long

from .scripted_server import ScriptedServer, Talk
from .shops import a_batch, a_shop, attempts, deliveries, owe_to, readers, statuses

UNKNOWN = "550 5.1.1 No such user"
NO = "554 5.7.1 Message refused"


class Answer(NamedTuple):
    is_refused: bool
    is_unclear: bool = False


TAKEN = Answer(is_refused=False)
DEAD = Answer(is_refused=True)
DOUBTFUL = Answer(is_refused=True, is_unclear=True)


def drawn(seed: int, size: int, share: float, refusal: Answer = DEAD) -> list[Answer]:
    dice = random.Random(seed)
    return [refusal if dice.random() < share else TAKEN for _ in range(size)]


def by_bound(answers: list[Answer]) -> bool:
    """As `brake.answers_of` hands them over."""
    latest = answers[-brake._LATEST :]
    return bool(
        Answers(
            [one.is_refused for one in latest],
            [one.is_unclear for one in latest],
            [],
            from_the_beginning=len(latest) < brake._LATEST,
        ).why_to_stop()
    )


def by_share(answers: list[Answer]) -> bool:
    """The rule before: over 5 % of the last hundred, from the twentieth on."""
    latest = answers[-100:]
    return len(latest) >= 20 and sum(one.is_refused for one in latest) > 0.05 * len(latest)


def stops_after(
    answers: list[Answer], rule: Callable[[list[Answer]], bool] = by_bound
) -> int | None:
    """After how many letters the batch is paused, which is asked with each refusal."""
    return next(
        (
            number
            for number, answer in enumerate(answers, 1)
            if answer.is_refused and rule(answers[max(0, number - 200) : number])
        ),
        None,
    )


SIZES = (50, 200, 1000, 2500, 5000)


@pytest.mark.parametrize("share", [0.01, 0.03, 0.08])
def test_dead_addresses_spread_at_random_stop_no_list(share: float) -> None:
    stopped = {
        (seed, size): after
        for seed in range(40)
        for size in SIZES
        if (after := stops_after(drawn(seed, size, share))) is not None
    }
    assert stopped == {}


def test_single_refusals_without_a_reason_stop_no_list() -> None:
    lists = (drawn(seed, 5000, 0.01, DOUBTFUL) for seed in range(60))
    assert [seed for seed, one in enumerate(lists) if stops_after(one) is not None] == []


def test_control_by_the_mere_share_most_old_lists_stop() -> None:
    lists = (drawn(seed, 2500, 0.03) for seed in range(60))
    stopped = sum(stops_after(one, by_share) is not None for one in lists)
    assert stopped > 50


@pytest.mark.parametrize("before", [0, 30, 200, 2000])
def test_refusals_that_may_mean_us_stop_a_list_within_50_letters(before: int) -> None:
    """From its first letter on, or after so many that were taken but for a few dead addresses."""
    for seed in range(300):
        good, bad = drawn(seed, before, 0.03), drawn(seed + 1000, 50, 0.4, DOUBTFUL)
        after = stops_after([*good, *bad])
        assert after is not None, seed
        assert after > before, seed


def test_a_server_that_refuses_all_stops_a_list_at_once() -> None:
    assert stops_after([DOUBTFUL] * 50) == 3
    assert stops_after([*[TAKEN] * 2000, *[DOUBTFUL] * 50]) == 2005
    assert stops_after([DEAD] * 50) == 5


def test_a_list_of_which_many_are_dead_stops_soon() -> None:
    """It harms nobody to hear of a rotten list some letters later, so that its bound is higher."""
    found = [stops_after(drawn(seed, 400, 0.4)) for seed in range(300)]
    assert None not in found
    soon = [after for after in found if after and after <= 50]
    assert len(soon) > 0.9 * len(found)
    assert max(after for after in found if after) <= 150


def test_who_is_unknown_says_nothing_of_us() -> None:
    for reply in (UNKNOWN, "550 User unknown", "553 sorry", "552 5.3.4 Too big", "", "lost"):
        assert not is_unclear(reply)
    for reply in (NO, "550 No", "554 Transaction failed"):
        assert is_unclear(reply)


# Of a real batch


def refusing(share: float, words: str, count: int) -> tuple[set[str], Callable[..., str | None]]:
    dice = random.Random(7)
    theirs = {who for who in readers(count) if dice.random() < share}
    return (
        theirs,
        lambda talk, verb, line: (
            words if verb == "RCPT" and any(who in line for who in theirs) else None
        ),
    )


@on_both_when_long
def test_a_list_with_dead_addresses_is_sent_to_its_end(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    dead, script = refusing(0.08, UNKNOWN, 400)
    with ScriptedServer(script) as sink, a_shop(database_url, tmp_path, sink.port):
        batch_id = a_batch()
        owe_to(*readers(400), batch_id=batch_id)
        worker.send_due_letters()
        assert db.session.get_one(Batch, batch_id).status == BatchStatus.FINISHED
        assert statuses() == {"sent": 400 - len(dead), "failed": len(dead)}


@on_both_when_long
def test_refusals_that_may_have_meant_us_lose_nobody(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    theirs, script = refusing(0.4, NO, 200)
    is_mended = False

    def until_mended(talk: Talk, verb: str, line: str) -> str | None:
        return None if is_mended else script(talk, verb, line)

    with ScriptedServer(until_mended) as sink, a_shop(database_url, tmp_path, sink.port):
        batch_id = a_batch()
        owe_to(*readers(200), batch_id=batch_id)
        worker.send_due_letters()
        batch = db.session.get_one(Batch, batch_id)
        assert batch.status == BatchStatus.PAUSED
        assert "does not say that their addresses are wrong" in batch.pause_reason
        tried = [who for who in readers(200) if attempts(who)]
        assert len(tried) <= 50
        rows = deliveries()
        assert {rows[who].status for who in theirs} == {"queued"}
        assert {rows[who].tries for who in theirs} == {0}

        is_mended = True
        with transaction() as session:
            advance(session.get_one(Batch, batch_id), BatchStatus.RUNNING, who="Olga")
        for _ in range(2):
            worker.send_due_letters()
            frozen.advance(hours=1)
        assert {deliveries()[who].status for who in readers(200)} == {"sent"}


def test_who_is_refused_again_is_given_up(database_url: str, tmp_path: Path, frozen: Clock) -> None:
    theirs, script = refusing(0.4, NO, 50)
    with ScriptedServer(script) as sink, a_shop(database_url, tmp_path, sink.port):
        batch_id = a_batch()
        owe_to(*readers(50), batch_id=batch_id)
        for _ in range(40):
            worker.send_due_letters()
            frozen.advance(hours=2)
            db.session.remove()
            if db.session.get_one(Batch, batch_id).status == BatchStatus.PAUSED:
                with transaction() as session:
                    advance(session.get_one(Batch, batch_id), BatchStatus.RUNNING, who="Olga")
        rows = deliveries()
        assert {who for who in readers(50) if rows[who].status == "failed"} == theirs
        assert max(len(attempts(who)) for who in theirs) == 2
