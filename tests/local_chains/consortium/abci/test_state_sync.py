"""A node that starts from others' snapshot: over the socket with every kind of bad luck, and in a real network."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from core.model.consortium import Transfer, account_key, encode_clock, quantity
from core.model.errors import RejectedError
from core.proofs.cometbft.json import bytes_from_base64
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.engine.abci import settings
from local_chains.consortium.engine.abci.messages import ChunkVerdict, OfferVerdict, decode_snapshot, encode_snapshot
from local_chains.consortium.engine.abci.network import SNAPSHOT_INTERVAL
from local_chains.consortium.engine.abci.settings import load_settings
from local_chains.consortium.state import snapshots
from local_chains.consortium.state.snapshots import Snapshot
from tests.local_chains.consortium.abci import node
from tests.local_chains.consortium.abci.comet import (
    account,
    begun,
    broadcast,
    included,
    make_network,
    more_blocks,
    need_cometbft,
    reached,
    signed_header,
)
from tests.local_chains.consortium.abci.test_application import Driver, make_home, serving, transfer
from tests.local_chains.consortium.abci.test_faults import app_hash_of, require_one_chain
from tests.local_chains.consortium.support import ANN, BEN, CHAIN
from tests.support import eventually

INTERVAL = 10


def take_snapshots_soon(config: Path) -> None:
    default, soon = (f"snapshot_interval = {heights}" for heights in (SNAPSHOT_INTERVAL, INTERVAL))
    text = config.read_text()
    assert default in text
    config.write_text(text.replace(default, soon))


@pytest.fixture
def two_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Homes of one chain: a node that takes snapshots in small chunks, and a newcomer."""
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 60)
    home = make_home(tmp_path / "network")
    newcomer = tmp_path / "newcomer"
    shutil.copytree(home, newcomer)
    take_snapshots_soon(home / "config" / "config.toml")
    return home, newcomer


async def snapshot_of(driver: Driver) -> Snapshot:
    """The only one that a node offers, once it is written."""

    async def offered() -> list[Any]:
        return (await driver.ask(node.list_snapshots())).get(1, [])

    [raw] = await eventually(offered)
    return decode_snapshot(raw)


async def chunks_of(driver: Driver, snapshot: Snapshot) -> list[bytes]:
    asked = [node.load_snapshot_chunk(snapshot.height, snapshot.format, index) for index in range(snapshot.chunks)]
    return [bytes((await driver.ask(request))[1][0]) for request in asked]


async def verdict(driver: Driver, request: bytes) -> int:
    return int((await driver.ask(request))[1][0])


async def test_a_newcomer_takes_the_state_over_and_goes_on(two_homes: tuple[Path, Path]) -> None:
    home, newcomer = two_homes
    async with serving(home) as driver:
        for sequence in range(INTERVAL):
            await driver.decide(transfer(sequence))
        app_hash, clock = driver.application.state.app_hash, driver.clock
        snapshot = await snapshot_of(driver)
        assert (snapshot.height, snapshot.format) == (INTERVAL, 1)
        chunks = await chunks_of(driver, snapshot)
        assert snapshot.chunks > 2
        assert await driver.ask(node.load_snapshot_chunk(INTERVAL, 1, snapshot.chunks)) == {}
        before = clock.now_ns()
        following = await driver.decide(transfer(INTERVAL))
    assert [app_hash] != following[5]
    async with serving(newcomer) as driver:
        offer = node.offer_snapshot(encode_snapshot(snapshot), app_hash)
        assert await verdict(driver, offer) == OfferVerdict.ACCEPT
        for index, chunk in enumerate(chunks):
            assert await verdict(driver, node.apply_snapshot_chunk(index, chunk)) == ChunkVerdict.ACCEPT
        assert (await driver.ask(node.info()))[4] == [INTERVAL]
        assert (await driver.ask(node.info()))[5] == [app_hash]
    async with serving(newcomer) as driver:
        # Also after a restart it is where the snapshot was taken, and makes the same of the next block.
        assert driver.application.state.app_hash == app_hash
        await driver.clock.advance((before - driver.clock.now_ns()) / 1e9)
        assert await driver.decide(transfer(INTERVAL)) == following
        answer = await driver.ask(node.query(account_key(BEN.address), INTERVAL))
        assert 8 in answer
        assert (await driver.ask(node.query(account_key(BEN.address), INTERVAL - 1)))[1] == [1]
        # Whoever has blocks takes no snapshot.
        assert await verdict(driver, offer) == OfferVerdict.ABORT


async def test_what_is_wrong_with_a_snapshot_is_said(two_homes: tuple[Path, Path]) -> None:
    home, newcomer = two_homes
    async with serving(home) as driver:
        for _ in range(INTERVAL):
            await driver.decide()
        app_hash = driver.application.state.app_hash
        snapshot = await snapshot_of(driver)
        chunks = await chunks_of(driver, snapshot)
    async with serving(newcomer) as driver:
        genesis = driver.application.state.app_hash

        async def offer(offered: Snapshot, trusted: bytes = app_hash) -> int:
            return await verdict(driver, node.offer_snapshot(encode_snapshot(offered), trusted))

        described = (snapshot.chunks, snapshot.hash, snapshot.metadata)
        assert await offer(Snapshot(INTERVAL, 2, *described)) == OfferVerdict.REJECT_FORMAT
        assert await offer(Snapshot(INTERVAL, 1, snapshot.chunks + 1, *described[1:])) == OfferVerdict.REJECT
        assert await offer(Snapshot(INTERVAL, 1, snapshot.chunks, b"x" * 32, snapshot.metadata)) == OfferVerdict.REJECT

        assert await offer(snapshot) == OfferVerdict.ACCEPT
        damaged = await driver.ask(node.apply_snapshot_chunk(0, b"nonsense", "liar"))
        assert damaged == {1: [ChunkVerdict.RETRY], 2: [b"\0"], 3: [b"liar"]}
        assert await verdict(driver, node.apply_snapshot_chunk(0, chunks[0])) == ChunkVerdict.ACCEPT
        assert await verdict(driver, node.apply_snapshot_chunk(2, chunks[2])) == ChunkVerdict.RETRY_SNAPSHOT

        # Every chunk is what the snapshot says, but the state is not the one that the headers prove.
        assert await offer(snapshot, b"y" * 32) == OfferVerdict.ACCEPT
        verdicts = [await verdict(driver, node.apply_snapshot_chunk(index, raw)) for index, raw in enumerate(chunks)]
        assert verdicts == [ChunkVerdict.ACCEPT] * (len(chunks) - 1) + [ChunkVerdict.REJECT_SNAPSHOT]
        assert (driver.application.state.height, driver.application.state.app_hash) == (0, genesis)
        assert await offer(snapshot) == OfferVerdict.ACCEPT


async def test_old_blocks_are_let_go_but_not_those_after_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PROOF_HEIGHTS", 5)
    home = make_home(tmp_path / "network")
    config = home / "config" / "config.toml"
    take_snapshots_soon(config)
    config.write_text(config.read_text().replace("keep_blocks = 0", "keep_blocks = 5"))
    retained = []
    async with serving(home) as driver:
        for height in range(1, 24):
            await driver.clock.advance(1)
            entries = (encode_clock(driver.now_ms),)
            await driver.ask(node.finalize_block(entries, height, bytes([height]) * 32))
            retained += (await driver.ask(node.commit())).get(3, [0])
            if height % INTERVAL == 0:
                await eventually(lambda: driver.application._state_sync.oldest)
    # Up to the first snapshot by number, then from that snapshot on.
    assert retained[:9] == [0, 0, 0, 0, 1, 2, 3, 4, 5]
    assert retained[-1] == INTERVAL


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("snapshot_interval = 3", "at least 10"),
        ("keep_blocks = 10", "at least 4000"),
        ("keep_block = 10", "cannot be read"),
        ('keep_blocks = "many"', "cannot be read"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, table: str, sentence: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(f"[causeway]\n{table}\n")
    with pytest.raises(RejectedError, match=sentence):
        load_settings(tmp_path)


@pytest.mark.long
async def test_a_real_node_that_lost_its_data_starts_from_a_snapshot(tmp_path: Path) -> None:
    need_cometbft()
    make_network(tmp_path / "network")
    configs = [tmp_path / "network" / "validators" / str(index) / "config" / "config.toml" for index in range(4)]
    for config in configs:
        config.write_text(
            config.read_text().replace(f"snapshot_interval = {SNAPSHOT_INTERVAL}", f"snapshot_interval = {INTERVAL}")
        )
    async with CometNetwork(tmp_path / "network") as network:
        nodes = network.nodes
        await begun(nodes, 2)
        raw = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(7)))
        await broadcast(nodes[0], raw)
        await included(nodes[0], raw)
        await reached(nodes, INTERVAL + 2)
        await nodes[3].stop()
        data = nodes[3].home / "data"
        for path in data.iterdir():
            # What a validator has signed and accepted it must never forget.
            if path.name not in ("priv_validator_state.json", "accepted_proposals.json", "ledger.log", "cometbft.log"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        first = await signed_header(nodes[0], 1)
        text = configs[3].read_text().replace("enable = false", "enable = true")
        text = text.replace('rpc_servers = ""', f'rpc_servers = "{nodes[0].rpc_url},{nodes[1].rpc_url}"')
        text = text.replace("trust_height = 0", "trust_height = 1")
        configs[3].write_text(text.replace('trust_hash = ""', f'trust_hash = "{first.commit.block_id.hash.hex()}"'))
        await nodes[3].start()
        await more_blocks(network, 3)
        status = (await nodes[3].call("status"))["sync_info"]
        assert int(status["earliest_block_height"]) > INTERVAL
        height, theirs = await app_hash_of(nodes[3])
        await reached(nodes, height + 1)
        assert (await signed_header(nodes[0], height + 1)).header.app_hash == bytes_from_base64(theirs)
        assert (await account(nodes[3], ANN)).sequence == 1
        await require_one_chain(nodes[:3])
        assert (await signed_header(nodes[3], height)).header.chain_id == CHAIN
