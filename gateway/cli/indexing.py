"""`causeway index …`: the indexer by itself."""

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli import index_app

if TYPE_CHECKING:
    from core.model.types import ChainId
    from gateway.config import IndexConfig
    from indexer.follower import FollowerStatus

EXIT_DIFFERENT: Final = 2
SAY_S: Final = 1.0
"""How often a line is written if no bars can be drawn."""
DEFAULT: Final = Path("index.toml")
MAX_RANGES: Final = 10_000

Config = Annotated[
    Path, typer.Option("--config", "-c", help="A TOML file with `database` and `[[chains]]`; a daemon's will do.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of tables and bars.")]


@index_app.command("run")
def index_run(
    config: Config = DEFAULT,
    until_head: Annotated[bool, typer.Option("--until-head", help="End once every chain was at its head.")] = False,
    as_json: Json = False,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="debug, info, warning or error; else warning.")
    ] = None,
    log_format: Annotated[str | None, typer.Option("--log-format", help="console or json; json with --json.")] = None,
) -> None:
    """Follow every configured chain until Ctrl-C, and show progress, speed and the time left."""
    from gateway.daemons.index import run_index
    from gateway.logs import start_logging

    start_logging(log_level, log_format, as_json, "warning")
    loaded, base = _loaded(config)

    def ready(url: str) -> None:
        typer.echo(f"health and metrics are at {url}", err=True)

    if not as_json and sys.stderr.isatty():
        with _bars("blocks") as progress:
            bars = FollowerBars(progress)
            asyncio.run(run_index(loaded, base, bars.show, until_head, ready))
        return
    lines = FollowerLines(as_json)
    asyncio.run(run_index(loaded, base, lines.show, until_head, ready))
    lines.end()


@index_app.command("check")
def index_check(config: Config = DEFAULT) -> None:
    """Check a configuration without starting anything. Every fault is shown, with its place."""
    from gateway.checks import check_index_file

    for line in check_index_file(config):
        typer.echo(line)


@index_app.command("status")
def index_status(config: Config = DEFAULT, as_json: Json = False) -> None:
    """Show how far each chain is indexed, without asking any chain."""
    from gateway.daemons import index

    loaded, base = _quietly(config)
    rows = asyncio.run(index.index_status(loaded, base))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table()
    for name in ("chain", "state", "indexed", "final", "head", "behind", "newest block", "alarms", "set aside"):
        table.add_column(name)
    for one in rows:
        age = "" if one["age_s"] is None else f"{one['age_s']} s old"
        shown = (one["chain"], one["state"], one["cursor"], one["finalized"], one["head"], one["behind"], age)
        counts = str(one["alarms"]), str(one["set_aside"])
        table.add_row(*("–" if value is None else str(value) for value in shown), *counts)
    console = Console()
    console.print(table)
    for one in rows:
        if one["detail"]:
            console.print(f"{one['chain']}: {one['detail']}", highlight=False, markup=False, soft_wrap=True)
        if one["alarms"]:
            hint = f"{one['chain']}: what was final was replaced; look into it, then: causeway index acknowledge"
            console.print(f"{hint} {one['chain']}", highlight=False, markup=False, soft_wrap=True)
        for fact in one["set_aside_facts"]:
            where = f"{one['chain']}: {fact['projection']} could not digest {fact['what']} of block {fact['height']}"
            console.print(f"{where} ({fact['reason']})", highlight=False, markup=False, soft_wrap=True)
        if one["set_aside"]:
            hint = f"{one['chain']}: the facts are stored; a newer Causeway may digest them: causeway index rebuild"
            console.print(hint, highlight=False, markup=False, soft_wrap=True)


@index_app.command("rebuild")
def index_rebuild(config: Config = DEFAULT, as_json: Json = False) -> None:
    """Rebuild locks, swaps, balances, assets and contracts from the facts, in one transaction."""
    from gateway.daemons import index

    loaded, base = _quietly(config)
    begun = time.monotonic()
    with _bars("facts", hidden=as_json) as progress:
        bar = progress.add_task("rebuild", total=None, rate="")

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        facts = asyncio.run(index.rebuild_index(loaded, base, advance))
    took_s = time.monotonic() - begun
    if as_json:
        typer.echo(json.dumps({"facts": facts, "seconds": round(took_s, 3)}))
    else:
        typer.echo(f"rebuilt from {facts:,} facts in {took_s:.1f} s")


@index_app.command("verify")
def index_verify(
    config: Config = DEFAULT,
    endpoint: Annotated[
        str | None, typer.Option(help="Which RPC to ask (one chain only); else the last one configured of each chain.")
    ] = None,
    ranges: Annotated[int, typer.Option(min=1, max=MAX_RANGES, help="How many ranges of each chain.")] = 20,
    blocks: Annotated[int, typer.Option(min=1, max=500, help="Blocks in a range.")] = 50,
    seed: Annotated[int | None, typer.Option(help="Picks the same ranges again.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch random ranges once more, from another endpoint, and compare every header and event.

    Exit code 0: no difference. 2: the index or the endpoint is wrong, with the heights. 1, 75: could not be compared.
    """
    from core.model.errors import RejectedError
    from gateway.daemons import index

    loaded, base = _quietly(config)
    if endpoint is not None and len(loaded.chains) > 1:
        raise RejectedError("--endpoint names a node of one chain, and the configuration has several: leave it out")
    chosen = random.SystemRandom().getrandbits(32) if seed is None else seed
    with _bars("ranges", hidden=as_json) as progress:
        bars: dict[str, TaskID] = {}

        def advance(chain: "ChainId", done: int, total: int) -> None:
            if chain not in bars:
                bars[chain] = progress.add_task(chain, total=total, rate="")
            progress.update(bars[chain], completed=done, total=total)

        found = asyncio.run(index.verify_index(loaded, base, endpoint, ranges, blocks, random.Random(chosen), advance))
    different = {
        chain: [{"height": one.height, "what": one.what} for one in differences]
        for chain, differences in found.items()
        if differences
    }
    if as_json:
        typer.echo(json.dumps({"same": not different, "seed": chosen, "differences": different}))
    else:
        _show_differences(different, chosen)
    if different:
        sys.exit(EXIT_DIFFERENT)


@index_app.command("acknowledge")
def index_acknowledge(
    chain: Annotated[str, typer.Argument(help="The CAIP-2 id of the chain.")], config: Config = DEFAULT
) -> None:
    """Acknowledge reorgs below finality that you have looked into: relaying on this chain goes on."""
    from gateway.daemons import index

    loaded, base = _quietly(config)
    done = asyncio.run(index.acknowledge_index(loaded, base, chain))
    typer.echo(f"{chain}: {done} acknowledged" if done else f"{chain}: nothing was open")


def _show_differences(different: dict["ChainId", list[dict[str, Any]]], seed: int) -> None:
    console = Console()
    for chain, differences in different.items():
        for one in differences:
            console.print(f"{chain} {one['height']}: {one['what']}", highlight=False, markup=False, soft_wrap=True)
    if different:
        console.print(f"[bold red]different[/]  the same ranges again: --seed {seed}", highlight=False)
    else:
        console.print("[bold green]no difference[/]")


def _loaded(config: Path) -> tuple["IndexConfig", Path]:
    from gateway import config as settings

    return settings.load(config, settings.IndexConfig), config.resolve().parent


def _quietly(config: Path) -> tuple["IndexConfig", Path]:
    from core.runtime.logging import configure_logging

    configure_logging(level="error", form="console")
    return _loaded(config)


def _bars(unit: str, hidden: bool = False) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=hidden,
    )


class FollowerBars:
    """One bar for each chain: blocks, events a second, time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def show(self, states: "Sequence[FollowerStatus]") -> None:
        for one in states:
            if one.chain not in self._bars:
                self._bars[one.chain] = self._progress.add_task(one.chain, total=None, rate="")
            cursor, head = _heights(one)
            self._progress.update(
                self._bars[one.chain],
                completed=cursor,
                total=head,
                rate=f"{one.events_per_s:,.0f} events/s  {one.state}",
            )


class FollowerLines:
    """One line a second, for logs and programs, and another whenever a chain's state changes."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._eta = Eta()
        self._last: list[dict[str, Any]] = []
        self._said_s = 0.0
        self._said: list[Any] = []

    def show(self, states: "Sequence[FollowerStatus]") -> None:
        now_s = time.monotonic()
        self._last = [self._document(one, now_s) for one in states]
        if now_s - self._said_s >= SAY_S or [one["state"] for one in self._last] != self._said:
            self._say(now_s)

    def end(self) -> None:
        """Show the result."""
        self._say(time.monotonic())

    def _say(self, now_s: float) -> None:
        self._said_s, self._said = now_s, [one["state"] for one in self._last]
        if self._as_json:
            typer.echo(json.dumps({"chains": self._last}))
            return
        for one in self._last:
            left = "" if one["eta_s"] is None else f", {one['eta_s']} s left"
            detail = f": {one['detail']}" if one["detail"] else ""
            typer.echo(
                f"{one['chain']}  {one['state']}  {one['cursor']} of {one['head']}"
                f"  {one['events_per_s']:,} events/s{left}{detail}"
            )

    def _document(self, one: "FollowerStatus", now_s: float) -> dict[str, Any]:
        cursor, head = _heights(one)
        return {
            "chain": one.chain,
            "state": str(one.state),
            "cursor": cursor,
            "head": head,
            "finalized": one.finalized_height,
            "behind": one.lag_blocks,
            "events_per_s": round(one.events_per_s),
            "eta_s": self._eta.left_s(one.chain, cursor, one.lag_blocks, now_s),
            "alarms": one.alarms,
            "set_aside": one.set_aside,
            "detail": one.detail,
        }


class Eta:
    """How long until a chain is at its head, at the pace since it was first looked at."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, int]] = {}

    def left_s(self, chain: str, cursor: int | None, behind: int, now_s: float) -> int | None:
        """Whole seconds, 0 at the head, None while there is no pace to reckon with."""
        if cursor is None:
            return None
        begun_s, first = self._begun.setdefault(chain, (now_s, cursor))
        if behind == 0:
            return 0
        if now_s <= begun_s or cursor <= first:
            return None
        return round(behind * (now_s - begun_s) / (cursor - first))


def _heights(one: "FollowerStatus") -> tuple[int | None, int | None]:
    return (None if one.tip is None else one.tip.height), (None if one.head is None else one.head.height)
