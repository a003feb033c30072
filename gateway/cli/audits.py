"""`causeway audit verify|export|anchor`: the log of who looked at what."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from core.model.errors import ConflictError, RejectedError
from gateway.cli import app
from gateway.cli.options import REGULATOR_FILE, AsJson, RegulatorFile

audit_app = typer.Typer(help="Check and export a regulator's log of who looked at what.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")

EXIT_CHANGED: Final = 2


@audit_app.command("verify")
def audit_verify(
    config: RegulatorFile = REGULATOR_FILE,
    file: Annotated[Path | None, typer.Option("--file", help="An export instead of the database.")] = None,
    known: Annotated[
        list[str] | None, typer.Option("--known", help="A `Causeway-Audit` that somebody kept, once for each.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", help="A public key in hex that entries may be signed with.")
    ] = None,
    anchors: Annotated[
        bool, typer.Option("--anchors", help="Hold it against the consortium's record, as its nodes state it.")
    ] = False,
    anchor: Annotated[
        Path | None, typer.Option("--anchor", help="The same, proven under your own anchor of that chain.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the log: every entry, every signature, no gap, no cut end.

    Exit code 0: all is as it was written. 2: it is not, with the first entry that is wrong. Without --known and
    --anchors whoever has the signing key could have written all of it again.
    """
    from core.runtime.logging import configure_logging
    from gateway import audits
    from gateway import config as settings
    from gateway.cli.verification import read_anchor
    from gateway.supervision import signer_of

    configure_logging(level="error", form="console")
    kept, keys = audits.parse_known(known or []), [_public_key(one) for one in key or []]
    needs_config = file is None or anchors or anchor is not None
    loaded, base = (settings.load(config, settings.RegulatorConfig) if needs_config else None), config.resolve().parent
    if loaded is not None and not keys:
        signer = signer_of(loaded, base)
        keys = [] if signer is None else [signer.public_key]
    versions = 0
    if loaded is not None and (anchors or anchor is not None):
        trust = None if anchor is None else read_anchor(anchor)
        found, versions = asyncio.run(audits.read_anchors(loaded, keys[0] if keys else None, trust))
        if any(kept.get(number, one) != one for number, one in found.items()):
            raise RejectedError("a hash that you kept is not the one that was anchored")
        kept |= found
    if file is not None:
        check = audits.verify_file(file, kept, keys)
    else:
        check = asyncio.run(audits.verify_database(loaded, base, kept, keys))  # type: ignore[arg-type]
    if as_json:
        shown = {"ok": check.ok, "wrong": check.wrong, "entries": check.entries, "unsigned": check.unsigned}
        typer.echo(json.dumps({**shown, "head": check.head.hex(), "held": check.held, "anchors": versions}))
    elif check.ok:
        signed = f"{check.entries - check.unsigned} of them signed"
        if not keys and check.unsigned < check.entries:
            signed += " by a key that nobody named (--key)"
        typer.echo(
            f"{check.entries} entries are as they were written, {signed}; {check.held} met hashes kept elsewhere"
        )
    else:
        typer.echo(f"the log is not as it was written: {check.wrong}")
    if not check.ok:
        sys.exit(EXIT_CHANGED)


@audit_app.command("export")
def audit_export(
    out: Annotated[Path, typer.Argument(help="The file that is made; it must not exist.")],
    config: RegulatorFile = REGULATOR_FILE,
) -> None:
    """Write the whole log as JSON lines, for an overseer: `causeway audit verify --file FILE` checks it."""
    from gateway import audits
    from gateway import config as settings

    loaded = settings.load(config, settings.RegulatorConfig)
    try:
        with out.open("xb") as file:
            count = asyncio.run(audits.export(loaded, config.resolve().parent, file.write))
    except FileExistsError:
        raise ConflictError(f"{out} exists already: name another file") from None
    typer.echo(f"{out} has {count} entries")


@audit_app.command("anchor")
def audit_anchor(config: RegulatorFile = REGULATOR_FILE, as_json: AsJson = False) -> None:
    """Write the end of the log into the consortium's record now; the daemon does so by itself from time to time."""
    from core.runtime.logging import configure_logging
    from gateway import audits
    from gateway import config as settings

    configure_logging(level="error", form="console")
    loaded = settings.load(config, settings.RegulatorConfig)
    made = asyncio.run(audits.anchor_now(loaded, config.resolve().parent))
    if made is None:
        raise RejectedError("the log is empty: nothing is to be anchored")
    typer.echo(json.dumps({"seq": made.seq, "hash": made.hash}) if as_json else f"entry {made.seq} is anchored")


def _public_key(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise RejectedError(f"{text[:80]!a} is not an ed25519 public key: 64 hex digits")
    return raw
