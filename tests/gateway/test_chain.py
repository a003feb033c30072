"""`causeway chain`: a network made and run by the commands that the documentation names."""

import asyncio
import json
import signal
import sys
import tomllib
from pathlib import Path

import pytest

from core.model.errors import RejectedError
from core.runtime.sockets import free_port
from gateway.daemons.chain import make_network, run_chain
from local_chains.consortium.cometbft import CometNode, find_cometbft, init_network, node_homes
from local_chains.consortium.engine.home import load_consensus_key, load_genesis
from tests.gateway.test_cli import causeway
from tests.support import REPOSITORY, eventually

START_S = 60.0


@pytest.mark.parametrize("key_type", ["secp256k1eth", "ed25519"])
def test_a_network_is_made_of_complete_homes(tmp_path: Path, key_type: str) -> None:
    arguments = ["chain", "init-network", "--validators", "4", "--engine", "cometbft", "--key-type", key_type]
    made = causeway(*arguments, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "causeway chain run network" in made.stdout
    homes = node_homes(tmp_path / "network")
    assert len(homes) == 4
    assert len({(home / "config" / "genesis.json").read_bytes() for home in homes}) == 1
    members = load_genesis(homes[0] / "config").validators.validators
    keys = [load_consensus_key(home / "priv_validator_key.json").public_key for home in homes]
    assert {member.public_key for member in members} == set(keys)
    assert {key.kind.value for key in keys} == {key_type}
    assert {(home / "priv_validator_key.json").stat().st_mode & 0o777 for home in homes} == {0o600}
    again = causeway(*arguments, cwd=tmp_path)
    assert again.returncode == 1
    assert "choose another directory" in again.stderr


def test_nodes_of_other_machines_know_where_the_others_are(tmp_path: Path) -> None:
    places = ["a.example:1001", "b.example:1002"]
    make_network(tmp_path / "network", "cometbft", "test-1", 2, "secp256k1eth", [], places, 26_656)
    configs = [tomllib.loads((home / "config/config.toml").read_text()) for home in node_homes(tmp_path / "network")]
    assert [config["p2p"]["external_address"] for config in configs] == places
    assert [config["p2p"]["persistent_peers"].partition("@")[2] for config in configs] == places[::-1]


def test_nodes_name_the_pages_that_may_ask(tmp_path: Path) -> None:
    origins = ["https://swap.example", "*"]
    for name, given, expected in (("open", origins, origins), ("closed", [], None)):
        init_network(tmp_path / name, "test-1", 1, cors_origins=given)
        [home] = node_homes(tmp_path / name)
        assert tomllib.loads((home / "config/config.toml").read_text())["rpc"].get("cors_allowed_origins") == expected


async def test_options_of_the_embedded_engine_are_refused_for_cometbft(tmp_path: Path) -> None:
    make_network(tmp_path / "network", "cometbft", "test-1", 1, "ed25519", [], [], 26_656)
    with pytest.raises(RejectedError, match=r"config/config\.toml"):
        await run_chain(tmp_path / "network", "127.0.0.1:1", None, False)
    with pytest.raises(RejectedError, match="cors_allowed_origins"):
        await run_chain(tmp_path / "network", None, None, False, cors_origins=["https://swap.example"])
    with pytest.raises(RejectedError, match="one process"):
        make_network(tmp_path / "other", "embedded", "test-1", 1, "ed25519", [], ["a.example:1"], 26_656)


async def run(home: Path, *options: str) -> tuple[asyncio.subprocess.Process, str]:
    """`causeway chain run`, and the URL that it announces."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "chain", "run", str(home), "--json", *options,
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(START_S):
        line = await process.stdout.readline()
    assert line, (await process.stderr.read()).decode()
    return process, json.loads(line)["url"]


async def test_a_network_runs_from_the_command_line(tmp_path: Path) -> None:
    try:
        find_cometbft()
    except RejectedError as error:
        pytest.skip(error.message)
    directory = tmp_path / "network"
    places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    make_network(directory, "cometbft", "test-1", 2, "secp256k1eth", [], places, 0)
    for home in node_homes(directory):
        config = home / "config/config.toml"
        config.write_text(config.read_text().replace("127.0.0.1:26657", f"127.0.0.1:{free_port()}"))
    nodes = [CometNode(home) for home in node_homes(directory)]
    process, url = await run(directory)
    try:
        assert url == nodes[0].rpc_url

        async def both_reached() -> bool:
            return min([await node.height() for node in nodes]) >= 2

        await eventually(both_reached, START_S, 0.2)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    single, url = await run(node_homes(directory)[1])
    single.send_signal(signal.SIGINT)
    assert await single.wait() == 0
    assert url == nodes[1].rpc_url


async def test_a_home_for_the_embedded_engine_runs_by_the_same_command(tmp_path: Path) -> None:
    made = causeway("chain", "init-network", "home", "--engine", "embedded", "--validators", "1", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    process, url = await run(tmp_path / "home", "--listen", f"127.0.0.1:{free_port()}", "--interval-s", "0.1")
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert url.startswith("http://127.0.0.1:")
