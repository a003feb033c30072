"""`causeway contract`: the HashedTimelock on an EVM chain, created and compared with the one that we ship."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.evm.calls import body_of, rpc_call
from adapters.evm.chain import htlc_code_hash
from adapters.evm.contracts.deployer import create_htlc, created_address
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.market import RawFeeHeader
from adapters.evm.names import chain_number, evm_chain, hex_address, native_asset
from adapters.evm.probe import Identity, identity
from adapters.evm.rpc import RpcClient, data_bytes, quantity
from adapters.evm.signing import LocalSigner
from adapters.evm.transactions import EvmTransactionSender
from core.model.errors import CausewayError, FatalError, RejectedError, RetryableError, RevertedError
from core.model.transactions import FeeBid, OutcomeStatus, SignedTransaction, UnsignedTransaction
from core.model.types import AccountId, Asset, AssetId, ChainId, Height
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address
from gateway.amounts import readable

GAS_MARGIN_PERCENT: Final = 20
BASE_FEE_TIMES: Final = 2
"""The offer covers a base fee that doubles: six full blocks in a row (EIP-1559)."""
MAX_WAIT_S: Final = 900.0
POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment before it is sent: who pays, and the most that it may cost, in base units of the native coin."""

    chain: ChainId
    genesis_hash: bytes
    creator: AccountId
    contract: AccountId
    cost: int
    balance: int

    @property
    def coin(self) -> Asset:
        return Asset(AssetId(native_asset(self.chain)), "of the native coin", 18)

    def shown(self) -> list[str]:
        return [
            f"chain     {self.chain}",
            f"creator   {self.creator}",
            f"contract  {self.contract}",
            f"cost      at most {readable(self.coin, self.cost)}",
            f"balance   {readable(self.coin, self.balance)}",
        ]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A contract that stands on its chain, `height` the block that it was created in."""

    plan: Plan
    height: Height
    tx_hash: bytes
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """One endpoint's answer about a contract: the hash of its code, None if there is none, or why it did not answer."""

    endpoint: str
    code_hash: bytes | None
    error: str | None = None

    @property
    def is_ours(self) -> bool:
        return self.error is None and self.code_hash == htlc_code_hash()


async def deploy(
    urls: Sequence[str],
    key: bytes,
    wanted: ChainId | None,
    agree: Callable[[Plan], bool],
    say: Callable[[str], None],
) -> Deployed | None:
    """Create the contract with the account of `key`, and return it once a block has it and its code is ours.

    `agree` is asked before anything is sent; None if it declines. Raise `RejectedError` for endpoints of another chain
    than `wanted` or of different ones, and for an account that cannot pay; `RevertedError`, or `RetryableError` if no
    block has had it within `MAX_WAIT_S`; `FatalError` if other code stands there.
    """
    endpoints = Endpoints([Endpoint(url) for url in urls])
    try:
        first = await _identity(endpoints, wanted)
        chain = evm_chain(first.number)
        signer = LocalSigner(chain, key)
        sender = EvmTransactionSender(chain, endpoints, base_fees=await _has_base_fees(endpoints))
        sequence = (await sender.sequences(signer.account)).latest
        creation, fee = await _priced(endpoints, sender, signer.account)
        [cost] = sender.cost(creation, fee).values()
        balance = quantity(await endpoints.call("eth_getBalance", hex_address(evm_address(signer.account)), "latest"))
        plan = Plan(chain, first.genesis_hash, signer.account, created_address(signer.account, sequence), cost, balance)
        if balance < cost:
            raise RejectedError(
                f"{signer.account} holds {readable(plan.coin, balance)} and the contract may cost "
                f"{readable(plan.coin, cost)}: pay the difference to it first"
            )
        if not agree(plan):
            return None
        request = sender.assemble(creation, sequence, fee, None)
        signed = sender.attach(request, await signer.sign(request))
        await sender.submit(signed)
        say(f"sent {signed.hash.hex()}; waiting for a block")
        height = await _included(sender, signed)
        found = data_bytes(await endpoints.call("eth_getCode", hex_address(evm_address(plan.contract)), "latest"))
        if keccak256(found) != htlc_code_hash():
            raise FatalError(f"other code than ours stands at {plan.contract}: do not use it, and find out why")
        return Deployed(plan, height, signed.hash, keccak256(found))
    finally:
        await endpoints.close()


async def verify(urls: Sequence[str], address: bytes, wanted: ChainId | None) -> tuple[ChainId, list[Seen]]:
    """Return the chain, and what every endpoint answers about the code at `address`. Raise as `deploy`."""
    endpoints = Endpoints([Endpoint(url) for url in urls])

    async def ask(client: RpcClient) -> Seen:
        try:
            code = data_bytes(await client.call("eth_getCode", hex_address(address), "latest"))
        except CausewayError as error:
            return Seen(str(client), None, error.message)
        return Seen(str(client), keccak256(code) if code else None)

    try:
        first = await _identity(endpoints, wanted)
        return evm_chain(first.number), list(await asyncio.gather(*map(ask, endpoints.clients)))
    finally:
        await endpoints.close()


async def _identity(endpoints: Endpoints, wanted: ChainId | None) -> Identity:
    """Return the chain that all endpoints that answer are of. Raise `RejectedError` if they differ."""
    guess = wanted or ChainId("eip155:1")
    answers = await endpoints.each(lambda client: identity(guess, client))
    found = [one for one in answers if isinstance(one, Identity)]
    if not found:
        [error, *_] = [one for one in answers if isinstance(one, CausewayError)]
        raise error
    if len(set(found)) > 1:
        raise RejectedError(
            f"the endpoints are of different chains: {', '.join(sorted({str(evm_chain(one.number)) for one in found}))}"
        )
    if wanted is not None and found[0].number != chain_number(wanted):
        raise RejectedError(f"the endpoints are of eip155:{found[0].number}, not of {wanted}: correct one of the two")
    return found[0]


async def _has_base_fees(endpoints: Endpoints) -> bool:
    header: RawFeeHeader = await endpoints.call("eth_getBlockByNumber", "latest", False, into=RawFeeHeader)
    return header.base_fee_per_gas is not None


async def _priced(
    endpoints: Endpoints, sender: EvmTransactionSender, creator: AccountId
) -> tuple[UnsignedTransaction, FeeBid]:
    """Return the creation with the gas that it needs and a margin, and a fee that a block takes soon."""
    call = rpc_call(body_of(create_htlc(creator)))
    del call["gas"]
    needed = quantity(await endpoints.call("eth_estimateGas", call))
    market = await sender.fee_market()
    if market is None:
        raise RetryableError("no endpoint knows the price of gas: try again")
    fee = FeeBid(BASE_FEE_TIMES * market.base_fee + market.priority_fee, market.priority_fee)
    return create_htlc(creator, needed * (100 + GAS_MARGIN_PERCENT) // 100), fee


async def _included(sender: EvmTransactionSender, signed: SignedTransaction) -> Height:
    try:
        async with asyncio.timeout(MAX_WAIT_S):
            while True:
                outcome = await sender.outcome(signed.hash)
                if outcome.status is OutcomeStatus.INCLUDED and outcome.block is not None:
                    return outcome.block.height
                if outcome.status is OutcomeStatus.REVERTED:
                    raise RevertedError(f"the contract was not created: {outcome.reason}", reason=outcome.reason)
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise RetryableError(
            f"no block has had {signed.hash.hex()} for {MAX_WAIT_S:.0f} s: it may still come; look it up"
        ) from error
