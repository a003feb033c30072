"""`causeway supervise replay|export`: rules over whole histories, on this machine or on Apache Spark."""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.runtime.logging import configure_logging
from gateway.cli import supervise_app
from gateway.cli.options import AsJson

Config = Annotated[Path, typer.Option("--config", "-c", help="The regulator's configuration.")]


@supervise_app.command("replay")
def replay(
    config: Config = Path("regulator.toml"),
    folder: Annotated[
        Path | None,
        typer.Option(
            "--from", help="An export to run over; without one, histories are exported to a temporary folder."
        ),
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="local (processes of this machine) or spark.")] = "local",
    master: Annotated[
        str, typer.Option("--master", help="Spark's master, such as spark://10.0.0.5:7077, yarn or local[2].")
    ] = "local[2]",
    processes: Annotated[int, typer.Option("--processes", min=1, max=64, help="Of the local engine.")] = 2,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the alerts here, as JSON.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="The daemon forgets what it has said, and reads everything again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run all rules over the whole history, and compare the alerts with those that the daemon has raised.

    The same functions run as at each block. Nothing is changed, unless --again asks for it. Exit code 2: alerts differ.
    """
    from gateway import config as settings
    from gateway import replaying

    configure_logging(level="error", form="console")
    loaded, base = settings.load(config, settings.RegulatorConfig), config.resolve().parent
    progress = _progress(as_json)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="causeway-replay-") as made:
        place = folder or Path(made) / "export"
        if folder is None:
            asyncio.run(replaying.export(loaded, base, place, progress))
        result = replaying.run(place, engine, master, processes, progress)
    if out is not None:
        out.write_bytes(result.encoded)
    compared = asyncio.run(replaying.compare(loaded, base, result)) if folder is None else None
    shown: dict[str, Any] = {
        "engine": engine,
        "alerts": len(result.alerts),
        "sha256": result.digest,
        "moves": result.manifest.moves,
        "subjects": result.manifest.subjects,
        "as_of": result.manifest.as_of,
        "label_version": result.manifest.label_version,
        "seconds": round(time.monotonic() - begun, 2),
    }
    if compared is not None:
        shown |= {"only_replayed": compared.only_replayed, "only_stored": compared.only_stored}
    if again:
        asyncio.run(replaying.forget(loaded, base))
        shown["again"] = True
    _show(shown, as_json)
    if compared is not None and not again and (compared.only_replayed or compared.only_stored):
        sys.exit(2)


@supervise_app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="An empty folder, or one to make.")],
    config: Config = Path("regulator.toml"),
    as_json: AsJson = False,
) -> None:
    """Export all histories as partitioned Parquet, with the rules that are in force: what any engine can run over."""
    from gateway import config as settings
    from gateway import replaying

    configure_logging(level="error", form="console")
    loaded, base = settings.load(config, settings.RegulatorConfig), config.resolve().parent
    manifest = asyncio.run(replaying.export(loaded, base, folder, _progress(as_json)))
    _show(
        {"folder": str(folder), "moves": manifest.moves, "subjects": manifest.subjects, "files": manifest.buckets},
        as_json,
    )


def _progress(as_json: bool) -> Any:
    shown = [0.0]

    def show(what: str, done: int, of: int | None = None) -> None:
        if time.monotonic() - shown[0] < 1 and done != of:
            return
        shown[0] = time.monotonic()
        total = "" if of is None else f" of {of}"
        text = json.dumps({"progress": what, "done": done, "of": of}) if as_json else f"{what}: {done}{total}"
        typer.echo(text, err=True)

    return show


def _show(values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(values))
        return
    table = Table(show_header=False)
    for name, value in values.items():
        table.add_row(name.replace("_", " "), json.dumps(value) if isinstance(value, dict) else str(value))
    Console().print(table)
