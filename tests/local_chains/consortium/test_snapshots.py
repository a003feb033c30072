"""Snapshots: the same bytes everywhere, complete or not there, and worth nothing under another app hash."""

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runtime.logging import configure_logging
from local_chains.consortium import rebuilding
from local_chains.consortium.rebuilding import RebuildProgress
from local_chains.consortium.state import snapshots
from local_chains.consortium.state.snapshots import (
    FORMAT,
    KEPT_SNAPSHOTS,
    MAX_HELD,
    Restoration,
    SnapshotFiles,
    Verdict,
    acceptable,
    describe,
    pack,
)
from local_chains.consortium.state.tree import build, root_hash, update

LEAVES = {f"key {number}".encode(): bytes([number % 251 + 1]) * 40 for number in range(200)}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 1_000)


def test_a_snapshot_restores_the_state_it_was_taken_of(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path / "snapshots")
    taken = files.take(7, LEAVES)
    assert taken.chunks > 5
    assert acceptable(taken)
    restoration = Restoration(taken, root_hash(update(None, LEAVES)))
    for index in range(taken.chunks):
        assert not restoration.complete
        assert restoration.expected == index
        assert restoration.add(files.chunk(7, taken.format, index)) is Verdict.ACCEPTED
    assert restoration.complete
    assert restoration.leaves == LEAVES
    assert root_hash(restoration.root) == restoration.app_hash


def test_every_node_takes_the_same_snapshot(tmp_path: Path) -> None:
    first = SnapshotFiles(tmp_path / "a").take(7, LEAVES)
    assert SnapshotFiles(tmp_path / "b").take(7, dict(reversed(LEAVES.items()))) == first
    assert SnapshotFiles(tmp_path / "c").take(7, LEAVES | {b"key 5": b"x"}).hash != first.hash


def test_damaged_chunk_is_repeated_and_wrong_snapshot_dropped() -> None:
    chunks = list(pack(LEAVES))
    good = describe(7, b"".join(hashlib.sha256(chunk).digest() for chunk in chunks))
    app_hash = root_hash(build(LEAVES))
    restoration = Restoration(good, app_hash)
    assert restoration.add(chunks[0] + b"x") is Verdict.DAMAGED
    assert restoration.add(chunks[1]) is Verdict.DAMAGED
    assert restoration.add(chunks[0]) is Verdict.ACCEPTED
    other = Restoration(good, b"y" * 32)
    assert [other.add(chunk) for chunk in chunks] == [Verdict.ACCEPTED] * (len(chunks) - 1) + [Verdict.WORTHLESS]
    assert not other.complete


@given(st.binary(max_size=60))
def test_no_bytes_of_a_chunk_break_a_restoration(chunk: bytes) -> None:
    described = describe(1, hashlib.sha256(chunk).digest())
    assert Restoration(described, b"z" * 32).add(chunk) is Verdict.WORTHLESS


def test_leaves_come_once_and_in_order() -> None:
    for leaves in ([(b"b", b"1"), (b"a", b"1")], [(b"a", b"1"), (b"a", b"2")], [(b"a", b"")]):
        chunk = snapshots._encode(leaves)
        described = describe(1, hashlib.sha256(chunk).digest())
        assert Restoration(described, root_hash(build(dict(leaves)))).add(chunk) is Verdict.WORTHLESS


def test_a_chunk_is_about_as_large_as_chunks_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MAX_CHUNK_BYTES", 2_000)
    for size, verdict in ((1_980, Verdict.ACCEPTED), (2_000, Verdict.WORTHLESS)):
        leaf = b"1" * size
        chunk = snapshots._encode([(b"a", leaf)])
        restoration = Restoration(describe(1, hashlib.sha256(chunk).digest()), root_hash(build({b"a": leaf})))
        assert restoration.add(chunk) is verdict


def test_state_taken_over_is_bounded_before_its_root_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [snapshots._encode([(b"%c%03d" % (65 + part, leaf), b"1") for leaf in range(100)]) for part in range(4)]
    metadata = b"".join(hashlib.sha256(part).digest() for part in parts)
    monkeypatch.setattr(snapshots, "MAX_STATE_BYTES", 3 * (len(parts[0]) + 100 * snapshots.LEAF_BYTES))
    restoration = Restoration(describe(1, metadata), bytes(32))
    assert [restoration.add(part) for part in parts] == [Verdict.ACCEPTED] * 3 + [Verdict.WORTHLESS]


def test_chunk_that_says_it_has_billions_of_leaves_is_not_read() -> None:
    chunk = b"\xdd\xff\xff\xff\xff" + b"\x92\xc4\x01a\xc4\x01b"
    restoration = Restoration(describe(1, hashlib.sha256(chunk).digest()), bytes(32))
    assert restoration.add(chunk) is Verdict.WORTHLESS


def test_the_newest_two_are_kept_also_after_a_restart(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path / "snapshots")
    for height in (10, 20, 30):
        files.take(height, LEAVES)
    (tmp_path / "snapshots" / "new").mkdir()
    for found in (files, SnapshotFiles(tmp_path / "snapshots")):
        assert [snapshot.height for snapshot in found.newest_first] == [30, 20]
        assert found.chunk(30, snapshots.FORMAT, 0)
        for height, kind, index in ((10, 1, 0), (30, 2, 0), (30, 1, 10**6), (30, 1, -1)):
            assert found.chunk(height, kind, index) == b""


def test_snapshot_that_is_being_fetched_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = SnapshotFiles(tmp_path)
    files.take(10, {b"key": b"leaf"})
    assert files.chunk(10, FORMAT, 0)
    for height in (20, 30, 40):
        files.take(height, {b"key": b"leaf"})
    assert [one.height for one in files.newest_first] == [40, 30, 10]
    assert files.chunk(10, FORMAT, 0)
    # One after another may be fetched, and at most `MAX_HELD` are held.
    for height in (40, 50, 60, 70):
        files.chunk(height, FORMAT, 0)
        files.take(height + 10, {b"key": b"leaf"})
    assert len(files.newest_first) == KEPT_SNAPSHOTS + MAX_HELD
    monkeypatch.setattr(snapshots, "HELD_S", 0.0)
    files.take(90, {b"key": b"leaf"})
    assert [one.height for one in files.newest_first] == [90, 80]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["80", "90"]


def test_what_a_peer_says_must_be_consistent() -> None:
    good = describe(7, b"a" * 64)
    assert acceptable(good)
    for wrong in (
        describe(0, b"a" * 64),
        describe(7, b""),
        snapshots.Snapshot(7, 1, 3, good.hash, good.metadata),
        snapshots.Snapshot(7, 1, 2, b"x" * 32, good.metadata),
        describe(7, b"a" * 32 * (snapshots.MAX_CHUNKS + 1)),
    ):
        assert not acceptable(wrong)


@given(st.dictionaries(st.binary(max_size=3), st.binary(min_size=1, max_size=4), max_size=40))
def test_a_tree_built_at_once_is_the_one_that_grew(leaves: dict[bytes, bytes]) -> None:
    heard: list[tuple[int, int]] = []
    assert root_hash(build(leaves, lambda done, total: heard.append((done, total)))) == root_hash(update(None, leaves))
    assert heard[-1] == (len(leaves), len(leaves))
    assert heard == sorted(heard)


def test_a_long_rebuild_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    configure_logging("info", stream=log)
    RebuildProgress()(5, 5)
    assert log.getvalue() == ""
    monkeypatch.setattr(rebuilding, "MIN_LEAVES", 5)
    RebuildProgress()(5, 5)
    assert "rebuilding the state tree" in log.getvalue()
    configure_logging("error", stream=io.StringIO())
