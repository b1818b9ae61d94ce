"""Staff as owners keep it: invited, changed, helped, removed; and the record, read."""

import csv
import io
import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.cli import main
from store.commands import base
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.customers import rename
from store.orders.models import Customer
from store.staff import audit, membership
from store.staff.acts import Act
from store.staff.membership import change_role, remove
from store.staff.models import AuditEntry, Role, StaffMember
from store.staff.people import LastOwner, staff_by_address
from tests.admin.sign_in import PASSWORD, a_member, press, sign_in, signed_in, token_in
from tests.admin.test_account import told, with_app
from tests.conftest import Clock, on_both, on_postgresql
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import sent
from tests.pages import check_page, page_at, read
from tests.races import at_once, until_waiting
from tests.statements import statements
from tests.storefront.forms import text_of

INES = "ines@publisher.example"
OWNER = "owner@publisher.example"
STAFF = "/admin/staff"


def person(email: str = INES) -> StaffMember:
    """As the row stands now."""
    db.session.rollback()
    found = staff_by_address(email)
    assert found is not None
    return found


def link_of_letter(email: str = INES) -> str:
    """The link of the newest invitation to somebody."""
    letters = [one for one in sent() if one["To"] == email and "way into" in one["Subject"]]
    found = re.search(r"/admin/join/\S+", letters[-1].get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert found
    return found[0]


def invite(desk: FlaskClient, role: str = "editor") -> str:
    """Invite Ines at the desk; the path of the link in her letter."""
    proof = {"password": PASSWORD} if role == "owner" else {}
    assert press(desk, STAFF, {"email": INES, "role": role} | proof).status_code == 303
    return link_of_letter()


@pytest.fixture
def desk(app: Flask, client: FlaskClient, frozen: Clock) -> Iterator[FlaskClient]:
    """An owner at the desk of a shop that somebody sells in."""
    with transaction():
        a_seller()
    return signed_in(client)


@on_both
def test_somebody_is_invited_by_letter_and_comes_in_with_a_password_of_their_own(
    app: Flask, desk: FlaskClient
) -> None:
    join, ines = invite(desk), app.test_client()
    page = read(desk, STAFF)
    assert "2 people" not in page
    assert "never; the link ends tomorrow, 10:00" in text_of(page)
    check_page(page, path=STAFF)
    check_page(ines.get(join).text, path="/admin/join")

    refused = press(ines, join, {"name": " ", "new_password": "short"})
    assert refused.status_code == 422
    assert "Enter your name" in refused.text
    assert "must have 12 to 200 characters" in refused.text
    came = press(ines, join, {"name": "Ines Marsh", "new_password": "four plain words here"})
    assert (came.status_code, came.location) == (303, "/admin/account/two-step")
    assert ines.get("/admin/publications").status_code == 200
    assert ines.get(STAFF).status_code == 403
    assert (person().role, person().name, person().active) == (Role.EDITOR, "Ines Marsh", True)

    again = app.test_client().get(join)
    assert (again.status_code, "This invitation is over" in again.text) == (410, True)
    assert "Ines Marsh" in read(desk, STAFF)


@pytest.mark.parametrize("end", ["time", "another", "removed"])
def test_a_link_ends_by_time_by_another_one_and_by_removal(
    app: Flask, desk: FlaskClient, frozen: Clock, end: str
) -> None:
    join = invite(desk)
    if end == "time":
        frozen.advance(hours=24, seconds=1)
    elif end == "another":
        press(desk, f"{STAFF}/{person().id}/link", seen_on=STAFF)
        assert app.test_client().get(link_of_letter()).status_code == 200
    else:
        remove_at_desk(desk, person().id)
    assert app.test_client().get(join).status_code == 410


def test_a_link_lets_nobody_in_once_another_is_on_its_way(
    app: Flask, desk: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = invite(desk)
    look, looked = membership.invited_by, list[str]()

    def look_and_be_overtaken(token: str) -> StaffMember:
        found = look(token)
        looked.append(token)
        if len(looked) == 2:  # the page has looked before the press does
            membership.send_link(found.id)
        return found

    ines = app.test_client()
    page = ines.get(join).text
    monkeypatch.setattr(membership, "invited_by", look_and_be_overtaken)
    typed = {"csrf_token": token_in(page), "name": "Ines", "new_password": "four plain words here"}
    assert ines.post(join, data=typed).status_code == 410
    assert not person().active


def test_who_looks_after_letters_does_not_come_in_by_an_invitation_to_somebody_else(
    app: Flask, desk: FlaskClient
) -> None:
    invite(desk, "owner")
    letter_id = db.session.scalars(sa.select(Delivery.id).filter_by(kind="staff_invitation")).one()
    helper = signed_in(app.test_client(), "support")
    shown = page_at(helper, f"/admin/letters/{letter_id}?show=words")
    assert re.findall(r"/admin/join/\S+", shown) == ["/admin/join/…"]


def test_what_is_no_address_is_named_and_who_is_there_is_not_invited(desk: FlaskClient) -> None:
    refused = press(desk, STAFF, {"email": "anna@", "role": "editor"})
    assert refused.status_code == 422
    assert "That is not an e-mail address: “anna@”." in text_of(refused.text)
    assert 'value="anna@"' in refused.text
    check_page(refused.text, path=STAFF)
    twice = press(desk, STAFF, {"email": OWNER.upper(), "role": "editor"})
    assert f"{OWNER} may use the desk already." in text_of(twice.text)
    assert db.session.scalars(sa.select(StaffMember.email)).all() == [OWNER]


def remove_at_desk(desk: FlaskClient, number: int) -> str:
    answer = press(desk, f"{STAFF}/{number}/remove", {"password": PASSWORD})
    return answer.text if answer.status_code != 303 else ""


def test_who_is_removed_is_out_at_once_and_stays_on_record(app: Flask, desk: FlaskClient) -> None:
    a_member("otto@publisher.example")
    leaver = app.test_client()
    sign_in(leaver, a_member(INES, "editor"))
    assert leaver.get("/admin/publications").status_code == 200
    number = person().id
    check_page(read(desk, f"{STAFF}/{number}/remove"), path="/remove")
    wrong = press(desk, f"{STAFF}/{number}/remove", {"password": "not it"})
    assert (wrong.status_code, "That is not your password." in wrong.text) == (422, True)
    assert person().active

    assert remove_at_desk(desk, number) == ""
    assert leaver.get("/admin/publications").location.startswith("/admin/sign-in")
    assert sign_in(leaver, INES).status_code == 422
    table = re.search("<table.*?</table>", read(desk, STAFF), re.DOTALL)
    assert table
    assert INES not in table[0]
    assert f"Removed {INES} from the staff" in text_of(read(desk, "/admin/audit"))
    assert [one for one in told() if "was removed" in one[1]] == [
        (address, f"{INES} was removed from the staff")
        for address in (INES, "otto@publisher.example", OWNER)
    ]


def test_an_owner_with_a_second_step_removes_nobody_by_the_password_alone(
    desk: FlaskClient,
) -> None:
    a_member(INES, "editor")
    codes, number = with_app(OWNER), person().id
    assert "Enter the code" in remove_at_desk(desk, number)
    assert person().active
    typed = {"password": PASSWORD, "code": codes[0]}
    assert press(desk, f"{STAFF}/{number}/remove", typed).status_code == 303
    assert not person().active


def test_a_lost_authenticator_is_reset_by_an_owner_and_told(app: Flask, desk: FlaskClient) -> None:
    thief = app.test_client()
    sign_in(thief, a_member(INES, "editor"))
    with_app(INES)
    path = f"{STAFF}/{person().id}/second-step"
    check_page(read(desk, path), path=path)
    assert thief.get("/admin/").status_code == 200
    assert press(desk, path, {"password": PASSWORD}).status_code == 303
    assert not person().has_two_step
    assert thief.get("/admin/").location.startswith("/admin/sign-in")
    lost = f"{INES} has no second step any more: an owner reset it, as the authenticator was lost"
    assert told() == [(INES, lost), (OWNER, lost)]
    assert sign_in(app.test_client(), INES).location == "/admin/"


def test_another_role_holds_from_the_next_press_on(app: Flask, desk: FlaskClient) -> None:
    ines = app.test_client()
    sign_in(ines, a_member(INES, "support"))
    assert ines.get("/admin/publications/new").status_code == 403
    path = f"{STAFF}/{person().id}"
    check_page(read(desk, path), path=path)
    assert press(desk, path, {"role": "editor"}).status_code == 303
    assert ines.get("/admin/publications/new").status_code == 200
    db.session.rollback()
    line = db.session.scalars(sa.select(AuditEntry).filter_by(act="role_changed")).one()
    assert (line.before, line.after) == ({"role": "support"}, {"role": "editor"})


@pytest.mark.parametrize("is_member", [False, True])
def test_nobody_makes_an_owner_at_a_desk_left_open(desk: FlaskClient, is_member: bool) -> None:
    number = person(a_member(INES, "support")).id if is_member else 0
    path = f"{STAFF}/{number}" if is_member else STAFF
    asked = press(desk, path, {"email": INES, "role": "owner"})
    assert (asked.status_code, "Enter your own password to make one." in asked.text) == (422, True)
    check_page(asked.text, path=path)
    wrong = press(desk, path, {"email": INES, "role": "owner", "password": "not this one"})
    assert (wrong.status_code, "That is not your password." in wrong.text) == (422, True)
    db.session.rollback()
    assert db.session.scalars(sa.select(StaffMember.email).filter_by(role=Role.OWNER)).all() == [
        OWNER
    ]
    made = press(desk, path, {"email": INES, "role": "owner", "password": PASSWORD})
    assert (made.status_code, person().role) == (303, Role.OWNER)


def test_who_has_a_second_step_makes_an_owner_with_a_code(desk: FlaskClient) -> None:
    codes = with_app(OWNER)
    named = {"email": INES, "role": "owner", "password": PASSWORD}
    assert "Enter the code." in press(desk, STAFF, named).text
    assert press(desk, STAFF, named | {"code": codes[0]}).status_code == 303


def test_the_last_owner_neither_goes_nor_becomes_less(desk: FlaskClient) -> None:
    number = person(OWNER).id
    for answer in (
        press(desk, f"{STAFF}/{number}/remove", {"password": PASSWORD}),
        press(desk, f"{STAFF}/{number}", {"role": "support"}),
    ):
        assert answer.status_code == 409
        assert "The last owner stays" in answer.text
    assert (person(OWNER).role, person(OWNER).active) == (Role.OWNER, True)


@pytest.fixture
def two_owners(app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two owners; who has looked whether another is left waits for the other to look, too."""
    with transaction():
        a_seller()
    numbers = [person(a_member(f"{name}@publisher.example")).id for name in ("olga", "otto")]
    looked: list[int] = []
    look = membership.refuse_last_owner

    def look_together(one: StaffMember) -> None:
        look(one)
        looked.append(one.id)
        until_waiting(lambda: len(looked) > 1)

    monkeypatch.setattr(membership, "refuse_last_owner", look_together)
    db.session.rollback()
    return numbers


def _each_removes_the_other(app: Flask, numbers: list[int]) -> list[str]:
    def go(number: int) -> None:
        with transaction():
            remove(number)

    def fall(number: int) -> None:
        with transaction():
            change_role(number, "support")

    return at_once(app, lambda: go(numbers[0]), lambda: fall(numbers[1]))


def _owners() -> int:
    db.session.rollback()
    left = sa.select(StaffMember).where(StaffMember.active, StaffMember.role == Role.OWNER)
    return len(db.session.scalars(left).all())


@on_postgresql
def test_of_two_owners_who_remove_each_other_at_once_one_stays(
    app: Flask, two_owners: list[int]
) -> None:
    assert _each_removes_the_other(app, two_owners) == [LastOwner.__name__]
    assert _owners() == 1


@on_postgresql
def test_without_the_lock_on_all_owners_none_would_stay(
    app: Flask, two_owners: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "lock_owners", lambda: None)
    assert _each_removes_the_other(app, two_owners) == []
    assert _owners() == 0, "the control shows nothing"


def test_the_second_step_demanded_of_all_closes_the_desk_to_who_has_none(
    app: Flask, desk: FlaskClient
) -> None:
    press(desk, f"{STAFF}/second-step", {"demand": "yes"}, seen_on=STAFF)
    assert "Turn on your own second step first" in read(desk, STAFF)
    helper = app.test_client()
    sign_in(helper, a_member(INES, "support"))
    with_app(OWNER)
    asked = press(desk, f"{STAFF}/{person().id}/ask", seen_on=STAFF)
    assert asked.status_code == 303
    assert (INES, "Please turn on your second step") in told()

    press(desk, f"{STAFF}/second-step", {"demand": "yes"}, seen_on=STAFF)
    assert helper.get("/admin/orders").location == "/admin/account/two-step"
    press(desk, f"{STAFF}/second-step", seen_on=STAFF)
    assert helper.get("/admin/orders").status_code == 200


def test_the_command_line_lists_and_removes_but_not_the_last_owner(
    app: Flask, desk: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "the_shop", lambda: app)
    a_member(INES, "editor")
    listed = CliRunner().invoke(main, ["staff", "list"])
    assert [line.split()[0] for line in listed.output.splitlines()[1:]] == [OWNER, INES]
    assert CliRunner().invoke(main, ["staff", "remove", INES]).exit_code == 0
    last = CliRunner().invoke(main, ["staff", "remove", OWNER])
    assert (last.exit_code, "only owner" in last.stderr) == (1, True)
    less = ["staff", "add", OWNER, "--role", "editor", "--password-stdin"]
    assert CliRunner().invoke(main, less, input=f"{PASSWORD}\n").exit_code == 1
    assert (person(OWNER).role, person().active) == (Role.OWNER, False)


@pytest.fixture
def history(app: Flask, desk: FlaskClient, frozen: Clock) -> FlaskClient:
    """Sixty changes of a price a day apart, and one address corrected in a terminal."""
    with transaction():
        publication, anna = a_publication(title="=Early Years"), a_customer()
        audit.record(Act.LINKS_ENDED, anna)
    for number in range(60):
        frozen.advance(days=1)
        with app.test_request_context(), transaction():
            before, after = {"price": f"£{number}.00"}, {"price": f"£{number + 1}.00"}
            audit.record(
                Act.PUBLICATION_CHANGED, publication, before=before, after=after, by=person(OWNER)
            )
    sign_in(desk, OWNER)
    return desk


def sentences(page: str) -> list[str]:
    """The first cells of the table."""
    cells = re.findall(r'<th scope="row">(.*?)</th>', page, re.DOTALL)
    return [re.sub(r"\s+", " ", re.sub("<[^>]+>", "", cell)).strip() for cell in cells]


def test_the_record_is_read_by_page_and_by_who_what_thing_and_days(history: FlaskClient) -> None:
    first = read(history, "/admin/audit?kind=catalogue")
    check_page(first, path="/admin/audit")
    assert len(sentences(first)) == 50
    assert "29 April 2027, 11:00 BST" in first
    assert "29 Apr, 10:00:00 UTC" in first
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older
    assert len(sentences(read(history, older[1].replace("&amp;", "&")))) == 10

    changed, ended = "Changed =Early Years", "Ended all links of Anna Berg (anna@reader.example)"
    for asked, found in (
        ("who=terminal", [ended]),
        ("kind=customers", [ended]),
        ("thing=anna@reader.example", [ended]),
        ("thing=send-early-years&first_day=2027-04-30", [changed]),
        ("kind=catalogue&first_day=2027-03-02&last_day=2027-03-03", [changed, changed]),
        ("thing=nobody@reader.example", []),
    ):
        assert sentences(read(history, f"/admin/audit?{asked}")) == found, asked
    with transaction():
        rename(db.session.scalars(sa.select(Customer)).one(), "Anna Bergmann")
    now = "Ended all links of Anna Bergmann (anna@reader.example)"
    assert sentences(read(history, "/admin/audit?kind=customers")) == [now]
    for day in ("first_day=2027-02-30", "last_day=9999-12-31"):
        wrong = history.get(f"/admin/audit?{day}")
        assert (wrong.status_code, "not a day of the calendar" in wrong.text) == (422, True)


def test_the_record_as_csv_has_every_line_and_no_formula(history: FlaskClient) -> None:
    text = history.get("/admin/audit/record.csv?kind=catalogue").get_data().decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 60
    newest = lines[0]
    assert (newest["utc"], newest["local"]) == ("2027-04-30T10:00:00Z", "2027-04-30T11:00:00+0100")
    assert newest["what"] == "Changed =Early Years"
    assert (newest["before"], newest["after"], newest["who"]) == (
        "price: £59.00",
        "price: £60.00",
        OWNER,
    )


def test_the_record_costs_as_many_statements_however_long_it_is(history: FlaskClient) -> None:
    counts = []
    for asked in ("kind=customers", "kind=catalogue"):
        with statements() as told_:
            history.get(f"/admin/audit?{asked}")
        counts.append(len(told_))
    assert counts[0] == counts[1]


def test_only_owners_read_the_record_and_keep_the_staff(app: Flask, client: FlaskClient) -> None:
    for role in ("editor", "support"):
        desk = signed_in(app.test_client(), role)
        answers = [desk.get(path).status_code for path in ("/admin/audit", STAFF)]
        assert answers == [403, 403]
