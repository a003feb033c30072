"""`causeway up`, `causeway demo`, `causeway status`: the devnet, and what runs on it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from gateway.cli import app

DEFAULT_DIRECTORY: Final = Path(".causeway/devnet")
Directory = Annotated[Path, typer.Option("--dir", help="Where the devnet keeps its files.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@app.command()
def up(
    directory: Directory = DEFAULT_DIRECTORY,
    relayers: Annotated[int, typer.Option(min=1, max=4, help="How many relayers.")] = 1,
    comet_nodes: Annotated[
        int,
        typer.Option(min=0, max=7, help="Run the consortium chain on so many CometBFT nodes; 0: the embedded engine."),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Start both chains, relayers and the supervision API with funded accounts, until Ctrl-C. Every start is fresh."""
    asyncio.run(_up(directory, relayers, comet_nodes, as_json))


async def _up(directory: Path, relayers: int, comet_nodes: int, as_json: bool) -> None:
    from gateway.announce import stop_signals
    from gateway.devnet import Devnet, DevnetSettings

    console = Console(stderr=True)
    names = [f"relayer-{letter}" for letter in "abcd"[:relayers]]
    settings = DevnetSettings(directory, names, fixed_ports=True, comet_nodes=comet_nodes)
    with stop_signals() as stop:
        with console.status("starting") as status:
            devnet = Devnet(settings, progress=status.update)
            starting = asyncio.ensure_future(devnet.__aenter__())
            asked = asyncio.ensure_future(stop.wait())
            await asyncio.wait([starting, asked], return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
            await asyncio.gather(starting, return_exceptions=not starting.done())
        asked.cancel()
        try:
            if not stop.is_set():
                _show(devnet, directory, as_json)
                await devnet.until(stop)
        finally:
            with console.status("stopping"):
                await devnet.__aexit__(None, None, None)
    console.print("stopped")


def _show(devnet: Any, directory: Path, as_json: bool) -> None:
    from core.runtime.sockets import HOST

    info = devnet.info
    if as_json:
        from gateway.devnet.info import public_view

        typer.echo(json.dumps(public_view(info)))
        return
    lines = [("", "The devnet is up", "")]
    lines += [(chain.id, chain.endpoints[0].url, chain.contract or "") for chain in info.chains]
    lines += [(name, url, "dApp API: /v1, /openapi.json, /metrics") for name, url in info.relayers.items()]
    # By name: passkeys are bound to one.
    lines += [("swap page", f"{url.replace(HOST, 'localhost')}/swap", name) for name, url in info.relayers.items()]
    lines += [("regulator", info.regulator, f"X-API-Key: {info.regulator_key}")]
    lines += [("console", f"{info.regulator}/console", "sign in as any role: Sign in with the devnet")]
    lines += [("sign-in", info.sign_in, "the identity provider of this devnet alone")]
    lines += [(nickname, info.asset(nickname), "") for nickname in ("eth", "usdx", "cnyd")]
    lines += [(user.name, user.ethereum_account, user.consortium_account) for user in info.users]
    lines += [(name, account, "officer: causeway supervise hold …") for name, account in info.officers.items()]
    lines += [(role, "", f"Authorization: Bearer {token}") for role, token in info.regulator_tokens.items()]
    # Plain lines, so that addresses are never cut and can be copied.
    for name, first, second in lines:
        typer.echo(f"{name:<18} {first:<52} {second}".rstrip())
    typer.echo(f"\nKeys, the anchor and logs are in {directory}. In another terminal:")
    option = "" if directory == DEFAULT_DIRECTORY else f" --dir {directory}"
    typer.echo(f"  causeway swap 0.5 eth cnyd{option}\n  causeway status{option}\nCtrl-C stops everything.")


@app.command()
def demo(
    directory: Annotated[Path, typer.Option("--dir", help="Where evidence and logs go; emptied first.")] = Path(
        ".causeway/demo"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="The timeline on standard error, one JSON object as the last line.")
    ] = False,
) -> None:
    """Show everything on real chains, in under a minute: swaps both ways, refunds, a crash, proofs, supervision.

    Exit code 0 only if every story ended as it should.
    """
    from gateway.demo import run_demo

    result = asyncio.run(run_demo(directory, Console(stderr=as_json)))
    if as_json:
        typer.echo(json.dumps(result))
    sys.exit(0 if result["ok"] else 1)


@app.command()
def status(directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Show chains, relayers and recent swaps of the running devnet."""
    from gateway.status import collect_status, show_status

    found = asyncio.run(collect_status(directory))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        show_status(found, Console())
