"""anvil starts, answers, produces blocks with a finalized tag, and ends."""

import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.runtime.sockets import free_port
from local_chains.evm import AnvilChain, AnvilError, AnvilSettings, find_anvil
from local_chains.evm.anvil import BINARY_VARIABLE
from tests.support import eventually


async def rpc(chain: AnvilChain, method: str, *params: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    async with aiohttp.ClientSession() as session, session.post(chain.rpc_url, json=request) as response:
        return (await response.json())["result"]


async def height(chain: AnvilChain, tag: str) -> int:
    return int((await rpc(chain, "eth_getBlockByNumber", tag, False))["number"], 16)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_blocks_come_by_themselves_and_become_final_two_later() -> None:
    async with AnvilChain(AnvilSettings(chain_id=4242)) as chain:
        assert int(await rpc(chain, "eth_chainId"), 16) == 4242

        async def finalized_height() -> int:
            return await height(chain, "finalized")

        await eventually(finalized_height)
        finalized, head = await height(chain, "finalized"), await height(chain, "latest")
        assert head - 3 <= finalized <= head - 2 + 1


async def test_the_process_ends_with_the_context() -> None:
    async with AnvilChain(AnvilSettings(block_time_s=None)) as chain:
        pid = chain.pid
        assert pid is not None
        assert is_running(pid)
    assert chain.pid is None
    assert not is_running(pid)


async def test_the_process_ends_when_the_body_fails() -> None:
    with pytest.raises(RuntimeError):
        async with AnvilChain(AnvilSettings(block_time_s=None)) as chain:
            pid = chain.pid
            raise RuntimeError
    assert pid is not None
    assert not is_running(pid)


async def test_the_same_accounts_every_time() -> None:
    async with AnvilChain(AnvilSettings(block_time_s=None, accounts=2)) as chain:
        accounts = await rpc(chain, "eth_accounts")
    assert accounts == ["0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"]


async def test_a_saved_chain_resumes_with_its_blocks(tmp_path: Path) -> None:
    settings = AnvilSettings(block_time_s=None, state=tmp_path / "chain.json")
    async with AnvilChain(settings) as chain:
        await rpc(chain, "anvil_mine", "0x5")
        genesis = (await rpc(chain, "eth_getBlockByNumber", "0x0", False))["hash"]
        third = (await rpc(chain, "eth_getBlockByNumber", "0x3", False))["hash"]
    async with AnvilChain(settings) as chain:
        assert await height(chain, "latest") == 5
        assert (await rpc(chain, "eth_getBlockByNumber", "0x0", False))["hash"] == genesis
        assert (await rpc(chain, "eth_getBlockByNumber", "0x3", False))["hash"] == third


async def test_a_taken_port_is_an_error_that_says_so() -> None:
    port = free_port()
    async with AnvilChain(AnvilSettings(port=port, block_time_s=None)):
        with pytest.raises(AnvilError, match="ddress already in use"):
            await AnvilChain(AnvilSettings(port=port, block_time_s=None, chain_id=1)).start()


async def test_it_does_not_start_twice() -> None:
    async with AnvilChain(AnvilSettings(block_time_s=None)) as chain:
        with pytest.raises(AnvilError, match="running already"):
            await chain.start()


def test_a_missing_binary_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(BINARY_VARIABLE, raising=False)
    monkeypatch.setattr("local_chains.evm.anvil.REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AnvilError, match="make setup"):
        find_anvil()


def test_a_named_binary_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(BINARY_VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(AnvilError, match=BINARY_VARIABLE):
        find_anvil()
