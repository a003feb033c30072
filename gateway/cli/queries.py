"""`causeway query` and `causeway anchor`: ask chains, and keep the ground on which answers are verified."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from core.model.errors import CausewayError, ConflictError, RejectedError
from gateway.cli import app
from gateway.cli.devnet import DEFAULT_DIRECTORY, Directory
from gateway.cli.options import AsJson
from gateway.cli.verification import LayoutsFile, read_anchor, read_layouts, read_trusted, refusal, show, show_one

if TYPE_CHECKING:
    from core.model.questions import Anchor
    from core.model.types import ChainId, Seconds
    from core.proofs.evidence import Layouts, Trusted
    from relayer.client import Proven, ProvenQueries

anchor_app = typer.Typer(
    help="Get, compare and renew the anchor that evidence is verified under.", no_args_is_help=True
)
app.add_typer(anchor_app, name="anchor")

Nodes = Annotated[list[str] | None, typer.Option("--rpc", help="The RPC of a consortium chain's node, once for each.")]


@app.command()
def query(
    questions: Annotated[list[str], typer.Argument(help="URIs, such as causeway:devnet-1/records/charity/x.")],
    relayer: Annotated[
        str | None, typer.Option("--relayer", help="The URL of a relayer's API; else the devnet's first.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A swap.toml: ask its chains instead of a relayer.")
    ] = None,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(
            "--anchor",
            help="Your trust: a header of the consortium chain, a beacon block, or both; else the devnet's.",
        ),
    ] = None,
    layouts: LayoutsFile = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the evidence here, one answer a line.")] = None,
    wait_s: Annotated[
        float, typer.Option("--wait-s", min=0, max=86_400, help="How long to wait for heights to be provable.")
    ] = 10.0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show each answer again whenever it changes, until Ctrl-C.")
    ] = False,
    every_s: Annotated[
        int, typer.Option("--every-s", min=1, max=86_400, help="With --follow: the least time between two changes.")
    ] = 1,
    max_age_s: Annotated[
        float, typer.Option("--max-age-s", min=0, help="How old an answer as of the newest height may be.")
    ] = 3_600.0,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: AsJson = False,
) -> None:
    """Ask chains, as of one height for each, and verify the answers under your anchor before they are shown.

    Exit code 0: all are proven. 2: one is not, with the reason. With --follow each change is one line of JSON, or a
    table; the evidence is added to the file, and a push that does not hold is shown with its reason.
    """
    from core.runtime.files import replace_file
    from core.runtime.logging import configure_logging

    configure_logging(level="error", form="console")
    ground, opened = _asked_of(relayer, config, anchor, directory, wait_s, max_age_s, read_layouts(layouts))
    if follow:
        with suppress(KeyboardInterrupt):
            asyncio.run(_follow(opened, questions, every_s, ground, out, as_json))
        return
    answers = asyncio.run(_answers(opened, questions, wait_s))
    found = [one for one in answers if not isinstance(one, CausewayError)]
    if out is not None and found:
        replace_file(out, b"\n".join(one.file for one in found))
    verdicts = [_verdict(uri, one, ground) for uri, one in zip(questions, answers, strict=True)]
    show(verdicts, str(out) if out is not None and found else "asked now", as_json)


def _asked_of(
    relayer: str | None,
    config: Path | None,
    anchor: list[Path] | None,
    directory: Path,
    wait_s: float,
    max_age_s: float,
    layouts: "Layouts",
) -> "tuple[Trusted, AbstractAsyncContextManager[ProvenQueries]]":
    from gateway import config as settings
    from gateway import queries
    from gateway.devnet.info import load_info

    if relayer is not None and config is not None:
        raise ConflictError("--relayer and --config are two ways to ask: choose one")
    if not anchor or (relayer is None and config is None):
        info = load_info(directory)
        relayer = relayer if relayer or config else next(iter(info.relayers.values()))
        anchor = anchor or [Path(info.anchor)]
    ground = read_trusted(anchor)
    if config is not None:
        chains = settings.load(config, settings.SwapConfig).chains
        return ground, queries.through_chains(chains, ground, layouts, max_age_s)
    assert relayer is not None
    return ground, queries.through_relayer(relayer, ground, wait_s, layouts, max_age_s)


async def _answers(
    opened: "AbstractAsyncContextManager[ProvenQueries]", questions: list[str], wait_s: float
) -> "list[Proven | CausewayError]":
    """The answers in the order of the questions. What takes longer than a call is waited for in the open."""
    from core.model.uris import parse_uri, print_uri
    from relayer.api.query_bodies import MAX_WAIT_S

    async with opened as asking:
        if wait_s <= MAX_WAIT_S:
            with Console(stderr=True).status("asking"):
                return await asking.answers(questions)
        places: dict[str, list[int]] = {}
        for place, uri in enumerate(questions):
            asked = parse_uri(uri)
            places.setdefault(print_uri(asked.question, asked.at), []).append(place)
        found: dict[int, Proven | CausewayError] = {}
        with Console(stderr=True).status(f"waiting for {len(questions)} answers") as status:
            async with aclosing(asking.in_time(questions, wait_s)) as answers:
                async for answer in answers:
                    uri = str(answer.fields["uri"]) if isinstance(answer, CausewayError) else answer.uri
                    found[places[uri].pop(0)] = answer
                    left = len(questions) - len(found)
                    status.update(f"waiting for {left} of {len(questions)} answers, for {wait_s:.0f} s at most")
        return [found[place] for place in range(len(questions))]


async def _follow(
    opened: "AbstractAsyncContextManager[ProvenQueries]",
    questions: list[str],
    every_s: int,
    ground: "Trusted",
    out: Path | None,
    as_json: bool,
) -> None:
    """Show each change until it is interrupted; a subscription is renewed at its end."""
    async with opened as asking:
        while True:
            async with aclosing(asking.follow(questions, every_s)) as pushes:
                async for answer in pushes:
                    uri = str(answer.fields["uri"]) if isinstance(answer, CausewayError) else answer.uri
                    if out is not None and not isinstance(answer, CausewayError):
                        with out.open("ab") as file:
                            file.write(answer.file + b"\n")
                    show_one(_verdict(uri, answer, ground), uri, as_json)


def _verdict(uri: str, answer: "Proven | CausewayError", anchor: "Trusted") -> dict[str, Any]:
    from core.proofs.evidence import decode_evidence
    from gateway.proven import document

    if isinstance(answer, CausewayError):
        return refusal(answer, uri)
    now_s = int(time.time())
    return {"verified": True, **document(answer.verified, anchor, decode_evidence(answer.file).kind, now_s, now_s)}


@anchor_app.command("fetch")
def fetch(
    rpc: Nodes = None,
    beacon: Annotated[
        list[str] | None,
        typer.Option("--beacon", help="The URL of a beacon node, once for each: the anchor is a beacon block then."),
    ] = None,
    chain: Annotated[
        str | None, typer.Option("--chain", help="The chain that you mean, such as causeway:devnet-1 or eip155:1.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A swap.toml that names the chain's nodes, without --rpc.")
    ] = None,
    height: Annotated[int | None, typer.Option("--height", min=1, help="Which block; else the newest.")] = None,
    root: Annotated[
        str | None, typer.Option("--root", help="Which beacon block, by its root; else the newest final one.")
    ] = None,
    trusting_days: Annotated[
        int, typer.Option("--trusting-days", min=1, max=3650, help="Days for which it may vouch for newer headers.")
    ] = 14,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it; nothing is overwritten.")] = Path(
        "anchor.json"
    ),
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Write an anchor as these nodes state it, and show what to compare out of band before you trust it.

    Without --rpc the nodes are those of the configuration, else of the running devnet. An anchor of another chain than
    --chain, or with another first block than is configured, is refused. With --beacon it is the anchor of sync
    committees: a final block of Ethereum's beacon chain, for at most 365 days.
    """
    from core.model.identifiers import parse_chain
    from core.model.types import Height, Seconds
    from core.proofs.evidence import encode_anchor
    from gateway import anchors

    if out.exists():
        raise ConflictError(
            f"{out} exists already: name another file with --out, or renew it by `causeway anchor update`"
        )
    period = Seconds(trusting_days * 86_400)
    if beacon:
        _fetch_beacon(beacon, chain, root, period, out)
        return
    meant = None if chain is None else parse_chain(chain)
    urls, genesis = (rpc, None) if rpc else _configured(meant, config, directory)
    found = asyncio.run(anchors.fetch_anchor(urls, None if height is None else Height(height), period))
    anchors.require_chain(found, meant, genesis)
    out.write_bytes(encode_anchor(found))
    _show_anchor(found, out)
    typer.echo(
        "These nodes say so; they may all be one liar's. Before you trust it, compare both hashes by another way than "
        "this network: by telephone, on paper, or on the pages of several organisations of the chain."
    )


def _fetch_beacon(urls: list[str], chain: str | None, root: str | None, period: "Seconds", out: Path) -> None:
    """The part of `fetch` for beacon blocks."""
    from core.proofs.evidence import encode_beacon_anchor
    from gateway import anchors

    named = None if root is None else anchors.parse_root(root)
    found, header = asyncio.run(anchors.fetch_beacon_anchor(urls, named, period))
    if chain is not None and found.chain != chain:
        raise RejectedError(f"these nodes serve {found.chain}, not {chain}")
    out.write_bytes(encode_beacon_anchor(found))
    typer.echo(f"{out} is written: {found.chain}, beacon block of slot {header.slot}")
    typer.echo(f"  its root      {anchors.in_groups(found.trusted_root)}")
    if header.execution is not None:
        typer.echo(f"  Ethereum's    block {header.execution.block_number}")
        typer.echo(f"  its hash      {anchors.in_groups(header.execution.block_hash)}")
    typer.echo(f"  validators    {anchors.in_groups(found.network.genesis_validators_root)} at genesis")
    typer.echo(f"  trusted for   {found.trusting_period_s // 86_400} days from that block's time on")
    typer.echo(
        "These nodes say so; they may all be one liar's. Before you trust it, compare the root with checkpoints that "
        "several others publish, or with a node of your own, and the hash of Ethereum's block with explorers; the root "
        "of the validators at genesis stands in the network's published configuration."
    )


@anchor_app.command("update")
def update(
    rpc: Nodes = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A swap.toml that names the chain's nodes, without --rpc.")
    ] = None,
    anchor: Annotated[Path, typer.Option("--anchor", help="The anchor to renew.")] = Path("anchor.json"),
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write it; else over the old one.")] = None,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Follow the chain from your anchor by its light client, before its trusting period is over. Nodes as in `fetch`;
    for a beacon anchor --rpc names beacon nodes.

    Evidence that begins at the old anchor is verified under the old one: keep it with that evidence.
    """
    from core.model.beacon import BeaconAnchor
    from core.proofs.evidence import encode_anchor, encode_beacon_anchor
    from core.runtime.files import replace_file
    from gateway import anchors

    trusted = read_trusted([anchor])
    if isinstance(trusted, BeaconAnchor):
        renewed = asyncio.run(anchors.update_beacon_anchor(trusted, rpc or []))
        replace_file(out or anchor, encode_beacon_anchor(renewed))
        typer.echo(f"{out or anchor} is written: {renewed.chain}, beacon block")
        typer.echo(f"  its root      {anchors.in_groups(renewed.trusted_root)}")
        typer.echo("More than ⅔ of each sync committee on the way signed it: nothing new is trusted.")
        return
    old = read_anchor(anchor)
    urls = rpc or _configured(old.chain, config, directory)[0]
    found = asyncio.run(anchors.update_anchor(old, urls))
    replace_file(out or anchor, encode_anchor(found))
    _show_anchor(found, out or anchor)
    typer.echo("More than ⅔ of the power that your old anchor trusts signed the way to it: nothing new is trusted.")


def _configured(chain: "ChainId | None", config: Path | None, directory: Path) -> tuple[list[str], str]:
    """The nodes of a consortium chain, and the hash of its first block, as configured; else as the devnet has them."""
    from gateway import anchors
    from gateway import config as settings
    from gateway.devnet.info import load_info

    chains = load_info(directory).chains if config is None else settings.load(config, settings.SwapConfig).chains
    found = anchors.consortium_of(chains, chain)
    return [endpoint.url for endpoint in found.endpoints], found.genesis


def _show_anchor(found: "Anchor", path: Path) -> None:
    from gateway.anchors import in_groups

    typer.echo(f"{path} is written: {found.chain}, block {found.trusted_height}")
    typer.echo(f"  its hash      {in_groups(found.trusted_hash)}")
    typer.echo(f"  first block   {in_groups(found.genesis_hash)}")
    typer.echo(f"  trusted for   {found.trusting_period_s // 86_400} days from that block's time on")
