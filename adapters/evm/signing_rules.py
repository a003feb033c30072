"""The policy of an EVM account's key: see `adapters.signing_rules`."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Final

from eth_account.messages import encode_typed_data

from adapters.evm.calls import CallBody
from adapters.evm.contracts.artifacts import load_artifact, selector_of
from adapters.evm.limits import TRANSFER, cost
from adapters.evm.names import account, chain_number, hex_address
from adapters.evm.transactions import DYNAMIC_FEE
from adapters.signing_rules import SigningLimits
from core.model.errors import RejectedError
from core.model.transactions import Consent, SigningRequest
from core.model.types import ChainId
from core.proofs import rlp
from core.proofs.errors import ProofError
from core.proofs.lanes import WORD_SIZE, evm_address

APPROVE: Final = bytes.fromhex("095ea7b3")
"""The selector of `approve(address,uint256)` (EIP-20)."""


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction as its bytes to sign have it. `max_fee` is base units per unit of gas."""

    chain: int
    max_fee: int
    gas: int
    to: bytes
    value: int
    data: bytes


class EvmSigningRules:
    """`SigningRules` for one account. `htlc` and `tokens` are 20-byte addresses; `permits` other contracts whose typed
    data it may sign; `queries` a CrossChainQuery contract whose questions it may answer, None for none."""

    def __init__(
        self,
        chain: ChainId,
        htlc: bytes,
        tokens: Collection[bytes],
        limits: SigningLimits,
        permits: Collection[bytes] = (),
        queries: bytes | None = None,
    ) -> None:
        self._chain = chain
        self._queries = queries
        self._htlc = htlc
        self._tokens = frozenset(tokens)
        self._limits = limits
        self._permits = frozenset({htlc, *tokens, *permits})

    def check(self, request: SigningRequest) -> None:
        """Raise `RejectedError` for a transaction of another chain, of other contracts, or beyond the limits."""
        call = call_of(request.payload)
        if call.chain != chain_number(self._chain):
            raise RejectedError(f"the signing policy is for {self._chain}, this transaction is for eip155:{call.chain}")
        if self._limits.max_fee is not None and call.max_fee > self._limits.max_fee:
            raise RejectedError(
                f"the signing policy offers {self._limits.max_fee} per unit of gas at most, not {call.max_fee}"
            )
        self._check_target(call)
        body = CallBody(
            hex(call.chain),
            hex_address(evm_address(self._limits.account)),
            hex(call.value),
            f"0x{call.data.hex()}",
            hex(call.gas),
            hex_address(call.to),
        )
        self._limits.check_taken(cost(self._chain, body, None))

    def _check_target(self, call: Call) -> None:
        selector, words = call.data[:4], [call.data[at : at + WORD_SIZE] for at in range(4, len(call.data), WORD_SIZE)]
        if call.to == self._htlc:
            if selector in _functions():
                return
            raise RejectedError("the signing policy knows no such function of the HTLC")
        if call.to == self._queries and call.value == 0 and selector in _answers():
            return
        if not call.data:
            self._limits.check_receiver(account(self._chain, call.to))
            return
        if call.to in self._tokens and call.value == 0 and len(words) == 2 and len(words[1]) == WORD_SIZE:
            if selector == APPROVE and words[0][12:] == self._htlc:
                return
            if selector == TRANSFER:
                self._limits.check_receiver(account(self._chain, words[0][12:]))
                return
        raise RejectedError(
            f"the signing policy signs calls of the HTLC and tokens: not 0x{selector.hex()} of {hex_address(call.to)}"
        )

    def check_consent(self, asked: Consent) -> None:
        """Raise `RejectedError` unless the text and the bytes are one, for this chain and for a contract of ours."""
        try:
            document = json.loads(asked.typed_data)
            domain = document["domain"]
            number, contract = int(domain["chainId"]), bytes.fromhex(str(domain["verifyingContract"])[2:])
            signable = encode_typed_data(full_message=document)
        except Exception as error:  # the library raises what it likes about a text that is not typed data
            raise RejectedError(f"the signing policy cannot read this consent: {type(error).__name__}") from error
        if b"\x19" + signable.version + signable.header + signable.body != asked.payload:
            raise RejectedError("the consent's bytes are not those of its text: nothing is signed")
        if number != chain_number(self._chain) or contract not in self._permits:
            raise RejectedError(f"the signing policy gives no consent to {hex_address(contract)} on eip155:{number}")


def call_of(payload: bytes) -> Call:
    """Parse the bytes of an unsigned transaction (EIP-1559, or EIP-155 before it). Raise `RejectedError` for others."""
    try:
        if payload.startswith(DYNAMIC_FEE):
            number, _, _, price, gas, to, value, data, _ = rlp.decode_list(payload[1:])
        else:
            _, price, gas, to, value, data, number, _, _ = rlp.decode_list(payload)
        return Call(
            rlp.as_integer(number),
            rlp.as_integer(price),
            rlp.as_integer(gas),
            rlp.as_bytes(to, 20),
            rlp.as_integer(value),
            rlp.as_bytes(data),
        )
    except (ProofError, ValueError) as error:
        raise RejectedError("the signing policy cannot read this transaction: nothing is signed") from error


@cache
def _answers() -> frozenset[bytes]:
    """The selectors by which questions are answered."""
    answering = ("answer", "answerMany", "updateAndAnswer")
    return frozenset(selector_of(one) for one in load_artifact("CrossChainQuery").abi if one.get("name") in answering)


@cache
def _functions() -> frozenset[bytes]:
    """The selectors of the HTLC's functions, from its ABI."""
    return frozenset(selector_of(one) for one in load_artifact("HashedTimelock").abi if one["type"] == "function")
