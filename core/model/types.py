"""Identifiers, quantities and times.

Identifiers are CAIP strings wherever a person or another program sees them (CAIP-2 chains, CAIP-10 accounts, CAIP-19
assets). Distinct `NewType`s keep them apart for the type checker at no cost at run time, and leave them plain strings
for SQL and JSON; `core.model.identifiers` is the only place where an untrusted string becomes one.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NewType, Self

from core.model.errors import RejectedError

ChainId = NewType("ChainId", str)
"""CAIP-2, `eip155:31337` or `causeway:devnet-1`."""
AccountId = NewType("AccountId", str)
"""CAIP-10, `<chain>:<address>`, in its namespace's canonical spelling: lower-case hex on EVM chains and on ours."""
AssetId = NewType("AssetId", str)
"""CAIP-19, `<chain>/<namespace>:<reference>`, such as `eip155:1/erc20:0x…`, `eip155:1/slip44:60`."""
LockId = NewType("LockId", str)
"""Names an open lock on its chain; opaque outside the adapter. EVM: `<sender>/<lane>/<generation>`; consortium:
`<sender>/<hashlock>`. Once the lock is settled its sender may use the id again (EVM generations wrap): what stays of a
lock is known by where its event stands."""
SwapId = NewType("SwapId", str)
Hashlock = NewType("Hashlock", bytes)
"""SHA-256 of a preimage, 32 bytes."""
PublicPreimage = NewType("PublicPreimage", bytes)
"""A preimage that a chain has already shown to everybody, 32 bytes. Not a secret any more."""
Height = NewType("Height", int)
BaseUnits = NewType("BaseUnits", int)
"""An amount in the asset's smallest unit, 0 ≤ n < 2**256. Never a float."""
Seconds = NewType("Seconds", int)
"""A duration."""

PREIMAGE_BYTES: Final = 32
MAX_BASE_UNITS: Final = 2**256 - 1
MAX_DECIMALS: Final = 77
"""As many digits as an amount can have: more decimals could not be shown."""
MAX_TIMELOCK_S: Final = 2**40 - 1
MAX_IDENTIFIER_CHARS: Final = 256


def chain_of(identifier: AccountId | AssetId) -> ChainId:
    """The chain that an account or an asset lives on."""
    namespace, reference = identifier.replace("/", ":", 2).split(":", 2)[:2]
    return ChainId(f"{namespace}:{reference}")


def address_of(account: AccountId) -> str:
    """The address part of a CAIP-10 account, as the chain itself writes it."""
    return account.split(":", 2)[2]


def hashlock(raw: bytes) -> Hashlock:
    """Check a hashlock's length. Raise `RejectedError`."""
    if len(raw) != 32:
        raise RejectedError(f"a hashlock is 32 bytes, not {len(raw)}")
    return Hashlock(raw)


class Preimage:
    """The 32 secret bytes behind a hashlock. Has no `repr`, does not pickle, compares in constant time.

    `expose()` is the one way to the bytes: a call that carries them to a chain *is* the reveal.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != PREIMAGE_BYTES:
            raise RejectedError(f"a preimage is {PREIMAGE_BYTES} bytes")
        self._raw = raw

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Self:
        """Return a fresh preimage, from the operating system unless a simulation injects its own source."""
        return cls(random_bytes(PREIMAGE_BYTES))

    def hashlock(self) -> Hashlock:
        return Hashlock(hashlib.sha256(self._raw).digest())

    def expose(self) -> bytes:
        return self._raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Preimage) and hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self.hashlock())

    def __repr__(self) -> str:
        return "Preimage(hidden)"

    def __reduce__(self) -> str:
        raise TypeError("a preimage does not leave the process by pickling")


def opens(preimage: bytes, lock: Hashlock) -> bool:
    """Return true if these bytes are the hashlock's preimage: the right length and the right SHA-256."""
    return len(preimage) == PREIMAGE_BYTES and hmac.compare_digest(hashlib.sha256(preimage).digest(), lock)


@dataclass(frozen=True, slots=True)
class ChainTime:
    """A moment by one chain's clock, in whole seconds since the Unix epoch.

    Two chains' clocks cannot be compared: every operator refuses a time of another chain. They meet only through the
    bounds in `htlc.timelocks`, which know how far each chain's time may run ahead of or behind true time.
    """

    chain: ChainId
    seconds: int

    def _same(self, other: "ChainTime") -> int:
        if self.chain != other.chain:
            raise TypeError(f"times of {self.chain} and {other.chain} cannot be compared")
        return other.seconds

    def __lt__(self, other: "ChainTime") -> bool:
        return self.seconds < self._same(other)

    def __le__(self, other: "ChainTime") -> bool:
        return self.seconds <= self._same(other)

    def __gt__(self, other: "ChainTime") -> bool:
        return self.seconds > self._same(other)

    def __ge__(self, other: "ChainTime") -> bool:
        return self.seconds >= self._same(other)

    def __sub__(self, other: "ChainTime") -> Seconds:
        return Seconds(self.seconds - self._same(other))

    def plus(self, duration: Seconds) -> "ChainTime":
        return ChainTime(self.chain, self.seconds + duration)


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset's id and how people read its amounts: `decimals` shifts base units to the asset's own unit.

    `name` is longer than the symbol, and empty if an asset has none.
    """

    id: AssetId
    symbol: str
    decimals: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """One block of one chain. Two refs with equal heights and unequal hashes are two branches."""

    chain: ChainId
    height: Height
    hash: bytes


@dataclass(frozen=True, slots=True)
class TxId:
    """One transaction. `hash` is what the chain itself calls it (32 bytes)."""

    chain: ChainId
    hash: bytes


@dataclass(frozen=True, slots=True)
class LockTerms:
    """Everything that one leg of a swap commits to. Raise `RejectedError` when the terms contradict themselves.

    A claim is valid strictly before `timelock`, a refund at or after it, both by the time of the leg's own chain.
    """

    asset: AssetId
    amount: BaseUnits
    sender: AccountId
    receiver: AccountId
    hashlock: Hashlock
    timelock: ChainTime

    def __post_init__(self) -> None:
        chains = {chain_of(self.asset), chain_of(self.sender), chain_of(self.receiver), self.timelock.chain}
        if len(chains) != 1:
            raise RejectedError(f"a leg lives on one chain, these terms name {', '.join(sorted(chains))}")
        if not 0 < self.amount <= MAX_BASE_UNITS:
            raise RejectedError("a leg's amount is a positive number of base units below 2**256")
        if len(self.hashlock) != 32:
            raise RejectedError("a hashlock is 32 bytes")
        if not 0 < self.timelock.seconds <= MAX_TIMELOCK_S:
            raise RejectedError("a timelock is a Unix time in seconds below 2**40")

    @property
    def chain(self) -> ChainId:
        return self.timelock.chain
