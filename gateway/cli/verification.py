"""`causeway verify`: believe an evidence file or say why not. Needs no network and no configuration."""

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from core.model.errors import CausewayError, RejectedError
from gateway.cli import app, plain

if TYPE_CHECKING:
    from core.model.questions import Anchor
    from core.proofs.evidence import Layouts, Trusted

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_EVIDENCE_FILE_BYTES: Final = 16 * MAX_FILE_BYTES
"""Evidence for as many questions as one request asks."""
MAX_UNIX_DIGITS: Final = 11
"""Of seconds up to the year 5138: what is longer counts something else, such as milliseconds."""
MAX_DATED_S: Final = 253_402_300_799
"""The last second of the year 9999."""
EXIT_NOT_PROVEN: Final = 2

AnchorFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--anchor",
        help="Your trust, learnt out of band: a header of the consortium chain, a beacon block of Ethereum's, or both.",
    ),
]
LayoutsFile = Annotated[
    Path | None, typer.Option("--layouts", help="Layouts of tokens that you reviewed, next to those built in.")
]


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The evidence file, as the API, the client or the demo wrote it.")],
    anchor: AnchorFiles = None,
    layouts: LayoutsFile = None,
    now: Annotated[
        str | None,
        typer.Option("--now", help="The time to verify by, such as 2026-11-29T15:00:00Z or Unix seconds; else now."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Verify answers offline: recompute them from their proofs, under the headers that lead from your anchor.

    A bundle (an alert, or a figure of the supervision API) is computed again from its own data, without an anchor.
    So is an answer of that API with its proof (evidence=true); its evidence of chains is held against your anchor.

    A file with several answers has one on each line. With two anchors an answer about Ethereum that carries both
    ways to its header must hold by both. Exit code 0: all are proven. 2: one is not, with the reason.
    1: the files cannot be read.
    """
    raw = _read(file, MAX_EVIDENCE_FILE_BYTES)
    at_s, reviewed = moment(now), read_layouts(layouts)
    if (document := _bundle(raw)) is not None:
        show([_bundle_verdict(raw, document, anchor, at_s, reviewed)], str(file), as_json)
        return
    try:
        ground = read_trusted(anchor or [Path("anchor.json")])
    except NotAnAnchorError as error:
        show([refusal(error)], str(file), as_json)
        return
    verdicts = [_verdict(line, ground, at_s, reviewed) for line in raw.splitlines() or [b""]]
    show(verdicts, str(file), as_json)


def show(verdicts: list[dict[str, Any]], title: str, as_json: bool) -> None:
    """Print verdicts, and end with `EXIT_NOT_PROVEN` if one is not proven."""
    proven = all(one["verified"] for one in verdicts)
    if as_json:
        body = verdicts[0] if len(verdicts) == 1 else {"verified": proven, "answers": verdicts}
        typer.echo(json.dumps({"file": title, **body}))
    else:
        for place, one in enumerate(verdicts, 1):
            _print(one, title if len(verdicts) == 1 else f"{title}, answer {place} of {len(verdicts)}")
        if len(verdicts) > 1:
            count = sum(one["verified"] for one in verdicts)
            Console(stderr=not proven).print(f"{count} of {len(verdicts)} answers are proven", highlight=False)
    if not proven:
        sys.exit(EXIT_NOT_PROVEN)


def show_one(verdict: dict[str, Any], title: str, as_json: bool) -> None:
    """Print one verdict of several that come one after the other, proven or not."""
    if as_json:
        typer.echo(json.dumps(verdict))
    else:
        _print(verdict, title)


def read_anchor(path: Path) -> "Anchor":
    """Raise `RejectedError` for a file that is missing or not an anchor."""
    from core.proofs.evidence import decode_anchor

    return decode_anchor(_read(path))


class NotAnAnchorError(RejectedError):
    """A file that can be read is not an anchor."""


def read_trusted(paths: Sequence[Path]) -> "Trusted":
    """The anchors in these files: one, or one of a consortium chain and one of a beacon chain.

    Raise `NotAnAnchorError` for a file of another kind, `RejectedError` for one that is missing, or two of one kind.
    """
    from core.proofs.errors import ProofError
    from core.proofs.evidence import decode_trusted, joined_anchors

    anchors = []
    for path in paths:
        try:
            anchors.append(decode_trusted(_read(path)))
        except ProofError as error:
            raise NotAnAnchorError(f"{path} is not an anchor: {error.message}") from None
    return joined_anchors(anchors)


def read_layouts(path: Path | None) -> "Layouts":
    """The built-in layouts and those of the file. Raise `RejectedError` for a file that cannot be read."""
    from core.proofs.evidence import REVIEWED_LAYOUTS, decode_layouts

    return REVIEWED_LAYOUTS if path is None else (*REVIEWED_LAYOUTS, *decode_layouts(_read(path)))


def moment(text: str | None) -> int:
    """Unix seconds of a time that somebody wrote, None for the present. Raise `RejectedError`."""
    if text is None:
        return int(time.time())
    try:
        if text.isascii() and text.isdigit() and len(text) <= MAX_UNIX_DIGITS:
            return int(text)
        written = datetime.fromisoformat(text)
        return int(written.replace(tzinfo=written.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError):
        raise RejectedError(f"{text[:64]!r} is not a time: write 2026-11-29T15:00:00Z or Unix seconds") from None


def _bundle(raw: bytes) -> dict[str, Any] | None:
    """The document of a bundle, or of an answer of the supervision API with its proof: these are computed again."""
    from regulator_api.bundles import is_bundle

    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document if is_bundle(document) else None


def _bundle_verdict(
    raw: bytes, document: dict[str, Any], anchors: list[Path] | None, at_s: int, layouts: "Layouts"
) -> dict[str, Any]:
    from regulator_api.bundles import Ground, needs_anchor
    from regulator_api.bundles import verify as verify_bundle

    ground = None
    try:
        if needs_anchor(document):
            ground = Ground(read_trusted(anchors or [Path("anchor.json")]), at_s, layouts)
    except NotAnAnchorError as error:
        return refusal(error)
    try:
        bundle = verify_bundle(raw, ground)
    except RejectedError as error:
        return refusal(error)
    follows = "the result follows from the moves in the file; evidence of each shows that the chains have them"
    return {
        "verified": True,
        "uri": f"{bundle.kind} {bundle.digest[:16]}",
        "what": bundle.shows,
        "caution": bundle.caution or follows,
    }


def _verdict(raw: bytes, anchor: "Trusted", at_s: int, layouts: "Layouts") -> dict[str, Any]:
    from core.proofs.evidence import decode_evidence, installed_verifiers
    from core.proofs.evidence import verify as verify_evidence
    from gateway.proven import document

    try:
        evidence = decode_evidence(raw)
    except RejectedError as error:
        return refusal(RejectedError(f"this is not evidence, or not all of it: {error.message}"))
    try:
        proven = verify_evidence(evidence, anchor, at_s, installed_verifiers(layouts))
    except RejectedError as error:
        return refusal(error, dated_s=evidence.as_of.time.seconds)
    return {"verified": True, **document(proven, anchor, evidence.kind, at_s, int(time.time()))}


def refusal(error: CausewayError, uri: str | None = None, dated_s: int | None = None) -> dict[str, Any]:
    """The verdict about something that is not proven. Expired trust gets a way on; `dated_s`: the time, in Unix
    seconds, that the evidence says it is of."""
    from core.proofs.errors import TrustExpiredError
    from core.runtime.clock import show_time

    reason = error.message
    if isinstance(error, TrustExpiredError):
        until_s, dated = error.fields.get("until_s"), "the time it is from"
        over = f", which ended {show_time(until_s)}" if isinstance(until_s, int) else ""
        if dated_s is not None:
            dated = f"{datetime.fromtimestamp(min(max(dated_s, 0), MAX_DATED_S), UTC):%Y-%m-%dT%H:%M:%SZ}"
        reason += (
            f"{over}. Whoever holds keys of that day's validators could have made this file since. Take a newer anchor "
            f"and ask again; or verify the file with the anchor of its own day by that time (--now {dated}), if you "
            "know that the file existed then"
        )
    named = {} if uri is None else {"uri": uri}
    return {"verified": False, **named, "reason": reason}


def _print(verdict: dict[str, Any], title: str) -> None:
    if not verdict["verified"]:
        named = verdict.get("uri", title)
        Console(stderr=True).print(
            f"[bold red]not proven[/]  {plain(named)}: {plain(verdict['reason'])}", soft_wrap=True
        )
        return
    table = Table(title=f"[bold green]proven[/]  {plain(title)}", show_header=False, title_justify="left")
    table.add_column()
    # An address that is cut could be any other.
    table.add_column(overflow="fold")
    parts = [("asked", verdict["uri"] or json.dumps(verdict["question"], indent=2))]
    parts += [(name, verdict[name]) for name in ("about", "what", "when", "trust", "caution") if name in verdict]
    for name, value in parts:
        table.add_row(name, plain(value))
    Console().print(table)


def _read(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        hint = "; name the anchor with --anchor FILE" if path.name == "anchor.json" else ""
        raise RejectedError(f"cannot read {path}: {error.strerror}{hint}") from None
    if len(raw) > most:
        raise RejectedError(f"{path} is larger than {most // 1024} KiB, the most that such a file may have")
    return raw
