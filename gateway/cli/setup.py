"""`causeway relayer init`: a configuration, keys, and what is left to do."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.model.errors import ConflictError, RejectedError
from gateway.cli import relayer_app
from gateway.cli.options import (
    PASSPHRASE,
    ConsortiumNodes,
    EvmChain,
    EvmContract,
    EvmEndpoints,
    EvmTokens,
    PassphraseFile,
    PassphraseVariable,
)

if TYPE_CHECKING:
    from gateway.setup import Drafted


@relayer_app.command("init")
def relayer_init(
    directory: Annotated[Path, typer.Argument(help="Where configuration and keys go.")] = Path(),
    evm: EvmChain = None,
    rpc: EvmEndpoints = None,
    contract: EvmContract = None,
    token: EvmTokens = None,
    consortium: ConsortiumNodes = None,
    offer: Annotated[
        list[str] | None,
        typer.Option("--offer", help="Such as '1 eth = 25000 cnyd, from 0.01 to 5', once for each; both ways."),
    ] = None,
    spread: Annotated[str, typer.Option("--spread", help="Percent that you keep in either direction.")] = "1",
    name: Annotated[str, typer.Option("--name", help="The relayer's name.")] = "relayer",
    listen: Annotated[str, typer.Option("--listen", help="host:port of the dApp API.")] = "127.0.0.1:8645",
    database: Annotated[str, typer.Option("--database", help="sqlite:///FILE or postgresql://….")] = (
        "sqlite:///relayer.sqlite"
    ),
    passphrase_env: PassphraseVariable = PASSPHRASE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write a commented configuration and make keys; what is not given is asked for.

    Chain ids, first blocks, symbols and decimals are read from the endpoints, timing from a table of known chains.
    Nothing is overwritten: a keystore that is there keeps its keys.
    """
    from core.runtime.logging import configure_logging
    from gateway import keyring, setup
    from gateway.config.known_chains import KNOWN, known_chain

    configure_logging(level="error", form="console")
    if (directory / setup.CONFIGURATION).exists():
        raise ConflictError(f"{directory / setup.CONFIGURATION} exists already: name another directory, or edit it")
    known = known_chain(_asked(evm, "--evm", f"Which Ethereum chain ({', '.join(KNOWN)})"))
    urls = _asked_list(rpc, "--rpc", f"Endpoints of {known.name}, URLs with spaces between them")
    if contract is None and not sys.stdin.isatty():
        raise RejectedError(f"no --contract is given: create one by `{setup.contract_hint(urls, known)}`")
    wanted = setup.Wanted(
        name=name,
        listen=listen,
        evm=known,
        rpc=urls,
        contract=setup.refuse_bad_address(_asked(contract, "--contract", "The HashedTimelock's address there")),
        tokens=[setup.refuse_bad_address(one) for one in token or []],
        consortium=_asked_list(consortium, "--consortium", "RPCs of the consortium chain's nodes"),
        offers=[setup.parse_offer(one) for one in _asked_offers(offer)],
        spread_percent=spread,
        database=database,
    )
    drafted = asyncio.run(setup.draft(wanted))
    keystore = directory / setup.KEYSTORE
    passphrase = keyring.Passphrase(passphrase_file, passphrase_env, new=not keystore.exists())
    accounts = keyring.complete(keystore, setup.KEYS, passphrase)
    path = setup.write(directory, drafted)
    typer.echo(f"{path} and {keystore} are written.\n\nWhat is left to do:")
    for number, line in enumerate(_left_to_do(drafted, accounts, path, keystore), 1):
        typer.echo(f"  {number}. {line}")
    for note in drafted.notes:
        typer.echo(f"  note: {note}")


def _left_to_do(drafted: "Drafted", accounts: dict[str, dict[str, str]], path: Path, keystore: Path) -> list[str]:
    from gateway import setup

    evm, ledger = drafted.config.chains
    needs = {str(chain): ", ".join(symbols) for chain, symbols in setup.asset_names(drafted).items()}
    return [
        f"Back up {keystore} and its passphrase, in two places: with either lost, the inventory is lost.",
        f"Pay {needs[evm.id]} (and gas money) to {evm.id}:{accounts['ethereum']['ethereum']}",
        f"Pay {needs[ledger.id]} to {ledger.id}:{accounts['consortium']['consortium']}",
        f"causeway relayer check --config {path}      # the file, the keys, each pair's timelocks",
        f"causeway relayer accounts --config {path}   # what has arrived",
        f"causeway relayer run --config {path}",
    ]


def _asked(given: str | None, option: str, question: str) -> str:
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise RejectedError(f"nobody can be asked here: give {option}")
    return str(typer.prompt(question))


def _asked_list(given: list[str] | None, option: str, question: str) -> list[str]:
    found = given or _asked(None, option, question).split()
    if not found:
        raise RejectedError(f"give {option} at least once")
    return found


def _asked_offers(given: list[str] | None) -> list[str]:
    if given:
        return given
    first = _asked(None, "--offer", "What you offer, such as '1 eth = 25000 cnyd, from 0.01 to 5'")
    offers = [first]
    while more := typer.prompt("Another offer (Enter for none)", default="", show_default=False):
        offers.append(more)
    return offers
