"""Events of contracts that the operator names, decoded by the ABI that the operator gives.

Layout: Solidity ABI specification, "Events" and "Indexed Event Encoding". Everything about the ABI is checked when it
is read; what a contract then logs never stops a follower: data that does not fit the ABI is kept as it is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec
from eth_abi.abi import decode, is_encodable_type
from eth_abi.exceptions import ABITypeError, DecodingError, ParseError
from eth_abi.grammar import ABIType, BasicType, TupleType, parse

from adapters.evm.names import account, hex_address, parse_address
from core.model.errors import RejectedError
from core.model.facts import ArgumentValue, ContractEvent
from core.model.types import ChainId
from core.proofs.keccak import keccak256

MAX_CONTRACTS: Final = 64
MAX_EVENTS: Final = 256
"""Events of one ABI."""
MAX_NAME_CHARS: Final = 128
MAX_TYPE_CHARS: Final = 1_024
MAX_DECODED_BYTES: Final = 16 * 1024
"""Longer data is kept undecoded: if several offsets point to one place it may decode to many times its length."""
MAX_DYNAMIC_DEPTH: Final = 2
"""Dynamic types inside dynamic types, such as `string[]`. Each level multiplies what an event may decode to."""

MAX_NESTING: Final = 16
"""Tuples inside tuples."""

_DYNAMIC: Final = ("string", "bytes")
_TUPLE: Final = "tuple"
_WITHOUT_SIZE: Final = ("address", "bool", "string", "function")
_ALIASES: Final = {
    "uint": "uint256",
    "int": "int256",
    "fixed": "fixed128x18",
    "ufixed": "ufixed128x18",
    "byte": "bytes1",
}
"""Names for which signatures have another: those of the ABI specification, and `byte` of Solidity before 0.8."""
_ALIAS: Final = re.compile(rf"\b(?:{'|'.join(_ALIASES)})\b")


class _Input(msgspec.Struct):
    type: str
    name: str = ""
    indexed: bool = False
    components: "list[_Input]" = []


class _Entry(msgspec.Struct):
    type: str
    name: str = ""
    anonymous: bool = False
    inputs: list[_Input] = []


class _Artifact(msgspec.Struct):
    """A compiler's output: the ABI among other things."""

    abi: list[_Entry]


@dataclass(frozen=True, slots=True)
class _Argument:
    """`text` is the canonical type, `kind` the same parsed."""

    name: str
    text: str
    kind: ABIType
    indexed: bool


@dataclass(frozen=True, slots=True)
class EventAbi:
    """One event's declaration. `topic` is `0x…`, lower case: the first topic of its logs."""

    name: str
    topic: str
    arguments: tuple[_Argument, ...]


def parse_abi(text: str, where: str) -> tuple[EventAbi, ...]:
    """The events of an ABI: a JSON list, or a compiler's artifact that holds one under `abi`.

    Anonymous events are left out, as nothing in their logs names them. Raise `RejectedError`, which begins with
    `where`, if the ABI is invalid, declares no event, or has types that do not exist or nest too deep.
    """
    try:
        entries = msgspec.json.decode(text, type=list[_Entry] | _Artifact)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RejectedError(
            f'{where}: this is not a valid ABI ({error}); give the list that the compiler writes under "abi"'
        ) from None
    declared = entries.abi if isinstance(entries, _Artifact) else entries
    events = [_event(entry, where) for entry in declared if entry.type == "event" and not entry.anonymous]
    if not 0 < len(events) <= MAX_EVENTS:
        raise RejectedError(f"{where}: the ABI declares {len(events)} events; there must be 1 to {MAX_EVENTS}")
    if len({event.topic for event in events}) != len(events):
        raise RejectedError(f"{where}: the ABI declares an event twice; leave one of them out")
    return tuple(events)


def _event(entry: _Entry, where: str) -> EventAbi:
    if not 0 < len(entry.name) <= MAX_NAME_CHARS or not entry.name.isprintable():
        raise RejectedError(f"{where}: an event of the ABI has no name of 1 to {MAX_NAME_CHARS} characters")
    place = f"{where}: event {entry.name}"
    arguments = tuple(_argument(one, number, place) for number, one in enumerate(entry.inputs))
    if len({argument.name for argument in arguments}) != len(arguments):
        raise RejectedError(f"{place} has two arguments of one name; rename one of them")
    if sum(argument.indexed for argument in arguments) > 3:
        raise RejectedError(f"{place} has more than three indexed arguments, which no log can hold")
    signature = f"{entry.name}({','.join(argument.text for argument in arguments)})"
    return EventAbi(entry.name, f"0x{keccak256(signature.encode()).hex()}", arguments)


def _argument(declared: _Input, number: int, place: str) -> _Argument:
    name = declared.name or f"arg{number}"
    text = _canonical(declared, place)
    if len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise RejectedError(f"{place}: argument {number} has no name of at most {MAX_NAME_CHARS} characters")
    if len(text) > MAX_TYPE_CHARS or _nesting(text) > MAX_NESTING:
        raise RejectedError(f"{place}: {text[:64]!r} is longer, or nests deeper, than is followed here; leave it out")
    try:
        kind = parse(text)
        kind.validate()
    except (ParseError, ABITypeError, ValueError):
        raise _no_type(place, text) from None
    if not is_encodable_type(text) or not _is_exact(kind):
        raise _no_type(place, text)
    if _dynamic_depth(kind) > MAX_DYNAMIC_DEPTH:
        raise RejectedError(f"{place}: {text[:64]!r} nests dynamic types deeper than {MAX_DYNAMIC_DEPTH}; leave it out")
    return _Argument(name, text, kind, declared.indexed)


def _no_type(place: str, text: str) -> RejectedError:
    return RejectedError(
        f"{place}: {text[:64]!r} is not a type of the ABI specification: write what the compiler writes, such as "
        "uint256, address, or tuple with its components"
    )


def _nesting(text: str) -> int:
    deepest = depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        deepest = max(deepest, depth)
    return deepest


def _canonical(declared: _Input, place: str) -> str:
    """Return the type as the signature has it: `(uint256,string)[]` for a `tuple[]` of `uint` and `string`.

    Source: Solidity ABI specification, "Types": uint, int, fixed and ufixed are synonyms that no signature has.
    """
    if declared.components and not declared.type.startswith(_TUPLE):
        raise RejectedError(f"{place}: {declared.type[:64]!r} has components, which only a tuple has")
    if not declared.type.startswith(_TUPLE):
        return _ALIAS.sub(lambda found: _ALIASES[found[0]], declared.type)
    parts = ",".join(_canonical(one, place) for one in declared.components)
    return f"({parts}){declared.type.removeprefix(_TUPLE)}"


def _is_exact(kind: ABIType) -> bool:
    """Return false for what the parser takes though no signature has it, such as `bool8`."""
    if isinstance(kind, TupleType):
        return all(map(_is_exact, kind.components))
    return isinstance(kind, BasicType) and (kind.sub is None or kind.base not in _WITHOUT_SIZE)


def _dynamic_depth(kind: ABIType) -> int:
    if kind.is_array:
        return _dynamic_depth(kind.item_type) + (not kind.arrlist[-1])
    if isinstance(kind, TupleType):
        return max(map(_dynamic_depth, kind.components))
    return int(isinstance(kind, BasicType) and kind.base in _DYNAMIC and kind.is_dynamic)


class ContractDecoder:
    """The configured contracts of one chain: which logs are asked for, and what they say."""

    def __init__(self, chain: ChainId, abis: Mapping[bytes, Iterable[EventAbi]]) -> None:
        if len(abis) > MAX_CONTRACTS:
            raise RejectedError(
                f"{chain}: {len(abis)} contracts are too many: follow at most {MAX_CONTRACTS} next to the HTLC"
            )
        self._chain = chain
        self._events = {
            hex_address(address): {event.topic: event for event in events} for address, events in abis.items()
        }

    @property
    def addresses(self) -> list[str]:
        return sorted(self._events)

    @property
    def topics(self) -> dict[str, frozenset[str]]:
        """The first topics of each contract's events."""
        return {address: frozenset(events) for address, events in self._events.items()}

    def decode(self, address: str, topics: Sequence[str], data: bytes) -> ContractEvent | None:
        """Return the log as an event, None if no ABI declares it. `address` and `topics` are `0x…`, lower case.

        Raise `ValueError` for topics that are not hex.
        """
        event = self._events.get(address, {}).get(topics[0]) if topics else None
        if event is None:
            return None
        contract = account(self._chain, parse_address(address))
        words = [bytes.fromhex(topic[2:]) for topic in topics[1:]]
        try:
            return ContractEvent(contract, event.name, _arguments(self._chain, event, words, data))
        except DecodingError:
            return ContractEvent(contract, event.name, (), b"".join([*words, data]))


def _arguments(
    chain: ChainId, event: EventAbi, topics: list[bytes], data: bytes
) -> tuple[tuple[str, ArgumentValue], ...]:
    """Raise `DecodingError` if topics or data do not fit the declaration."""
    plain = [argument for argument in event.arguments if not argument.indexed]
    if len(topics) != len(event.arguments) - len(plain) or len(data) > MAX_DECODED_BYTES:
        raise DecodingError
    try:
        values = iter(decode([argument.text for argument in plain], data))
    except (UnicodeDecodeError, OverflowError) as error:
        raise DecodingError from error
    words = iter(topics)
    shown: list[tuple[str, ArgumentValue]] = []
    for argument in event.arguments:
        if not argument.indexed:
            shown.append((argument.name, _shown(chain, argument.kind, next(values))))
        elif _is_one_word(argument.kind):
            (value,) = decode([argument.text], next(words))
            shown.append((argument.name, _shown(chain, argument.kind, value)))
        else:
            shown.append((argument.name, f"0x{next(words).hex()}"))
    return tuple(shown)


def _is_one_word(kind: ABIType) -> bool:
    """Return true if an indexed argument stands in its topic itself; of all others the topic is a hash."""
    return isinstance(kind, BasicType) and not kind.is_array and not kind.is_dynamic


def _shown(chain: ChainId, kind: ABIType, value: Any) -> ArgumentValue:
    if kind.is_array:
        return tuple(_shown(chain, kind.item_type, item) for item in value)
    if isinstance(kind, TupleType):
        return tuple(_shown(chain, part, item) for part, item in zip(kind.components, value, strict=True))
    if isinstance(value, bool):
        return value
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(kind, BasicType) and kind.base == "address":
        return account(chain, parse_address(value))
    return str(value)
