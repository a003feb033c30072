"""`causeway chain init|collect|join|init-network`: homes of a consortium chain, and what to send to whom next."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from core.model.errors import RejectedError
from gateway.cli import chain_app

Json = Annotated[bool, typer.Option("--json", help="JSON instead of sentences.")]
Name = Annotated[str, typer.Option("--name", help="The organisation's name: a to z, 0 to 9, `-`, `_`, `.`.")]
Node = Annotated[str, typer.Option("--node", help="HOST:PORT at which the other nodes reach this one.")]
Power = Annotated[int, typer.Option(min=0, help="The share of the consensus power that it asks for; 0: no validator.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="issuer, notary or regulator; again for another.")]
RpcPort = Annotated[int, typer.Option(min=1, max=65_535, help="The port of the node's RPC, on its own machine only.")]
DEFAULT_POWER: Final = 10
DEFAULT_RPC_PORT: Final = 26_657


@chain_app.command("init")
def chain_init(
    home: Annotated[Path, typer.Argument(help="A new directory: the organisation's keys, and its node's home.")],
    chain_id: Annotated[str, typer.Option(help="The chain's id, as all founders agreed; CAIP-2 adds causeway: to it.")],
    name: Name,
    node: Node,
    power: Power = DEFAULT_POWER,
    role: Roles = None,
    asset: Annotated[list[str] | None, typer.Option(help="An issuer's SYMBOL:DECIMALS, once for each asset.")] = None,
    key_type: Annotated[str, typer.Option(help="secp256k1eth or ed25519, the same for all founders.")] = "secp256k1eth",
    rpc_port: RpcPort = DEFAULT_RPC_PORT,
    as_json: Json = False,
) -> None:
    """Make one organisation's keys and its signed application, in order to found a chain with others.

    One key for each duty: blocks (priv_validator_key.json), the account that pays and votes (operator_key.json),
    attestations (attestor_key.json) and the node (config/node_key.json). None of them is ever given to anybody.
    """
    from gateway import founding
    from gateway.daemons.chain import key_kind
    from local_chains.consortium.founding.organisation import Wanted, make_organisation

    assets = founding.parse_assets(asset or [])
    wanted = Wanted(chain_id, name, node, founding.now_ms(), power, _roles(role), assets, key_kind(key_type), rpc_port)
    made = founding.terms_to_json(make_organisation(home, wanted))
    if as_json:
        typer.echo(json.dumps({**made, "application": str(home / "application.json")}))
        return
    typer.echo(f"{home}: {name} applies to found {chain_id}")
    _print_terms(made)
    typer.echo(
        f"Next:\n"
        f"  1. Back up {home}. Its keys exist nowhere else, and nobody can make them again.\n"
        f"  2. Send {home}/application.json to every other founder. It holds no secret.\n"
        f"  3. With the files of all others: causeway chain collect FILE... --home {home}"
    )


@chain_app.command("collect")
def chain_collect(
    applications: Annotated[list[Path], typer.Argument(help="The other founders' application files.")],
    home: Annotated[Path | None, typer.Option(help="Your own home, whose application counts, too.")] = None,
    genesis_hash: Annotated[str | None, typer.Option(help="Refuse if it is another than this, agreed before.")] = None,
    output: Annotated[Path | None, typer.Option(help="A file for the genesis, if you have no home.")] = None,
    as_json: Json = False,
) -> None:
    """Make the genesis file of a new chain from its founders' applications: the same bytes for everyone."""
    from gateway import founding

    made = founding.collect(home, applications, genesis_hash, output)
    if as_json:
        typer.echo(json.dumps(made))
        return
    total = sum(one["power"] for one in made["organisations"])
    table = Table("organisation", "roles", "power", "node", title=made["chain"])
    for one in made["organisations"]:
        share = f"{one['power']:,} ({one['power'] / total:.0%})" if one["power"] else ""
        table.add_row(one["name"], ", ".join(one["roles"]), share, one["node"].partition("@")[2])
    Console().print(table)
    if len(made["organisations"]) > 1:
        for name in made["indispensable"]:
            typer.echo(f"Note: {name} alone has a third of the power or more, and can stop the chain.")
    typer.echo(
        f"genesis hash {made['genesis_hash']}\n"
        "Next:\n"
        "  1. Compare this hash with every other founder by telephone or in person. If somebody has another, your\n"
        "     files differ: do not start."
    )
    if home is not None:
        typer.echo(f"  2. causeway chain run {home}")


@chain_app.command("join")
def chain_join(
    home: Annotated[Path, typer.Argument(help="Your organisation's home; a new directory at first.")],
    genesis: Annotated[Path | None, typer.Option(help="The chain's genesis file, from a member.")] = None,
    genesis_hash: Annotated[str | None, typer.Option(help="Its hash, from a member by another way.")] = None,
    server: Annotated[
        list[str] | None, typer.Option(help="http://HOST:PORT of a member's RPC, at least two; again for another.")
    ] = None,
    trust: Annotated[str | None, typer.Option(help="HEIGHT:HASH of a block that a member confirmed to you.")] = None,
    name: Annotated[str | None, typer.Option(help="Your organisation's name: a to z, 0 to 9, `-`, `_`, `.`.")] = None,
    node: Annotated[str | None, typer.Option(help="HOST:PORT at which the other nodes reach yours.")] = None,
    power: Power = DEFAULT_POWER,
    role: Roles = None,
    rpc_port: RpcPort = DEFAULT_RPC_PORT,
    as_json: Json = False,
) -> None:
    """Join a running chain with a node of your own; run it again at any time to see what is next.

    With --genesis: make keys and application, and a home that starts from a snapshot. Without: show how far it is.
    """
    from gateway import founding

    if genesis is None:
        _print_progress(home, asyncio.run(founding.progress(home)), as_json)
        return
    if genesis_hash is None or name is None or node is None:
        raise RejectedError("with --genesis, name --genesis-hash, --name, --node and two --server, too")
    invitation = founding.Invitation(genesis, genesis_hash, tuple(server or ()), trust)
    newcomer = founding.Newcomer(name, node, power, _roles(role), rpc_port)
    made = asyncio.run(founding.prepare(home, invitation, newcomer))
    if as_json:
        typer.echo(json.dumps(made))
        return
    way = (
        f"the snapshot of block {made['snapshot']:,}" if made["snapshot"] else "the first block: no snapshot is offered"
    )
    typer.echo(f"{home}: {name} has a node that starts from {way}, with {made['peers']} peers")
    _print_terms(made["organisation"])
    typer.echo(
        "Next:\n"
        f"  1. Back up {home}. Its keys exist nowhere else, and nobody can make them again.\n"
        f"  2. causeway chain run {home}\n"
        f"  3. In another terminal: causeway chain join {home}"
    )


def _print_progress(home: Path, found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    name, rpc = found["organisation"]["name"], f"--rpc {found['rpc']}"
    match found["stage"]:
        case "stopped":
            lines = [f"the node of {name} does not run. Next: causeway chain run {home}", f"({found['reason']})"]
        case "syncing":
            lines = [f"the node of {name} catches up, it has block {found['height']:,}. Wait, then run this again."]
        case "synced":
            lines = [
                f"the node of {name} has caught up, up to block {found['height']:,}. Next: send",
                f"{home}/application.json to a member that runs a validator. The member checks that it is from you:",
                "  causeway chain propose --application application.json --key operator_key.json",
                "and the other members vote. Then run this again.",
            ]
        case "proposed":
            numbers = ", ".join(str(number) for number in found["proposals"])
            lines = [
                f"members vote on proposal {numbers}: causeway chain proposals {rpc}",
                "Keep the node running: from two blocks after the last vote on it signs.",
            ]
        case "member":
            attestor = found["organisation"]["attestor"]
            lines = [
                f"{name} is a member with power {found['power']:,}. Next, let its attestor attest:",
                f"  causeway chain appoint {attestor} {rpc} --key {found['key']}",
            ]
        case _:
            lines = [f"{name} is a member with power {found['power']:,}: nothing is left to do"]
    for line in lines:
        typer.echo(line)


def _print_terms(terms: dict[str, Any]) -> None:
    for label, value, file in (
        ("roles", ", ".join(terms["roles"]), ""),
        ("power", f"{terms['power']:,}", ""),
        ("account", terms["account"], "operator_key.json"),
        ("attestor", terms["attestor"], "attestor_key.json"),
        ("blocks", terms["consensus_key"], "priv_validator_key.json"),
        ("node", terms["node"], "config/node_key.json"),
    ):
        # Plain lines, so that nothing is cut and all can be copied.
        typer.echo(f"  {label:<9} {value}" + (f"\n{'':<12}{file}" if file else ""))


def _roles(texts: list[str] | None) -> tuple[str, ...]:
    """In the ledger's order. Raise `RejectedError` for a role that nobody can apply for."""
    from local_chains.consortium.founding.application import OTHER_ROLES

    for text in texts or ():
        if text not in OTHER_ROLES:
            raise RejectedError(
                f"there is no role {text[:40]!r}: --role is {', '.join(OTHER_ROLES)}; --power makes a validator"
            )
    return tuple(role for role in OTHER_ROLES if role in (texts or ()))


@chain_app.command("init-network")
def chain_init_network(
    directory: Annotated[Path, typer.Argument(help="A new directory for the nodes' homes.")] = Path("network"),
    engine: Annotated[
        str, typer.Option(help="cometbft: a home for each node. embedded: one home, one process for all.")
    ] = "cometbft",
    validators: Annotated[int, typer.Option(min=1, help="How many validators, each with a node of its own.")] = 4,
    chain_id: Annotated[
        str, typer.Option(help="The CometBFT chain id; CAIP-2 adds causeway: before it.")
    ] = "consortium-1",
    key_type: Annotated[str, typer.Option(help="secp256k1eth or ed25519.")] = "secp256k1eth",
    asset: Annotated[
        list[str] | None, typer.Option(help="symbol:decimals:issuer-address, once for each asset.")
    ] = None,
    node: Annotated[
        list[str] | None,
        typer.Option(help="host:port where a node's peers reach it, once for each validator; else all run here."),
    ] = None,
    first_port: Annotated[
        int, typer.Option(min=1024, max=60_000, help="The first node's peer port on this machine; its RPC is 1 above.")
    ] = 26_656,
) -> None:
    """Make a whole network with everybody's keys, to try things out: a home for each node.

    Organisations that found a chain together use `init` and `collect` instead, by which each makes its own keys.
    """
    from gateway.daemons.chain import make_network

    genesis = make_network(
        directory, engine, chain_id, validators, key_type, asset or [], node or [], first_port=first_port
    )
    typer.echo(f"{directory}: chain {chain_id}, {validators} validators, genesis {genesis}")
    if node:
        typer.echo(f"Next: move {directory}/validators/N to node N's machine, and there: causeway chain run N")
    else:
        typer.echo(f"Next: causeway chain run {directory}")
