"""`causeway swap list|show|explain|replay`: what a database knows of swaps, in tables and sentences."""

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from core.model.errors import RejectedError
from gateway.cli import swap_app
from gateway.cli.devnet import DEFAULT_DIRECTORY
from gateway.cli.options import AsJson

if TYPE_CHECKING:
    from gateway.swaps import Place

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="A relayer's file; else ./relayer.toml or the devnet's.")
]
Database = Annotated[str | None, typer.Option("--database", help="A database's URL instead: a dApp's store, for one.")]
Named = Annotated[str, typer.Argument(help="The swap's id, or its first digits.")]
EXPLAINED: Final = ("id", "phase", "role", "waits_for", "on", "until", "then", "reason", "effects")


@swap_app.command("list")
def swap_list(
    config: Config = None,
    database: Database = None,
    ended: Annotated[bool, typer.Option("--all", help="The newest swaps, those that ended, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open swaps, the one with the least time left first, and what each waits for."""
    from gateway import swaps

    found = asyncio.run(swaps.listed(_place(config, database), time.time(), ended=ended))
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo("no swap is open: --all shows those that ended")
        return
    table = Table("swap", "role", "phase", "time left", "waits for")
    for one in found:
        left = "" if one["until"] is None else _duration(one["seconds_left"])
        table.add_row(one["id"][:12], one["role"], one["phase"], left, one["waits_for"])
    Console().print(table)


@swap_app.command("show")
def swap_show(named: Named, config: Config = None, database: Database = None, as_json: AsJson = False) -> None:
    """All that is known of a swap: terms, what chains showed, what was asked for, every transaction."""
    from gateway import swaps

    found = asyncio.run(swaps.shown(_place(config, database), named, time.time()))
    if as_json:
        typer.echo(json.dumps(found))
        return
    _print_swap(found)


@swap_app.command("explain")
def swap_explain(named: Named, config: Config = None, database: Database = None, as_json: AsJson = False) -> None:
    """Why a swap is where it is: what it waits for, until when, and what follows then."""
    from gateway import swaps

    found = asyncio.run(swaps.shown(_place(config, database), named, time.time()))
    if as_json:
        typer.echo(json.dumps({name: found[name] for name in EXPLAINED}))
        return
    typer.echo(f"swap {found['id']} is {found['phase']}; we are its {found['role']}.")
    place = f" on {found['on']}" if found["on"] else ""
    typer.echo(f"It waits for {found['waits_for']}{place}.")
    if found["until"] is not None:
        then = f"; then {found['then']}" if found["then"] else ""
        typer.echo(f"Until {found['until']} ({_duration(found['seconds_left'])} left){then}.")
    for one in found["effects"]:
        if one["status"] != "done" and one["error"]:
            typer.echo(f"{one['kind']} failed {one['attempts']} times, last: {one['error']}; next try {one['due']}")


@swap_app.command("replay")
def swap_replay(named: Named, config: Config = None, database: Database = None, as_json: AsJson = False) -> None:
    """Go through a swap's journal again and compare the result with the stored state."""
    from gateway import swaps

    found = asyncio.run(swaps.replayed(_place(config, database), named))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found["events"]:
        typer.echo(f"{one['number']:>4}  {one['event']}")
    typer.echo(f"{len(found['events'])} events lead to the stored state: {found['phase']}")


def _place(config: Path | None, database: str | None) -> "Place":
    from core.runtime.logging import configure_logging
    from gateway import config as settings
    from gateway.swaps import Place

    configure_logging(level="error", form="console")
    if database is not None:
        return Place(database, Path.cwd())
    here = [path for path in (Path("relayer.toml"), *sorted(DEFAULT_DIRECTORY.glob("*/relayer.toml"))) if path.exists()]
    if config is None and not here:
        raise RejectedError("there is no relayer.toml here: name one by --config, or a database by --database")
    file = config or here[0]
    return Place.of(settings.load(file, settings.RelayerConfig), file.resolve().parent)


def _print_swap(found: dict[str, Any]) -> None:
    console = Console()
    console.print(f"[bold]swap {found['id']}[/]  {found['phase']}, as {found['role']}", highlight=False)
    console.print(f"waits for {found['waits_for']}", highlight=False)
    legs = Table("leg", "amount", "from", "to", "timelock", "status")
    for name, leg in found["legs"].items():
        amount = f"{leg['base_units']} of {leg['asset']}"
        legs.add_row(name, amount, leg["sender"], leg["receiver"], leg["timelock"], leg["status"])
    console.print(legs)
    if found["seen"]:
        seen = Table("seen", "chain", "block", "transaction", "final")
        for one in found["seen"]:
            seen.add_row(
                one["what"], one["chain"], f"{one['block']:,}", one["transaction"], "yes" if one["final"] else "no"
            )
        console.print(seen)
    if found["transactions"]:
        sent = Table("transaction", "chain", "sequence", "status", "block", "signed", "hash")
        for one in found["transactions"]:
            block = "" if one["block"] is None else f"{one['block']:,}"
            cells = (
                one["what"],
                one["chain"],
                str(one["sequence"]),
                one["status"],
                block,
                str(one["signed"]),
                one["hash"],
            )
            sent.add_row(*cells)
        console.print(sent)
    for one in found["effects"]:
        if one["error"]:
            tried = f"{one['status']} after {one['attempts']} tries"
            console.print(f"{one['kind']}: {tried}: {one['error']}", highlight=False)


def _duration(seconds: int) -> str:
    """`2 h 05 min`, `4 min 30 s`, `12 s`; a minus if it is over."""
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    if rest >= 3_600:
        return f"{sign}{rest // 3_600} h {rest % 3_600 // 60:02} min"
    return f"{sign}{rest // 60} min {rest % 60:02} s" if rest >= 60 else f"{sign}{rest} s"
