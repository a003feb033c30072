"""`causeway chain members`, `propose`, `vote`: who takes part in a consortium chain, and changes of it."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.model.errors import RejectedError
from core.runtime.logging import configure_logging
from gateway.cli import chain_app

Url = Annotated[str, typer.Option("--rpc", help="A node's RPC.")]
Key = Annotated[Path, typer.Option("--key", help="Your operator's key: validators/N/operator_key.json of the home.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
DEFAULT_URL = "http://127.0.0.1:26657"


@chain_app.command("members")
def chain_members(rpc: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show a chain's organisations with their roles, and the newest proposals."""
    from gateway import members

    configure_logging(level="error", form="console")
    found = asyncio.run(members.show(rpc))
    if as_json:
        typer.echo(json.dumps(found))
        return
    total = sum(one["power"] for one in found["organisations"]) or 1
    table = Table("organisation", "roles", "power", "account", title=f"{found['chain']}, block {found['height']:,}")
    for one in found["organisations"]:
        share = f"{one['power']:,} ({one['power'] / total:.0%})" if one["power"] else ""
        table.add_row(one["name"], ", ".join(one["roles"]) or "has left", share, one["account"])
    Console().print(table)
    if found["proposals"]:
        _print_proposals(found["proposals"])
    if found["misbehaviour"]:
        caught = Table("misbehaviour", "organisation", "validator", "at height")
        for one in found["misbehaviour"]:
            caught.add_row(one["kind"], one["organisation"], one["validator"], f"{one['height']:,}")
        Console().print(caught)


@chain_app.command("proposals")
def chain_proposals(rpc: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show the newest proposals: what each would change, now and then side by side, and the power behind them."""
    from gateway import members

    configure_logging(level="error", form="console")
    found = asyncio.run(members.show(rpc))["proposals"]
    if as_json:
        typer.echo(json.dumps(found))
    elif found:
        _print_proposals(found)
    else:
        typer.echo("nobody has proposed anything yet")


@chain_app.command("admit")
def chain_admit(
    account: Annotated[str, typer.Argument(help="The account, 40 hex digits or CAIP-10.")],
    key: Key,
    end: Annotated[bool, typer.Option("--end", help="Do not answer for it any longer.")] = False,
    rpc: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Answer for an account: it may write records, and has a larger share of each block."""
    from gateway import members

    configure_logging(level="error", form="console")
    outcome = asyncio.run(members.admit(rpc, key, account, not end))
    typer.echo(json.dumps(outcome) if as_json else f"in block {outcome['height']:,}")


@chain_app.command("propose")
def chain_propose(
    name: Annotated[str, typer.Argument(help="The organisation, new or known.")],
    key: Key,
    account: Annotated[str | None, typer.Option(help="The account it signs with, 40 hex digits.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="issuer, notary, regulator or validator; repeatable. Replaces all.")
    ] = None,
    leave: Annotated[bool, typer.Option("--leave", help="It leaves: take all its roles away.")] = False,
    consensus_key: Annotated[str | None, typer.Option(help="A validator's: KIND:HEX of its public key.")] = None,
    power: Annotated[int | None, typer.Option(min=1, help="A validator's share of the consensus power.")] = None,
    rpc: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Propose an organisation's terms; those that are not named stay. It counts as your vote for it.

    More than ⅔ of the power carry it, ⅓ against it end it, and it expires after 7 days. A change of validators takes
    effect two blocks later: have the new one's node ready.
    """
    from gateway import members

    configure_logging(level="error", form="console")
    if leave and role:
        raise RejectedError("--leave takes all roles away: leave out either --leave or --role")
    wanted = members.WantedTerms(name, account, [] if leave else role or None, consensus_key, power)
    _print_outcome(asyncio.run(members.propose(rpc, key, wanted)), as_json)


@chain_app.command("vote")
def chain_vote(
    proposal: Annotated[int, typer.Argument(min=1, help="Its number, as `causeway chain members` shows it.")],
    approve: Annotated[bool, typer.Option("--yes/--no", help="For or against it; a vote cannot be changed.")],
    key: Key,
    rpc: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Vote on a proposal with your validators' power."""
    from gateway import members

    configure_logging(level="error", form="console")
    _print_outcome(asyncio.run(members.vote(rpc, key, proposal, approve)), as_json)


def _print_outcome(outcome: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(outcome))
        return
    if outcome["proposal"] is not None:
        _print_proposals([outcome["proposal"]])
    typer.echo(f"in block {outcome['height']:,}")


def _print_proposals(proposals: list[dict[str, Any]]) -> None:
    table = Table("proposal", "organisation", "now", "then", "status", "for", "against", "expires")
    for one in proposals:
        until = datetime.fromtimestamp(one["expires_ms"] / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        shares = f"{one['power_for']:.0%}", f"{one['power_against']:.0%}"
        now, then = (_terms_column(one["changes"], side) for side in ("now", "then"))
        if one["status"] != "open":
            now, then = "", _terms_column({"roles": {"then": one["organisation"]["roles"]}}, "then")
        table.add_row(str(one["number"]), one["organisation"]["name"], now, then, one["status"], *shares, until)
    Console().print(table)


def _terms_column(changes: dict[str, Any], side: str) -> str:
    """Side by side: a line for each member of the terms that would be another."""
    lines = []
    for name, values in changes.items():
        value = values[side]
        shown = ", ".join(value) or "none" if isinstance(value, list) else "none" if value in (None, 0) else str(value)
        lines.append(f"{name.replace('_', ' ')}: {shown}")
    return "\n".join(lines)
