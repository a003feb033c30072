"""`causeway regulator init|token|key` and `causeway regulator lists …`: who may ask, and what is known."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from core.model.errors import ConflictError, RejectedError
from gateway.cli import regulator_app
from gateway.cli.options import (
    PASSPHRASE,
    REGULATOR_FILE,
    AsJson,
    ConsortiumNodes,
    EvmChain,
    EvmContract,
    EvmEndpoints,
    EvmTokens,
    PassphraseFile,
    PassphraseVariable,
    RegulatorFile,
)

lists_app = typer.Typer(help="Published lists: import, compare, show them.", no_args_is_help=True)
regulator_app.add_typer(lists_app, name="lists")

Scopes = Annotated[list[str] | None, typer.Option("--scope", help="What it opens, once for each.")]
Jurisdictions = Annotated[
    list[str] | None, typer.Option("--jurisdiction", help="An ISO 3166 code that it sees, once for each; else all.")
]
ListName = Annotated[str, typer.Argument(help="What you call the list, such as ofac.")]
Files = Annotated[list[Path], typer.Argument(help="Its files, or a folder with them: the whole list.")]
Kind = Annotated[str, typer.Option("--kind", help="ofac (JSON arrays), sdn (OFAC's XML) or tagpack (GraphSense).")]
Published = Annotated[str | None, typer.Option("--published", help="The day it was published, 2024-09-27; else today.")]
OnChain = Annotated[
    list[str] | None,
    typer.Option("--on", help="An EVM chain that its Ethereum accounts count on, too; else all that are configured."),
]
Category = Annotated[str | None, typer.Option("--category", help="A category for all of its tags, too.")]
Corrects = Annotated[
    bool, typer.Option("--corrects", help="What is not in it any more never was true, and its dates are right.")
]


@regulator_app.command("init")
def regulator_init(
    directory: Annotated[Path, typer.Argument(help="Where configuration and keys go.")] = Path(),
    source: Annotated[
        Path | None, typer.Option("--from", help="A relayer's or an index's file: its chains are supervised.")
    ] = None,
    evm: EvmChain = None,
    rpc: EvmEndpoints = None,
    contract: EvmContract = None,
    token: EvmTokens = None,
    consortium: ConsortiumNodes = None,
    asset: Annotated[
        list[str] | None, typer.Option("--asset", help="An asset's symbol on the consortium chain, once for each.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What this supervision is called.")] = "supervision",
    listen: Annotated[str, typer.Option("--listen", help="host:port of the API.")] = "127.0.0.1:8490",
    database: Annotated[str, typer.Option("--database", help="sqlite:///FILE or postgresql://….")] = (
        "sqlite:///regulator.sqlite"
    ),
    passphrase_env: PassphraseVariable = PASSPHRASE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write a commented configuration, and make the keys that sign answers and tokens. Nothing is overwritten."""
    from core.runtime.logging import configure_logging
    from gateway import keyring, regulator_setup, setup
    from gateway.config.known_chains import known_chain

    configure_logging(level="error", form="console")
    if (directory / regulator_setup.CONFIGURATION).exists():
        raise ConflictError(
            f"{directory / regulator_setup.CONFIGURATION} exists already: name another directory, or edit it"
        )
    if evm is not None and not (rpc and contract):
        raise RejectedError("--evm needs --rpc and --contract: the chain's endpoints, and the contract with the locks")
    wanted = regulator_setup.WantedSupervision(
        name=name,
        listen=listen,
        database=database,
        source=source,
        evm=None if evm is None else known_chain(evm),
        rpc=rpc or (),
        contract="" if contract is None else setup.refuse_bad_address(contract),
        tokens=[setup.refuse_bad_address(one) for one in token or []],
        consortium=consortium or (),
        symbols=asset or (),
    )
    config = asyncio.run(regulator_setup.draft(wanted))
    keystore = directory / regulator_setup.KEYSTORE
    directory.mkdir(parents=True, exist_ok=True)
    passphrase = keyring.Passphrase(passphrase_file, passphrase_env, new=not keystore.exists())
    path = regulator_setup.write(directory, config, passphrase)
    typer.echo(f"{path} and {keystore} are written.\n\nWhat is left to do:")
    for number, line in enumerate(
        (
            f"Back up {keystore} and its passphrase: whoever has both makes tokens, and signs as this supervision.",
            f"causeway regulator check --config {path}",
            f"causeway regulator run --config {path}",
            f"causeway regulator token analyst --scope read --config {path}   # a token for an hour",
            f"causeway regulator lists import ofac FILES --config {path}",
        ),
        1,
    ):
        typer.echo(f"  {number}. {line}")


@regulator_app.command("token")
def regulator_token(
    client: Annotated[str, typer.Argument(help="The client that it is for: [[clients]] says what it may at the most.")],
    scope: Scopes = None,
    jurisdiction: Jurisdictions = None,
    person: Annotated[str | None, typer.Option("--person", help="Who uses it, for the audit log.")] = None,
    life_s: Annotated[int, typer.Option("--life", min=1, help="Seconds that it is good for.")] = 3_600,
    config: RegulatorFile = REGULATOR_FILE,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an access token with the issuer's key that `init` made; it is shown, and kept nowhere.

    Without --scope it has those that the configuration gives its client.
    """
    from gateway import config as settings
    from gateway import keyring, supervision

    loaded = settings.load(config, settings.RegulatorConfig)
    if loaded.tokens is None or loaded.signing is None:
        raise RejectedError(f"{config} has no [tokens] and [signing]: `causeway regulator init` writes them")
    given = next((one.scopes for one in loaded.clients if one.id == client), ())
    passphrase = keyring.Passphrase(passphrase_file, loaded.signing.passphrase_env)
    seed = supervision.issuer_seed(config.resolve().parent / loaded.signing.keystore, passphrase.read())
    token = supervision.issued_token(
        seed, loaded.tokens, client, tuple(scope or given), tuple(jurisdiction or ["*"]), life_s, person
    )
    typer.echo(json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": life_s}) if as_json else token)


@regulator_app.command("key")
def regulator_key(
    name: Annotated[str, typer.Argument(help="Who it is for, in the audit log.")],
    scope: Scopes = None,
    jurisdiction: Jurisdictions = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key: for relayers that report, and for development. It is shown once; the file has its hash."""
    import tomli_w

    from gateway.supervision import fresh_key

    key, kept = fresh_key(name, scope or ["read"], jurisdiction or [])
    entry = {"name": kept.name, "sha256": kept.sha256, "scopes": list(kept.scopes)}
    if kept.jurisdictions:
        entry["jurisdictions"] = list(kept.jurisdictions)
    if as_json:
        typer.echo(json.dumps({"key": key, "entry": entry}))
        return
    typer.echo(f"The key, for the header X-API-Key: {key}\n\nAdd to the configuration:\n")
    typer.echo(tomli_w.dumps({"keys": [entry]}))


@lists_app.command("import")
def lists_import(
    name: ListName,
    files: Files,
    kind: Kind = "ofac",
    published: Published = None,
    on: OnChain = None,
    category: Category = None,
    corrects: Corrects = False,
    shrinks: Annotated[
        bool, typer.Option("--shrinks", help="It is right that more than half of the list is gone.")
    ] = False,
    config: RegulatorFile = REGULATOR_FILE,
    as_json: AsJson = False,
) -> None:
    """Make the files the list's newest version. What they no longer have counts as delisted when they were published.

    One line that cannot be read refuses all of it, and the version before stays.
    """
    from gateway import config as settings
    from gateway import lists

    loaded, base = settings.load(config, settings.RegulatorConfig), config.resolve().parent
    parsed, published_s = lists.read_list(loaded, kind, files, published, on or [], category)
    made, diff = asyncio.run(lists.take_list(loaded, base, name, kind, parsed, published_s, corrects, shrinks))
    if as_json:
        typer.echo(json.dumps({**lists.version_to_json(made), "diff": lists.diff_to_json(diff)}))
        return
    typer.echo(
        f"{name} has {made.entries} entries as of label version {made.version}: {made.added} are new, "
        f"{made.changed} changed, {made.removed} were delisted"
    )


@lists_app.command("diff")
def lists_diff(
    name: ListName,
    files: Files,
    kind: Kind = "ofac",
    published: Published = None,
    on: OnChain = None,
    category: Category = None,
    corrects: Corrects = False,
    config: RegulatorFile = REGULATOR_FILE,
    as_json: AsJson = False,
) -> None:
    """Show what importing the files would change. Nothing is written."""
    from gateway import config as settings
    from gateway import lists

    loaded, base = settings.load(config, settings.RegulatorConfig), config.resolve().parent
    parsed, _ = lists.read_list(loaded, kind, files, published, on or [], category)
    found = lists.diff_to_json(asyncio.run(lists.compare_list(loaded, base, name, parsed, corrects)))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for change, part in found.items():
        typer.echo(f"{part['count']} {change}")
        for one in part["first"]:
            typer.echo(f"  {one['subject']}  {one['category']}  {one['label']}")


@lists_app.command("show")
def lists_show(
    version: Annotated[int | None, typer.Argument(help="A label version: then what it changed.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rows at most.")] = 50,
    config: RegulatorFile = REGULATOR_FILE,
    as_json: AsJson = False,
) -> None:
    """Show the label versions, newest first, or what one of them changed."""
    from gateway import config as settings
    from gateway import lists

    loaded, base = settings.load(config, settings.RegulatorConfig), config.resolve().parent
    if version is not None:
        changes = asyncio.run(lists.show_changes(loaded, base, version, limit))
        lines = [f"{one['change']:<9} {one['subject']}  {one['category']}  {one['label']}" for one in changes]
        typer.echo(json.dumps(changes) if as_json else "\n".join(lines))
        return
    found = [lists.version_to_json(one) for one in asyncio.run(lists.show_lists(loaded, base, limit))]
    lines = [
        f"{one['version']:>5}  {one['known']}  {one['list']:<16} {one['kind']:<8} {one['entries']:>7} entries  "
        f"+{one['added']} ~{one['changed']} -{one['removed']}  by {one['who']}"
        for one in found
    ]
    typer.echo(json.dumps(found) if as_json else "\n".join(lines) or "no list has been imported")
