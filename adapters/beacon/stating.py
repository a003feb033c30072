"""A beacon chain in the words of one of its nodes: its parameters, and its newest final block (ethereum/beacon-APIs,
`beacon/genesis`, `config/spec`, `beacon/states`, `beacon/headers`). To be compared with what others say: nothing here
is proven.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.beacon.client import BeaconNode
from core.model.beacon import FORK_VERSION_BYTES, ROOT_BYTES, BeaconFork, BeaconNetwork, ForkStart
from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.identifiers import parse_chain
from core.model.types import ChainId
from core.proofs.errors import MalformedProofError
from core.proofs.evidence import canonical

FAR_FUTURE: Final = 2**64 - 1
"""The epoch of a fork that has none yet (consensus-specs, `FAR_FUTURE_EPOCH`)."""
NEVER: Final = 2**63
"""From this epoch on a fork counts as one that has none."""
MAX_CHAIN_NUMBER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The block with this root is final as of this epoch."""

    epoch: int
    root: bytes


async def stated_network(node: BeaconNode) -> tuple[ChainId, BeaconNetwork]:
    """Return the Ethereum chain whose blocks these are, and the network's parameters. Forks that are not known here are
    left out. Raise `RetryableError` if the node does not state them in form."""
    genesis = _object(node, _data(node, await node.get("/eth/v1/beacon/genesis")))
    spec = _object(node, _data(node, await node.get("/eth/v1/config/spec")))
    try:
        forks = [ForkStart(BeaconFork.PHASE0, 0, _bytes(spec.get("GENESIS_FORK_VERSION"), FORK_VERSION_BYTES))]
        for fork in list(BeaconFork)[1:]:
            epoch = _number(spec.get(f"{fork.name}_FORK_EPOCH", str(FAR_FUTURE)))
            if epoch < NEVER:
                forks.append(ForkStart(fork, epoch, _bytes(spec.get(f"{fork.name}_FORK_VERSION"), FORK_VERSION_BYTES)))
        network = BeaconNetwork(
            genesis_time=_number(genesis.get("genesis_time")),
            genesis_validators_root=_bytes(genesis.get("genesis_validators_root"), ROOT_BYTES),
            seconds_per_slot=_number(spec.get("SECONDS_PER_SLOT")),
            slots_per_epoch=_number(spec.get("SLOTS_PER_EPOCH")),
            epochs_per_period=_number(spec.get("EPOCHS_PER_SYNC_COMMITTEE_PERIOD")),
            committee_size=_number(spec.get("SYNC_COMMITTEE_SIZE")),
            forks=tuple(forks),
        )
        return parse_chain(f"eip155:{_number(spec.get('DEPOSIT_CHAIN_ID'), MAX_CHAIN_NUMBER)}"), network
    except (MalformedProofError, RejectedError) as error:
        raise RetryableError(f"{node.name} states no network that can be: {error.message}") from error


async def stated_checkpoint(node: BeaconNode) -> Checkpoint:
    """Return the newest final block. Raise `RetryableError` if the node has none yet, or does not state it in form."""
    answer = _object(node, _data(node, await node.get("/eth/v1/beacon/states/head/finality_checkpoints")))
    final = _object(node, answer.get("finalized"))
    try:
        found = Checkpoint(_number(final.get("epoch")), _bytes(final.get("root"), ROOT_BYTES))
    except MalformedProofError as error:
        raise RetryableError(f"{node.name} states no final block in form: {error.message}") from error
    if found.root == bytes(ROOT_BYTES):
        raise RetryableError(f"{node.name} calls no block final yet: wait for about fifteen minutes after its genesis")
    return found


async def calls_final(node: BeaconNode, root: bytes) -> bool:
    """Return true if the node has the block with this root in its chain, and calls it final. Raise `RetryableError` if
    it does not answer in form."""
    try:
        answer = await node.get(f"/eth/v1/beacon/headers/0x{root.hex()}")
    except NotFoundError:
        return False
    header = _object(node, _data(node, answer))
    named = header.get("root") == f"0x{root.hex()}"
    return named and header.get("canonical") is True and _object(node, answer).get("finalized") is True


def _data(node: BeaconNode, answer: Any) -> Any:
    return _object(node, answer).get("data")


def _object(node: BeaconNode, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RetryableError(f"{node.name} answers with something else than the beacon API has")
    return value


def _number(value: Any, most: int = FAR_FUTURE) -> int:
    return canonical.decimal(value, most)


def _bytes(value: Any, size: int) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise MalformedProofError(f"0x and {2 * size} hex digits are needed")
    raw = canonical.hex_bytes(value[2:].lower(), size)
    if len(raw) != size:
        raise MalformedProofError(f"{size} bytes are needed, not {len(raw)}")
    return raw
