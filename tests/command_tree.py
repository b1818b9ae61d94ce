"""The commands below a group, imported as they are asked for."""

import click


def commands_of(group: click.Group) -> dict[str, click.Command]:
    """Each by its name, in the order of the help."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}
