"""The console script `store`. A command is imported when it is called, or its help asked for: `store
serve` has no use for the others, nor for the shop."""

import gc
from importlib import import_module

import click

from store.kit import logs

# Each with its module; the name in it is the command's.
COMMANDS = {
    "backup": "backup",
    "check": "check",
    "customer": "customer",
    "db": "processes",
    "demo": "demo",
    "discount": "discount",
    "edition": "edition",
    "key": "key",
    "letter": "letter",
    "log": "log",
    "mail": "mail",
    "order": "order",
    "publication": "publication",
    "restore": "restore",
    "seller": "seller",
    "serve": "serve",
    "staff": "staff",
    "tick": "processes",
    "web": "processes",
    "worker": "processes",
}


class Commands(click.Group):
    """The commands of `COMMANDS`, each imported by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's seam
        """The names, in the order of the alphabet."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        gc.disable()  # nothing of what is read in is garbage, and the search took a seventh of the time
        try:
            module = import_module(f"store.commands.{COMMANDS[cmd_name]}")
        finally:
            gc.enable()
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="colophon", message="Colophon %(version)s")
def main() -> None:
    """Colophon: sell a publication and keep every buyer's copy current."""


def run() -> None:
    """The console script: what goes wrong in a command is said on stderr, masked, and in a service's
    journal what happened, too."""
    logs.log_to_stderr()
    logs.only_warnings_at_a_terminal()
    main()


if __name__ == "__main__":
    run()
