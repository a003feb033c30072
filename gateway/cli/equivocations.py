"""`causeway chain accuse`: prove, check and report that an account attested two headers at one height."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from core.model.errors import ConflictError, RejectedError
from core.runtime.logging import configure_logging
from gateway.cli import chain_app
from gateway.cli.members import DEFAULT_URL, Json, Url


@chain_app.command("accuse")
def chain_accuse(
    transactions: Annotated[
        list[str] | None, typer.Argument(help="Hashes of the two transactions, or of the one that attests both.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A proof that was written before, instead.")] = None,
    ledger: Annotated[
        str | None, typer.Option("--ledger", help="The chain id that the file has to be about, to check it offline.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the proof here, for others to check.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Report it to the ledger, by this operator key.")] = None,
    rpc: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Prove that an account attested two headers at one height; with --key, report it, so that members can vote on it.

    The proof is two signed transactions. A file is checked without a network. What the ledger refused counts, too.
    """
    from core.runtime.files import replace_file
    from gateway import equivocations

    configure_logging(level="error", form="console")
    if bool(transactions) == (file is not None):
        raise ConflictError("name the hashes of the two transactions, or --file with a proof")
    if file is not None:
        found = equivocations.read_accusation(file, ledger)
    else:
        names = transactions or []
        if len(names) > 2:
            raise RejectedError(f"a proof has two transactions, not {len(names)}")
        found = asyncio.run(equivocations.find_accusation(rpc, names[0], names[-1]))
    if out is not None:
        replace_file(out, found.file)
    body = equivocations.shown(found)
    if key is not None:
        body |= asyncio.run(equivocations.report(rpc, key, found))
    if as_json:
        typer.echo(json.dumps(body))
        return
    typer.echo(f"proven: {body['attestor']} attested two blocks of {body['chain']} at height {body['height']:,}")
    for one in body["attested"]:
        typer.echo(f"  block {one['block_hash']}, time {one['time']}")
    if key is not None:
        typer.echo(f"recorded in block {body['height_of_report']:,}: members can vote on it (causeway chain propose)")
