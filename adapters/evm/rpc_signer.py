"""Keys that another machine holds: a `Signer` over JSON-RPC, as Ethereum's clients and external signers speak it.

    eth_signTransaction       geth, Besu's EthSigner, Web3Signer, anvil: {"from", "to", "gas", "nonce", …} ──> "0x…", or
    account_signTransaction   clef (its external API)                       {"raw": "0x…", "tx": {…}}

(Execution API specification, eth_signTransaction; go-ethereum, cmd/clef/extapi_changelog.md.) These sign what they
understood of the request, and fill in what they miss. So an answer counts only if the transaction in it is, byte for
byte, the one that was asked for, and its signature is the account's own. It signs no typed data: what wants a consent
is done without one.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from adapters.evm.names import account, hex_address
from adapters.evm.remote_calls import ask_signer
from adapters.evm.signing import check_request, low_s, recover_address
from adapters.evm.transactions import DYNAMIC_FEE, EIP_155_V
from adapters.evm.web3signer import Web3Signer
from adapters.observed import origin
from core.model.errors import RejectedError, RetryableError
from core.model.transactions import SigningRequest
from core.model.types import AccountId, ChainId, chain_of
from core.proofs import rlp
from core.proofs.errors import ProofError
from core.proofs.lanes import evm_address

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""A signed batch in hex, and once more as its fields."""
MAX_ACCOUNTS: Final = 10_000
MAX_WORDS: Final = 200
"""Characters that are shown of a signer's own words."""
DYNAMIC_FIELDS: Final = (
    "chainId",
    "nonce",
    "maxPriorityFeePerGas",
    "maxFeePerGas",
    "gas",
    "to",
    "value",
    "data",
    "accessList",
)
"""EIP-1559, in the order of its payload."""
LEGACY_FIELDS: Final = ("nonce", "gasPrice", "gas", "to", "value", "data")


class Dialect(StrEnum):
    """The APIs that a signer on another machine may speak."""

    WEB3SIGNER = "web3signer"
    ETH = "eth_signTransaction"
    CLEF = "account_signTransaction"


_LISTS: Final = {Dialect.ETH: "eth_accounts", Dialect.CLEF: "account_list"}


class _Failure(msgspec.Struct):
    message: str = ""


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw()
    error: _Failure | None = None


class _Signed(msgspec.Struct):
    raw: str


class RpcSigner:
    """`Signer` of one account. Nothing is asked before the first signature."""

    def __init__(self, url: str, owner: AccountId, dialect: Dialect) -> None:
        """`dialect` is one of the two methods of JSON-RPC."""
        self.url = url
        self._account = owner
        self._method = str(dialect)
        self._list = _LISTS[dialect]

    @property
    def account(self) -> AccountId:
        return self._account

    async def sign(self, request: SigningRequest) -> bytes:
        """r‖s‖v. Raise `RejectedError` for another scheme, another account's transaction, or typed data;
        `RetryableError` while the signer does not answer, does not sign, or signs another transaction."""
        check_request(self._account, request)
        fields = _fields_of(request.payload)
        answer = await self._ask(self._method, [_arguments(self._account, fields)])
        try:
            signature = _signature(request.payload, fields, _raw(answer))
            if recover_address(request.payload, signature) == evm_address(self._account):
                return signature
        except RejectedError as error:
            raise RetryableError(f"the signer at {origin(self.url)}: {error.message}") from error
        raise RetryableError(f"the answer of the signer at {origin(self.url)} is not {self._account}'s signature")

    async def check_key(self) -> None:
        """Raise `RetryableError` if the signer does not list the account."""
        answer = await self._ask(self._list, [])
        try:
            names = msgspec.json.decode(answer, type=list[str])[:MAX_ACCOUNTS]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise RetryableError(f"the signer at {origin(self.url)} does not answer with a list of accounts") from None
        if hex_address(evm_address(self._account)).lower() not in {name.lower() for name in names}:
            raise RetryableError(
                f"the signer at {origin(self.url)} has {len(names)} accounts, none of them {self._account}: load it"
            )

    async def _ask(self, method: str, parameters: Sequence[object]) -> msgspec.Raw:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        raw = await ask_signer(self.url, "POST", "", MAX_ANSWER_BYTES, body)
        try:
            answer = msgspec.json.decode(raw, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise RetryableError(f"the signer at {origin(self.url)} does not answer with JSON-RPC") from None
        if answer.error is not None:
            words = "".join(one for one in answer.error.message[:MAX_WORDS] if one.isprintable())
            raise RetryableError(f"the signer at {origin(self.url)} does not sign: {words}")
        if not bytes(answer.result):
            raise RetryableError(f"the signer at {origin(self.url)} answers without a result")
        return answer.result

    def __repr__(self) -> str:
        return f"RpcSigner({self._account})"


def remote_signer(chain: ChainId, url: str, owner: AccountId, dialect: str) -> Web3Signer | RpcSigner:
    """Return the `Signer` of an account on this chain, over the API that `dialect` names. Raise `RejectedError` for an
    account on another chain, and for an unknown dialect."""
    if chain_of(owner) != chain:
        raise RejectedError(f"{owner} is not an account on {chain}")
    if dialect not in list(Dialect):
        raise RejectedError(f"unknown dialect {dialect[:64]!r}: use one of {', '.join(Dialect)}")
    ours = account(chain, evm_address(owner))
    return Web3Signer(url, ours) if dialect == Dialect.WEB3SIGNER else RpcSigner(url, ours, Dialect(dialect))


def _fields_of(payload: bytes) -> dict[str, rlp.Rlp]:
    """Return the fields of an unsigned transaction by their names in JSON-RPC. Raise `RejectedError` for others."""
    try:
        if payload.startswith(DYNAMIC_FEE):
            return dict(zip(DYNAMIC_FIELDS, rlp.decode_list(payload[1:]), strict=True))
        *fields, number, _, _ = rlp.decode_list(payload)
        return {**dict(zip(LEGACY_FIELDS, fields, strict=True)), "chainId": number}
    except (ProofError, ValueError) as error:
        raise RejectedError("this is not a transaction that a signer on another machine can be asked for") from error


def _arguments(owner: AccountId, fields: Mapping[str, rlp.Rlp]) -> dict[str, object]:
    """Return the transaction as the API takes it: numbers as quantities, bytes as data."""
    shown: dict[str, object] = {"from": hex_address(evm_address(owner))}
    for name, value in fields.items():
        if name == "accessList":
            if value:
                shown[name] = [
                    {
                        "address": f"0x{rlp.as_bytes(address).hex()}",
                        "storageKeys": [f"0x{rlp.as_bytes(key).hex()}" for key in rlp.as_list(keys)],
                    }
                    for address, keys in map(rlp.as_list, rlp.as_list(value))
                ]
        elif name in ("to", "data"):
            if name == "data" or value:
                shown[name] = f"0x{rlp.as_bytes(value).hex()}"
        else:
            shown[name] = hex(rlp.as_integer(value))
    return shown


def _raw(answer: msgspec.Raw) -> bytes:
    """Return the signed transaction's bytes. Raise `RejectedError` if there are none in the answer."""
    try:
        found = msgspec.json.decode(answer, type=str | _Signed)
        return bytes.fromhex((found if isinstance(found, str) else found.raw).removeprefix("0x"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RejectedError("its answer holds no signed transaction") from None


def _signature(payload: bytes, asked: Mapping[str, rlp.Rlp], raw: bytes) -> bytes:
    """Return r‖s‖v of a signed transaction. Raise `RejectedError` if anything but the signature differs from what was
    asked for."""
    dynamic = payload.startswith(DYNAMIC_FEE)
    if raw.startswith(DYNAMIC_FEE) != dynamic:
        raise RejectedError("it signs a transaction of another type")
    try:
        *fields, v, r, s = rlp.decode_list(raw[1:] if dynamic else raw)
        signed = dict(zip(DYNAMIC_FIELDS if dynamic else LEGACY_FIELDS, fields, strict=True))
        parity = rlp.as_integer(v)
        numbers = [rlp.as_integer(one).to_bytes(32, "big") for one in (r, s)]
        if not dynamic:
            number = rlp.as_integer(asked["chainId"])
            parity -= EIP_155_V + 2 * number
    except (ProofError, ValueError) as error:
        raise RejectedError("its answer is not a signed transaction") from error
    for name, value in signed.items():
        if value != asked[name]:
            raise RejectedError(f"it signs a transaction with another {name} than was asked for")
    if parity not in (0, 1):
        raise RejectedError("it signs for another chain, or not at all")
    return low_s(b"".join(numbers), parity)
