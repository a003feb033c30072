"""Refusals of an Ethereum node or contract, as errors that say who acts next.

A node's refusals have codes that mean little and sentences that differ between clients, see `adapters.evm.words`. A
contract's refusals are its typed errors, decoded by the ABI.
"""

from functools import cache
from typing import Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from adapters.evm.contracts.artifacts import load_artifact
from adapters.evm.words import MAX_SENTENCE_CHARS, UNKNOWN_TRACER, Refusal, refusal_of
from core.model.errors import (
    CausewayError,
    ConflictError,
    NotFoundError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
    UnclearRefusalError,
)
from core.proofs.keccak import keccak256

EXECUTION_REVERTED: Final = 3
"""The code that geth and its forks answer a reverted eth_call with; zkSync answers other refusals with it, too."""
VM_ERROR: Final = -32015
"""The code that OpenEthereum and Nethermind answer a reverted eth_call with."""
INVALID_PARAMS: Final = -32602
LIMIT_EXCEEDED: Final = -32005
"""EIP-1474; of rates, of results and of ranges."""
METHOD_NOT_FOUND: Final = -32601
METHOD_NOT_SUPPORTED: Final = -32004
"""EIP-1474. Besu uses it for an account that cannot pay."""
MAX_REASON_CHARS: Final = 300
MAX_REVERT_BYTES: Final = 16 * 1024

NEEDED_METHODS: Final = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_getBalance",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getCode",
        "eth_getLogs",
        "eth_getStorageAt",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_sendRawTransaction",
    }
)
"""An endpoint that lacks one of these cannot serve; without any other, chains are read and written all the same."""

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
"""Permit2's refusals of a lock; the contract hands them on (Uniswap/permit2: SignatureVerification.sol,
PermitErrors.sol, ISignatureTransfer.sol)."""


class AlreadyKnownError(ConflictError):
    """The node has this very transaction: for a broadcast, success."""


def translate(method: str, code: int, message: str, data: object = None) -> CausewayError:
    """The error that a JSON-RPC error object stands for.

    A refusal in words and with a code that mean nothing known is `UnclearRefusalError`.
    """
    message = printable(message)
    text = f"{method}: {message[:MAX_REASON_CHARS]}"
    refusal = refusal_of(method, message)
    if refusal is Refusal.UNCLEAR and isinstance(data, str):
        # Some nodes say "Invalid request" or nothing at all, and why in the error's data.
        refusal = refusal_of(method, data)
        text = f"{text} ({printable(data)[:MAX_REASON_CHARS]})"
    match refusal:
        case Refusal.REVERTED:
            reason = revert_reason(_bytes_of(data)) or message[:MAX_REASON_CHARS]
            return RevertedError(f"the contract refuses: {reason}", reason=reason)
        case Refusal.ALREADY_KNOWN:
            return AlreadyKnownError(text)
        case Refusal.SEQUENCE_USED | Refusal.SEQUENCE_HELD:
            return ConflictError(text)
        case Refusal.UNAFFORDABLE:
            return UnaffordableError(f"{text}; fund the account")
        case Refusal.REFUSED_FOR_GOOD:
            return RevertedError(text, reason=message[:MAX_REASON_CHARS])
        case Refusal.BLOCK_UNKNOWN | Refusal.STATE_MISSING:
            return NotFoundError(text)
        case Refusal.RANGE_TOO_LONG:
            return RejectedError(text)
        case Refusal.NOT_OFFERED:
            return _not_offered(method, text)
        case Refusal.UNCLEAR:
            return _by_code(method, code, text, message, data)
        case _:
            # The same bytes may be taken later: once the base fee falls, the pool empties or the gap closes.
            return RetryableError(text, refusal=refusal.value)


def _by_code(method: str, code: int, text: str, message: str, data: object) -> CausewayError:
    """Return what a code says if the words say nothing."""
    if method.startswith("debug_trace") and UNKNOWN_TRACER.search(message.lower()):
        return RejectedError(text)
    if code in (EXECUTION_REVERTED, VM_ERROR) and not method.startswith("eth_send"):
        reason = revert_reason(_bytes_of(data)) or message[:MAX_REASON_CHARS]
        return RevertedError(f"the contract refuses: {reason}", reason=reason)
    if code == METHOD_NOT_FOUND or (code == METHOD_NOT_SUPPORTED and not _is_needed(method)):
        return _not_offered(method, text)
    if code == INVALID_PARAMS and not _is_needed(method):
        return RejectedError(text)
    if code == LIMIT_EXCEEDED:
        return RetryableError(text, refusal=Refusal.RATE_LIMITED.value)
    return UnclearRefusalError(text, refusal=Refusal.UNCLEAR.value)


def _not_offered(method: str, text: str) -> CausewayError:
    """Without what is needed always, the endpoint cannot serve: another one may."""
    if _is_needed(method):
        return RetryableError(f"{text}; name an endpoint that offers {method}", refusal=Refusal.NOT_OFFERED.value)
    return RejectedError(text, refusal=Refusal.NOT_OFFERED.value)


def _is_needed(method: str) -> bool:
    return method in NEEDED_METHODS


def refusal_in(error: CausewayError) -> str:
    """The kind of refusal (`Refusal`) that made the error, "" if it was none or its class says it."""
    return str(error.fields.get("refusal", ""))


def printable(text: str) -> str:
    """A sentence of a stranger in one line, without control characters, which logs and databases do not take."""
    return "".join(one if one.isprintable() else " " for one in text[:MAX_SENTENCE_CHARS]).strip()


def revert_reason(data: bytes) -> str | None:
    """Revert data in words: `LaneBusy(0)`, `the message of a require`, None if there is none that we can read."""
    if len(data) < 4:
        return None
    selector, arguments = data[:4], data[4:]
    try:
        if selector == _ERROR_STRING:
            return printable(str(decode(["string"], arguments)[0]))[:MAX_REASON_CHARS]
        if selector == _PANIC:
            return f"Panic(0x{decode(['uint256'], arguments)[0]:02x})"
        known = _custom_errors().get(selector)
        if known is None:
            return f"unknown error 0x{selector.hex()}"
        name, types = known
        return printable(f"{name}({', '.join(str(value) for value in decode(types, arguments))})")[:MAX_REASON_CHARS]
    except (DecodingError, ValueError, OverflowError, RecursionError):
        return f"unreadable error 0x{selector.hex()}"


@cache
def _custom_errors() -> dict[bytes, tuple[str, list[str]]]:
    named = [
        (str(entry["name"]), [str(item["type"]) for item in entry["inputs"]])
        for contract in ("HashedTimelock", "TestToken", "ConsortiumLightClient", "CrossChainQuery")
        for entry in load_artifact(contract).abi
        if entry["type"] == "error"
    ]
    named += [(name, list(types)) for name, types in PERMIT2_ERRORS.items()]
    return {keccak256(f"{name}({','.join(types)})".encode())[:4]: (name, types) for name, types in named}


def _bytes_of(data: object) -> bytes:
    """Revert data as clients put it: a hex string, perhaps behind the word "Reverted", or an object that holds one."""
    value: object = data
    if isinstance(data, dict):
        value = next((data[key] for key in ("data", "result", "output") if isinstance(data.get(key), str)), None)
    if not isinstance(value, str):
        return b""
    digits = value.removeprefix("Reverted ").removeprefix("0x")[: 2 * MAX_REVERT_BYTES]
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""
