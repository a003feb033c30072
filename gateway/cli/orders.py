"""`causeway supervise hold prepare|approve|lift|sign|submit|list|show`: two officers' orders, step by step."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.model.errors import RejectedError
from core.runtime.logging import configure_logging
from gateway.cli import hold_app
from gateway.cli.members import DEFAULT_URL, Url
from gateway.cli.options import PASSPHRASE, AsJson, PassphraseFile, PassphraseVariable

if TYPE_CHECKING:
    from regulator_api.drafts import OrderDraft

DEFAULT_DAYS: Final = 30

Officer = Annotated[
    str, typer.Option("--officer", help="The account of the officer who signs: 40 hex digits or CAIP-10.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The file to make; one that exists stays as it is.")]
Number = Annotated[int, typer.Argument(min=1, help="The order's number.")]
File = Annotated[Path, typer.Argument(help="The file, as prepare, approve, lift, sign or the supervision API made it.")]


@hold_app.command("prepare")
def hold_prepare(
    account: Annotated[str, typer.Argument(help="The account to hold: 40 hex digits or CAIP-10.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in one line. It is public.")],
    case: Annotated[str, typer.Option("--case", help="The case's id; only its SHA-256 leaves this machine.")],
    officer: Officer,
    out: Out = Path("order.json"),
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="How long it holds.")] = DEFAULT_DAYS,
    until: Annotated[
        str | None, typer.Option("--until", help="When it ends instead, such as 2026-12-24T00:00:00Z or Unix seconds.")
    ] = None,
    rpc: Url = DEFAULT_URL,
) -> None:
    """Prepare an order for the first officer to sign. It changes nothing by itself, and needs no key."""
    from gateway import orders
    from gateway.cli.verification import moment

    configure_logging(level="error", form="console")
    wanted = orders.Wanted(account, reason, case, days, None if until is None else moment(until))
    _write(asyncio.run(orders.prepare(rpc, officer, wanted)), out)


@hold_app.command("approve")
def hold_approve(number: Number, officer: Officer, out: Out = Path("approval.json"), rpc: Url = DEFAULT_URL) -> None:
    """Prepare the second officer's half of an order, or of its lift, whichever waits for one."""
    from gateway import orders

    configure_logging(level="error", form="console")
    _write(asyncio.run(orders.approve(rpc, officer, number)), out)


@hold_app.command("lift")
def hold_lift(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", help="Why it ends, in one line. It is public.")],
    officer: Officer,
    out: Out = Path("lift.json"),
    rpc: Url = DEFAULT_URL,
) -> None:
    """Prepare the end of an order before it expires, for the first officer to sign. Another one approves it."""
    from gateway import orders

    configure_logging(level="error", form="console")
    _write(asyncio.run(orders.lift(rpc, officer, number, reason)), out)


@hold_app.command("sign")
def hold_sign(
    file: File,
    key: Annotated[
        Path | None, typer.Option("--key", help="The officer's key file: operator_key.json of a home, or its like.")
    ] = None,
    keystore: Annotated[Path | None, typer.Option("--keystore", help="Or an encrypted file that has it.")] = None,
    name: Annotated[str, typer.Option("--name", help="The name of the officer's key in it.")] = "officer",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The signed file to make; else FILE with .signed before .json."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    passphrase_env: PassphraseVariable = PASSPHRASE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Show what a file asks an officer to sign, and sign it. Needs no network: do it on the officer's own machine."""
    from gateway import orders
    from regulator_api.drafts import half_of, in_words

    half = half_of(_read(file))
    for label, value in in_words(half):
        typer.echo(f"{label + ':':16}{value}")
    if not yes:
        if not sys.stdin.isatty():
            raise RejectedError("there is no terminal to ask at: read what is signed above, then add --yes")
        typer.confirm("Sign it?", abort=True)
    signed = orders.sign(half, _seed(key, keystore, name, passphrase_file, passphrase_env))
    _write(signed, out or file.with_suffix(".signed.json"))


@hold_app.command("submit")
def hold_submit(file: File, rpc: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Send a signed file to the chain, and wait for its block. It needs no key: anybody may."""
    from gateway import orders

    configure_logging(level="error", form="console")
    outcome = asyncio.run(orders.submit(rpc, _read(file)))
    if as_json:
        typer.echo(json.dumps(outcome))
        return
    order = outcome["order"]
    typer.echo(f"in block {outcome['height']:,}: order {order['number']} is {order['status']}")
    if order["status"] == "prepared" or order["lift_waits"]:
        typer.echo(f"Another officer goes on: causeway supervise hold approve {order['number']} --officer ACCOUNT")


@hold_app.command("list")
def hold_list(
    account: Annotated[
        str | None, typer.Option("--account", help="Of the newest 100, only orders about this account.")
    ] = None,
    before: Annotated[int | None, typer.Option("--before", min=1, help="Only orders with lower numbers.")] = None,
    rpc: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show the newest orders, and how each stands. Unproven: `causeway query` has holds with a proof."""
    from gateway import orders

    configure_logging(level="error", form="console")
    found = asyncio.run(orders.listing(rpc, account, before))
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table(title=f"{found['count']} orders on {found['chain']}, block {found['height']:,}", title_justify="left")
    for column in ("order", "status", "account", "until", "reason"):
        table.add_column(column, overflow="fold")
    for one in found["orders"]:
        table.add_row(str(one["number"]), _status(one), one["account"], _moment(one["expires"]), escape(one["reason"]))
    Console().print(table)


@hold_app.command("show")
def hold_show(number: Number, rpc: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one order, with who signed what and when."""
    from gateway import orders

    configure_logging(level="error", form="console")
    one = asyncio.run(orders.show(rpc, number))
    if as_json:
        typer.echo(json.dumps(one))
        return
    lines = [("order", str(one["number"])), ("status", _status(one)), ("account", one["account"])]
    lines += [("reason", one["reason"]), ("case (SHA-256)", one["case"]), ("held until", _moment(one["expires"]))]
    for step in ("prepared", "approved", "lift_prepared", "lift_approved"):
        if one[step] is not None:
            when = _moment(one[step]["time"])
            lines.append((step.replace("_", " "), f"{one[step]['officer']}, {when}"))
    lines += [("lift reason", one["lift_reason"])] if one["lift_reason"] else []
    lines += [("renewed by", f"order {one['renewed_by']}")] if one["renewed_by"] else []
    for label, value in lines:
        typer.echo(f"{label + ':':16}{value}")


def _status(one: dict[str, Any]) -> str:
    return f"{one['status']}, lift waits" if one["lift_waits"] else str(one["status"])


def _moment(seconds: int) -> str:
    from core.runtime.clock import show_time

    return show_time(seconds)


def _seed(key: Path | None, keystore: Path | None, name: str, file: Path | None, variable: str) -> bytes:
    from gateway.keyring import Passphrase
    from local_chains.consortium.node import load_operator_key
    from relayer.keys.keystore import read_keystore

    if (key is None) == (keystore is None):
        raise RejectedError("name the officer's key, by one of --key and --keystore")
    if key is not None:
        return load_operator_key(key).seed
    assert keystore is not None
    return read_keystore(keystore, Passphrase(file, variable).read()).key(name).expose()


def _read(file: Path) -> "OrderDraft":
    from core.runtime.files import read_small
    from regulator_api.drafts import MAX_FILE_BYTES, decode_draft

    return decode_draft(read_small(file, MAX_FILE_BYTES, "the order's file"))


def _write(draft: "OrderDraft", out: Path) -> None:
    from regulator_api.drafts import encode_draft

    try:
        with out.open("xb") as made:
            made.write(encode_draft(draft))
    except FileExistsError:
        raise RejectedError(f"{out} exists already: name another file with --out") from None
    signs = (
        "Submit it: causeway supervise hold submit" if draft.transaction else "Sign it: causeway supervise hold sign"
    )
    typer.echo(f"{out}: {draft.step} for {draft.account}. {signs} {out}")
