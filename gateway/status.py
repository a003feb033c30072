"""`causeway status`: what a running devnet's relayers say of chains and swaps."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from core.model.errors import RetryableError
from gateway.devnet.info import load_info
from relayer.api.bodies import SwapsQuery
from relayer.client import RelayerApi

SHOWN_SWAPS = 20


async def collect_status(directory: Path) -> dict[str, Any]:
    """Chains, and each relayer's newest swaps, as JSON. Raise `RejectedError` if no devnet runs."""
    info = load_info(directory)

    async def ask(url: str) -> dict[str, Any]:
        async with RelayerApi(url) as api:
            try:
                chains, swaps = await asyncio.gather(api.chains(), api.swaps(SwapsQuery(limit=SHOWN_SWAPS)))
            except RetryableError as error:
                return {"url": url, "up": False, "reason": error.message}
        return {"url": url, "up": True, **msgspec.to_builtins({"chains": chains, "swaps": swaps})}

    answers = await asyncio.gather(*map(ask, info.relayers.values()))
    return {"directory": str(directory), "relayers": dict(zip(info.relayers, answers, strict=True))}


def show_status(found: dict[str, Any], console: Console) -> None:
    """The same for people."""
    for name, relayer in found["relayers"].items():
        if not relayer["up"]:
            console.print(f"[bold red]{name}[/]  {relayer['reason']}", soft_wrap=True)
            continue
        console.print(f"[bold green]{name}[/]  {relayer['url']}", highlight=False)
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
