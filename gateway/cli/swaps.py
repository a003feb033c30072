"""`causeway swap`: one atomic swap on the running devnet, step by step."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gateway.cli import swap_app
from gateway.cli.devnet import DEFAULT_DIRECTORY, Directory


@swap_app.command("make")
def swap(
    amount: Annotated[str, typer.Argument(help="How much to give, such as 0.5.")],
    give: Annotated[str, typer.Argument(help="What to give: eth, usdx, cnyd, or a CAIP-19 asset id.")],
    get: Annotated[str, typer.Argument(help="What to get, on the other chain.")],
    user: Annotated[str, typer.Option(help="Whose keys to use: a user of the devnet.")] = "alice",
    relayer: Annotated[str | None, typer.Option(help="With which relayer; the first by default.")] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the quote without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Steps on standard error, the outcome as JSON.")] = False,
) -> None:
    """Swap as a dApp does: quote, check, lock, verify the other lock on chain, claim. If it fails, refund.

    The preimage is made here, kept in the devnet's directory, and leaves it with the claim only. A swap that was
    interrupted goes on when this command runs again for the same user.
    """
    from core.runtime.logging import configure_logging

    configure_logging(level="error", form="console")
    console = Console(stderr=as_json)
    result = asyncio.run(_swap(directory, user, relayer, give, get, amount, yes, console))
    if as_json:
        typer.echo(json.dumps(result))
    sys.exit(0 if result["outcome"] == "completed" else 1)


async def _swap(
    directory: Path, user: str, relayer: str | None, give: str, get: str, amount: str, yes: bool, console: Console
) -> dict[str, Any]:
    from core.model.errors import NotFoundError, RejectedError
    from core.model.identifiers import parse_asset
    from core.model.types import chain_of
    from gateway import wiring
    from gateway.amounts import base_units, readable
    from gateway.connect import connect
    from gateway.devnet.info import load_info
    from htlc.timelocks import DEVNET_POLICY
    from relayer.client import SwapProgress

    info = load_info(directory)
    name = relayer or next(iter(info.relayers))
    if name not in info.relayers:
        raise RejectedError(f"there is no relayer {name!r} here: choose one of {', '.join(info.relayers)}")
    keys = info.user(user)
    secrets = {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)}
    given, wanted = parse_asset(info.asset(give)), parse_asset(info.asset(get))
    store = directory / "dapps" / f"{user}.sqlite"
    async with (
        wiring.connected(info.chains) as chains,
        connect(info.relayers[name], chains, secrets, store, DEVNET_POLICY) as client,
    ):
        assets = {}
        for asset in (given, wanted):
            known = chains[chain_of(asset)].access.parameters.assets if chain_of(asset) in chains else {}
            if asset not in known:
                raise NotFoundError(f"{asset} is not an asset of this devnet: try eth, usdx or cnyd")
            assets[asset] = known[asset]

        def show(made: SwapProgress) -> None:
            place = "" if made.height is None else f"  [dim]{made.chain} block {made.height}[/]"
            transaction = "" if made.tx_hash is None else f"  [dim]tx {made.tx_hash.hex()}[/]"
            console.print(f"{made.step:<22}{made.message}{place}{transaction}", highlight=False, soft_wrap=True)

        for open_swap in await client.unfinished():
            console.print(f"swap {open_swap.id} was interrupted and goes on:", highlight=False)
            await client.resume(open_swap.id, show)
        quote = await client.quote(given, wanted, initiator_amount=base_units(assets[given], amount))
        price = (
            f"{readable(assets[given], quote.initiator_amount)} for "
            f"{readable(assets[wanted], quote.participant_amount)}"
        )
        console.print(f"quote                 {price}", highlight=False)
        if not yes and sys.stdin.isatty() and not await asyncio.to_thread(typer.confirm, "Take it?", True):
            return {"id": None, "outcome": "declined"}
        agreed = await client.open(quote)
        outcome = await client.run(agreed, show)
    console.print(f"[bold]{outcome.phase}[/]  swap {outcome.swap_id}", highlight=False)
    return {"id": outcome.swap_id, "outcome": str(outcome.phase), "gave": price}
