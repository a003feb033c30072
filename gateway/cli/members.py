"""`causeway chain members|proposals|propose|vote|admit|appoint|issue`: who takes part in a consortium chain."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from core.model.errors import RejectedError
from core.runtime.logging import configure_logging
from gateway.cli import chain_app
from gateway.cli.options import PASSPHRASE, PassphraseFile, PassphraseVariable

Url = Annotated[str, typer.Option("--rpc", help="A node's RPC.")]
Key = Annotated[Path, typer.Option("--key", help="Your operator's key: operator_key.json of your home.")]
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
    _print_organisations(found)
    _print_proposals(found["proposals"])
    for one in found["misbehaviour"]:
        typer.echo(
            f"misbehaviour at block {one['height']:,}: {one['kind']} by {one['organisation'] or 'a former validator'} "
            f"({_power(one['power'], one['total'])})\n  validator {one['validator']}"
        )


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


@chain_app.command("issue")
def chain_issue(
    amount: Annotated[str, typer.Argument(help="How much to create, such as 1000.50.")],
    symbol: Annotated[str, typer.Argument(help="The asset, such as cnyd.")],
    account: Annotated[str, typer.Argument(help="Who gets it, 40 hex digits or CAIP-10.")],
    keystore: Annotated[Path, typer.Option("--keystore", help="The encrypted file with the issuer's key.")],
    key: Annotated[str, typer.Option("--key", help="The name of the issuer's key in it.")] = "issuer",
    rpc: Url = DEFAULT_URL,
    passphrase_env: PassphraseVariable = PASSPHRASE,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Create an amount of an asset for an account, as the asset's issuer."""
    from gateway import members
    from gateway.keyring import Passphrase
    from relayer.keys.keystore import read_keystore

    configure_logging(level="error", form="console")
    seed = read_keystore(keystore, Passphrase(passphrase_file, passphrase_env).read()).key(key).expose()
    outcome = asyncio.run(members.issue(rpc, seed, amount, symbol, account))
    typer.echo(json.dumps(outcome) if as_json else f"in block {outcome['height']:,}")


@chain_app.command("appoint")
def chain_appoint(
    key: Key,
    attestor: Annotated[str, typer.Argument(help="The account, 40 hex digits or CAIP-10; empty: no other.")],
    rpc: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Let another account attest foreign headers for you, so that a relayer never has the key that pays and votes.

    It replaces the one before at once, without a vote: also when that one's key was stolen.
    """
    from gateway import members

    configure_logging(level="error", form="console")
    outcome = asyncio.run(members.appoint(rpc, key, attestor))
    typer.echo(json.dumps(outcome) if as_json else f"in block {outcome['height']:,}")


@chain_app.command("propose")
def chain_propose(
    key: Key,
    name: Annotated[str | None, typer.Argument(help="The organisation, new or known.")] = None,
    application: Annotated[
        Path | None, typer.Option(help="A newcomer's application file: who it is and all that it asks for.")
    ] = None,
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

    With --application, propose a newcomer by the file that it signed, once its node has caught up.

    More than ⅔ of the power carry it, ⅓ against it end it, and it expires after 7 days. A change of validators takes
    effect two blocks later: have the new one's node ready.
    """
    from gateway import members

    configure_logging(level="error", form="console")
    if leave and role:
        raise RejectedError("--leave takes all roles away: leave out either --leave or --role")
    on = None
    if application is not None:
        if leave or any(one is not None for one in (name, account, role, consensus_key, power)):
            raise RejectedError("an application says everything: leave the other options out")
        wanted, on = members.wanted_by(application)
    elif name is None:
        raise RejectedError("name the organisation, or the --application of a newcomer")
    else:
        wanted = members.WantedTerms(name, account, [] if leave else role or None, consensus_key, power)
    outcome = asyncio.run(members.propose(rpc, key, wanted, on))
    _print_outcome(outcome, as_json)
    if not as_json and outcome["proposal"]["status"] == "open":
        typer.echo(f"Next: ask the other operators to vote: causeway chain vote {outcome['proposal']['number']} --yes")


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


def _print_organisations(found: dict[str, Any]) -> None:
    """A table that fits 80 columns, with nothing cut."""
    total = sum(one["power"] for one in found["organisations"])
    table = _table(f"{found['chain']}, block {found['height']:,}")
    table.add_column("organisation", overflow="fold", max_width=14)
    table.add_column("roles", overflow="fold", max_width=9)
    table.add_column("power", justify="right", overflow="fold")
    table.add_column("account", overflow="fold")
    for one in found["organisations"]:
        roles = ", ".join(one["roles"]) or "has left"
        table.add_row(one["name"], roles, _power(one["power"], total), _address(one["account"]))
    Console().print(table)


def _print_proposals(proposals: list[dict[str, Any]]) -> None:
    """One below the other, with the terms now and then side by side. Fits 80 columns, with nothing cut."""
    from core.runtime.clock import show_time

    for one in proposals:
        power = one["power"]
        lines = [
            f"proposal {one['number']}, {one['status']}: {one['organisation']['name']}",
            f"  for {_power(power['for'], power['total'])}, against {_power(power['against'], power['total'])}",
            f"  of a power of {power['total']:,} at the newest vote; more than two thirds carry it",
        ]
        if one["status"] == "open":
            lines.append(f"  may be voted on until {show_time(one['expires_ms'] // 1_000)}")
        for line in lines:
            typer.echo(line)
        Console().print(_changes(one))


def _changes(one: dict[str, Any]) -> Table:
    """The terms that an open proposal would change; all of one that is decided, which changes nothing any more."""
    is_open = one["status"] == "open"
    table = _table()
    table.add_column("", overflow="fold", max_width=14)
    table.add_column("now", overflow="fold", min_width=20, max_width=32)
    table.add_column("then" if is_open else "as proposed", overflow="fold", min_width=20, max_width=32)
    for name, pair in one["changes" if is_open else "terms"].items():
        if name != "name":
            table.add_row(
                name.replace("_", " "), *(_value(name, pair[side], one["of_power"][side]) for side in ("now", "then"))
            )
    return table


def _table(title: str | None = None) -> Table:
    """A table without frame and little space, so that a hex address and what belongs to it fit 80 columns."""
    return Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def _value(name: str, value: Any, total: int) -> str:
    if value in (None, 0, []):
        return "none"
    if isinstance(value, list):
        return ", ".join(value)
    if name == "power":
        return _power(value, total)
    return _address(value) if name == "account" else str(value)


def _address(account: str) -> str:
    """The hex digits of a CAIP-10 account: the chain is the same for all."""
    return account.rpartition(":")[2]


def _power(power: int, total: int) -> str:
    return f"{power:,} ({power / (total or 1):.1%})" if power else "0"
