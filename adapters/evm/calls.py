"""Contract calls as unsigned transactions: the body, the gas bounds, the encoding of arguments.

A body is the JSON object that a wallet's `eth_sendTransaction` takes, without nonce and fees: `chainId`, `from`, `to`
(null if a contract is created), `value`, `data`, `gas`, `accessList`. What our executor signs is thereby what a dApp
hands to its user's wallet.
"""

from functools import cache
from typing import Any, Final

import msgspec
from eth_abi.abi import encode

from adapters.evm.contracts.artifacts import load_artifact, selector_of, types_of
from adapters.evm.names import chain_number, hex_address
from core.model.errors import RejectedError
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, chain_of
from core.proofs.lanes import evm_address

MAX_CALL_BYTES: Final = 128 * 1024
"""The largest transaction that nodes accept (geth's txMaxSize)."""


class AccessEntry(msgspec.Struct, rename="camel", frozen=True):
    """One entry of an EIP-2930 access list."""

    address: str
    storage_keys: tuple[str, ...] = ()


class CallBody(
    msgspec.Struct, rename={"sender": "from", "chain_id": "chainId", "access_list": "accessList"}, frozen=True
):
    """The JSON object described above; quantities are hex strings."""

    chain_id: str
    sender: str
    value: str
    data: str
    gas: str
    to: str | None = None
    access_list: tuple[AccessEntry, ...] = ()


_decoder = msgspec.json.Decoder(CallBody)


def unsigned_call(
    sender: AccountId,
    to: bytes | None,
    data: bytes,
    *,
    gas: int,
    summary: str,
    value: int = 0,
    warm: tuple[bytes, ...] = (),
    reveals: bool = False,
) -> UnsignedTransaction:
    """`warm` are contracts other than `to` that the call will enter: naming them makes it a little cheaper."""
    chain = chain_of(sender)
    body = CallBody(
        chain_id=hex(chain_number(chain)),
        sender=hex_address(evm_address(sender)),
        to=None if to is None else hex_address(to),
        value=hex(value),
        data=f"0x{data.hex()}",
        gas=hex(gas),
        access_list=tuple(AccessEntry(hex_address(contract)) for contract in warm),
    )
    return UnsignedTransaction(chain, sender, msgspec.json.encode(body), reveals, summary)


def body_of(transaction: UnsignedTransaction) -> CallBody:
    """Raise `RejectedError` for a body that is not of this kind, or contradicts the transaction's sender or chain."""
    try:
        body = _decoder.decode(transaction.body)
        agrees = (
            int(body.chain_id, 16) == chain_number(transaction.chain)
            and bytes.fromhex(body.sender[2:]) == evm_address(transaction.sender)
            and chain_of(transaction.sender) == transaction.chain
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise RejectedError("this is not the body of an EVM transaction") from error
    if not agrees:
        raise RejectedError("the transaction's body names another chain or sender")
    return body


def rpc_call(body: CallBody) -> dict[str, Any]:
    """The body as the object of eth_call."""
    call: dict[str, Any] = {
        "from": body.sender,
        "value": body.value,
        "input": body.data,
        "gas": body.gas,
        "accessList": [{"address": item.address, "storageKeys": item.storage_keys} for item in body.access_list],
    }
    return call if body.to is None else {**call, "to": body.to}


def encode_call(contract: str, function: str, *arguments: Any) -> bytes:
    """The call data of one of our contracts' functions. Raise `EncodingError` of eth_abi for others."""
    selector, types = _function(contract, function)
    return selector + encode(types, arguments)


def encode_creation(contract: str, *arguments: Any) -> bytes:
    """The data of the transaction that creates one of our contracts. Raise what web3 raises for other arguments."""
    from web3 import Web3  # half a second to load, which whoever only follows a chain is spared

    artifact = load_artifact(contract)
    made = Web3().eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    return bytes.fromhex(str(made.constructor(*arguments).data_in_transaction)[2:])


@cache
def _function(contract: str, name: str) -> tuple[bytes, tuple[str, ...]]:
    """The selector and the parameters' types of a function. None of our contracts has two of one name."""
    [entry] = (one for one in load_artifact(contract).abi if one["type"] == "function" and one["name"] == name)
    return selector_of(entry), tuple(types_of(entry))
