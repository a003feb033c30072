"""Puts our contracts on a chain: plain creation transactions, sent in a row and awaited together.

A contract's address follows from its creator and the creator's nonce, so nothing has to wait for the one before.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.evm.calls import encode_call, encode_creation, unsigned_call
from adapters.evm.names import account
from adapters.evm.transactions import EvmTransactionSender
from core.model.errors import RetryableError, RevertedError
from core.model.ports import Signer
from core.model.transactions import FeeBid, OutcomeStatus, SignedTransaction, UnsignedTransaction
from core.model.types import AccountId, BaseUnits, chain_of
from core.proofs import rlp
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address

CREATE_GAS: Final = 5_000_000
MINT_GAS: Final = 120_000
PAY_GAS: Final = 30_000
MAX_DEPLOY_S: Final = 120.0
POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """A test token to create."""

    name: str
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class DeployedContracts:
    """The addresses of the contracts, tokens in the order they were asked for."""

    htlc: AccountId
    tokens: tuple[AccountId, ...]


def created_address(creator: AccountId, nonce: int) -> AccountId:
    """Return the address of the contract that the creator's transaction of this nonce makes (Yellow Paper, eq. 87)."""
    digest = keccak256(rlp.encode([evm_address(creator), rlp.encode_integer(nonce)]))
    return account(chain_of(creator), digest[12:])


def create_htlc(creator: AccountId, gas: int = CREATE_GAS) -> UnsignedTransaction:
    data = encode_creation("HashedTimelock")
    return unsigned_call(creator, None, data, gas=gas, summary="Create the HashedTimelock contract")


def create_token(creator: AccountId, token: TokenSpec) -> UnsignedTransaction:
    data = encode_creation("TestToken", token.name, token.symbol, token.decimals)
    return unsigned_call(creator, None, data, gas=CREATE_GAS, summary=f"Create the test token {token.symbol}")


def mint_token(sender: AccountId, token: AccountId, to: AccountId, amount: BaseUnits) -> UnsignedTransaction:
    """Anyone may mint a test token."""
    data = encode_call("TestToken", "mint", evm_address(to), amount)
    return unsigned_call(sender, evm_address(token), data, gas=MINT_GAS, summary=f"Mint {amount} of {token} for {to}")


def pay_native(sender: AccountId, to: AccountId, amount: BaseUnits) -> UnsignedTransaction:
    return unsigned_call(sender, evm_address(to), b"", gas=PAY_GAS, value=amount, summary=f"Pay {amount} to {to}")


async def deploy(
    transactions: EvmTransactionSender, creator: Signer, tokens: Sequence[TokenSpec] = ()
) -> DeployedContracts:
    """Create the HashedTimelock and test tokens. Raise `RevertedError`, or `RetryableError` after `MAX_DEPLOY_S`."""
    creations = [create_htlc(creator.account), *(create_token(creator.account, token) for token in tokens)]
    sent = await send_in_order(transactions, creator, creations)
    addresses = [created_address(creator.account, signed.sequence) for signed in sent]
    return DeployedContracts(addresses[0], tuple(addresses[1:]))


async def send_in_order(
    transactions: EvmTransactionSender, signer: Signer, calls: Sequence[UnsignedTransaction]
) -> list[SignedTransaction]:
    """Send all with consecutive nonces, and return once all are included.

    For setting up chains; a relayer's transactions go through its journal. Raise as `deploy`.
    """
    sequence = (await transactions.sequences(signer.account)).latest
    market = await transactions.fee_market()
    assert market is not None
    fee = FeeBid(max_fee=2 * market.base_fee + market.priority_fee, priority_fee=market.priority_fee)
    sent = []
    for offset, call in enumerate(calls):
        request = transactions.assemble(call, sequence + offset, fee, None)
        signed = transactions.attach(request, await signer.sign(request))
        await transactions.submit(signed)
        sent.append(signed)
    try:
        async with asyncio.timeout(MAX_DEPLOY_S):
            for call, signed in zip(calls, sent, strict=True):
                await _included(transactions, call, signed)
    except TimeoutError as error:
        raise RetryableError(f"not all transactions were included within {MAX_DEPLOY_S:.0f} s") from error
    return sent


async def _included(transactions: EvmTransactionSender, call: UnsignedTransaction, signed: SignedTransaction) -> None:
    while True:
        outcome = await transactions.outcome(signed.hash)
        if outcome.status is OutcomeStatus.INCLUDED:
            return
        if outcome.status is OutcomeStatus.REVERTED:
            raise RevertedError(f"{call.summary}: {outcome.reason}", reason=outcome.reason)
        await asyncio.sleep(POLL_S)
