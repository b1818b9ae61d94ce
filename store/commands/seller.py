"""Who sells, on the command line."""

import click

from store.catalog.sellers import FIELDS, current_seller, state_seller
from store.commands.base import in_shop, json_option, print_json, print_table, who_types
from store.kit.database import transaction
from store.staff import recorded


@click.group()
def seller() -> None:
    """Who sells: shown on every page, letter and receipt."""


@seller.command("set")
@click.option("--trading-name", help="The name that customers see.")
@click.option("--legal-name", help="The name in the register, where it differs.")
@click.option("--charity-number", help="Registered charity number.")
@click.option("--company-number", help="Company number.")
@click.option("--address", help="Geographic address.")
@click.option("--email", help="Where customers can write to.")
@click.option("--reply-to", help="Where answers to letters go; the e-mail address unless set.")
@click.option("--phone", help="Telephone number.")
@click.option("--vat-number", help="VAT number, if registered.")
@click.option("--bank-details", help="Where to transfer money to; empty: nobody can pay so.")
@click.option("--countries", help="Where to sell to: codes such as GB,IE.")
@in_shop
def set_(**given: str | None) -> None:
    """State who sells; what is not given stays. Orders keep what they saw."""
    fields = {name: text for name, text in given.items() if text is not None}
    bank_details = fields.pop("bank_details", None)
    with transaction():
        was = recorded.seller_facts()
        recorded.seller_stated(state_seller(**fields), was)
        if bank_details is not None:
            recorded.bank_changed(bank_details, who_types())
        click.echo(f"{current_seller().trading_name} sells from now on.")


@seller.command("show")
@json_option
@in_shop
def show(as_json: bool) -> None:
    """Who sells, as last stated."""
    found = current_seller()
    told = {name: getattr(found, name) for name in (*FIELDS, "bank_details")}
    if as_json:
        print_json(told)
    else:
        print_table(("field", "value"), told.items())
