"""URIs of questions: the one way to write down anything that a chain can be asked.

| URI | asks for |
|---|---|
| `causeway:devnet-1/records/{namespace}/{key}` | the newest version of a record |
| `causeway:devnet-1/bank/balance/{account}/{symbol}` | a balance on the ledger, locks excluded |
| `causeway:devnet-1/lists/{name}?from=10&to=20` | a list's entries, complete by its proven length |
| `causeway:devnet-1/htlc/{lock id}?amount=&asset=&receiver=&timelock=` | a lock under exactly these terms |
| `causeway:devnet-1/holds/{account}` | the order that holds an account |
| `causeway:devnet-1/state/{key}` | the leaf at a state key, in hex |
| `causeway:devnet-1/tx/{hash}` | a transaction of the ledger, and how it ended |
| `eip155:31337/storage/{contract}/{slot}` | a storage word |
| `eip155:31337/erc20:{token}/balanceOf/{holder}` | a token's balance, for reviewed layouts |
| `eip155:31337/slip44:60/balanceOf/{account}` | a balance of the native coin |
| `eip155:31337/htlc/{contract}/{sender}/{lane}` | how a lane stands |
| `eip155:31337/htlc/{contract}/{lock id}?amount=&asset=&hashlock=&receiver=&timelock=` | such a lock on Ethereum |
| `eip155:31337/tx/{hash}/log/{index}` | a log, counted from 0 within its transaction |

Each takes `at=finalized` (the newest that can be proven; the default) or `at={height}`. A chain is its CAIP-2 id, an
account its address on that chain or its whole CAIP-10 id.

The grammar is that of RFC 3986: path segments, then parameters `name=value` joined by `&`, each name once. A segment
or value may be percent-encoded; it is decoded once, after splitting, so that `%2F` never separates. No canonical URI
needs that, and `print_uri` writes none. Fragments are refused. Pure.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from core.model.consortium import asset_symbol, sequence_of
from core.model.consortium.names import ADDRESS_BYTES, NAME_PATTERN
from core.model.consortium_orders import HELD, held_key
from core.model.errors import MalformedIdentifierError, RejectedError
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.questions import (
    MAX_LIST_ENTRIES,
    MAX_LIST_PLACE,
    BalanceQuestion,
    LaneQuestion,
    LeafQuestion,
    ListQuestion,
    LockQuestion,
    LogQuestion,
    Question,
    RecordQuestion,
    StorageQuestion,
    TransactionQuestion,
)
from core.model.types import (
    MAX_BASE_UNITS,
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    address_of,
    chain_of,
    hashlock,
)

MAX_URI_CHARS: Final = 2048
MAX_URI_SEGMENTS: Final = 8
MAX_URI_PARAMETERS: Final = 8
MAX_HEIGHT: Final = 2**63 - 1
FINALIZED: Final = "finalized"
SHOWN_CHARS: Final = 160

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}")
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_LEDGER_LOCK = re.compile(r"([0-9a-f]{40})/([0-9a-f]{64})")
_EVM_LOCK = re.compile(r"(0x[0-9a-f]{40})/(0|[1-9][0-9]{0,9})/(0|[1-9][0-9]{0,4})")
_RESERVED: Final = '#[]"<>\\^`{|}'


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a URI states it. `at`: the height to answer as of, None for the newest that can be proven."""

    question: Question
    at: Height | None = None


def parse_uri(text: str) -> Asked:
    """Read a URI in any allowed spelling. Raise `RejectedError` with what is wrong in it."""
    _check_characters(text)
    path, mark, query = text.partition("?")
    first, slash, rest = path.partition("/")
    chain = parse_chain(_decoded(first))
    segments = [_decoded(segment) for segment in rest.split("/")] if slash else []
    parameters = _Parameters(query if mark else None)
    at = _read_height(parameters.take("at"))
    reader = _READERS.get(chain.partition(":")[0])
    if reader is None:
        raise MalformedIdentifierError(f"nothing can be asked of {chain}: only of causeway and eip155 chains")
    if len(segments) > MAX_URI_SEGMENTS:
        raise MalformedIdentifierError(f"a question's URI has at most {MAX_URI_SEGMENTS} segments: {_shown(text)}")
    question = reader(chain, segments, parameters)
    parameters.finish()
    return Asked(question, at)


def print_uri(question: Question, at: Height | None = None) -> str:
    """Return the canonical URI of a question. Raise `RejectedError` if no URI says it, such as for a lock whose terms
    name another sender than its lock id."""
    path, parameters = _printed(question)
    if at is not None:
        parameters = {**parameters, "at": str(at)}
    query = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    return f"{question.chain}/{path}" + (f"?{query}" if query else "")


# --- parameters --------------------------------------------------------------------------------------------------


class _Parameters:
    """Parameters, behind the question mark. A parameter that nobody takes is refused."""

    def __init__(self, query: str | None) -> None:
        self._values: dict[str, str] = {}
        pairs = [] if query is None else query.split("&")
        if len(pairs) > MAX_URI_PARAMETERS:
            raise MalformedIdentifierError(f"a question's URI has at most {MAX_URI_PARAMETERS} parameters")
        for pair in pairs:
            name, equals, value = pair.partition("=")
            name = _decoded(name)
            if not equals or not name or not value:
                raise MalformedIdentifierError(f"parameter {_shown(pair)} is not written name=value")
            if name in self._values:
                raise MalformedIdentifierError(f"parameter {_shown(name)} stands twice: give it once")
            self._values[name] = _decoded(value)

    def take(self, name: str) -> str | None:
        return self._values.pop(name, None)

    def needed(self, name: str) -> str:
        value = self.take(name)
        if value is None:
            raise MalformedIdentifierError(f"parameter {name!r} is missing: a lock is asked for under its exact terms")
        return value

    def finish(self) -> None:
        if self._values:
            raise MalformedIdentifierError(f"unknown parameter {_shown(next(iter(self._values)))}: leave it out")


# --- consortium chains -------------------------------------------------------------------------------------------


def _read_consortium(chain: ChainId, segments: list[str], parameters: _Parameters) -> Question:
    match segments:
        case ["records", namespace, key]:
            return RecordQuestion(chain, _name(namespace), _name(key))
        case ["bank", "balance", account, symbol]:
            return BalanceQuestion(chain, _account(chain, account), parse_asset(f"{chain}/asset:{symbol}"))
        case ["lists", *name] if name:
            return _list(chain, name, parameters)
        case ["htlc", sender, lock]:
            return _ledger_lock(chain, sender, lock, parameters)
        case ["holds", account]:
            return LeafQuestion(chain, held_key(bytes.fromhex(address_of(_account(chain, account)))))
        case ["state", key]:
            return LeafQuestion(chain, _hex(key, "a state key"))
        case ["tx", transaction]:
            return TransactionQuestion(chain, _hex(transaction, "a transaction hash"))
    raise _unknown(
        segments,
        "records/{namespace}/{key}, bank/balance/{account}/{symbol}, lists/{name}, htlc/{sender}/{hashlock}, "
        "holds/{account}, state/{key} or tx/{hash}",
    )


def _list(chain: ChainId, name: list[str], parameters: _Parameters) -> ListQuestion:
    if name[0] == "locks" and len(name) == 2:
        name = ["locks", address_of(_account(chain, name[1]))]
    if any("/" in part for part in name):
        raise MalformedIdentifierError("a segment of a list's name has no slash in it")
    sequence_of("/".join(name))
    start, end = parameters.take("from"), parameters.take("to")
    first = 1 if start is None else _decimal(start, MAX_LIST_PLACE, "from")
    last = min(first + MAX_LIST_ENTRIES - 1, MAX_LIST_PLACE) if end is None else _decimal(end, MAX_LIST_PLACE, "to")
    return ListQuestion(chain, "/".join(name), first, last)


def _ledger_lock(chain: ChainId, sender: str, lock: str, parameters: _Parameters) -> LockQuestion:
    account, raw = _account(chain, sender), hashlock(_hex(lock, "a hashlock"))
    asset = parse_asset(f"{chain}/asset:{parameters.needed('asset')}")
    terms = _terms(chain, account, raw, asset, parameters)
    return LockQuestion(chain, LockId(f"{address_of(account)}/{raw.hex()}"), terms, None)


# --- Ethereum ----------------------------------------------------------------------------------------------------


def _read_ethereum(chain: ChainId, segments: list[str], parameters: _Parameters) -> Question:
    match segments:
        case ["storage", contract, slot]:
            return StorageQuestion(chain, _account(chain, contract), _quantity(slot))
        case [asset, "balanceOf", holder] if asset.startswith(("erc20:", "slip44:")):
            return BalanceQuestion(chain, _account(chain, holder), parse_asset(f"{chain}/{asset}"))
        case ["htlc", contract, sender, lane]:
            return LaneQuestion(
                chain, _account(chain, contract), _account(chain, sender), _decimal(lane, MAX_HEIGHT, "the lane")
            )
        case ["htlc", contract, sender, lane, generation]:
            return _evm_lock(chain, contract, f"{address_of(_account(chain, sender))}/{lane}/{generation}", parameters)
        case ["tx", transaction, "log", index]:
            if not transaction.startswith("0x"):
                raise MalformedIdentifierError(f"a transaction hash begins with 0x, not {_shown(transaction)}")
            raw = _hex(transaction[2:], "a transaction hash")
            return LogQuestion(chain, raw, _decimal(index, MAX_HEIGHT, "the log's index"))
    raise _unknown(
        segments,
        "storage/{contract}/{slot}, erc20:{token}/balanceOf/{holder}, slip44:60/balanceOf/{account}, "
        "htlc/{contract}/{sender}/{lane} or tx/{hash}/log/{index}",
    )


def _evm_lock(chain: ChainId, contract: str, lock: str, parameters: _Parameters) -> LockQuestion:
    match = _EVM_LOCK.fullmatch(lock)
    if match is None:
        raise MalformedIdentifierError(f"{_shown(lock)} is not a lock id: write {{sender}}/{{lane}}/{{generation}}")
    raw = hashlock(_hex(parameters.needed("hashlock"), "a hashlock"))
    asset = parse_asset(f"{chain}/{parameters.needed('asset')}")
    terms = _terms(chain, _account(chain, match[1]), raw, asset, parameters)
    return LockQuestion(chain, LockId(lock), terms, _account(chain, contract))


def _terms(chain: ChainId, sender: AccountId, lock: Hashlock, asset: AssetId, parameters: _Parameters) -> LockTerms:
    return LockTerms(
        asset,
        BaseUnits(_decimal(parameters.needed("amount"), MAX_BASE_UNITS, "amount")),
        sender,
        _account(chain, parameters.needed("receiver")),
        lock,
        ChainTime(chain, _decimal(parameters.needed("timelock"), MAX_HEIGHT, "timelock")),
    )


_READERS: Final[Mapping[str, Callable[[ChainId, list[str], _Parameters], Question]]] = {
    "causeway": _read_consortium,
    "eip155": _read_ethereum,
}


# --- printing ----------------------------------------------------------------------------------------------------


def _printed(question: Question) -> tuple[str, dict[str, str]]:
    """(path, parameters) of the canonical URI."""
    if isinstance(question, RecordQuestion):
        return f"records/{_name(question.namespace)}/{_name(question.key)}", {}
    if isinstance(question, LeafQuestion):
        address = question.key.removeprefix(HELD)
        if len(address) == ADDRESS_BYTES and question.key == held_key(address):
            return f"holds/{address.hex()}", {}
        return f"state/{question.key.hex()}", {}
    if isinstance(question, ListQuestion):
        sequence_of(question.name)
        return f"lists/{question.name}", {"from": str(question.first), "to": str(question.last)}
    if isinstance(question, StorageQuestion):
        return f"storage/{address_of(question.contract)}/{question.slot:#x}", {}
    if isinstance(question, LaneQuestion):
        return f"htlc/{address_of(question.holder)}/{address_of(question.sender)}/{question.lane}", {}
    if isinstance(question, TransactionQuestion):
        return f"tx/{question.transaction.hex()}", {}
    if isinstance(question, LogQuestion):
        return f"tx/0x{question.transaction.hex()}/log/{question.index}", {}
    if isinstance(question, LockQuestion):
        return _printed_lock(question)
    if {chain_of(question.account), chain_of(question.asset)} != {question.chain}:
        raise RejectedError(f"account and asset of a balance have to be of {question.chain}")
    if question.chain.startswith("causeway:"):
        return f"bank/balance/{address_of(question.account)}/{asset_symbol(question.asset)}", {}
    return f"{question.asset.removeprefix(f'{question.chain}/')}/balanceOf/{address_of(question.account)}", {}


def _printed_lock(question: LockQuestion) -> tuple[str, dict[str, str]]:
    terms = question.terms
    parameters = {
        "amount": str(terms.amount),
        "receiver": address_of(terms.receiver),
        "timelock": str(terms.timelock.seconds),
    }
    if question.holder is None:
        match = _LEDGER_LOCK.fullmatch(question.lock_id)
        agrees = match is not None and match.groups() == (address_of(terms.sender), terms.hashlock.hex())
        path, parameters["asset"] = f"htlc/{question.lock_id}", asset_symbol(terms.asset)
    else:
        match = _EVM_LOCK.fullmatch(question.lock_id)
        agrees = match is not None and match[1] == address_of(terms.sender)
        path = f"htlc/{address_of(question.holder)}/{question.lock_id}"
        parameters["hashlock"] = terms.hashlock.hex()
        parameters["asset"] = terms.asset.removeprefix(f"{question.chain}/")
    if not agrees or {terms.chain, chain_of(question.holder or terms.asset)} != {question.chain}:
        raise RejectedError(f"the terms are not those that lock id {question.lock_id[:128]!r} can have")
    return path, parameters


# --- parts -------------------------------------------------------------------------------------------------------


def _check_characters(text: str) -> None:
    if len(text) > MAX_URI_CHARS:
        raise MalformedIdentifierError(f"the URI has {len(text)} characters, at most {MAX_URI_CHARS} are possible")
    for position, character in enumerate(text, 1):
        if not "!" <= character <= "~" or character in _RESERVED:
            raise MalformedIdentifierError(
                f"the URI {_shown(text)} has U+{ord(character):04X} as character {position}, which no question's URI "
                "has: remove it"
            )


def _decoded(part: str) -> str:
    """Decode a segment, name or value once. What it stands for is printable ASCII, too."""
    if part.count("%") != len(_ESCAPE.findall(part)):
        raise MalformedIdentifierError(f"{_shown(part)} has a % without two hex digits after it (RFC 3986)")
    decoded = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), part)
    if any(not "!" <= character <= "~" for character in decoded):
        raise MalformedIdentifierError(f"{_shown(part)} stands for characters that no question's URI has")
    return decoded


def _read_height(text: str | None) -> Height | None:
    if text is None or text == FINALIZED:
        return None
    return Height(_decimal(text, MAX_HEIGHT, "at"))


def _account(chain: ChainId, text: str) -> AccountId:
    return parse_account(text if text.startswith(f"{chain}:") else f"{chain}:{text}")


def _name(text: str) -> str:
    if re.fullmatch(NAME_PATTERN, text) is None:
        raise MalformedIdentifierError(
            f"{_shown(text)} is not a name on a consortium ledger: write up to 64 lower-case letters, digits, '-', '_' "
            "and '.'"
        )
    return text


def _decimal(text: str, high: int, what: str) -> int:
    if _DECIMAL.fullmatch(text) is None or int(text) > high:
        raise MalformedIdentifierError(f"{what} is {_shown(text)}: write a decimal number from 0 to {high}")
    return int(text)


def _quantity(text: str) -> int:
    """A slot: decimal, or hex after 0x."""
    if _QUANTITY.fullmatch(text):
        return int(text[2:], 16)
    if _DECIMAL.fullmatch(text):
        return int(text)
    raise MalformedIdentifierError(f"{_shown(text)} is not a storage slot: write it in decimal, or in hex after 0x")


def _hex(text: str, what: str) -> bytes:
    if _HEX.fullmatch(text) is None:
        raise MalformedIdentifierError(f"{_shown(text)} is not {what} in hex")
    return bytes.fromhex(text)


def _unknown(segments: list[str], known: str) -> MalformedIdentifierError:
    return MalformedIdentifierError(f"{_shown('/'.join(segments))} is not a question: write {known}")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}...")
