"""`causeway relayer …`, `causeway regulator …`, `causeway chain …`: the daemons, and what they need to exist first."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from core.model.errors import RejectedError
from gateway.cli import chain_app, regulator_app, relayer_app
from gateway.cli.options import AsJson

Json = Annotated[bool, typer.Option("--json", help="Say that it is ready in one JSON line; log as JSON lines.")]
LogLevel = Annotated[
    str | None,
    typer.Option("--log-level", help="debug, info, warning or error; else as the configuration says, or info."),
]
LogFormat = Annotated[str | None, typer.Option("--log-format", help="console or json; json with --json.")]
Config = Annotated[Path, typer.Option("--config", "-c", help="The daemon's TOML configuration.")]


@relayer_app.command("run")
def relayer_run(
    config: Config = Path("relayer.toml"),
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="A first start on purpose: take over accounts that were used before."),
    ] = False,
    as_json: Json = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run a relayer until Ctrl-C: indexer, swap workers, watchtower, dApp API."""
    from gateway import config as settings
    from gateway.daemons.relayer import run_relayer
    from gateway.logs import start_logging

    loaded = settings.load(config, settings.RelayerConfig)
    start_logging(log_level, log_format, as_json, loaded.log_level)
    asyncio.run(run_relayer(loaded, config.resolve(), as_json, adopt, follow_level=log_level is None))


@relayer_app.command("accounts")
def relayer_accounts(
    config: Config = Path("relayer.toml"),
    as_json: AsJson = False,
) -> None:
    """Show which accounts the keystore's keys are on each chain, and what they hold: fund these."""
    import json

    from core.runtime.logging import configure_logging
    from gateway import config as settings
    from gateway.accounts import collect_accounts

    configure_logging(level="error", form="console")
    loaded = settings.load(config, settings.RelayerConfig)
    found = asyncio.run(collect_accounts(loaded, config.resolve().parent))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found:
        duty = "" if one["duty"] == "swaps" else f" ({one['duty']})"
        typer.echo(f"{one['account']}{duty}")
        for balance in one["balances"]:
            typer.echo(f"  {balance['readable']}")


@relayer_app.command("adopt")
def relayer_adopt(
    config: Config = Path("relayer.toml"),
    chain: Annotated[str | None, typer.Option(help="Only uses on this chain, a CAIP-2 id.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="You have looked into all of them: do not ask.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON instead of lines; nothing is acknowledged without --yes.")
    ] = False,
) -> None:
    """Show uses of the relayer's accounts that its database does not know, and acknowledge them.

    Somebody else signed with a key, or the database is empty or an old copy. Until you acknowledge it, the account
    neither quotes nor funds nor reveals. Look into it first: what is missing may have promised something.
    """
    import json
    import sys

    from core.runtime.logging import configure_logging
    from gateway import adoption
    from gateway import config as settings

    configure_logging(level="error", form="console")
    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent
    found = asyncio.run(adoption.list_foreign_uses(loaded, base, chain))
    shown = [adoption.use_to_json(use) for use in found]
    for use in [] if as_json else shown:
        sequences = f"{use['first']}" if use["first"] == use["last"] else f"{use['first']} to {use['last']}"
        transaction = f", transaction {use['transaction']}" if use["transaction"] else ""
        typer.echo(f"{use['chain']}  {use['account']}  sequence {sequences}, seen {use['seen']}{transaction}")
    if found and not yes and not as_json:
        if not sys.stdin.isatty():
            raise RejectedError("there is no terminal to ask at: look into these uses, then add --yes")
        yes = typer.confirm("Have you looked into them, and may the relayer go on?", False)
    done = asyncio.run(adoption.acknowledge_uses(loaded, base, found)) if found and yes else 0
    if as_json:
        typer.echo(json.dumps({"found": shown, "acknowledged": done}))
    elif not found:
        typer.echo("every use of the accounts is known: nothing to acknowledge")
    else:
        typer.echo(f"{done} of {len(found)} acknowledged")


@relayer_app.command("backup")
def relayer_backup(
    out: Annotated[Path, typer.Argument(help="The file that is made; it must not exist.")],
    config: Config = Path("relayer.toml"),
) -> None:
    """Copy the database into one file, as of one moment; the relayer may run meanwhile.

    The copy is a SQLite file, of a PostgreSQL too. It holds no keys: keep the keystore and its passphrase elsewhere.
    """
    from gateway import config as settings
    from gateway.backup import back_up

    size = asyncio.run(back_up(settings.load(config, settings.RelayerConfig), config.resolve().parent, out))
    typer.echo(f"{out} holds the database, {size} bytes")


@relayer_app.command("restore")
def relayer_restore(
    copy: Annotated[Path | None, typer.Argument(help="What `causeway relayer backup` has made.")] = None,
    config: Config = Path("relayer.toml"),
    from_chain: Annotated[
        bool, typer.Option("--from-chain", help="Find own open locks by the keys and the chains; needs no copy.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --from-chain: JSON instead of lines.")] = False,
) -> None:
    """Put a copy into a new database, and with --from-chain what the chains show of your accounts.

    A copy does not know what was signed since it was made. So look for a newer one first, and start the relayer soon:
    claims and refunds go out at once, and nothing is quoted, funded or revealed before `causeway relayer adopt`.
    """
    from core.runtime.logging import configure_logging
    from gateway import config as settings

    if copy is None and not from_chain:
        raise RejectedError("name the copy to restore, or add --from-chain")
    configure_logging(level="warning", form="console")
    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent
    if copy is not None:
        from gateway.backup import restore_copy

        size = asyncio.run(restore_copy(loaded, base, copy))
        typer.echo(f"restored from {copy}, {size} bytes", err=as_json)
    if not from_chain:
        typer.echo("start it with causeway relayer run")
        return
    import json

    from gateway.restoring import describe_recovery, recovery_to_json, restore_from_chain

    found = asyncio.run(restore_from_chain(loaded, base))
    if as_json:
        typer.echo(json.dumps(recovery_to_json(found)))
        return
    for line in describe_recovery(found):
        typer.echo(line)


@relayer_app.command("check")
def relayer_check(
    config: Config = Path("relayer.toml"),
    online: Annotated[
        bool, typer.Option("--online", help="Then hold it against the real chains, as `causeway doctor` does.")
    ] = False,
) -> None:
    """Check a configuration without starting anything: names, amounts, keys, files, and each pair's timelocks.

    Every fault is shown, with its place.
    """
    from gateway.checks import check_relayer_file

    for line in check_relayer_file(config):
        typer.echo(line)
    if online:
        from gateway.cli.doctor import doctor

        doctor(config)


@regulator_app.command("run")
def regulator_run(
    config: Config = Path("regulator.toml"),
    as_json: Json = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run the supervision API until Ctrl-C: an indexer of its own, evidence, an audit log of every read."""
    from gateway import config as settings
    from gateway.daemons.regulator import run_regulator
    from gateway.logs import start_logging

    loaded = settings.load(config, settings.RegulatorConfig)
    start_logging(log_level, log_format, as_json, loaded.log_level)
    asyncio.run(run_regulator(loaded, config.resolve().parent, as_json))


@regulator_app.command("check")
def regulator_check(config: Config = Path("regulator.toml")) -> None:
    """Check a configuration without starting anything. Every fault is shown, with its place."""
    from gateway.checks import check_regulator_file

    for line in check_regulator_file(config):
        typer.echo(line)


@chain_app.command("run")
def chain_run(
    home: Annotated[
        Path, typer.Argument(help="What `chain init`, `join` or `init-network` made, or one node's home of the latter.")
    ],
    listen: Annotated[
        str | None, typer.Option(help="Embedded engine: host:port of the CometBFT-shaped RPC, else 127.0.0.1:26657.")
    ] = None,
    interval_s: Annotated[
        float | None,
        typer.Option(min=0.05, max=3_600, help="Embedded engine: seconds between blocks when nothing happens, else 1."),
    ] = None,
    keep_blocks: Annotated[
        int | None,
        typer.Option(min=4_000, help="Embedded engine: how many of the newest blocks to keep; else all."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Embedded engine: a page that may ask from browsers, https://host, or *; repeatable."),
    ] = None,
    as_json: Json = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run a consortium chain until Ctrl-C: on the embedded engine, or as CometBFT nodes if the home is theirs."""
    from gateway.daemons.chain import run_chain
    from gateway.logs import start_logging

    start_logging(log_level, log_format, as_json)
    asyncio.run(run_chain(home, listen, interval_s, as_json, keep_blocks, cors_origin or ()))
