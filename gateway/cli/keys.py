"""`causeway keys …`: what is in a keystore, and how keys get into it and out of it. None of them needs a chain."""

import json
from pathlib import Path
from typing import Annotated

import typer

from core.model.errors import RejectedError
from gateway.cli import keys_app
from gateway.cli.options import PASSPHRASE, AsJson, PassphraseFile, PassphraseVariable

Keystore = Annotated[Path, typer.Argument(help="The encrypted file, such as keystore.json.")]
Name = Annotated[str, typer.Argument(help="What the key is called in it, such as ethereum.")]


@keys_app.command("new")
def keys_new(
    keystore: Keystore,
    names: Annotated[list[str], typer.Argument(help="Names of fresh keys, such as ethereum consortium quote.")],
    variable: PassphraseVariable = PASSPHRASE,
    file: PassphraseFile = None,
) -> None:
    """Make fresh keys: in a new keystore, or next to the keys of one that exists."""
    from gateway import keyring

    added = keyring.add_fresh(keystore, names, keyring.Passphrase(file, variable, new=not keystore.exists()))
    typer.echo(f"{keystore}: {', '.join(added)}. Back it up: without it the inventory is lost.")


@keys_app.command("list")
def keys_list(
    keystore: Keystore, variable: PassphraseVariable = PASSPHRASE, file: PassphraseFile = None, as_json: AsJson = False
) -> None:
    """Show the keys' names, and the address that each has on either kind of chain."""
    from gateway import keyring

    found = keyring.list_keys(keystore, keyring.Passphrase(file, variable))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found:
        typer.echo(f"{one['name']}\n  Ethereum    {one['ethereum']}\n  consortium  {one['consortium']}")


@keys_app.command("address")
def keys_address(
    keystore: Keystore,
    name: Name,
    chain: Annotated[str, typer.Option(help="A CAIP-2 id, such as eip155:1 or causeway:devnet-1.")] = "eip155:1",
    variable: PassphraseVariable = PASSPHRASE,
    file: PassphraseFile = None,
) -> None:
    """Print the account of one key on a chain (CAIP-10). The chain need not run."""
    from gateway import keyring

    typer.echo(keyring.account_of(keystore, name, chain, keyring.Passphrase(file, variable)))


@keys_app.command("import")
def keys_import(
    keystore: Keystore,
    name: Name,
    ethereum: Annotated[
        Path | None, typer.Option("--ethereum", help="A key file of geth, Foundry or a wallet (version 3).")
    ] = None,
    seed: Annotated[
        Path | None, typer.Option("--seed", help="A file with the 32 bytes in hexadecimal; - reads them from a prompt.")
    ] = None,
    operator: Annotated[
        Path | None, typer.Option("--operator", help="A validator operator's key: operator_key.json of a chain's home.")
    ] = None,
    foreign_file: Annotated[
        Path | None, typer.Option("--from-passphrase-file", help="A file with the passphrase of the key file.")
    ] = None,
    variable: PassphraseVariable = PASSPHRASE,
    file: PassphraseFile = None,
) -> None:
    """Bring one key into a keystore, which is made if there is none."""
    from gateway import keyring

    if sum(one is not None for one in (ethereum, seed, operator)) != 1:
        raise RejectedError("name where the key comes from, by one of --ethereum, --seed and --operator")
    passphrase = keyring.Passphrase(file, variable, new=not keystore.exists())
    if ethereum is not None:
        address = keyring.import_ethereum(keystore, name, ethereum, foreign_file, passphrase)
    elif seed is not None:
        address = keyring.import_seed(keystore, name, seed, passphrase)
    else:
        assert operator is not None
        address = keyring.import_operator(keystore, name, operator, passphrase)
    typer.echo(f"{keystore}: {name}, {address}")
    if operator is not None:
        typer.echo(f'To attest headers with it, in the configuration: [attest] keys = ["{name}"]')


@keys_app.command("export")
def keys_export(
    keystore: Keystore,
    name: Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to make; one that exists stays as it is.")],
    seed: Annotated[
        bool, typer.Option("--seed", help="The bare 32 bytes in hexadecimal, for anybody who reads the file.")
    ] = False,
    foreign_file: Annotated[
        Path | None, typer.Option("--to-passphrase-file", help="A file with the new file's passphrase; else a prompt.")
    ] = None,
    variable: PassphraseVariable = PASSPHRASE,
    file: PassphraseFile = None,
) -> None:
    """Write one key into a file of its own: an Ethereum key file (version 3) under a passphrase, or the bare bytes."""
    from gateway import keyring

    keyring.export_key(keystore, name, out, keyring.Passphrase(file, variable), foreign_file, bare=seed)
    typer.echo(f"{out}: {name}. Whoever has this file{'' if seed else ' and its passphrase'} has the money.")


@keys_app.command("passphrase")
def keys_passphrase(
    keystore: Keystore,
    new_file: Annotated[
        Path | None, typer.Option("--new-file", help="A file whose first line is the new passphrase; else a prompt.")
    ] = None,
    variable: PassphraseVariable = PASSPHRASE,
    file: PassphraseFile = None,
) -> None:
    """Change the passphrase of a keystore. Copies of the file keep the former one."""
    from gateway import keyring

    keyring.change_passphrase(keystore, keyring.Passphrase(file, variable), new_file)
    typer.echo(f"{keystore}: the passphrase is changed. Copies that you keep elsewhere still open with the former one.")


@keys_app.command("remove")
def keys_remove(
    keystore: Keystore,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    variable: PassphraseVariable = PASSPHRASE,
    file: PassphraseFile = None,
) -> None:
    """Take one key out of a keystore. What its account holds is lost unless the key is kept elsewhere."""
    import sys

    from gateway import keyring

    passphrase = keyring.Passphrase(file, variable)
    addresses = keyring.addresses(keystore, name, passphrase)
    if not yes:
        if not sys.stdin.isatty():
            raise RejectedError(
                "there is no terminal to ask at: make sure that the key is kept elsewhere, then add --yes"
            )
        typer.echo(f"{name}: Ethereum {addresses['ethereum']}, consortium {addresses['consortium']}")
        typer.confirm("Is it kept elsewhere, or its accounts empty? It is removed for good", abort=True)
    keyring.remove_key(keystore, name, passphrase)
    typer.echo(f"{keystore}: {name} is removed")
