"""What an Ethereum node or contract refuses with, as errors that say who acts next.

A node's refusals have codes that mean little and messages that differ between clients; the fragments below are those of
geth, reth, erigon, nethermind, besu and anvil. A contract's refusals are its typed errors, decoded by the ABI.
"""

from functools import cache
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from adapters.evm.contracts.artifacts import load_artifact
from core.model.errors import (
    CausewayError,
    ConflictError,
    NotFoundError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
)
from core.proofs.keccak import keccak256

EXECUTION_REVERTED: Final = 3
"""The code that clients answer a reverted eth_call with (EIP-1474 leaves it to them; all of the above agree)."""
INVALID_PARAMS: Final = -32602
METHOD_NOT_FOUND: Final = -32601
MAX_REASON_CHARS: Final = 300

ALREADY_KNOWN: Final = ("already known", "already imported", "known transaction", "alreadyknown")
SEQUENCE_TAKEN: Final = (
    "nonce too low",
    "replacement transaction underpriced",
    "replacement fee too low",
    "could not replace existing",
    "oldnonce",
    "nonce is too low",
)
UNDERPRICED: Final = (
    "max fee per gas less than block base fee",
    "fee cap less than block base fee",
    "transaction underpriced",
    "feetoolow",
)
UNKNOWN_BLOCK: Final = ("header not found", "unknown block", "block not found", "blockoutofrange", "block out of range")
RANGE_TOO_LONG: Final = (
    "query returned more than",
    "block range",
    "range is too large",
    "range too large",
    "range limit exceeded",
    "query exceeds",
    "exceed maximum block range",
    "response size exceeded",
    "response size should not",
    "too many results",
    "query timeout exceeded",
)
"""What providers answer eth_getLogs with when a shorter range would do; only there, since words are few."""
UNKNOWN_TRACER: Final = ("tracer not found", "is not defined", "unsupported tracer")
"""What debug_trace… is refused with by nodes that lack the tracer asked for."""
UNAFFORDABLE: Final = ("insufficient funds",)
REFUSED_FOR_GOOD: Final = ("intrinsic gas too low", "exceeds block gas limit", "invalid sender", "gas uint64 overflow")

_ERROR_STRING: Final = bytes.fromhex("08c379a0")
"""Selector of Error(string), what `require` with a message reverts with."""
_PANIC: Final = bytes.fromhex("4e487b71")

PERMIT2_ERRORS: Final = {
    "InvalidSigner": (),
    "InvalidSignature": (),
    "InvalidSignatureLength": (),
    "InvalidContractSignature": (),
    "InvalidNonce": (),
    "SignatureExpired": ("uint256",),
    "InvalidAmount": ("uint256",),
}
"""What Permit2 refuses a lock with; the contract hands it on (Uniswap/permit2: SignatureVerification.sol,
PermitErrors.sol, ISignatureTransfer.sol)."""


class AlreadyKnownError(ConflictError):
    """The node has this very transaction: for a broadcast, success."""


def translate(method: str, code: int, message: str, data: object = None) -> CausewayError:
    """The error that a JSON-RPC error object stands for."""
    said = message.lower()
    text = f"{method}: {message[:MAX_REASON_CHARS]}"
    if code == EXECUTION_REVERTED or "execution reverted" in said:
        reason = revert_reason(_bytes_of(data)) or message[:MAX_REASON_CHARS]
        return RevertedError(f"the contract refuses: {reason}", reason=reason)
    if _any(ALREADY_KNOWN, said):
        return AlreadyKnownError(text)
    if _any(SEQUENCE_TAKEN, said):
        return ConflictError(text)
    if _any(UNKNOWN_BLOCK, said):
        return NotFoundError(text)
    if _any(UNAFFORDABLE, said):
        return UnaffordableError(f"{text}; fund the account")
    if _any(REFUSED_FOR_GOOD, said):
        return RevertedError(text, reason=message[:MAX_REASON_CHARS])
    if method == "eth_getLogs" and _any(RANGE_TOO_LONG, said):
        return RejectedError(text)
    if method.startswith("debug_trace") and _any(UNKNOWN_TRACER, said):
        return RejectedError(text)
    if code in (INVALID_PARAMS, METHOD_NOT_FOUND):
        return RejectedError(text)
    # UNDERPRICED belongs here too: the same bytes may be taken once the base fee falls.
    return RetryableError(text)


def revert_reason(data: bytes) -> str | None:
    """Revert data in words: `LaneBusy(0)`, `the message of a require`, None where there is none that we can read."""
    if len(data) < 4:
        return None
    selector, arguments = data[:4], data[4:]
    try:
        if selector == _ERROR_STRING:
            return str(decode(["string"], arguments)[0])[:MAX_REASON_CHARS]
        if selector == _PANIC:
            return f"Panic(0x{decode(['uint256'], arguments)[0]:02x})"
        known = _custom_errors().get(selector)
        if known is None:
            return f"unknown error 0x{selector.hex()}"
        name, types = known
        return f"{name}({', '.join(str(value) for value in decode(types, arguments))})"
    except (DecodingError, UnicodeDecodeError):
        return f"unreadable error 0x{selector.hex()}"


@cache
def _custom_errors() -> dict[bytes, tuple[str, list[str]]]:
    named = [
        (str(entry["name"]), [str(item["type"]) for item in entry["inputs"]])
        for contract in ("HashedTimelock", "TestToken")
        for entry in load_artifact(contract).abi
        if entry["type"] == "error"
    ]
    named += [(name, list(types)) for name, types in PERMIT2_ERRORS.items()]
    return {keccak256(f"{name}({','.join(types)})".encode())[:4]: (name, types) for name, types in named}


def _any(fragments: tuple[str, ...], said: str) -> bool:
    return any(fragment in said for fragment in fragments)


def _bytes_of(data: object) -> bytes:
    """Revert data as clients put it: a hex string, or an object that holds one."""
    value: Any = data.get("data") if isinstance(data, dict) else data
    if not isinstance(value, str):
        return b""
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError:
        return b""
