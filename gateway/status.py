"""`causeway status`: what a running devnet's relayers say of chains and swaps."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.model.errors import RetryableError
from gateway.devnet.info import load_info
from relayer.api.bodies import SwapsQuery
from relayer.client import RelayerApi

SHOWN_SWAPS = 20


async def collect_status(directory: Path) -> dict[str, Any]:
    """Return `relayer_status` of each relayer of a devnet. Raise `RejectedError` if no devnet runs."""
    info = load_info(directory)
    answers = await asyncio.gather(*map(relayer_status, info.relayers.values()))
    return {"directory": str(directory), "relayers": dict(zip(info.relayers, answers, strict=True))}


async def relayer_status(url: str) -> dict[str, Any]:
    """Return chains, what is paused (by pair), and the newest swaps of the relayer with this API, as JSON."""
    async with RelayerApi(url) as api:
        try:
            chains, pairs, swaps = await asyncio.gather(
                api.chains(), api.pairs(), api.swaps(SwapsQuery(limit=SHOWN_SWAPS))
            )
        except RetryableError as error:
            return {"url": url, "up": False, "reason": error.message}
    paused = {pair.id: pair.pause for pair in pairs if pair.pause is not None}
    return {"url": url, "up": True, **msgspec.to_builtins({"chains": chains, "paused": paused, "swaps": swaps})}


def show_status(found: dict[str, Any], console: Console) -> None:
    """The same for people."""
    for name, relayer in found["relayers"].items():
        if not relayer["up"]:
            console.print(f"[bold red]{name}[/]  {relayer['reason']}", soft_wrap=True)
            continue
        console.print(f"[bold green]{name}[/]  {relayer['url']}", highlight=False)
        for reason in dict.fromkeys(pause["reason"] for pause in relayer["paused"].values()):
            console.print(f"[bold yellow]paused[/]  {escape(reason)}", highlight=False, soft_wrap=True)
        table = Table(show_edge=False)
        for column in ("chain", "head", "finalized", "behind by"):
            table.add_column(column, justify="left" if column == "chain" else "right")
        for chain in relayer["chains"]:
            head, final = chain["head"], chain["finalized"]
            table.add_row(
                chain["id"],
                "–" if head is None else str(head["height"]),
                "–" if final is None else str(final["height"]),
                "–" if chain["lag_s"] is None else f"{chain['lag_s']:.0f} s",
            )
        console.print(table)
        if not relayer["swaps"]:
            console.print("no swaps yet: try `causeway swap 0.5 eth cnyd`")
            continue
        table = Table(show_edge=False)
        for column in ("swap", "phase", "initiator's leg", "participant's leg"):
            table.add_column(column)
        for swap in relayer["swaps"]:
            legs = [
                f"{swap[side]['status']} on {swap[side]['terms']['chain']}" for side in ("initiator", "participant")
            ]
            table.add_row(swap["id"][:16] + "…", swap["phase"], *legs)
        console.print(table)
