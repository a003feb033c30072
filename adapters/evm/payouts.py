"""Would the HashedTimelock's payment go through now? The payment alone, as `eth_call` from the contract's address.

    native   a call of the receiver with the amount; the contract's balance is overridden if a node takes overrides,
             else the call carries what the contract holds
    ERC-20   `transfer(receiver, amount)`; its answer is judged as the contract judges it (Tokens.sol, `agreed`)

A leg that nobody has locked yet may find the contract short of that token, and balances of tokens cannot be overridden
without knowing their storage. Then two calls stand for the one: `transfer` of what the contract holds, from the
contract; and `transfer` of the amount, from the sender that would lock it. Together they show a pause, a blacklist with
either of the three on it, a receiver that refuses, and an amount that the token limits. What no call can show: a token
that lies or changes its mind, and a rule that holds only for the contract together with the whole amount.

The gas is what remains of a claim's constant limit, so that a receiver that needs more counts as one that refuses.
No preimage is in any of these calls.
"""

from typing import Any, Final

from adapters.evm.endpoints import Endpoints
from adapters.evm.legs import SETTLE_GAS, SETTLE_TOKEN_GAS
from adapters.evm.limits import TRANSFER
from adapters.evm.names import hex_address, native_asset, token_address
from adapters.evm.rpc import RpcClient, data_bytes, quantity
from adapters.evm.state import BALANCE_OF
from core.model.errors import (
    PayoutBlockedError,
    RejectedError,
    RevertedError,
    UnaffordableError,
    UnclearRefusalError,
)
from core.model.types import ChainId, LockTerms
from core.proofs.lanes import evm_address

CLAIM_OVERHEAD_GAS: Final = 30_000
"""Gas of a claim without its payment and the 21,000 of every transaction, which `eth_call` counts, too."""
MAX_BALANCE: Final = 2**128
"""More ether than there is, and less than any node's overrides take."""


class Payouts:
    """The check of one chain's HashedTimelock."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, htlc: bytes) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._htlc = hex_address(htlc)

    async def check(self, terms: LockTerms) -> None:
        """See `LockReader.check_payout`."""
        if terms.chain != self._chain:
            raise RejectedError(f"these terms are for {terms.chain}, this is {self._chain}")
        reasons: list[str] = []

        async def pays(client: RpcClient) -> bool:
            reason = await self._refusal(client, terms)
            if reason is not None:
                reasons.append(reason)
            return reason is None

        if not await self._endpoints.agreed(pays):
            raise PayoutBlockedError(
                f"{terms.receiver} cannot be paid {terms.amount} of {terms.asset} now: {reasons[0]}",
                receiver=terms.receiver,
                asset=terms.asset,
                reason=reasons[0],
            )

    async def _refusal(self, client: RpcClient, terms: LockTerms) -> str | None:
        """Why one endpoint says that the payment would fail, None if it would not."""
        if terms.asset == native_asset(self._chain):
            return await self._native_refusal(client, terms)
        return await self._token_refusal(client, terms)

    async def _native_refusal(self, client: RpcClient, terms: LockTerms) -> str | None:
        receiver = hex_address(evm_address(terms.receiver))
        call = self._call(self._htlc, receiver, terms.amount, SETTLE_GAS)
        rich = {self._htlc: {"balance": hex(max(MAX_BALANCE, terms.amount))}}
        try:
            await client.call("eth_call", call, "latest", rich)
        except RevertedError as error:
            return str(error.fields.get("reason", error.message))
        except (RejectedError, UnaffordableError, UnclearRefusalError):
            held = quantity(await client.call("eth_getBalance", self._htlc, "latest"))
            try:
                await client.call("eth_call", {**call, "value": hex(min(held, terms.amount))}, "latest")
            except RevertedError as error:
                return str(error.fields.get("reason", error.message))
        return None

    async def _token_refusal(self, client: RpcClient, terms: LockTerms) -> str | None:
        token = hex_address(token_address(terms.asset))
        held = await self._token_balance(client, token, self._htlc)
        if held is None:
            return f"{token} is not an ERC-20 token"
        reason = await self._transfer_refusal(client, token, self._htlc, terms, min(held, terms.amount))
        if reason is not None or held >= terms.amount:
            return reason
        sender = hex_address(evm_address(terms.sender))
        theirs = await self._token_balance(client, token, sender)
        if theirs is None or theirs < terms.amount:
            return None  # the sender cannot lock it now either; the lock itself will show
        return await self._transfer_refusal(client, token, sender, terms, terms.amount)

    async def _transfer_refusal(
        self, client: RpcClient, token: str, payer: str, terms: LockTerms, amount: int
    ) -> str | None:
        data = f"0x{TRANSFER.hex()}{evm_address(terms.receiver).hex():0>64}{amount:064x}"
        call = {**self._call(payer, token, 0, SETTLE_TOKEN_GAS), "input": data}
        try:
            answer = data_bytes(await client.call("eth_call", call, "latest"))
        except RevertedError as error:
            return str(error.fields.get("reason", error.message))
        agrees = not answer or (len(answer) >= 32 and int.from_bytes(answer[:32], "big") == 1)
        return None if agrees else "the token does not answer true"

    async def _token_balance(self, client: RpcClient, token: str, owner: str) -> int | None:
        """None if the contract does not answer as a token does."""
        data = f"0x{BALANCE_OF}{owner[2:]:0>64}"
        try:
            answer = data_bytes(await client.call("eth_call", {"to": token, "data": data}, "latest"))
        except RevertedError:
            return None
        return int.from_bytes(answer[:32], "big") if len(answer) >= 32 else None

    def _call(self, payer: str, to: str, value: int, limit: int) -> dict[str, Any]:
        return {"from": payer, "to": to, "value": hex(value), "gas": hex(limit - CLAIM_OVERHEAD_GAS)}
