"""A release killed by kill -9: it is out with a row for everybody whom it concerns, or not at all."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Edition, EditionStatus
from store.distribution import releasing
from store.kit.database import db
from store.mail.models import Batch
from tests.conftest import on_both, on_both_when_long
from tests.tables import Note

from .editions_due import a_shop_with_readers, hand_all_over, owed, scheduled
from .ready import Moment, ReadyShop, ready_shop
from .tally import Tally

MOST_STEPS = 40


def _is_half_done(edition_id: int, owed: int, concerned: int) -> bool:
    edition = db.session.get_one(Edition, edition_id)
    query = sa.select(sa.func.count(Batch.id)).where(Batch.subject_id == edition_id)
    stands = (edition.status, edition.released_at is not None, db.session.scalar(query), owed)
    db.session.remove()
    return stands not in [
        (EditionStatus.SCHEDULED, False, 0, 0),
        (EditionStatus.RELEASED, True, 1, concerned),
    ]


def _try(tally: Tally, ready: ReadyShop, publication_id: int, number: int, moment: Moment) -> None:
    """One release, killed at this moment; then the timetable's next pass."""
    edition_id, concerned = scheduled(publication_id, number)
    tally.count(moment, was_killed=ready.begin("release", moment).ended())
    tally.of += len(concerned)
    tally.half_done += _is_half_done(edition_id, owed(edition_id).total(), len(concerned))
    releasing.release_due()
    letters = owed(edition_id)
    tally.missed += len(concerned - set(letters))
    tally.doubled += letters.total() - len(letters)
    tally.most_doubled = max(tally.most_doubled, letters.total() - len(letters))
    hand_all_over()


def _kill_releases(url: str, folder: Path, seed: int, kills: int) -> Tally:
    tally, number = Tally("release", url, seed), 1
    publication_id = a_shop_with_readers()
    with ready_shop(folder, database_url=url) as ready:
        while tally.kills < kills:
            number += 1
            _try(tally, ready, publication_id, number, tally.moment(MOST_STEPS))
    return tally


@on_both_when_long
def test_a_release_that_is_killed_is_out_for_everybody_or_for_nobody(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    _kill_releases(database_url, tmp_path, seed, kills=5).check()


@pytest.mark.long
def test_control_a_release_in_two_commits_is_seen_half_done(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    tally, publication_id = Tally("release", database_url, seed), a_shop_with_readers()
    seams = {"without": "one commit of a release"}
    with ready_shop(tmp_path, seams, database_url=database_url) as ready:
        for step in range(1, MOST_STEPS):
            _try(tally, ready, publication_id, 1 + step, Moment(step))
            if tally.half_done:
                break

    assert tally.half_done > 0


@pytest.mark.long
@pytest.mark.timeout(1800)
@on_both
def test_releases_killed_at_many_moments(
    app: Flask, database_url: str, tmp_path: Path, seed: int, kills: int, note: Note
) -> None:
    tally = _kill_releases(database_url, tmp_path, seed, kills)
    tally.note(note)
    tally.check()
