"""The console script `store`."""

import click

from store.commands import letter, running, staff
from store.commands.base import Refused

__all__ = ["Refused", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Colophon: sell a publication and keep every buyer's copy current."""


for command in (running.db, running.serve, running.web, running.worker, running.tick):
    main.add_command(command)
main.add_command(letter.letter)
main.add_command(staff.staff)

if __name__ == "__main__":
    main()
