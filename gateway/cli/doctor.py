"""`causeway doctor`: a relayer's configuration held against the real chains."""

import asyncio
import json
from pathlib import Path
from typing import Final

import msgspec
import typer
from rich.console import Console

from gateway.cli import app
from gateway.cli.options import AsJson, RelayerFile

EXIT_CODES: Final = {"green": 0, "yellow": 0, "red": 1}
MARKS: Final = {"green": "[green]ok[/]  ", "yellow": "[yellow]note[/]", "red": "[bold red]bad[/] "}


@app.command()
def doctor(
    config: RelayerFile = Path("relayer.toml"),
    as_json: AsJson = False,
) -> None:
    """Hold everything that a relayer's configuration promises against this machine and the real chains.

    Keys, database, disk, each endpoint by itself (chain, first block, contract, methods, clock, finality), timelocks
    with their numbers, gas for exits, inventory. Ends with 0 unless something is bad; nothing is sent or signed.
    """
    from core.runtime.logging import configure_logging
    from gateway import config as settings
    from gateway.doctor import examine, worst

    configure_logging(level="error", form="console")
    console, progress = Console(), Console(stderr=True)
    loaded = settings.load(config, settings.RelayerConfig)
    with progress.status("looking") as status:
        found = asyncio.run(examine(loaded, config.resolve().parent, lambda what: status.update(f"looking at {what}")))
    level = worst(found)
    if as_json:
        typer.echo(json.dumps({"level": level, "findings": msgspec.to_builtins(found)}))
    else:
        for one in found:
            console.print(f"{MARKS[one.level]}  [bold]{one.about}[/]  {one.sentence}", highlight=False, soft_wrap=True)
            if one.remedy:
                console.print(f"        {one.remedy}", highlight=False, soft_wrap=True)
        counts = ", ".join(f"{sum(one.level == name for one in found)} {name}" for name in MARKS)
        console.print(f"\n{counts}", highlight=False)
    raise typer.Exit(EXIT_CODES[level])
