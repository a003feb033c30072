"""`causeway swap`: one atomic swap, step by step, with a relayer of one's choice or on the running devnet."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from core.model.errors import ConflictError
from gateway.cli import swap_app
from gateway.cli.devnet import DEFAULT_DIRECTORY, Directory
from gateway.cli.options import PASSPHRASE, PassphraseFile, PassphraseVariable

if TYPE_CHECKING:
    from gateway.swapping import Stage


@swap_app.command("make")
def swap(
    amount: Annotated[str, typer.Argument(help="How much to give, such as 0.5.")],
    give: Annotated[str, typer.Argument(help="What to give: its symbol, such as eth, or its CAIP-19 id.")],
    get: Annotated[str, typer.Argument(help="What to get, on the other chain.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Your swap.toml; else ./swap.toml, else the devnet.")
    ] = None,
    user: Annotated[str, typer.Option(help="Whose keys to use: a user of the devnet.")] = "alice",
    relayer: Annotated[str | None, typer.Option(help="With which relayer of the devnet; else the first.")] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the quote without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Steps on standard error, the outcome as JSON.")] = False,
) -> None:
    """Swap as a dApp does: quote, check, lock, verify the other lock on chain, claim. If it fails, refund.

    The preimage is made here, is kept in your store, and leaves it with the claim only. A swap that was interrupted
    goes on when this command runs again with the same store.
    """
    from core.runtime.logging import configure_logging
    from gateway import swapping

    configure_logging(level="error", form="console")
    console = Console(stderr=as_json)

    def show(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    def agree(price: str) -> bool:
        return yes or not sys.stdin.isatty() or typer.confirm("Take it?", True)

    stage = _stage(config, directory, user, relayer)
    result = asyncio.run(swapping.make(stage, swapping.Asked(amount, give, get), show, agree))
    if as_json:
        typer.echo(json.dumps(result))
    sys.exit(0 if result["outcome"] == "completed" else 1)


def _stage(config: Path | None, directory: Path, user: str, relayer: str | None) -> "Stage":
    from gateway import config as settings
    from gateway import swap_setup, swapping
    from gateway.devnet.info import load_info

    own = config or (here if (here := Path(swap_setup.CONFIGURATION)).exists() else None)
    if own is None:
        return swapping.of_devnet(load_info(directory), directory, user, relayer)
    return swapping.of_config(settings.load(own, settings.SwapConfig), own.resolve().parent)


@swap_app.command("init")
def swap_init(
    relayer: Annotated[str, typer.Option("--relayer", help="The URL of the relayer's API.")],
    evm: Annotated[
        str, typer.Option("--evm", help="ethereum, sepolia, base, op, arbitrum, polygon, bnb, gnosis or anvil.")
    ],
    rpc: Annotated[list[str], typer.Option("--rpc", help="An endpoint of that chain, once for each.")],
    consortium: Annotated[
        list[str], typer.Option("--consortium", help="The RPC of a consortium chain's node, once for each.")
    ],
    directory: Annotated[Path, typer.Argument(help="Where configuration and keys go.")] = Path(),
    contract: Annotated[
        str | None, typer.Option("--contract", help="The HashedTimelock's address; else the one that the relayer uses.")
    ] = None,
    passphrase_env: PassphraseVariable = PASSPHRASE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write a configuration for swaps with one relayer, and make keys of your own.

    The relayer is asked for what it trades. The code of its contract is compared with ours on the chain, at your own
    endpoints; nothing is overwritten, and a keystore that is there keeps its keys.
    """
    from core.model.types import ChainId
    from core.runtime.logging import configure_logging
    from gateway import keyring, setup, swap_setup
    from gateway.config.known_chains import known_chain

    configure_logging(level="error", form="console")
    path = directory / swap_setup.CONFIGURATION
    if path.exists():
        raise ConflictError(f"{path} exists already: name another directory, or edit it")
    address = None if contract is None else setup.refuse_bad_address(contract)
    wanted = swap_setup.Wanted(relayer, known_chain(evm), rpc, consortium, address, passphrase_env)
    drafted = asyncio.run(swap_setup.draft(wanted))
    keystore = directory / setup.KEYSTORE
    passphrase = keyring.Passphrase(passphrase_file, passphrase_env, new=not keystore.exists())
    accounts = keyring.complete(keystore, swap_setup.KEYS, passphrase)
    swap_setup.write(directory, drafted)
    typer.echo(f"{path} and {keystore} are written.")
    typer.echo(f"The key of the relayer's prices is {drafted.config.relayer_key}: compare it with a published one.")
    for one in drafted.config.accounts:
        kind = "ethereum" if one.chain.startswith("eip155:") else "consortium"
        symbols = ", ".join(drafted.symbols[ChainId(one.chain)])
        typer.echo(f"Your account for {symbols}: {one.chain}:{accounts[one.key][kind]}")
