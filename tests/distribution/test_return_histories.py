"""Random histories with letters that come back: a bounce stops no news, nobody is missed in silence,
who is mended gets the newest once, and nothing leaves for an address on hold but what was asked for."""

from collections.abc import Callable

import pytest
from flask import Flask

from store.entitlements import repairs
from store.kit.database import transaction
from store.mail import preparing, returns
from store.mail.returns import ReturnKind
from tests.conftest import Clock, on_both, on_both_when_long
from tests.distribution.returning import Returns
from tests.distribution.test_occasion_histories import live
from tests.factories import a_seller


@on_both
@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_histories_of_what_comes_back(app: Flask, frozen: Clock, times: int) -> None:
    live(Returns, frozen, 8 * times, 40)


def _a_history(frozen: Clock) -> None:
    """One in which each rule about what comes back has its say."""
    one = Returns()
    one.frozen = frozen
    one.open()
    _comes_back(one, 0)
    one.release()
    one.wait_and_send(0)
    _comes_back(one, 1, ReturnKind.SOFT, is_last=True)
    _comes_back(one, 2)
    one.give_a_second_address(2, 0)
    one.wait_and_send(0)
    one.ask_for_copies(1, by_second=False)
    one.wait_and_send(0)
    one.correct_the_address(0, 1)
    one.somebody_else_takes_an_address(0)
    one.release()
    one.wait_and_send(0)
    one.wait_and_send(16)
    _comes_back(one, 2)  # from the second address
    one.wait_and_send(0)
    one.say_that_the_address_is_right(2)
    one.come_back(1, ReturnKind.HARD, 2, is_last=False, times=1)  # late, of an older edition
    one.say_that_the_address_is_right(1)
    _comes_back(one, 1, ReturnKind.COMPLAINT)
    _comes_back(one, 2)
    one.wait_and_send(0)
    one.give_up(2)
    one.wait_and_send(0)


def _comes_back(
    one: Returns, person: int, kind: ReturnKind = ReturnKind.HARD, *, is_last: bool = False
) -> None:
    one.come_back(person, kind, 0, is_last=is_last, times=2)
    one.a_bounce_stops_no_news()
    one.the_account_adds_up()


@on_both_when_long
def test_one_history_of_what_comes_back(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
    _a_history(frozen)


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "name", "does"),
    [
        (preparing, "holds_of", lambda *_: {}),
        (returns, "_open_repair", lambda *_: None),
        (returns, "_hold", lambda *_: None),
        (repairs, "_leave_out_what_came", lambda *_: 0),
        (repairs, "_open_lacking", lambda *_: None),
        (repairs, "_of_each_the_newest", lambda *_: 0),
        (preparing, "other_way", lambda *_: None),
    ],
)
def test_control_a_history_finds_out(
    app: Flask,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    does: Callable[..., object],
) -> None:
    with transaction():
        a_seller()
    monkeypatch.setattr(where, name, does)
    with pytest.raises(AssertionError):
        _a_history(frozen)


@on_both
@pytest.mark.long
@pytest.mark.timeout(600)
def test_control_without_repairs_somebody_is_missed_in_silence(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((returns, "_open_repair"), (repairs, "look_after_holds")):
        monkeypatch.setattr(module, name, lambda *_: None)
    with pytest.raises(AssertionError):
        live(Returns, frozen, 15, 20)
