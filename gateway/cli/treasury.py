"""`causeway relayer balance|send|withdraw|sweep`: the operator's money in hand."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.model.errors import RejectedError
from gateway.cli import EXIT_REFUSED, relayer_app
from gateway.cli.options import AsJson, RelayerFile

if TYPE_CHECKING:
    from core.model.types import AccountId, Asset
    from gateway.config import RelayerConfig
    from gateway.treasury import Seen
    from relayer.treasury.orders import Withdrawal

Amount = Annotated[str, typer.Argument(help="How much, such as 0.5; or all, for all that is free.")]
Named = Annotated[str, typer.Argument(help="The asset's symbol, such as eth, or its CAIP-19 id.")]
To = Annotated[str | None, typer.Option("--to", help="Which of [[treasury.destinations]], by its name.")]
Within = Annotated[int, typer.Option("--within", help="Seconds within which a block has to have it, or it lapses.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until a final block has it, and say what became of it.")]
Now = Annotated[bool, typer.Option("--now", help="Send it from here, since no relayer runs; waits for its end.")]
HOUR_S = 3_600
TYPED_CHARS = 6


@relayer_app.command("balance")
def relayer_balance(config: RelayerFile = Path("relayer.toml"), as_json: AsJson = False) -> None:
    """Show what the relayer holds, what open swaps keep of it, what is free, and the newest withdrawals."""
    from gateway import treasury
    from gateway.amounts import readable

    loaded = _loaded(config)
    seen = asyncio.run(treasury.look(loaded, config.resolve().parent))
    if as_json:
        typer.echo(json.dumps(treasury.seen_to_json(seen)))
        return
    for one in seen.accounts:
        typer.echo(f"{one.account}{' (retiring)' if one.retiring else ''}")
        for asset in one.assets:
            held, kept, free = one.purse.held[asset.id], one.purse.kept[asset.id], one.purse.free(asset.id)
            typer.echo(f"  {readable(asset, held)}: {readable(asset, kept)} kept, {readable(asset, free)} free")
    for order in seen.withdrawals:
        _show(seen, order)


@relayer_app.command("send")
def relayer_send(
    amount: Amount,
    asset: Named,
    account: Annotated[str, typer.Argument(help="Who is paid: an address on the asset's chain, or CAIP-10.")],
    config: RelayerFile = Path("relayer.toml"),
    within: Within = HOUR_S,
    yes: Yes = False,
    wait: Wait = False,
    now: Now = False,
    as_json: AsJson = False,
) -> None:
    """Pay what is free to any account, by the relayer's own transactions. With destinations configured, only to these.

    What open swaps keep, and gas for their exits and one more, cannot be taken out.
    """
    from core.model.types import chain_of
    from gateway import treasury

    loaded, base = _loaded(config), config.resolve().parent
    seen = asyncio.run(treasury.look(loaded, base))
    wanted = seen.asset(asset)
    receiver = treasury.parse_receiver(account, chain_of(wanted.id))
    placed = treasury.order(seen, loaded, wanted, _amount(amount), receiver, within)
    _carry(loaded, base, seen, [placed], yes=yes, wait=wait, now=now, as_json=as_json)


@relayer_app.command("withdraw")
def relayer_withdraw(
    amount: Amount,
    asset: Named,
    to: To = None,
    config: RelayerFile = Path("relayer.toml"),
    within: Within = HOUR_S,
    yes: Yes = False,
    wait: Wait = False,
    now: Now = False,
    as_json: AsJson = False,
) -> None:
    """Take what is free out to a destination of the configuration, by the relayer's own transactions."""
    from core.model.types import chain_of
    from gateway import treasury

    loaded, base = _loaded(config), config.resolve().parent
    seen = asyncio.run(treasury.look(loaded, base))
    wanted = seen.asset(asset)
    receiver = treasury.destination(loaded, chain_of(wanted.id), to)
    placed = treasury.order(seen, loaded, wanted, _amount(amount), receiver, within)
    _carry(loaded, base, seen, [placed], yes=yes, wait=wait, now=now, as_json=as_json)


@relayer_app.command("sweep")
def relayer_sweep(
    chain: Annotated[str | None, typer.Option("--chain", help="Only this chain, a CAIP-2 id.")] = None,
    to: To = None,
    retiring: Annotated[
        bool, typer.Option("--retiring", help="Only accounts that retire, into those that open swaps instead of them.")
    ] = False,
    config: RelayerFile = Path("relayer.toml"),
    within: Within = HOUR_S,
    yes: Yes = False,
    wait: Wait = False,
    now: Now = False,
    as_json: AsJson = False,
) -> None:
    """Take all that is free out to the destinations of the configuration, asset by asset, the native coin last.

    With --retiring, what former accounts have left goes to the present ones.
    """
    from core.model.types import chain_of
    from gateway import treasury

    loaded, base = _loaded(config), config.resolve().parent
    only = treasury.of_chain(loaded, chain)
    seen = asyncio.run(treasury.look(loaded, base))
    placed = []
    for one in seen.accounts:
        where = chain_of(one.account)
        free = [asset for asset in one.assets if one.purse.free(asset.id) > 0]
        if (only is not None and where != only) or not free or (retiring and not one.retiring):
            continue
        receiver = seen.present(where).account if retiring else treasury.destination(loaded, where, to)
        # Tokens first: they are paid for in the native coin.
        for asset in sorted(free, key=lambda asset: "/slip44:" in asset.id):
            placed.append(treasury.order(seen, loaded, asset, None, receiver, within, one))
    if not placed:
        typer.echo("[]" if as_json else "nothing is free")
        return
    _carry(loaded, base, seen, placed, yes=yes, wait=wait, now=now, as_json=as_json)


def _loaded(config: Path) -> "RelayerConfig":
    from core.runtime.logging import configure_logging
    from gateway import config as settings

    configure_logging(level="error", form="console")
    return settings.load(config, settings.RelayerConfig)


def _amount(text: str) -> str | None:
    return None if text.lower() == "all" else text


def _carry(
    config: "RelayerConfig",
    base: Path,
    seen: "Seen",
    placed: "Sequence[Withdrawal]",
    *,
    yes: bool,
    wait: bool,
    now: bool,
    as_json: bool,
) -> None:
    from gateway import treasury

    if not as_json:
        for one in placed:
            _show(seen, one)
    if not yes and not _confirmed({one.receiver for one in placed}, as_json):
        typer.echo("nothing was written")
        raise typer.Exit(EXIT_REFUSED)
    ids = [one.id for one in placed]
    found: Sequence[Withdrawal] = placed
    if now:
        found = asyncio.run(treasury.carry_out(config, base, placed))
    else:
        asyncio.run(treasury.place(config, base, placed))
    if wait and not now:
        found = asyncio.run(treasury.ended(config, base, ids))
    hashes = asyncio.run(treasury.transactions_of(config, base, ids)) if now or wait else {}
    if as_json:
        typer.echo(json.dumps([{**treasury.order_to_json(one), "transaction": hashes.get(one.id)} for one in found]))
    elif now or wait:
        for one in found:
            _show(seen, one, hashes.get(one.id))
    else:
        typer.echo("written: the running relayer takes it within seconds; `causeway relayer balance` shows its end")
    if (now or wait) and any(one.status.value != "paid" for one in found):
        raise typer.Exit(EXIT_REFUSED)


def _confirmed(receivers: "set[AccountId]", as_json: bool) -> bool:
    """Ask for the last digits of each account that is paid: whoever reads them does not pay a look-alike."""
    if as_json or not sys.stdin.isatty():
        raise RejectedError("there is no terminal to ask at: look at the account that is paid, then add --yes")
    return all(
        typer.prompt(f"Type the last {TYPED_CHARS} characters of {receiver}", default="", show_default=False).lower()
        == receiver[-TYPED_CHARS:].lower()
        for receiver in sorted(receivers)
    )


def _show(seen: "Seen", one: "Withdrawal", transaction: str | None = None) -> None:
    from gateway.amounts import readable

    asset: Asset | None = next((a for acc in seen.accounts for a in acc.assets if a.id == one.asset), None)
    units = one.amount if one.taken is None else one.taken
    amount = one.asset if asset is None else readable(asset, units) if units is not None else f"all {asset.symbol}"
    why = f": {one.reason}" if one.reason else ""
    sent = f"  tx {transaction}" if transaction else ""
    typer.echo(f"{one.status}  {amount} to {one.receiver}{sent}{why}")
