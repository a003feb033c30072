"""Anchors of beacon chains as JSON files: a trusted block's root, and the parameters by which a chain is followed."""

from collections.abc import Sequence
from typing import Any, Final

from core.model.beacon import BeaconAnchor, BeaconFork, BeaconNetwork, ForkStart
from core.model.errors import RejectedError
from core.model.identifiers import parse_chain
from core.model.questions import Anchor
from core.model.types import MAX_IDENTIFIER_CHARS, Seconds
from core.proofs.errors import MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.codec import FORMAT_VERSION, decode_anchor
from core.proofs.evidence.kinds import Anchors, Trusted

MAX_BEACON_TRUSTING_PERIOD_S: Final = 365 * 86_400
"""Far more than a weak subjectivity period, for chains of one's own."""
MAX_FORKS: Final = len(BeaconFork)
MAX_EPOCH: Final = 2**63 - 1

_NUMBERS: Final = ("genesis_time", "seconds_per_slot", "slots_per_epoch", "epochs_per_period", "committee_size")
_NAMES: Final = (
    "version", "chain", "genesis_validators_root", *_NUMBERS, "forks", "trusted_root", "trusting_period_s",
)  # fmt: skip


def encode_beacon_anchor(anchor: BeaconAnchor) -> bytes:
    """The file's bytes."""
    network = anchor.network
    forks = [{"fork": one.fork.name.lower(), "epoch": one.epoch, "version": one.version.hex()} for one in network.forks]
    return canonical.dump(
        {
            "version": FORMAT_VERSION,
            "chain": anchor.chain,
            "genesis_validators_root": network.genesis_validators_root.hex(),
            **{name: getattr(network, name) for name in _NUMBERS},
            "forks": forks,
            "trusted_root": anchor.trusted_root.hex(),
            "trusting_period_s": anchor.trusting_period_s,
        }
    )


def decode_beacon_anchor(data: bytes) -> BeaconAnchor:
    """Parse an anchor file, in any layout, since people write these. Raise MalformedProofError."""
    fields = canonical.members(canonical.load(data, any_layout=True), *_NAMES)
    if fields["version"] != FORMAT_VERSION:
        raise MalformedProofError("anchor has an unknown format version", supported=FORMAT_VERSION)
    numbers = {name: canonical.integer(fields[name]) for name in _NUMBERS}
    root, trusted = (canonical.hex_bytes(fields[name], 32) for name in ("genesis_validators_root", "trusted_root"))
    forks = tuple(_fork(one) for one in canonical.items(fields["forks"], MAX_FORKS))
    period = Seconds(canonical.integer(fields["trusting_period_s"], MAX_BEACON_TRUSTING_PERIOD_S))
    try:
        chain = parse_chain(canonical.text(fields["chain"], MAX_IDENTIFIER_CHARS))
        return BeaconAnchor(chain, BeaconNetwork(genesis_validators_root=root, forks=forks, **numbers), trusted, period)
    except RejectedError as error:
        raise MalformedProofError(error.message) from error


def decode_trusted(data: bytes) -> Anchor | BeaconAnchor:
    """Parse an anchor file of either kind: a beacon chain's has a `trusted_root`. Raise MalformedProofError."""
    value = canonical.load(data, any_layout=True)
    is_beacon = isinstance(value, dict) and "trusted_root" in value
    return decode_beacon_anchor(data) if is_beacon else decode_anchor(data)


def joined_anchors(anchors: Sequence[Anchor | BeaconAnchor]) -> Trusted:
    """One anchor, or one of each kind. Raise `RejectedError` for none, or for two of a kind."""
    match anchors:
        case [one]:
            return one
        case [Anchor() as ledger, BeaconAnchor() as beacon] | [BeaconAnchor() as beacon, Anchor() as ledger]:
            return Anchors(ledger, beacon)
    raise RejectedError("name one anchor, or one of a consortium chain and one of a beacon chain")


def _fork(value: Any) -> ForkStart:
    fields = canonical.members(value, "fork", "epoch", "version")
    name = canonical.text(fields["fork"], MAX_IDENTIFIER_CHARS)
    known = {fork.name.lower(): fork for fork in BeaconFork}
    if name not in known:
        raise MalformedProofError(f"fork {name[:32]!r} is not known here: use one of {', '.join(known)}")
    epoch, version = canonical.integer(fields["epoch"], MAX_EPOCH), canonical.hex_bytes(fields["version"], 4)
    return ForkStart(known[name], epoch, version)
