"""`causeway contract …`: the HashedTimelock that holds locks on an EVM chain."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.model.errors import RejectedError
from core.model.types import ChainId
from gateway.cli import EXIT_REFUSED, EXIT_TRY_AGAIN, EXIT_UNSAFE, contract_app
from gateway.cli.options import PASSPHRASE, AsJson, PassphraseFile, PassphraseVariable

Urls = Annotated[list[str], typer.Option("--rpc", help="An endpoint's URL, once for each; several are compared.")]
Chain = Annotated[str | None, typer.Option(help="The CAIP-2 id that the endpoints must be of, such as eip155:1.")]


@contract_app.command("hash")
def contract_hash(as_json: AsJson = False) -> None:
    """Print the hash of the contract's code as we ship it (EIP-1052). Nobody is asked."""
    from adapters.evm.chain import htlc_code_hash

    found = f"0x{htlc_code_hash().hex()}"
    typer.echo(json.dumps({"contract": "HashedTimelock", "code_hash": found}) if as_json else found)


@contract_app.command("deploy")
def contract_deploy(
    rpc: Urls,
    keystore: Annotated[Path, typer.Option("--keystore", help="The encrypted file with the key.")],
    key: Annotated[str, typer.Option("--key", help="The key that pays; best one that nothing else uses.")] = "deployer",
    chain: Chain = None,
    passphrase_env: PassphraseVariable = PASSPHRASE,
    passphrase_file: PassphraseFile = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it is sent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create the contract on a chain, and print what a configuration needs of it.

    It has no owner and no settings: whoever creates it has no power over it, and one serves everybody on the chain.
    """
    from gateway import contracts
    from gateway.keyring import Passphrase
    from relayer.keys.keystore import read_keystore

    secret = read_keystore(keystore, Passphrase(passphrase_file, passphrase_env).read()).key(key).expose()

    def agree(plan: contracts.Plan) -> bool:
        if not as_json:
            typer.echo("\n".join(plan.shown()))
        if yes:
            return True
        if as_json or not sys.stdin.isatty():
            raise RejectedError("nobody can be asked here: add --yes")
        return typer.confirm("Create it?", False)

    def say(text: str) -> None:
        typer.echo(text, err=True)

    made = asyncio.run(contracts.deploy(rpc, secret, _parsed(chain), agree, say))
    if made is None:
        typer.echo("nothing was sent")
        raise typer.Exit(EXIT_REFUSED)
    found = {
        "chain": made.plan.chain,
        "genesis": made.plan.genesis_hash.hex(),
        "contract": made.plan.contract,
        "start": made.height,
        "transaction": made.tx_hash.hex(),
        "code_hash": made.code_hash.hex(),
    }
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"created in block {made.height}; its code is ours (0x{made.code_hash.hex()}).\nIn the configuration:\n")
    typer.echo(f'[[chains]]\nid = "{made.plan.chain}"\ngenesis = "{made.plan.genesis_hash.hex()}"')
    typer.echo(f'contract = "{made.plan.contract}"\nstart = {made.height}')


@contract_app.command("verify")
def contract_verify(
    address: Annotated[str, typer.Argument(help="The contract's address, 0x… or eip155:N:0x….")],
    rpc: Urls,
    chain: Chain = None,
    as_json: AsJson = False,
) -> None:
    """Compare the code at an address with the contract that we ship, at each endpoint."""
    from adapters.evm.chain import htlc_code_hash
    from gateway import contracts

    known, raw = _located(address, _parsed(chain))
    found, seen = asyncio.run(contracts.verify(rpc, raw, known))
    if as_json:
        answers = [
            {"endpoint": one.endpoint, "code_hash": one.code_hash and one.code_hash.hex(), "error": one.error}
            for one in seen
        ]
        ours = {"chain": found, "expected": htlc_code_hash().hex(), "answers": answers}
        typer.echo(json.dumps({**ours, "verified": all(one.is_ours for one in seen)}))
    else:
        for one in seen:
            typer.echo(f"{one.endpoint}  {_said(one.is_ours, one.code_hash, one.error)}")
    if any(one.error is None and not one.is_ours for one in seen):
        raise typer.Exit(EXIT_UNSAFE)
    if any(one.error is not None for one in seen):
        raise typer.Exit(EXIT_TRY_AGAIN)


def _said(is_ours: bool, code_hash: bytes | None, error: str | None) -> str:
    if error is not None:
        return f"does not answer: {error}"
    if is_ours:
        return "the HashedTimelock of this version"
    if code_hash is None:
        return "NO CONTRACT there: the address is of another chain, or mistyped"
    return f"OTHER CODE than ours (0x{code_hash.hex()}): do not use it"


def _parsed(chain: str | None) -> ChainId | None:
    from core.model.identifiers import parse_chain

    return None if chain is None else parse_chain(chain)


def _located(text: str, chain: ChainId | None) -> tuple[ChainId | None, bytes]:
    """Return the chain that an address is on, if it is known, and its 20 bytes. Raise `RejectedError`."""
    from core.model.identifiers import parse_account
    from core.model.types import chain_of
    from core.proofs.lanes import evm_address

    if text.startswith("0x"):
        return chain, evm_address(parse_account(f"{chain or 'eip155:1'}:{text}"))
    account = parse_account(text)
    if chain is not None and chain_of(account) != chain:
        raise RejectedError(f"{text} is not an address on {chain}: correct one of the two")
    return chain_of(account), evm_address(account)
