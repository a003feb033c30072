"""`causeway contract`: the contract that it creates is the one that it verifies, and it is paid for knowingly."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from adapters.evm.chain import htlc_code_hash
from adapters.evm.contracts.deployer import pay_native, send_in_order
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.names import evm_chain
from adapters.evm.signing import LocalSigner, development_signer
from adapters.evm.transactions import EvmTransactionSender
from core.model.types import AccountId, BaseUnits
from local_chains.evm.anvil import DEVELOPMENT_MNEMONIC, AnvilChain, AnvilSettings
from relayer.keys.keystore import read_keystore
from tests.gateway.test_cli import causeway

SECRET = {"CAUSEWAY_PASSPHRASE": "long enough"}
CHAIN = evm_chain(31337)
ETHER = 10**18


async def run(*arguments: str, cwd: Path) -> Any:
    return await asyncio.to_thread(causeway, "contract", *arguments, cwd=cwd, **SECRET)


async def fund(url: str, receiver: AccountId) -> None:
    endpoints = Endpoints([Endpoint(url)])
    giver = development_signer(CHAIN, DEVELOPMENT_MNEMONIC, 0)
    await send_in_order(
        EvmTransactionSender(CHAIN, endpoints), giver, [pay_native(giver.account, receiver, BaseUnits(ETHER))]
    )
    await endpoints.close()


async def test_created_contract_is_verified_and_others_are_not(tmp_path: Path) -> None:
    assert causeway("keys", "new", "k.json", "deployer", cwd=tmp_path, **SECRET).returncode == 0
    creator = LocalSigner(CHAIN, read_keystore(tmp_path / "k.json", "long enough").key("deployer").expose()).account
    async with AnvilChain(AnvilSettings(block_time_s=None)) as chain:
        deploy = ["deploy", "--rpc", chain.rpc_url, "--keystore", "k.json", "--json"]
        poor = await run(*deploy, "--yes", cwd=tmp_path)
        assert (poor.returncode, "pay the difference" in poor.stderr) == (1, True), poor.stderr
        await fund(chain.rpc_url, creator)
        unasked = await run(*deploy, cwd=tmp_path)
        assert (unasked.returncode, "--yes" in unasked.stderr) == (1, True)
        elsewhere = await run(*deploy, "--yes", "--chain", "eip155:1", cwd=tmp_path)
        assert (elsewhere.returncode, "eip155:31337" in elsewhere.stderr) == (1, True)
        made = await run(*deploy, "--yes", "--chain", CHAIN, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        found = json.loads(made.stdout)
        assert found["code_hash"] == htlc_code_hash().hex()
        verified = await run("verify", found["contract"], "--rpc", chain.rpc_url, "--json", cwd=tmp_path)
        assert (verified.returncode, json.loads(verified.stdout)["verified"]) == (0, True)
        nothing = await run("verify", creator.rpartition(":")[2], "--rpc", chain.rpc_url, cwd=tmp_path)
        assert (nothing.returncode, "NO CONTRACT" in nothing.stdout) == (3, True)
        down = await run("verify", found["contract"], "--rpc", chain.rpc_url, "--rpc", DOWN, cwd=tmp_path)
        assert (down.returncode, "does not answer" in down.stdout) == (75, True), down.stdout


DOWN = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "address", ["0x12", "eip155:1", f"eip155:2:0x{'1' * 40}", "0x52908400098527886E0F7030069857D2E4169Ee7"]
)
def test_address_that_is_malformed_is_refused(tmp_path: Path, address: str) -> None:
    shown = causeway("contract", "verify", address, "--rpc", DOWN, "--chain", "eip155:1", cwd=tmp_path)
    assert (shown.returncode, "Traceback" in shown.stderr, "error:" in shown.stderr) == (1, False, True)


def test_the_hash_is_shown_without_asking_anybody(tmp_path: Path) -> None:
    shown = causeway("contract", "hash", cwd=tmp_path)
    assert shown.stdout == f"0x{htlc_code_hash().hex()}\n"
    assert json.loads(causeway("contract", "hash", "--json", cwd=tmp_path).stdout)["code_hash"] == shown.stdout.strip()
