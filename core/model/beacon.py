"""Ethereum's beacon chain as a light client knows it: its clock, its sizes, its forks, and the anchor one starts from.

Times are Unix seconds; a slot is a tick of the chain, an epoch some slots, a period the epochs that one sync committee
serves. Source: consensus-specs, presets and configurations.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from core.model.errors import RejectedError
from core.model.types import ChainId, Seconds

ROOT_BYTES: Final = 32
FORK_VERSION_BYTES: Final = 4
MAX_SLOT_NUMBER: Final = 2**64 - 1
MAX_SLOT_S: Final = 60
MAX_SLOTS_PER_EPOCH: Final = 64
MAX_EPOCHS_PER_PERIOD: Final = 1024
COMMITTEE_SIZES: Final = (32, 512)
"""Of the presets "minimal" and "mainnet"; what is done for one committee is bounded by this."""


class BeaconFork(IntEnum):
    """The forks whose light client data is known here, in their order. Fulu changed none of it."""

    PHASE0 = 0
    ALTAIR = 1
    BELLATRIX = 2
    CAPELLA = 3
    DENEB = 4
    ELECTRA = 5
    FULU = 6


@dataclass(frozen=True, slots=True)
class ForkStart:
    """The fork that is in force from this epoch on, and its version (4 bytes)."""

    fork: BeaconFork
    epoch: int
    version: bytes


@dataclass(frozen=True, slots=True)
class BeaconNetwork:
    """A beacon chain's parameters. `forks` ascend, the first one from epoch 0.

    Raise `RejectedError` for parameters that no network can have.
    """

    genesis_time: int
    genesis_validators_root: bytes
    seconds_per_slot: int
    slots_per_epoch: int
    epochs_per_period: int
    committee_size: int
    forks: tuple[ForkStart, ...]

    def __post_init__(self) -> None:
        if len(self.genesis_validators_root) != ROOT_BYTES:
            raise RejectedError(f"a genesis validators root has {ROOT_BYTES} bytes")
        if not 0 <= self.genesis_time < 1 << 40:
            raise RejectedError(f"genesis time {self.genesis_time} is not in Unix seconds")
        for name, value, most in (
            ("seconds_per_slot", self.seconds_per_slot, MAX_SLOT_S),
            ("slots_per_epoch", self.slots_per_epoch, MAX_SLOTS_PER_EPOCH),
            ("epochs_per_period", self.epochs_per_period, MAX_EPOCHS_PER_PERIOD),
        ):
            if not 1 <= value <= most:
                raise RejectedError(f"{name} is 1 to {most}, not {value}")
        if self.committee_size not in COMMITTEE_SIZES:
            raise RejectedError(f"a sync committee has {COMMITTEE_SIZES} members, not {self.committee_size}")
        self._require_forks()

    def _require_forks(self) -> None:
        if not self.forks or self.forks[0].epoch != 0:
            raise RejectedError("the schedule of forks begins at epoch 0")
        for fork in self.forks:
            if len(fork.version) != FORK_VERSION_BYTES or not 0 <= fork.epoch <= MAX_SLOT_NUMBER:
                raise RejectedError(f"a fork has an epoch and a version of {FORK_VERSION_BYTES} bytes")
        for older, newer in zip(self.forks, self.forks[1:], strict=False):
            # Several forks may start at once, as on networks that begin with a late one.
            if not (older.fork < newer.fork and older.epoch <= newer.epoch):
                names = newer.fork.name.lower(), older.fork.name.lower()
                raise RejectedError("fork {} comes after {} in the schedule, but not in time".format(*names))

    def epoch_of(self, slot: int) -> int:
        """The epoch of a slot."""
        return slot // self.slots_per_epoch

    def period_of(self, slot: int) -> int:
        """The sync committee period of a slot."""
        return slot // (self.slots_per_epoch * self.epochs_per_period)

    def fork_at(self, slot: int) -> ForkStart:
        """The fork in force at a slot."""
        epoch = self.epoch_of(slot)
        return next(fork for fork in reversed(self.forks) if fork.epoch <= epoch)

    def time_of(self, slot: int) -> int:
        """When a slot begins."""
        return self.genesis_time + slot * self.seconds_per_slot

    def slot_at(self, now_s: int) -> int:
        """The slot at a time, -1 before the first."""
        return max((now_s - self.genesis_time) // self.seconds_per_slot, -1)


@dataclass(frozen=True, slots=True)
class BeaconAnchor:
    """The ground that a verifier of sync committees stands on, learnt out of band: one finalized beacon block.

    `trusted_root` is its root. It vouches for later headers within `trusting_period_s`, which has to be shorter than
    the network's weak subjectivity period: validators that left since can sign what they like.
    """

    chain: ChainId
    network: BeaconNetwork
    trusted_root: bytes
    trusting_period_s: Seconds

    def __post_init__(self) -> None:
        if len(self.trusted_root) != ROOT_BYTES:
            raise RejectedError(f"a beacon block's root has {ROOT_BYTES} bytes")
