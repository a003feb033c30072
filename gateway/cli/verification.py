"""`causeway verify`: believe an evidence file or say why not. Needs no network and no configuration."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from core.model.errors import CausewayError, RejectedError
from gateway.cli import app

MAX_FILE_BYTES: Final = 1024 * 1024
EXIT_NOT_PROVEN: Final = 2


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The evidence file, as the API, the client or the demo wrote it.")],
    anchor: Annotated[
        Path, typer.Option(help="What you trust to begin with: a header of the consortium chain, learnt out of band.")
    ] = Path("anchor.json"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Verify an answer offline: recompute it from its proof, under the headers that lead from your anchor.

    Exit code 0: proven. 2: not proven, with the reason. 1: the files cannot be read.
    """
    from core.proofs.errors import ProofError
    from core.proofs.evidence.codec import decode_anchor, decode_evidence
    from core.proofs.evidence.verification import installed_verifiers
    from core.proofs.evidence.verification import verify as verify_evidence

    raw, trusted = _read(file), _read(anchor)
    try:
        proven = verify_evidence(
            decode_evidence(raw), decode_anchor(trusted), int(time.time()), verifiers=installed_verifiers()
        )
    except (ProofError, RejectedError) as error:
        _refuse(file, error, as_json)
    result = _describe(proven)
    if as_json:
        typer.echo(json.dumps({"verified": True, "file": str(file), **result}))
        return
    table = Table(title=f"[bold green]proven[/]  {file}", show_header=False, title_justify="left")
    for name, value in result.items():
        table.add_row(name, value if isinstance(value, str) else json.dumps(value, indent=2))
    Console().print(table)


def _refuse(file: Path, error: CausewayError, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"verified": False, "file": str(file), "reason": error.message}))
    else:
        Console(stderr=True).print(f"[bold red]not proven[/]  {file}: {error.message}", soft_wrap=True)
    sys.exit(EXIT_NOT_PROVEN)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        hint = "; name the anchor with --anchor FILE" if path.name == "anchor.json" else ""
        raise RejectedError(f"cannot read {path}: {error.strerror}{hint}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise RejectedError(
            f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB, the most that evidence or an anchor may have"
        )
    return raw


def _describe(proven: Any) -> dict[str, Any]:
    """The proven question, answer and as-of for people and programs."""
    from core.proofs.evidence.codec import as_of_to_json
    from core.proofs.evidence.forms import answer_to_json, question_to_json

    return {
        "question": question_to_json(proven.question),
        "answer": answer_to_json(proven.answer),
        "as_of": as_of_to_json(proven.as_of),
    }
