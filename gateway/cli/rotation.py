"""`causeway relayer rotate`: another key for the account on a chain, while the former one ends what it began."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.model.errors import RejectedError
from gateway.cli import relayer_app
from gateway.cli.options import AsJson, RelayerFile


@relayer_app.command("rotate")
def relayer_rotate(
    chain: Annotated[str, typer.Argument(help="The chain, a CAIP-2 id.")],
    key: Annotated[
        str | None, typer.Option("--key", help="The new key's name; made if the keystore has none of that name.")
    ] = None,
    signer: Annotated[str | None, typer.Option("--signer", help="The URL of a signer on another machine.")] = None,
    address: Annotated[str | None, typer.Option("--address", help="The account whose key it holds, CAIP-10.")] = None,
    dialect: Annotated[
        str | None,
        typer.Option("--dialect", help="What it speaks: web3signer, eth_signTransaction, account_signTransaction."),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Take the former accounts out, once they have nothing left to do.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --finish: do not ask.")] = False,
    config: RelayerFile = Path("relayer.toml"),
    as_json: AsJson = False,
) -> None:
    """Let a new account open swaps on a chain, while the former one ends those that it began.

    The configuration's file is changed; it takes effect with `causeway relayer reload`, or the next start.
    """
    from core.runtime.logging import configure_logging
    from gateway import config as settings
    from gateway import rotation

    configure_logging(level="error", form="console")
    if finish:
        loaded = settings.load(config, settings.RelayerConfig)
        for account in rotation.former_accounts(loaded, config.resolve().parent, chain):
            if not yes and not _is_empty(account, as_json):
                typer.echo("nothing was written")
                raise typer.Exit(1)
        ended = asyncio.run(rotation.finish(config.resolve(), chain))
        if as_json:
            typer.echo(json.dumps({"removed": ended}))
            return
        typer.echo(f"{config}: {', '.join(ended)} is out. Next: causeway relayer reload; keep the key for a time")
        return
    done = rotation.rotate(config.resolve(), chain, rotation.Successor(key, signer, address, dialect))
    if as_json:
        typer.echo(json.dumps({"account": done.account, "former": done.former, "key": done.key}))
        return
    typer.echo(f"{config}: {done.account} opens swaps, {done.former} ends what it began")
    typer.echo("Next:")
    if done.key:
        typer.echo(f"  back up the keystore, which has the key {done.key}")
    typer.echo(f"  pay gas money and inventory to {done.account}")
    typer.echo("  causeway relayer reload")
    typer.echo("  causeway relayer sweep --retiring, again as its swaps end")
    typer.echo(f"  causeway relayer rotate {chain} --finish, once the relayer says that nothing is left")


def _is_empty(account: str, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise RejectedError("there is no terminal to ask at: look at what the account holds, then add --yes")
    return typer.confirm(f"Has {account} been swept? The relayer does not look after it any more", False)
