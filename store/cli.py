"""The console script `store`."""

import click

from store.commands import (
    backup,
    check,
    customer,
    demo,
    discount,
    edition,
    letter,
    mail,
    order,
    processes,
    publication,
    restore,
    seller,
    staff,
)
from store.kit import logs


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="colophon", message="Colophon %(version)s")
def main() -> None:
    """Colophon: sell a publication and keep every buyer's copy current."""


def run() -> None:
    """The console script: what goes wrong in a command is said on stderr, masked, and in a service's
    journal what happened, too."""
    logs.log_to_stderr()
    logs.only_warnings_at_a_terminal()
    main()


for command in (
    processes.db,
    processes.serve,
    processes.web,
    processes.worker,
    processes.tick,
    check.check,
    backup.backup,
    restore.restore,
    demo.demo,
    customer.customer,
    discount.discount,
    edition.edition,
    letter.letter,
    mail.mail,
    order.order,
    publication.publication,
    seller.seller,
    staff.staff,
):
    main.add_command(command)


if __name__ == "__main__":
    run()
