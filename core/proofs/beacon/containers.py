"""The containers of the light client protocol, with their SSZ roots.

Source: consensus-specs `specs/altair/light-client/sync-protocol.md`, and its changes in Capella (execution headers),
Deneb (blob gas) and Electra (deeper branches). Hashes and roots have 32 bytes.
"""

from dataclasses import dataclass
from typing import Final

from core.proofs.beacon import ssz

MAX_EXTRA_DATA: Final = 32

Branch = tuple[bytes, ...]
"""Siblings from the leaf upwards."""


@dataclass(frozen=True, slots=True)
class BeaconHeader:
    """`BeaconBlockHeader`."""

    slot: int
    proposer_index: int
    parent_root: bytes
    state_root: bytes
    body_root: bytes

    def root(self) -> bytes:
        """The block's root."""
        numbers = ssz.uint_root(self.slot), ssz.uint_root(self.proposer_index)
        return ssz.merkleize((*numbers, self.parent_root, self.state_root, self.body_root))


@dataclass(frozen=True, slots=True)
class ExecutionHeader:
    """`ExecutionPayloadHeader`; the blob gas is None before Deneb. `block_hash` is that of the Ethereum block."""

    parent_hash: bytes
    fee_recipient: bytes
    state_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    prev_randao: bytes
    block_number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    base_fee_per_gas: int
    block_hash: bytes
    transactions_root: bytes
    withdrawals_root: bytes
    blob_gas_used: int | None = None
    excess_blob_gas: int | None = None

    def root(self) -> bytes:
        """Its root, as of the fork whose fields it has."""
        chunks = [
            self.parent_hash,
            ssz.bytes_root(self.fee_recipient),
            self.state_root,
            self.receipts_root,
            ssz.bytes_root(self.logs_bloom),
            self.prev_randao,
            *map(ssz.uint_root, (self.block_number, self.gas_limit, self.gas_used, self.timestamp)),
            ssz.byte_list_root(self.extra_data, MAX_EXTRA_DATA),
            ssz.uint_root(self.base_fee_per_gas),
            self.block_hash,
            self.transactions_root,
            self.withdrawals_root,
        ]
        blobs = (self.blob_gas_used, self.excess_blob_gas)
        return ssz.merkleize([*chunks, *(ssz.uint_root(gas) for gas in blobs if gas is not None)])


@dataclass(frozen=True, slots=True)
class LightHeader:
    """`LightClientHeader`: a beacon header and, from Capella on, the execution header in its body."""

    beacon: BeaconHeader
    execution: ExecutionHeader | None = None
    execution_branch: Branch = ()

    @property
    def slot(self) -> int:
        """The beacon header's."""
        return self.beacon.slot


@dataclass(frozen=True, slots=True)
class SyncCommittee:
    """`SyncCommittee`: its members' keys (48 bytes each) in their order, and the sum of these."""

    keys: tuple[bytes, ...]
    aggregate_key: bytes

    def root(self) -> bytes:
        """Its root."""
        keys = ssz.merkleize([ssz.bytes_root(key) for key in self.keys])
        return ssz.hash_pair(keys, ssz.bytes_root(self.aggregate_key))


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """`LightClientBootstrap`: a header, and the committee that signs in its period."""

    header: LightHeader
    committee: SyncCommittee
    committee_branch: Branch


@dataclass(frozen=True, slots=True)
class NextCommittee:
    """The committee of the next period, under the attested header's state."""

    committee: SyncCommittee
    branch: Branch


@dataclass(frozen=True, slots=True)
class Finality:
    """The header that the attested header's state calls final; None while that is still genesis."""

    header: LightHeader | None
    branch: Branch


@dataclass(frozen=True, slots=True)
class Update:
    """`LightClientUpdate`; without some of its parts also a finality update or an optimistic update.

    `participation` has one bit a member, the first one lowest in the first byte; `signature` has 96 bytes.
    """

    attested: LightHeader
    following: NextCommittee | None
    finality: Finality | None
    participation: bytes
    signature: bytes
    signature_slot: int

    @property
    def finalized_slot(self) -> int:
        """The finalized header's slot, 0 if there is none."""
        return 0 if self.finality is None or self.finality.header is None else self.finality.header.slot

    @property
    def participants(self) -> int:
        """How many members signed."""
        return sum(byte.bit_count() for byte in self.participation)
