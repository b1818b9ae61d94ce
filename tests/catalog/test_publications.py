"""Sellers and publications: what may be stated, sold, and promised."""

from datetime import date

import pytest
from flask import Flask

from store.catalog import publications, sellers
from store.catalog.models import PublicationStatus, VatTreatment
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from tests.conftest import Clock
from tests.factories import a_publication, a_released_edition, a_seller, an_edition


def test_who_sells_is_a_new_row_each_time_and_keeps_what_was_not_said_again(app: Flask) -> None:
    with transaction():
        first = sellers.state_seller(trading_name="Press", email="a@press.example", phone="1")
        second = sellers.state_seller(phone="2")
    assert (first.phone, second.phone, second.trading_name) == ("1", "2", "Press")
    assert sellers.current_seller().id == second.id


def test_a_seller_without_name_or_address_is_refused_naming_both(app: Flask) -> None:
    with pytest.raises(InvalidFields) as refused, transaction():
        sellers.state_seller(phone="1")
    assert set(refused.value.faults) == {"trading_name", "email"}


def test_nothing_goes_on_sale_before_somebody_sells_it(app: Flask) -> None:
    with transaction():
        publication = a_publication(status=PublicationStatus.DRAFT)
    with pytest.raises(sellers.SellerUnknown), transaction():
        publications.put_on_sale(publication, "Olga")
    with transaction():
        a_seller()
        publications.put_on_sale(publication, "Olga")
    assert publication.status == PublicationStatus.LISTED


@pytest.mark.parametrize("slug", ["Send", "send--years", "-send", "", "sénd", "a" * 61, "a/b"])
def test_an_address_that_does_not_read_well_is_refused(app: Flask, slug: str) -> None:
    with pytest.raises(InvalidFields) as refused, transaction():
        publications.add_publication(slug, "Title", 1250, "GBP")
    assert set(refused.value.faults) == {"slug"}


def test_every_fault_of_a_publication_is_named_at_once(app: Flask) -> None:
    with pytest.raises(InvalidFields) as refused, transaction():
        publications.add_publication("!", " ", 0, "XXQ", updates_months=0, author="a" * 201)
    faults = set(refused.value.faults)
    assert faults == {"slug", "title", "price_amount", "currency", "author", "updates_months"}


def test_two_publications_cannot_share_an_address(app: Flask) -> None:
    with transaction():
        publications.add_publication("guide", "Title", 1250, "gbp")
    with pytest.raises(publications.SlugTaken), transaction():
        publications.add_publication("guide", "Other", 1250, "GBP")
    assert publications.publication_by_slug("guide").currency == "GBP"


def test_a_draft_is_unknown_to_who_asks_for_what_is_listed(app: Flask) -> None:
    with transaction():
        publications.add_publication("guide", "Title", 1250, "GBP")
    with pytest.raises(publications.PublicationUnknown):
        publications.publication_by_slug("guide", statuses={PublicationStatus.LISTED})


def test_retiring_and_listing_again_are_the_only_ways(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication(status=PublicationStatus.DRAFT)
        with pytest.raises(publications.AlreadySo):
            publications.retire(publication, "Olga")
        publications.put_on_sale(publication, "Olga")
        with pytest.raises(publications.AlreadySo):
            publications.put_on_sale(publication, "Olga")
        publications.retire(publication, "Olga")
        publications.put_on_sale(publication, "Olga")
    assert publication.status == PublicationStatus.LISTED


def test_a_promised_date_is_shown_until_its_day_is_over_in_the_shops_zone(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        publication = a_publication(expected_on=date(2027, 7, 1))
    frozen.set(frozen.at.replace(month=7, day=1, hour=22, minute=59))
    assert publications.promised_date(publication) == date(2027, 7, 1)
    # 23:00 UTC is midnight in London's summer.
    frozen.advance(minutes=1)
    assert publications.promised_date(publication) is None


def test_only_the_listed_and_unreleased_whose_day_has_passed_are_overdue(
    app: Flask, frozen: Clock
) -> None:
    past, ahead = date(2027, 2, 28), date(2027, 3, 1)
    with transaction():
        late = a_publication("late", expected_on=past)
        a_publication("today", expected_on=ahead)
        a_publication("draft", expected_on=past, status=PublicationStatus.DRAFT)
        a_publication("undated", expected_on=None)
        a_released_edition(a_publication("out", expected_on=past))
        an_edition(late)
    assert [found.slug for found in publications.overdue_publications()] == ["late"]
    with transaction():
        late.overdue_alerted_on = past
    assert publications.overdue_publications() == []


def test_the_newest_released_edition_passes_over_drafts_and_withdrawn_ones(app: Flask) -> None:
    with transaction():
        publication = a_publication()
        assert publications.is_preorder(publication)
        a_released_edition(publication, 1)
        a_released_edition(publication, 2, status="withdrawn")
        an_edition(publication, 3)
    newest = publications.newest_released(publication.id)
    assert newest is not None
    assert newest.number == 1
    db.session.rollback()


@pytest.mark.parametrize("day", [date(9999, 12, 31), date(1999, 12, 31)])
def test_an_expected_date_beyond_reason_is_refused(app: Flask, day: date) -> None:
    with pytest.raises(InvalidFields) as refused, transaction():
        publications.add_publication("guide", "A guide", 1250, "GBP", expected_on=day)
    assert refused.value.faults == {"expected_on": "Enter a date between 2000 and 2199."}


def test_vat_is_included_only_by_a_seller_who_has_a_vat_number(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
    with pytest.raises(InvalidFields) as refusal, transaction():
        publications.edit_publication(publication, vat_treatment=VatTreatment.STANDARD_INCLUDED)
    assert refusal.value.faults == {
        "vat_treatment": "Only a seller with a VAT number can charge VAT. Enter it first."
    }
    with transaction():
        a_seller(vat_number="GB000000000")
        publications.edit_publication(publication, vat_treatment=VatTreatment.STANDARD_INCLUDED)
    assert publication.vat_treatment is VatTreatment.STANDARD_INCLUDED
