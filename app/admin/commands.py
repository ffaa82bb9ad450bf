"""``vram-fit key …``: create, list and revoke operators' keys."""

from typing import Annotated

import typer

from app.admin.keys import ALL_SCOPES, KeyRefusedError, NewKey, Scope, create_key, list_keys, revoke_key
from app.catalogue.commands import command_line_actor, opened_database

commands = typer.Typer(help="Keys of the operator's pages and API.", no_args_is_help=True)


@commands.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose or what it is for; history names it.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it opens; repeat for more. All unless given.")] = None,
) -> None:
    """Make a key and print it, once."""
    with opened_database() as database:
        try:
            made = create_key(database, name=name, scopes=scope or ALL_SCOPES, actor=command_line_actor())
        except KeyRefusedError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
    print_new_key(made)


@commands.command("list")
def list_() -> None:
    """Print all keys: what they open, when they were used last, and whether they were revoked."""
    with opened_database() as database:
        keys = list_keys(database)
    for key in keys:
        used = f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
        ended = f", revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
        typer.echo(f"{key.id}  {key.name}  [{', '.join(key.scopes)}]  made {key.created_at:%Y-%m-%d}, {used}{ended}")
    if not keys:
        typer.echo("There are no keys.")


@commands.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The id that list prints.")]) -> None:
    """Take a key back; whoever is signed in with it is signed out."""
    with opened_database() as database:
        key = revoke_key(database, key_id, actor=command_line_actor())
    if key is None:
        typer.echo(f"There is no key {key_id}.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{key.name} ({key.id}) is revoked.")


def print_new_key(made: NewKey) -> None:
    """Show a new key, with what to do with it."""
    typer.echo(f"Key {made.info.id} ({made.info.name}; {', '.join(made.info.scopes)}), shown only now:")
    typer.echo(made.text)
