"""The consensus specifications' light client vectors, read for tests: raw snappy, SSZ and YAML.

They are as `ethereum/consensus-spec-tests` publishes them, `<preset>/<fork>/light_client/<handler>/<suite>/<case>`, in
a folder that `CAUSEWAY_CONSENSUS_VECTORS` names, or else next to the other vectors.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from core.model.beacon import BeaconFork, BeaconNetwork, ForkStart
from core.proofs.beacon import ssz
from core.proofs.beacon.containers import (
    BeaconHeader,
    Bootstrap,
    Branch,
    ExecutionHeader,
    Finality,
    LightHeader,
    NextCommittee,
    SyncCommittee,
    Update,
)
from core.proofs.beacon.light_client import (
    CURRENT_COMMITTEE,
    EXECUTION_PAYLOAD,
    FINALIZED_ROOT,
    NEXT_COMMITTEE,
    Store,
    force_update,
    is_better_update,
    process_update,
    start,
)
from tests.support import VECTORS

FOLDER: Final = Path(os.environ.get("CAUSEWAY_CONSENSUS_VECTORS") or VECTORS / "consensus")
PRESET: Final = "minimal"
COMMITTEE: Final = 32
FORK_VERSIONS: Final = {fork: bytes([fork, 0, 0, 1]) for fork in BeaconFork}
MAX_UNPACKED: Final = 1 << 24
FAR: Final = 2**64 - 1


def cases(handler: str) -> list[Path]:
    """Folders of this handler's cases whose forks are known here, none on a machine without vectors."""
    forks = [fork.name.lower() for fork in BeaconFork]
    found = (case for fork in forks for case in FOLDER.glob(f"{PRESET}/{fork}/light_client/{handler}/*/*"))
    return sorted(case for case in found if case.is_dir() and not _is_beyond(case))


def _is_beyond(case: Path) -> bool:
    """Return True for a case that goes on through a fork that is not known here."""
    config = case / "config.yaml"
    return config.exists() and any(
        name.endswith("_FORK_EPOCH")
        and int(epoch) < FAR
        and name.removesuffix("_FORK_EPOCH") not in BeaconFork.__members__
        for name, epoch in read_yaml(config).items()
    )


# --- files -------------------------------------------------------------------------------------------------------


def unpacked(path: Path) -> bytes:
    """The bytes of a raw snappy file (google/snappy `format_description.txt`)."""
    data = path.read_bytes()
    size, at = _varint(data, 0)
    assert size <= MAX_UNPACKED
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(data[at : at + extra], "little")
                at += extra
            out += data[at : at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at : at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def read_yaml(path: Path) -> Any:
    """A YAML document."""
    return yaml.safe_load(path.read_text())


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


# --- SSZ ---------------------------------------------------------------------------------------------------------


@dataclass
class Reader:
    """Reads a container's fixed part in order; members of variable size stand at offsets."""

    data: bytes
    at: int = 0

    def take(self, size: int) -> bytes:
        found = self.data[self.at : self.at + size]
        assert len(found) == size
        self.at += size
        return found

    def number(self, size: int = 8) -> int:
        return int.from_bytes(self.take(size), "little")

    def hash(self) -> bytes:
        return self.take(32)

    def branch(self, depth: int) -> Branch:
        return tuple(self.hash() for _ in range(depth))

    def committee(self) -> SyncCommittee:
        keys = tuple(self.take(48) for _ in range(COMMITTEE))
        return SyncCommittee(keys, self.take(48))

    def beacon(self) -> BeaconHeader:
        return BeaconHeader(self.number(), self.number(), self.hash(), self.hash(), self.hash())


@dataclass(frozen=True)
class Types:
    """SSZ types as of a fork, and what its values are by the forks of the network."""

    fork: BeaconFork
    network: BeaconNetwork

    @property
    def depths(self) -> tuple[int, int]:
        """Of committees and of the finalized root."""
        return (6, 7) if self.fork >= BeaconFork.ELECTRA else (5, 6)

    def header(self, data: bytes) -> LightHeader:
        reader = Reader(data)
        beacon = reader.beacon()
        if self.fork < BeaconFork.CAPELLA:
            assert reader.at == len(data)
            return LightHeader(beacon)
        offset = reader.number(4)
        branch = reader.branch(4)
        execution = self.execution(data[offset:])
        if self.network.fork_at(beacon.slot).fork < BeaconFork.CAPELLA:
            assert not any(map(any, branch)), "an older header has no execution header"
            return LightHeader(beacon)
        return LightHeader(beacon, execution(self.network.fork_at(beacon.slot).fork), branch)

    def execution(self, data: bytes) -> Callable[[BeaconFork], ExecutionHeader]:
        reader = Reader(data)
        parent, recipient, state, receipts = reader.hash(), reader.take(20), reader.hash(), reader.hash()
        bloom, randao = reader.take(256), reader.hash()
        height, gas_limit, gas_used, time = (reader.number() for _ in range(4))
        offset = reader.number(4)
        fee, block, transactions, withdrawals = reader.number(32), reader.hash(), reader.hash(), reader.hash()
        blobs = (reader.number(), reader.number()) if self.fork >= BeaconFork.DENEB else (0, 0)
        assert offset == reader.at

        def made(fork: BeaconFork) -> ExecutionHeader:
            assert fork >= BeaconFork.DENEB or blobs == (0, 0)
            used, excess = blobs if fork >= BeaconFork.DENEB else (None, None)
            return ExecutionHeader(
                parent, recipient, state, receipts, bloom, randao, height, gas_limit, gas_used, time,
                data[offset:], fee, block, transactions, withdrawals, used, excess,
            )  # fmt: skip

        return made

    def bootstrap(self, data: bytes) -> Bootstrap:
        reader = Reader(data)
        if self.fork >= BeaconFork.CAPELLA:
            header = data[reader.number(4) :]
        else:
            header = reader.take(112)
        found = reader.committee(), reader.branch(self.depths[0])
        return Bootstrap(self.header(header), *found)

    def update(self, data: bytes) -> Update:
        reader = Reader(data)
        late = self.fork >= BeaconFork.CAPELLA
        first = reader.number(4) if late else reader.take(112)
        committee, branch = reader.committee(), reader.branch(self.depths[0])
        second = reader.number(4) if late else reader.take(112)
        finality_branch = reader.branch(self.depths[1])
        bits, signature, slot = reader.take(COMMITTEE // 8), reader.take(96), reader.number()
        if isinstance(first, int) and isinstance(second, int):
            first, second = data[first:second], data[second:]
        assert isinstance(first, bytes)
        assert isinstance(second, bytes)
        following = NextCommittee(committee, branch) if any(map(any, branch)) else None
        finality = None
        if any(map(any, finality_branch)):
            header = self.header(second) if any(second[:112]) else None
            finality = Finality(header, finality_branch)
        return Update(self.header(first), following, finality, bits, signature, slot)


# --- cases -------------------------------------------------------------------------------------------------------


def network_of(case: Path, genesis_validators_root: bytes = bytes(32)) -> BeaconNetwork:
    """The minimal preset with the forks of the case's own configuration, or with its folder's fork from the start."""
    config = case / "config.yaml"
    if config.exists():
        found = read_yaml(config)
        epochs = {fork: int(found.get(f"{fork.name}_FORK_EPOCH", FAR if fork else 0)) for fork in BeaconFork}
        versions = {fork: _version(found, fork) for fork in BeaconFork}
    else:
        folder = BeaconFork[case.relative_to(FOLDER).parts[1].upper()]
        epochs = {fork: 0 if fork <= folder else FAR for fork in BeaconFork}
        versions = FORK_VERSIONS
    forks = tuple(ForkStart(fork, epochs[fork], versions[fork]) for fork in BeaconFork if epochs[fork] < FAR)
    return BeaconNetwork(0, genesis_validators_root, 6, 8, 8, COMMITTEE, forks)


def _version(config: Any, fork: BeaconFork) -> bytes:
    value = config.get("GENESIS_FORK_VERSION" if fork is BeaconFork.PHASE0 else f"{fork.name}_FORK_VERSION")
    if value is None:
        return FORK_VERSIONS[fork]
    return int(value).to_bytes(4, "big") if isinstance(value, int) else bytes.fromhex(str(value)[2:])


def run_sync(case: Path) -> int:
    """Take every step of a `sync` case and compare the store after each; return how many were compared."""
    meta = read_yaml(case / "meta.yaml")
    network = network_of(case, bytes.fromhex(meta["genesis_validators_root"][2:]))
    kinds = dict(_digests(network, case))

    def types(digest: str) -> Types:
        return Types(kinds[digest], network)

    bootstrap = types(meta["bootstrap_fork_digest"]).bootstrap(unpacked(case / "bootstrap.ssz_snappy"))
    store = start(bytes.fromhex(meta["trusted_block_root"][2:]), bootstrap, network)
    steps = read_yaml(case / "steps.yaml")
    for step in steps:
        [(name, body)] = step.items()
        if name == "process_update":
            update = types(body["update_fork_digest"]).update(unpacked(case / f"{body['update']}.ssz_snappy"))
            store = process_update(store, update, int(body["current_slot"]), network)
        elif name == "force_update":
            store = force_update(store, int(body["current_slot"]), network)
        else:
            # The same store serves all forks here.
            assert name == "upgrade_store", name
        _require(store, body["checks"])
    return len(steps)


def _digests(network: BeaconNetwork, case: Path) -> Iterator[tuple[str, BeaconFork]]:
    """Fork digests (`compute_fork_digest`) and what they name; Fulu's also have the blob schedule in them."""
    for fork in network.forks:
        version = fork.version.ljust(32, b"\0")
        base = ssz.hash_pair(version, network.genesis_validators_root)
        yield f"0x{base[:4].hex()}", fork.fork
        if fork.fork < BeaconFork.FULU:
            continue
        for epoch, blobs in _blob_schedule(case, network, fork):
            mask = hashlib.sha256(epoch.to_bytes(8, "little") + blobs.to_bytes(8, "little")).digest()
            yield f"0x{bytes(a ^ b for a, b in zip(base[:4], mask, strict=False)).hex()}", fork.fork


def _blob_schedule(case: Path, network: BeaconNetwork, fulu: ForkStart) -> Iterator[tuple[int, int]]:
    config = read_yaml(case / "config.yaml") if (case / "config.yaml").exists() else {}
    for entry in config.get("BLOB_SCHEDULE") or []:
        yield int(entry["EPOCH"]), int(entry["MAX_BLOBS_PER_BLOCK"])
    electra = next(fork.epoch for fork in network.forks if fork.fork is BeaconFork.ELECTRA)
    yield electra, int(config.get("MAX_BLOBS_PER_BLOCK_ELECTRA", 9))


def _require(store: Store, checks: Any) -> None:
    for name, header in (("finalized_header", store.finalized), ("optimistic_header", store.optimistic)):
        expected = checks[name]
        assert header.slot == int(expected["slot"]), name
        assert f"0x{header.beacon.root().hex()}" == expected["beacon_root"], name
        execution = bytes(32) if header.execution is None else header.execution.root()
        assert f"0x{execution.hex()}" == expected.get("execution_root", f"0x{execution.hex()}"), name


def run_ranking(case: Path) -> int:
    """Compare every two updates of an `update_ranking` case; return how many pairs."""
    network = network_of(case)
    count = int(read_yaml(case / "meta.yaml")["updates_count"])
    types = Types(network.forks[-1].fork, network)
    updates = [types.update(unpacked(case / f"updates_{place}.ssz_snappy")) for place in range(count)]
    for place, better in enumerate(updates):
        for worse in updates[place + 1 :]:
            assert is_better_update(better, worse, network)
            assert not is_better_update(worse, better, network)
    return count * (count - 1) // 2


def run_branch(case: Path) -> int:
    """Check that a `single_merkle_proof` case is about a node that the light client knows, by the same way to the root.

    The root of a whole state is not computed here; proofs about one object have to lead to one root.
    """
    proof, fork = read_yaml(case / "proof.yaml"), BeaconFork[case.relative_to(FOLDER).parts[1].upper()]
    leaf, index = bytes.fromhex(proof["leaf"][2:]), int(proof["leaf_index"])
    branch = [bytes.fromhex(node[2:]) for node in proof["branch"]]
    assert index == INDICES[case.name](fork), case.name
    assert len(branch) == ssz.branch_depth(index)
    root = ssz.root_by_branch(leaf, branch, index)
    content = hashlib.sha256((case / "object.ssz_snappy").read_bytes()).digest()
    assert _ROOTS.setdefault(content, root) == root, "proofs about one object lead to different roots"
    return 2


INDICES: Final[dict[str, Callable[[BeaconFork], int]]] = {
    "current_sync_committee_merkle_proof": lambda fork: CURRENT_COMMITTEE[fork >= BeaconFork.ELECTRA],
    "next_sync_committee_merkle_proof": lambda fork: NEXT_COMMITTEE[fork >= BeaconFork.ELECTRA],
    "finality_root_merkle_proof": lambda fork: FINALIZED_ROOT[fork >= BeaconFork.ELECTRA],
    "execution_merkle_proof": lambda fork: EXECUTION_PAYLOAD,
}
_ROOTS: Final[dict[bytes, bytes]] = {}
