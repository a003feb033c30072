"""Who signs for an account: a key of the keystore, or a Web3Signer; either behind the policy of what it signs."""

from typing import Any

import msgspec
import pytest

from adapters.evm.calls import unsigned_call
from adapters.evm.names import account
from core.model.errors import RejectedError
from core.model.transactions import FeeBid, SigningRequest
from core.model.types import ChainId
from gateway import wiring
from gateway.config import (
    AccountConfig,
    DestinationConfig,
    EndpointConfig,
    RelayerConfig,
    ReserveConfig,
    TreasuryConfig,
    verified,
)
from relayer.keys.keystore import Keystore
from tests.adapters.evm.harness import evm_harness
from tests.adapters.evm.test_web3signer import OWNER, running
from tests.gateway.test_config import ETHEREUM, LEDGER, relayer

CHAIN = ChainId(ETHEREUM.id)
ADDRESS = f"{CHAIN}:0x{'7' * 40}"
URL = "https://signer.internal:9000"
COLD, STRANGER = (account(CHAIN, bytes.fromhex(byte * 20)) for byte in ("c0", "5e"))
ETHER = ETHEREUM.assets[0]


def with_account(ethereum: AccountConfig, **changed: Any) -> RelayerConfig:
    return relayer(accounts=(ethereum, AccountConfig(LEDGER.id, "consortium")), **changed)


@pytest.mark.parametrize(
    ("ethereum", "said"),
    [
        (AccountConfig(CHAIN), r"accounts\[0\]: nobody signs for it"),
        (AccountConfig(CHAIN, "ethereum", signer=URL, address=ADDRESS), r"accounts\[0\]: key is of the keystore"),
        (AccountConfig(CHAIN, signer=URL), r"accounts\[0\]: nobody signs for it"),
        (AccountConfig(CHAIN, "e", dialect="eth_signTransaction"), r"accounts\[0\].dialect: is of a signer on another"),
        (AccountConfig(CHAIN, signer="signer:9000", address=ADDRESS), r"accounts\[0\].signer: .* is not a URL"),
        (
            AccountConfig(CHAIN, signer=URL, address=f"eip155:1:0x{'7' * 40}"),
            r"accounts\[0\].address: .* not an account",
        ),
        (AccountConfig(CHAIN, "e", max_take=(ReserveConfig("eip155:1/slip44:60", 1),)), r"max_take\[0\].asset: "),
        (AccountConfig(CHAIN, "e", max_take=(ReserveConfig(ETHER, 0),)), r"max_take\[0\].amount: 0 is not an amount"),
        (AccountConfig(CHAIN, "e", max_take=(ReserveConfig(ETHER, 1),) * 2), r"max_take\[1\].asset: .* named twice"),
    ],
)
def test_account_that_nobody_signs_for_is_refused(ethereum: AccountConfig, said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        verified(with_account(ethereum))


def test_signer_of_a_ledgers_account_is_refused() -> None:
    ledger = AccountConfig(LEDGER.id, signer=URL, address=f"{LEDGER.id}:{'7' * 40}")
    with pytest.raises(RejectedError, match="another machine signs on EVM chains only"):
        verified(relayer(accounts=(AccountConfig(CHAIN, "ethereum"), ledger)))


@pytest.mark.parametrize("remote", [False, True])
async def test_account_signs_within_its_policy(remote: bool) -> None:
    async with evm_harness() as evm, running() as (machine, signer):
        chain = msgspec.structs.replace(
            ETHEREUM,
            genesis=evm.chain.parameters.genesis_hash.hex(),
            endpoints=(EndpointConfig(evm.anvil.rpc_url, "us"),),
            contract=evm.contracts.htlc,
            max_fee_gwei=10,
        )
        most = (ReserveConfig(ETHER, 1_000),)
        ours = AccountConfig(CHAIN, signer=signer.url, address=OWNER, max_take=most)
        config = with_account(
            ours if remote else AccountConfig(CHAIN, "ethereum", max_take=most),
            chains=(chain, LEDGER),
            treasury=TreasuryConfig(destinations=(DestinationConfig("cold", COLD),)),
        )
        async with wiring.connected([chain]) as chains:
            found = wiring.signers(verified(config), chains, Keystore({"ethereum": b"\x07" * 32}))[CHAIN]
            transactions = chains[CHAIN].access.transactions

            def request(receiver: str, amount: int, gwei: int = 1) -> SigningRequest:
                to = bytes.fromhex(receiver[-40:])
                call = unsigned_call(found.account, to, b"", gas=21_000, value=amount, summary="pay")
                return transactions.assemble(call, 0, FeeBid(gwei * 10**9, 1), None)

            assert found.account == OWNER
            for allowed in (request(COLD, 1_000), request(COLD, 1, 100)):
                transactions.attach(allowed, await found.sign(allowed))
            for refused in (request(STRANGER, 1), request(COLD, 1_001), request(COLD, 1, 101)):
                with pytest.raises(RejectedError, match="the signing policy"):
                    await found.sign(refused)
            assert len(machine.asked) == (2 if remote else 0)
