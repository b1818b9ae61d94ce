"""What had ended before a restore stays ended: the journal tells, or else every link asks the mailbox."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.backups import after_restore
from store.backups.after_restore import begin_after_restore, end_all_links
from store.entitlements import erasure_journal, links, news
from store.entitlements.erasure_journal import journal_path
from store.entitlements.journal_after_restore import keep_journal
from store.entitlements.models import News
from store.entitlements.news import choose_news, news_of, put_choice
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import restores
from store.orders.customers import customer_by_address
from store.staff.membership import change_role, remove
from store.staff.people import staff_by_address
from tests.admin.sign_in import a_member, sign_in, signed_in
from tests.conftest import Clock, Reader, on_both, on_both_when_long
from tests.editions import a_shop
from tests.entitlements.presses import SURE
from tests.letters import links_in, sent, text_of
from tests.links import anna, order_path, path_to
from tests.pages import check_page
from tests.purchases import a_paid_order
from tests.restored import put_back

pytestmark = pytest.mark.usefixtures("frozen")

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
BEN, INES, OLGA = "ben@reader.example", "ines@publisher.example", "olga@publisher.example"


class Shop:
    """A shop with two readers and two of staff, its backup, and what is done after it."""

    def __init__(self, client: FlaskClient, frozen: Clock, backup: Callable[[], str]) -> None:
        publication = a_shop()
        self.order = order_path(a_paid_order(publication).id)
        a_paid_order(publication, BEN)
        self.number, self.ben = publication.id, customer_by_address(BEN).id
        sent()
        self.anna, self.bens = path_to("library", anna().id), path_to("library", self.ben)
        self.stop = path_to("stop", self.ben)
        a_member()
        a_member(INES, "editor")
        keep_journal()
        frozen.advance(minutes=1)
        self.made_at: datetime = clock.now()
        self.copy = backup()
        frozen.advance(hours=1)

    def goes_on(self, client: FlaskClient) -> None:
        """Anna ends her links, Ben stops news, Ines leaves."""
        assert client.post(f"{self.anna}/end-links", data=SURE).status_code == 200
        assert client.post(self.stop, data=ONE_CLICK).status_code == 200
        with transaction():
            remove(staff_by_address(INES).id)
        sent()
        keep_journal()


@pytest.fixture
def before(client: FlaskClient, frozen: Clock, backup: Callable[[], str]) -> Shop:
    return Shop(client, frozen, backup)


def statuses(shop: Flask, *paths: str) -> list[int]:
    shop.test_client_class = Reader
    return [shop.test_client().get(path).status_code for path in paths]


def signs_in(shop: Flask, email: str) -> bool:
    with shop.app_context():  # who signed in before is not kept there
        return sign_in(shop.test_client(), email).status_code == 303


def stopped(before: Shop) -> bool:
    db.session.rollback()
    return news_of(before.ben, before.number) is News.NOTHING


@on_both
def test_what_ended_after_the_backup_has_ended_after_the_restore(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop
) -> None:
    before.goes_on(client)
    until = clock.now()
    for address in ("reader.example", "publisher.example"):
        assert address not in journal_path().read_text()
    frozen.advance(days=1)
    with put_back(before.copy, tmp_path) as shop:
        assert not stopped(before)
        done = begin_after_restore(before.made_at)
        assert (done.journal_until, done.left, done.news) == (until, 1, 1)
        assert statuses(shop, before.anna, before.order, before.bens) == [410, 410, 200]
        assert stopped(before)
        assert not signs_in(shop, INES)
        assert signs_in(shop, OLGA)
        # Letters have a link that is known to nobody yet.
        assert statuses(shop, path_to("library", anna().id)) == [200]


def test_control_without_its_lines_an_ended_link_opens_again(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    before: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasure_journal, "add_ended_links", lambda *_: None)
    before.goes_on(client)
    with put_back(before.copy, tmp_path) as shop:
        begin_after_restore(before.made_at)
        assert statuses(shop, before.anna) == [200]


@on_both_when_long
@pytest.mark.parametrize("journal", ["gone", "older than the backup", "of another shop"])
def test_without_the_journal_each_link_mails_a_fresh_one_and_staff_sign_in_afresh(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop, journal: str
) -> None:
    if journal == "older than the backup":
        old = tmp_path / "old.jsonl"
        shutil.copy(journal_path(), old)
    before.goes_on(client)
    if journal == "gone":
        journal_path().unlink()
    elif journal == "older than the backup":
        shutil.copy(old, journal_path())
    else:
        journal_path().write_text(
            journal_path().read_text().replace('{"journal": "', '{"journal": "x')
        )
    with put_back(before.copy, tmp_path) as shop:
        shop.test_client_class = Reader
        with shop.app_context():
            desk = signed_in(shop.test_client())
        done = begin_after_restore(before.made_at)
        assert done.journal_until is None
        assert statuses(shop, before.anna, before.bens, before.order) == [410, 410, 410]
        # Who has an old letter may still stop news.
        assert statuses(shop, before.stop) == [200]
        with shop.app_context():
            assert desk.get("/admin/").status_code == 303
        assert signs_in(shop, OLGA)
        with transaction():
            restores.let_go("olga")
        renewed(shop, before.anna)
        assert done.is_another_shops == (journal == "of another shop")
        if done.is_another_shops:
            return
        # The journal tells all from now on, and nothing of the gap.
        keep_journal()
        assert begin_after_restore(before.made_at).journal_until is None
        frozen.advance(hours=1)
        made_at = clock.now()
        keep_journal()
        assert begin_after_restore(made_at).journal_until == made_at


def renewed(shop: Flask, path: str) -> None:
    """The button of a dead link mails one that opens."""
    page = shop.test_client().get(path).text
    check_page(page, path="/library/…")
    assert "put back from a backup" in page
    token = page.split('name="token" value="')[1].split('"')[0]
    letters = len(sent())
    assert (
        shop.test_client().post("/find-my-copies/renew", data={"token": token}).status_code == 200
    )
    library = next(one for one in links_in(text_of(sent()[letters:][-1])) if "/library/" in one)
    assert shop.test_client().get(library).status_code == 200


def test_a_restore_that_was_broken_off_does_not_believe_its_own_lines(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    before: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = journal_path().read_bytes()
    before.goes_on(client)
    journal_path().write_bytes(old)
    with put_back(before.copy, tmp_path):
        with monkeypatch.context() as patched:
            patched.setattr(after_restore.journal_after_restore, "begin_afresh", lambda: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                begin_after_restore(before.made_at)
        assert begin_after_restore(before.made_at).journal_until is None


@on_both_when_long
def test_who_knows_of_a_gap_behind_the_journal_has_all_links_ended(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop
) -> None:
    before.goes_on(client)
    with put_back(before.copy, tmp_path) as shop:
        assert begin_after_restore(before.made_at).journal_until is not None
        assert statuses(shop, before.bens) == [200]
        assert end_all_links() > 1
        assert statuses(shop, before.bens) == [410]
        assert begin_after_restore(before.made_at).journal_until is None


def test_the_only_owner_of_the_backup_stays_though_they_left_since(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop
) -> None:
    with transaction():
        change_role(staff_by_address(INES).id, "owner")
        gone = remove(staff_by_address(OLGA).id).id
    with put_back(before.copy, tmp_path) as shop:
        assert begin_after_restore(before.made_at).kept_owners == [gone]
        assert signs_in(shop, OLGA)


def test_what_cannot_be_written_down_does_not_happen(
    client: FlaskClient, before: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(links.erasure_journal, "add_ended_links", full)
    monkeypatch.setattr(news.erasure_journal, "add_news", full)
    for path, data in ((f"{before.anna}/end-links", SURE), (before.stop, ONE_CLICK)):
        assert client.post(path, data=data).status_code == 507
    assert client.get(before.anna).status_code == 200
    assert not stopped(before)


def test_half_a_head_tells_nothing(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop
) -> None:
    before.goes_on(client)
    text = journal_path().read_text()
    start = text.index('{"journal"')
    journal_path().write_text(text[: start + 40] + "\0" * 20 + text[start + 60 :])
    with put_back(before.copy, tmp_path):
        assert begin_after_restore(before.made_at).journal_until is None
        assert stopped(before)


def backed_up(backup: Callable[[], str], frozen: Clock) -> tuple[str, datetime]:
    keep_journal()
    frozen.advance(minutes=5)
    made_at, copy = clock.now(), backup()
    frozen.advance(minutes=5)
    return copy, made_at


def test_a_choice_that_was_being_written_down_while_the_backup_was_made_is_told(
    client: FlaskClient, frozen: Clock, tmp_path: Path, before: Shop, backup: Callable[[], str]
) -> None:
    copy, made_at = backed_up(backup, frozen)
    frozen.advance(minutes=-5, seconds=-1)
    library = {"publication": before.number, "news": "matters"}
    assert client.post(f"{before.bens}/news", data=library).status_code == 200
    with put_back(copy, tmp_path):
        begin_after_restore(made_at)
        assert news_of(before.ben, before.number) is News.MATTERS
        with transaction():
            choose_news(before.ben, before.number, News.NOTHING)
        # A line from before a row changes nothing.
        put_choice(before.ben, before.number, News.MATTERS, made_at)
        assert stopped(before)
