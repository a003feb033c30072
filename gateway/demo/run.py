"""The demo from start to end: devnet up, stories side by side, the supervisor's summary, devnet down."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote as percent_encoded

import aiohttp
from rich.console import Console
from rich.table import Table

from core.model.identifiers import parse_account, parse_asset
from core.model.types import AccountId, AssetId, ChainId
from core.runtime.logging import configure_logging
from gateway import wiring
from gateway.amounts import readable
from gateway.demo import stories
from gateway.demo.queries import proven_answers
from gateway.demo.stage import Stage
from gateway.devnet import Devnet, DevnetSettings
from gateway.timeline import Timeline

USERS: Final = ("alice", "bob", "carol", "dave", "erin", "frank")
RELAYERS: Final = (stories.HONEST, stories.CRASHING, stories.VANISHING)

Balances = dict[tuple[str, str], int]
Proven = tuple[list[dict[str, Any]], dict[str, Any]]
"""Evidence that was verified, and a question of the ledger that was answered."""


async def run_demo(directory: Path, console: Console) -> dict[str, Any]:
    """Run everything; the result as `causeway demo --json` prints it. Evidence, anchor and logs stay in `directory`."""
    timeline = Timeline(console, {})
    console.print("[bold]Causeway[/]: two chains, three relayers, one regulator, six users", highlight=False)
    devnet = Devnet(DevnetSettings(directory, RELAYERS, USERS), lambda said: timeline.show("devnet", said))
    async with (
        devnet,
        _logging_to(directory / "logs" / "demo.log"),
        wiring.connected(devnet.info.chains) as chains,
        aiohttp.ClientSession() as http,
    ):
        timeline.names = {devnet.info.ethereum: "ETH", devnet.info.consortium: "CNS"}
        heads = {chain: connected.access.heads for chain, connected in chains.items()}
        stage = Stage(devnet, chains, timeline, http)
        async with timeline.following(heads):
            before = await _balances(stage)
            swaps, crash, (evidence, asked) = await _play(stage, directory)
            after = await _balances(stage)
            summary = await _summary(stage, before, after, console)
    result = {
        "ok": _all_well(swaps, crash, evidence, summary) and _answered(asked),
        "seconds": round(timeline.elapsed_s, 1),
        "swaps": swaps,
        "crash_recovery": crash,
        "evidence": evidence,
        "questions": asked,
        "conservation": summary,
    }
    verdict = "[bold green]every story ended well[/]" if result["ok"] else "[bold red]a story ended otherwise[/]"
    console.print(f"{verdict}, {result['seconds']} s", highlight=False)
    console.print(f"Evidence, the anchor and every process's log are in {directory}", highlight=False)
    return result


@asynccontextmanager
async def _logging_to(path: Path) -> AsyncIterator[None]:
    """The dApps' own log goes to a file while the block runs: the terminal is for the timeline."""
    with path.open("a") as log:
        configure_logging(stream=log)
        try:
            yield
        finally:
            configure_logging(level="error")


async def _play(stage: Stage, directory: Path) -> tuple[list[dict[str, Any]], dict[str, str], Proven]:
    info = stage.devnet.info
    async with asyncio.TaskGroup() as group:
        plain = [
            group.create_task(
                stories.plain_swap(
                    stage, "alice", "ether", info.ether, info.yuan, stories.ETHER_FOR_YUAN, "ethereum → consortium"
                )
            ),
            group.create_task(
                stories.plain_swap(
                    stage, "bob", "token", info.yuan, info.token, stories.YUAN_FOR_TOKENS, "consortium → ethereum"
                )
            ),
            group.create_task(stories.vanishes_after_first_lock(stage)),
            group.create_task(stories.vanishes_after_second_lock(stage)),
        ]
        crashed = group.create_task(stories.killed_and_restarted(stage))
        proven = group.create_task(proven_answers(stage, directory))
    crash_swap, crash = crashed.result()
    return [*(task.result() for task in plain), crash_swap], crash, proven.result()


def _answered(asked: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return true if the ledger's question and the contract's have their answers."""
    return asked["ledger"]["status"] == "answered" and bool(asked["contract"]["heard"])


def _all_well(
    swaps: list[dict[str, Any]], crash: Mapping[str, str], evidence: list[dict[str, Any]], summary: Mapping[str, Any]
) -> bool:
    expected = ["claimed", "claimed", "refunded", "refunded", "claimed"]
    return (
        [swap["outcome"] for swap in swaps] == expected
        and crash["outcome"] == "claimed"
        and all(one["verified"] and one["tampered_rejected"] for one in evidence)
        and bool(summary["ok"])
    )


# --- the last story: what a regulator sees -----------------------------------------------------------------------


async def _balances(stage: Stage) -> Balances:
    """Return what every user holds of every asset, at the chains' heads."""
    found: Balances = {}
    info = stage.devnet.info

    async def look(user: str, chain: ChainId, account: AccountId, asset: AssetId) -> None:
        found[user, asset] = await stage.chains[chain].access.state.balance(account, asset)

    async with asyncio.TaskGroup() as group:
        for user in info.users:
            for asset in (info.ether, info.token):
                group.create_task(
                    look(user.name, info.ethereum, parse_account(user.ethereum_account), parse_asset(asset))
                )
            group.create_task(
                look(user.name, info.consortium, parse_account(user.consortium_account), parse_asset(info.yuan))
            )
    return found


async def _summary(stage: Stage, before: Balances, after: Balances, console: Console) -> dict[str, Any]:
    info = stage.devnet.info
    summary = await stage.supervision("/v1/summary")
    table = Table(title="What became of the users' balances (gas included)", title_justify="left")
    for column in ("user", "ETH", "USDX", "CNYD"):
        table.add_column(column, justify="left" if column == "user" else "right")
    for user in info.users:
        cells = []
        for asset in (info.ether, info.token, info.yuan):
            change = after[user.name, asset] - before[user.name, asset]
            cells.append(readable(stage.asset(asset), change, places=6) if change else "–")
        table.add_row(user.name, *cells)
    console.print(table)
    counted = ", ".join(f"{count} {status}" for status, count in summary["swaps"].items())
    console.print(f"Supervision: {counted}; {summary['transfers']} transfers", highlight=False)
    table = Table(title="Conservation: locked = claimed + refunded + open", title_justify="left")
    for column in ("asset", "locked", "claimed", "refunded", "open", "as of block", ""):
        table.add_column(column, justify="right")
    held = True
    for asset in (info.ether, info.token, info.yuan):
        row = await stage.supervision(f"/v1/assets/{percent_encoded(asset, safe='')}/conservation")
        held = held and row["ok"]
        sums = [stage.amount(asset, int(row[name]["base_units"])) for name in ("locked", "claimed", "refunded", "open")]
        verdict = "holds" if row["ok"] else "BROKEN"
        table.add_row(row["symbol"], *sums, str(row["as_of"]["height"]), verdict)
    console.print(table)
    return {"ok": held and bool(summary["conservation_ok"]), "swaps": summary["swaps"]}
