"""`causeway relayer prices`: what is offered and why, and the operator's word that a price which jumped is right."""

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import relayer_app
from gateway.cli.options import AsJson, RelayerFile


@relayer_app.command("prices")
def relayer_prices(
    config: RelayerFile = Path("relayer.toml"),
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="NAME", help="The price to which NAME has jumped is right.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is offered, at which price, what comes off it, and why a pair is paused.

    A price that jumps further than max_jump_bps pauses its pairs until it comes back or you confirm it.
    """
    from core.runtime.logging import configure_logging
    from gateway import config as settings
    from gateway import prices

    configure_logging(level="error", form="console")
    loaded, base = settings.load(config, settings.RelayerConfig), config.resolve().parent
    confirmed = None if confirm is None else asyncio.run(prices.confirm(loaded, base, confirm))
    found = asyncio.run(prices.listed(loaded, base, time.time_ns()))
    if as_json:
        typer.echo(json.dumps({"confirmed": confirmed, "pairs": found}))
        return
    if confirm is not None:
        typer.echo(f"{confirm}: {confirmed} is confirmed; a running relayer follows it from its next look on")
    for one in found:
        typer.echo(one["pair"])
        for line in _lines(one):
            typer.echo(f"  {line}")


def _lines(one: dict[str, Any]) -> list[str]:
    lines = [f"rate = {one['rate']}"]
    if one["price"] is not None:
        age = "" if one["age_s"] is None else f", {one['age_s']} s old"
        lines[0] += f", at {one['price']}{age}"
    lines.append(
        f"less {one['spread_bps']} bps of spread and {one['premium_bps']} bps for an option of {one['lock_s']} s; "
        f"fee {one['fee']}; from {one['minimum']} to {one['maximum']}"
    )
    lines.append(f"paused: {one['paused']}" if one["paused"] else f"offered: {one['offered']} of get for each give")
    return lines
