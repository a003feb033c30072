"""Beacon nodes and their anchor in a configuration: in force as written, or refused by name and place."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.model.errors import RejectedError
from core.model.types import ChainId
from core.proofs.evidence import encode_beacon_anchor
from gateway import config as settings
from gateway import wiring
from gateway.config import RelayerConfig
from tests.core.proofs.beacons import ToyBeacon
from tests.gateway.test_settings import refusal, stored, table

BEACON = ToyBeacon().anchor(320)
FILE = encode_beacon_anchor(BEACON)
OTHER = encode_beacon_anchor(replace(BEACON, chain=ChainId("eip155:1")))


def test_anchor_is_read_from_its_file_and_nodes_follow_it(tmp_path: Path) -> None:
    (tmp_path / "beacon.json").write_bytes(FILE)
    contents = table()
    contents["chains"][0].update(beacon_anchor="beacon.json", beacons=["http://b:5052", "https://c"])
    config = settings.load(stored(tmp_path, contents), RelayerConfig)
    spec = wiring.chain_spec(config.chains[0])
    assert (spec.beacon, spec.beacons) == (BEACON, ("http://b:5052", "https://c"))
    (tmp_path / "beacon.json").unlink()
    with pytest.raises(RejectedError, match="cannot read the beacon anchor"):
        wiring.chain_spec(config.chains[0])


@pytest.mark.parametrize(
    ("anchor", "beacons", "place", "says"),
    [
        (b"{}", ["http://b"], "beacon_anchor", "exactly its members"),
        (b"\xff", ["http://b"], "beacon_anchor", "utf-8"),
        (OTHER, ["http://b"], "beacon_anchor", "is of eip155:1"),
        (FILE, [], "beacons", "1 to 8"),
        (FILE, [f"http://b{number}" for number in range(9)], "beacons", "1 to 8"),
        (FILE, ["b:5052"], "beacons[0]", "is not a URL"),
        (FILE, ["http://b", "http://b/"], "beacons[1]", "named twice"),
        (None, ["http://b"], "beacon_anchor", "change beacon_anchor"),
    ],
)
def test_beacon_setting_without_force_is_refused(
    tmp_path: Path, anchor: bytes | None, beacons: list[str], place: str, says: str
) -> None:
    if anchor is not None:
        (tmp_path / "beacon.json").write_bytes(anchor)
    message = refusal(tmp_path, lambda t: t["chains"][0].update(beacon_anchor="beacon.json", beacons=beacons))
    assert f"chains[0].{place}: " in message, message
    assert says in message, message
