"""The next transaction on the way to an allowance that a contract needs, for tokens that are particular about it.

Tether and others refuse to change an allowance that is not zero into another (against the race of EIP-20's `approve`);
BNB refuses zero; tokens that keep 96 bits may refuse more. So each way is tried by `eth_call` first, and the first that
the token takes is the one: unlimited, a reset to zero, the most that fits into 96 bits, the amount.
"""

from collections.abc import Sequence
from typing import Final

from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.endpoints import Endpoints
from adapters.evm.names import hex_address
from adapters.evm.rpc import data_bytes
from adapters.evm.state import ALLOWANCE, token_word
from core.model.errors import RejectedError, RevertedError
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId
from core.proofs.lanes import WORD_SIZE, evm_address

APPROVE_GAS: Final = 100_000
UNLIMITED: Final = 2**256 - 1
MAX_96_BITS: Final = 2**96 - 1


async def next_allowance(
    endpoints: Endpoints, owner: AccountId, token: bytes, spender: bytes, amount: int, summary: str
) -> UnsignedTransaction | None:
    """Return what `owner` has to send next so that `spender` may take `amount`, None if nothing is needed.

    Ask again once it is included: a reset is followed by the allowance itself. Raise `RejectedError` for a contract
    that is not a token, and for a token that refuses every way.
    """
    allowed = await token_word(endpoints, token, ALLOWANCE, evm_address(owner), spender)
    if allowed >= amount:
        return None
    for value in _ways(allowed, amount):
        if await _is_taken(endpoints, owner, token, spender, value):
            text = summary if value else f"{summary} (first reset what was allowed before)"
            return unsigned_call(
                owner, token, encode_call("TestToken", "approve", spender, value), gas=APPROVE_GAS, summary=text
            )
    raise RejectedError(
        f"the token {hex_address(token)} lets {owner} allow nothing to {hex_address(spender)}: it may be paused, or "
        "refuse the account"
    )


def _ways(allowed: int, amount: int) -> Sequence[int]:
    raises = [UNLIMITED, MAX_96_BITS, amount] if amount < MAX_96_BITS else [UNLIMITED, amount]
    return [raises[0], 0, *raises[1:]] if allowed else raises


async def _is_taken(endpoints: Endpoints, owner: AccountId, token: bytes, spender: bytes, value: int) -> bool:
    """Return true if the token takes this allowance now: it does not revert, and answers nothing or true."""
    call = {
        "from": hex_address(evm_address(owner)),
        "to": hex_address(token),
        "input": f"0x{encode_call('TestToken', 'approve', spender, value).hex()}",
        "gas": hex(APPROVE_GAS),
    }
    try:
        answer = data_bytes(await endpoints.call("eth_call", call, "latest"))
    except RevertedError:
        return False
    return agrees(answer)


def agrees(answer: bytes) -> bool:
    """Return true for what a token answers if it does as it was asked: nothing, or a word that is not zero."""
    return not answer or (len(answer) >= WORD_SIZE and any(answer[:WORD_SIZE]))
