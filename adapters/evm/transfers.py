"""Payments of the native coin and of tokens, as unsigned transactions that move what they say, or are refused here."""

from typing import Final

from adapters.evm.allowances import agrees
from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.endpoints import Endpoints
from adapters.evm.limits import PLAIN_GAS, fitted
from adapters.evm.names import hex_address, native_asset, token_address
from adapters.evm.rpc import data_bytes
from adapters.payments import check_transfer
from core.model.errors import RejectedError, RevertedError
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, ChainId
from core.proofs.lanes import evm_address

TRANSFER_GAS: Final = 100_000
"""A token's transfer, with room for tokens behind proxies; an estimate may raise it."""


class EvmTransferBuilder:
    """`TransferBuilder` for one chain with our contract at `htlc`."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, htlc: bytes) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._htlc = htlc

    async def transfer(
        self, sender: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits
    ) -> UnsignedTransaction:
        """See the port. A token is asked first: some answer false instead of reverting, and then nothing would move."""
        check_transfer(self._chain, sender, receiver, asset, amount)
        paid, summary = evm_address(receiver), f"Transfer {amount} of {asset} to {receiver}"
        native = asset == native_asset(self._chain)
        self._check_receiver(paid, None if native else token_address(asset))
        if native:
            made = unsigned_call(sender, paid, b"", gas=PLAIN_GAS, value=amount, summary=summary)
        else:
            token = token_address(asset)
            data = encode_call("TestToken", "transfer", paid, amount)
            await self._check_answer(sender, token, data)
            made = unsigned_call(sender, token, data, gas=TRANSFER_GAS, summary=summary)
        return await fitted(self._endpoints, made, 0)

    def _check_receiver(self, paid: bytes, token: bytes | None) -> None:
        """Raise `RejectedError` for a receiver from whom nothing comes back."""
        if not any(paid):
            raise RejectedError("the receiver is the zero address: name the account that is to be paid")
        if paid in (self._htlc, token):
            what = "HTLC contract" if paid == self._htlc else "token's own contract"
            raise RejectedError(f"the receiver is the {what}, which never gives it back: name another account")

    async def _check_answer(self, sender: AccountId, token: bytes, data: bytes) -> None:
        call = {
            "from": hex_address(evm_address(sender)),
            "to": hex_address(token),
            "input": f"0x{data.hex()}",
        }
        try:
            answer = data_bytes(await self._endpoints.call("eth_call", call, "latest"))
        except RevertedError as error:
            raise RejectedError(f"the token {hex_address(token)} refuses the transfer: {error.message}") from error
        if not agrees(answer):
            raise RejectedError(f"the token {hex_address(token)} refuses the transfer without a reason")
