"""What happened, told from the rows: the log itself is on stderr, and holds the ids to ask about."""

from datetime import UTC

import click

from store.commands.base import in_shop, json_option, print_json
from store.kit.config import config
from store.stories.explaining import explain as story_of


@click.group()
def log() -> None:
    """What happened."""


@log.command("explain")
@click.argument("reference", nargs=-1, required=True)
@json_option
@in_shop
def explain(reference: tuple[str, ...], as_json: bool) -> None:
    """The story of an order, a letter or an edition, oldest first.

    REFERENCE is that of an order (K7QM-2XWP), `letter 412`, the Message-ID of a letter or the mark in its
    return path, `SLUG/2` for an edition, or the name that a gateway gives an event, checkout,
    payment, refund or dispute.
    """
    told = story_of(" ".join(reference))
    if as_json:
        events = [
            {
                "at": one.at.astimezone(UTC).isoformat(timespec="seconds"),
                "what": one.sentence,
                "why": str(one.reason),
                "row": one.row,
            }
            for one in told.events
        ]
        print_json({"about": told.about, "now": told.now, "events": events})
        return
    click.echo(f"{told.about}: {told.now}.")
    for one in told.events:
        words = [one.sentence, str(one.reason).strip(" .")]
        row = f" ({one.row})" if one.row else ""
        at = one.at.astimezone(config().zone)
        click.echo(f"{at:%Y-%m-%d %H:%M:%S}  {': '.join(filter(None, words))}{row}")
