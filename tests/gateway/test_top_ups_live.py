"""Gas money on anvil, by a running relayer: from a key of its keystore, through the policy of what that key signs."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from adapters.evm.calls import unsigned_call
from adapters.registry import ConnectedChain
from core.model.errors import RejectedError
from core.model.transactions import FeeBid
from core.model.types import AccountId, ChainId
from core.proofs.lanes import evm_address
from gateway import wiring
from gateway.config import RelayerConfig, TopUpConfig, TreasuryConfig, load, to_toml
from relayer.keys.keystore import Keystore, write_keystore
from tests.gateway.town import PASSPHRASE, QUOTE_SEED, town
from tests.support import eventually

WAIT_S = 120.0
ETHER = 10**18


@pytest.mark.long
@pytest.mark.alone
async def test_a_running_relayer_tops_its_gas_up(tmp_path: Path) -> None:
    async with town(tmp_path, ("operator", "alice")) as here:
        info = here.devnet.info
        running = here.relayer("relayer", info.user("operator"))
        secrets = {
            "ethereum": bytes.fromhex(info.user("operator").ethereum),
            "consortium": bytes.fromhex(info.user("operator").consortium),
            "quote": QUOTE_SEED,
            "funding": bytes.fromhex(info.user("alice").ethereum),
        }
        write_keystore(running.file.parent / "keystore.json", PASSPHRASE, secrets)
        ours, funder = (AccountId(info.user(name).ethereum_account) for name in ("operator", "alice"))
        async with wiring.connected(info.chains[:1]) as chains:
            [chain] = chains.values()

            async def held(account: AccountId) -> int:
                return await chain.access.state.balance(account, chain_asset)

            chain_asset = next(one for one in chain.access.parameters.assets if "/slip44:" in one)
            before, paid_from = await held(ours), await held(funder)
            top_up = TopUpConfig(chain_asset, "funding", before + ETHER // 2, before + ETHER, 2 * ETHER)
            config = msgspec.structs.replace(
                load(running.file, RelayerConfig), quote_key="quote", treasury=TreasuryConfig(top_up=(top_up,))
            )
            running.file.write_text(to_toml(config))
            await signs_for_the_account_alone(config, chains, Keystore(secrets), ours)
            try:
                await running.start()
                await eventually(running.is_ready, WAIT_S)

                async def topped() -> bool:
                    return await held(ours) == before + ETHER

                await eventually(topped, WAIT_S, 0.5)
                assert paid_from - ETHER - ETHER // 100 < await held(funder) < paid_from - ETHER
                await eventually(lambda: running.logged("a withdrawal ended"), WAIT_S, 0.5)
                [ended] = running.logged("a withdrawal ended")
                assert ended["status"] == "paid", json.dumps(ended)
                assert len(running.logged("gas is topped up")) == 1
            finally:
                await running.end()


async def signs_for_the_account_alone(
    config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain], keys: Keystore, ours: AccountId
) -> None:
    [(top_up, signer)] = wiring.top_ups(config, chains, keys)
    [chain] = chains.values()
    assert top_up.funder == signer.account != ours
    for receiver, amount, allowed in ((ours, ETHER, True), (signer.account, 0, True), (ours, 10**30, False)):
        call = unsigned_call(signer.account, evm_address(receiver), b"", gas=21_000, value=amount, summary="pay")
        request = chain.access.transactions.assemble(call, 0, FeeBid(10**9, 1), None)
        if allowed:
            chain.access.transactions.attach(request, await signer.sign(request))
            continue
        with pytest.raises(RejectedError, match="the signing policy"):
            await signer.sign(request)
    stranger = unsigned_call(signer.account, b"\x11" * 20, b"", gas=21_000, value=1, summary="pay")
    with pytest.raises(RejectedError, match="the signing policy"):
        await signer.sign(chain.access.transactions.assemble(stranger, 0, FeeBid(10**9, 1), None))
