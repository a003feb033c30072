"""A swap by unsigned transactions of the API on real chains: signed by libraries that know nothing of Causeway."""

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from nacl.signing import SigningKey

from adapters.consortium import Ed25519Signer
from adapters.evm.names import native_asset
from core.model.errors import RejectedError
from core.model.ports import Signer
from core.model.types import BaseUnits, ChainId
from htlc.model import Phase
from local_chains.evm import AnvilSettings
from relayer.api.bodies import QuoteCall, RestoreCall, SwapBody, SwapCall, TransactionCall, WalletTransactionBody
from relayer.client import RelayerApi
from relayer.provider.quoting import Pair, Rate
from tests.adapters.evm.harness import EvmHarness, evm_harness
from tests.relayer.client.test_real_chains import LEDGER, YUAN, issue, ledger, mine, relayer_at_work
from tests.support import eventually

PREIMAGE = hashlib.sha256(b"only for this test").digest()
HASHLOCK = "0x" + hashlib.sha256(PREIMAGE).hexdigest()
WALLET = bytes([7]) * 32


async def by_ethereum_wallet(harness: EvmHarness, body: WalletTransactionBody) -> None:
    """Send it as a wallet does after `eth_sendTransaction`: nonce and fees are its own."""
    assert body.evm is not None
    call: dict[str, Any] = {
        "to": bytes.fromhex(body.evm.to[2:]),
        "value": int(body.evm.value, 16),
        "data": body.evm.data,
        "gas": int(body.evm.gas, 16),
        "chainId": int(body.evm.chain_id, 16),
        "accessList": [],
    }
    fees = {"nonce": 0, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9, "type": 2}
    signed = Account.from_key(WALLET).sign_transaction({**call, **fees})
    await harness.rpc("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())


@pytest.mark.long
async def test_a_swap_by_wallets_that_know_only_the_api(tmp_path: Path) -> None:
    owner, relayer_key, dapp_key = (Ed25519Signer(LEDGER, bytes([n]) * 32) for n in (1, 2, 3))
    async with evm_harness(AnvilSettings(block_time_s=None)) as harness, ledger(tmp_path / "ledger", owner) as chain:
        evm = harness.chain.access
        relayer_evm = await harness.account()
        await issue(chain, owner, relayer_key, dapp_key)
        wallet = f"{evm.chain}:{Account.from_key(WALLET).address.lower()}"
        await harness.rpc("anvil_setBalance", Account.from_key(WALLET).address, hex(10**18))
        mining = asyncio.create_task(mine(harness))
        pairs = [Pair(native_asset(evm.chain), YUAN, Rate(1, 10**12), BaseUnits(10**12), BaseUnits(10**17))]
        signers: dict[ChainId, Signer] = {evm.chain: relayer_evm, LEDGER: relayer_key}
        try:
            async with (
                relayer_at_work({evm.chain: evm, LEDGER: chain.access}, signers, pairs) as address,
                RelayerApi(address) as api,
            ):
                quote = await api.quote(
                    QuoteCall(
                        initiator_asset=native_asset(evm.chain), participant_asset=YUAN, initiator_amount=str(10**16)
                    )
                )
                swap = await api.open_swap(
                    SwapCall(
                        quote=quote,
                        hashlock=HASHLOCK,
                        initiator_sender=wallet,
                        initiator_receiver=dapp_key.account,
                    )
                )
                asked = await api.challenge(wallet)
                signed_access = Account.sign_typed_data(WALLET, full_message=asked.typed_data)
                access = RestoreCall(
                    account=wallet, challenge=asked.challenge, proof="0x" + bytes(signed_access.signature).hex()
                )
                assert [one.id for one in (await api.restore(access)).swaps] == [swap.id]
                await by_ethereum_wallet(harness, await api.transaction(swap.id, TransactionCall(act="lock")))

                async def final(swap_id: str = swap.id) -> SwapBody | None:
                    seen = await api.swap(swap_id)
                    return seen if seen.participant.lock is not None and seen.participant.lock.final else None

                await eventually(final, 60)
                with pytest.raises(RejectedError, match="give `public_key`"):
                    await api.transaction(swap.id, TransactionCall(act="claim"))
                key = SigningKey(bytes([3]) * 32)
                call = TransactionCall(act="claim", public_key="0x" + bytes(key.verify_key).hex())
                claim = await api.transaction(swap.id, call)
                assert claim.ledger is not None
                assert claim.preimage_at is not None
                signed = bytearray.fromhex(claim.ledger.sign_bytes[2:])
                assert signed[claim.preimage_at : claim.preimage_at + 32] == bytes(32)
                signed[claim.preimage_at : claim.preimage_at + 32] = PREIMAGE
                body = bytes(signed)[len(signed) - (len(claim.ledger.body) - 2) // 2 :]
                raw = b"\x92" + body + b"\xc4\x40" + key.sign(bytes(signed)).signature
                await chain.rpc.call_raw("broadcast_tx_sync", tx=base64.b64encode(raw).decode())

                async def done() -> bool:
                    return (await api.swap(swap.id)).done

                await eventually(done, 60)
                assert (await api.swap(swap.id)).phase is Phase.COMPLETED
                assert await chain.access.state.balance(dapp_key.account, YUAN) == 10**8 + 10**4
        finally:
            mining.cancel()
