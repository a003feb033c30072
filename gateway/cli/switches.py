"""`causeway relayer pause|resume|drain|status`: what a relayer does not do for now, and how it is."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli import relayer_app
from gateway.cli.options import AsJson, RelayerFile

What = Annotated[
    list[str] | None,
    typer.Argument(
        help="Nothing for everything; a chain; or the two assets of a pair, what it takes and what it gives."
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="One sentence that dApps and your colleagues read.")]


@relayer_app.command("pause")
def relayer_pause(
    what: What = None,
    reason: Reason = "",
    until: Annotated[str | None, typer.Option("--until", help="When it ends: 2026-12-01T09:30Z.")] = None,
    length: Annotated[str | None, typer.Option("--for", help="How long it lasts: 30m, 2h, 1d.")] = None,
    config: RelayerFile = Path("relayer.toml"),
    as_json: AsJson = False,
) -> None:
    """Quote nothing, open nothing and lock nothing, of a pair, on a chain or at all. Claims and refunds go on.

    It holds from the next lock and the next opening on, also for a relayer that runs, and until `resume`.
    """
    import json
    import time

    from gateway import config as settings
    from gateway import switches
    from relayer.switches import Cause

    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent
    end_ns = switches.end_of(until, length, time.time_ns())
    scope = switches.scope_of(loaded, what or [])
    made = asyncio.run(switches.put(loaded, base, scope, Cause.OPERATOR, reason, end_ns))
    typer.echo(json.dumps(switches.shown(made)) if as_json else made.sentence)


@relayer_app.command("resume")
def relayer_resume(what: What = None, config: RelayerFile = Path("relayer.toml"), as_json: AsJson = False) -> None:
    """Lift what `pause` and `drain` have set: of a pair, of a chain, or all of it.

    What has come by itself goes by itself, once its cause is gone.
    """
    import json

    from gateway import config as settings
    from gateway import switches

    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent
    scope = switches.scope_of(loaded, what) if what and what != ["all"] else None
    gone, left = asyncio.run(switches.lifted(loaded, base, scope))
    if as_json:
        typer.echo(json.dumps({"lifted": [*map(switches.shown, gone)], "left": [*map(switches.shown, left)]}))
        return
    for one in gone:
        typer.echo(f"lifted: {one.sentence}")
    if not gone:
        typer.echo("nothing of it was set")
    for one in left:
        typer.echo(f"still set: {one.sentence}")


@relayer_app.command("drain")
def relayer_drain(
    reason: Reason = "",
    wait: Annotated[bool, typer.Option("--wait", help="Return once no swap is open.")] = False,
    config: RelayerFile = Path("relayer.toml"),
    as_json: AsJson = False,
) -> None:
    """Take no new swap, bring those that are agreed to their end, and then end with status 0.

    It holds until `resume`: a relayer that is started again meanwhile goes on draining.
    """
    import json

    from gateway import config as settings
    from gateway import switches
    from relayer.switches import EVERYTHING, Cause

    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent
    made = asyncio.run(switches.put(loaded, base, EVERYTHING, Cause.DRAIN, reason, None))
    typer.echo(json.dumps(switches.shown(made)) if as_json else made.sentence)
    if wait:
        asyncio.run(switches.drained(loaded, base, lambda count: typer.echo(f"{count} swap(s) are open", err=True)))
        typer.echo(json.dumps({"open": 0}) if as_json else "no swap is open")


@relayer_app.command("console")
def relayer_console(
    config: RelayerFile = Path("relayer.toml"),
    port: Annotated[int, typer.Option("--port", help="The port on this machine; 0 takes a free one.")] = 0,
) -> None:
    """Pages for you about this relayer, on this machine alone: swaps, money, health, pause and resume. Ctrl-C ends it.

    They work through its database, as the other commands do, also while the relayer is down.
    """
    from contextlib import suppress

    from gateway import config as settings
    from gateway import operating

    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent

    def shown(address: str) -> None:
        typer.echo(f"{address}\nOpen it in a browser on this machine. Whoever has this address may pause the relayer.")

    with suppress(KeyboardInterrupt):
        asyncio.run(operating.stay(loaded, base, port, shown))


@relayer_app.command("status")
def relayer_status(config: RelayerFile = Path("relayer.toml"), as_json: AsJson = False) -> None:
    """How a relayer is, by its database alone: switches, open swaps, chains."""
    import json

    from gateway import config as settings
    from gateway import switches

    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent
    found = asyncio.run(switches.collect_status(loaded, base))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found["switches"]:
        typer.echo(f"{one['sentence']} (since {switches.moment(one['since'])})")
    if not found["switches"]:
        typer.echo("no switch is set: quotes, openings and locks go on")
    swaps = ", ".join(f"{count} {phase}" for phase, count in found["swaps"].items()) or "none"
    typer.echo(f"open swaps: {swaps}; effects that wait: {found['effects']}")
    table = Table("chain", "state", "head", "finalized", "newest block", show_edge=False)
    for one in found["chains"]:
        heights = ("–" if one[name] is None else str(one[name]) for name in ("head", "finalized"))
        table.add_row(one["chain"], one["state"], *heights, "–" if one["age_s"] is None else f"{one['age_s']} s ago")
    Console().print(table)


@relayer_app.command("reload")
def relayer_reload(
    wait: Annotated[bool, typer.Option("--wait", help="Show what became of it; up to a minute.")] = False,
    config: RelayerFile = Path("relayer.toml"),
    as_json: AsJson = False,
) -> None:
    """Let a running relayer read its file again: pairs, prices, limits, endpoints, log level. SIGHUP does the same.

    The file is checked here first. It is put in force as a whole, or not at all; what cannot be changed is named.
    """
    import json

    from core.model.errors import RejectedError, RetryableError
    from gateway import config as settings
    from gateway import switches
    from gateway.daemons.reloading import digest_of

    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent
    number, answers = asyncio.run(switches.reloaded(loaded, base, digest_of(config), 60.0 if wait else 0.0))
    if as_json:
        said = [{"holder": one.holder, "refused": one.refused or None} for one in answers]
        typer.echo(json.dumps({"reload": number, "answers": said}))
    elif not wait:
        typer.echo(f"{config} is well-formed; the relayer reads it within seconds: its log says what became of it")
    for one in answers:
        if one.refused:
            raise RejectedError(f"{one.holder} refused it, and nothing of it is in force: {one.refused}")
        if not as_json:
            typer.echo(f"{one.holder} has put it in force")
    if wait and not answers:
        raise RetryableError("no process has answered: does the relayer run?")
