"""Rows follow a block into the tables some blocks later, and nobody can see that they do, whenever the process ends."""

import random
import shutil
from itertools import permutations
from pathlib import Path

import pytest

from core.model.consortium import AccountLeaf, account_key, decode_leaf, encode_leaf, quantity, transaction_hash
from local_chains.consortium.ledger.accounts import Account, decode_account, decode_sequence, encode_account
from local_chains.consortium.ledger.leaves import read_account
from local_chains.consortium.ledger.view import Overlay
from local_chains.consortium.state import backlog
from local_chains.consortium.state.backlog import PIECES, Backlog
from local_chains.consortium.state.store import Changes, Store, StoredBlock

GENESIS = b"g" * 32
KEYS = [b"key %d" % number for number in range(40)]
BLOCKS = 60
NAMES = 40


@pytest.fixture(params=[(5, 10_000, 10_000_000), (1_000, 30, 10_000_000), (1_000, 10_000, 400)])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit in turn is the one that is reached."""
    for name, value in zip(("BLOCKS", "WRITES", "BYTES"), request.param, strict=True):
        monkeypatch.setattr(backlog, f"CHECKPOINT_{name}", value)


def block_at(height: int) -> StoredBlock:
    return StoredBlock(height, height.to_bytes(32, "big"), 0, b"", b"", b"", b"", b"", b"")


class Model:
    """The answers that a chain's file must give after every block."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.leaves = dict.fromkeys(KEYS[:10], b"genesis")
        self.history = [dict(self.leaves)]
        self.places: dict[bytes, tuple[int, int]] = {}

    def next_block(self) -> tuple[int, tuple[bytes, ...], Changes]:
        height = len(self.history)
        writes: dict[bytes, bytes | None] = {}
        for key in self._rng.sample(KEYS, self._rng.randint(0, 8)):
            writes[key] = None if self._rng.random() < 0.3 else b"leaf %d" % self._rng.randint(0, 9)
        replaced = {key: self.leaves.get(key) for key in writes}
        names = tuple(transaction_hash(b"%d" % self._rng.randint(0, NAMES - 1)) for _ in range(self._rng.randint(0, 4)))
        for key, leaf in writes.items():
            if leaf is None:
                self.leaves.pop(key, None)
            else:
                self.leaves[key] = leaf
        self.places.update((name, (height, position)) for position, name in enumerate(names))
        self.history.append(dict(self.leaves))
        return height, names, Changes(writes, replaced)

    def forget(self, first: int) -> None:
        self.places = {name: place for name, place in self.places.items() if place[0] >= first}


async def assert_agrees(store: Store, model: Model) -> None:
    assert await store.leaves() == model.leaves
    for number in range(NAMES):
        name = transaction_hash(b"%d" % number)
        assert await store.transaction(name) == model.places.get(name)


@pytest.mark.parametrize("seed", range(3))
async def test_a_file_is_whole_after_every_block(tmp_path: Path, limits: None, seed: int) -> None:
    """A copy of the files as a crash would leave them is opened after each block; every seventh is gone on from."""
    model, path = Model(seed), tmp_path / "0" / "chain.sqlite"
    path.parent.mkdir()
    store = Store(path)
    await store.open(GENESIS)
    await store.write_genesis(model.leaves)
    settled = set()
    for number in range(1, BLOCKS + 1):
        height, names, changes = model.next_block()
        await store.append(block_at(height), names, changes)
        settled.add(store._backlog.settled)
        copy = tmp_path / str(number)
        shutil.copytree(path.parent, copy)
        again = Store(copy / "chain.sqlite")
        await again.open(GENESIS)
        for one in (store, again):
            await assert_agrees(one, model)
        if number % 7 == 0:
            store, again = again, store
            path = copy / "chain.sqlite"
        await again.close()
    assert len(settled) > 3, "the tables followed several times"
    for height, leaves in enumerate(model.history):
        for key in KEYS[::3]:
            assert await store.leaf(height, key) == leaves.get(key)
    await store.close()


async def test_what_is_pruned_on_its_way_never_arrives(tmp_path: Path, limits: None) -> None:
    model = Model(7)
    store = Store(tmp_path / "chain.sqlite")
    await store.open(GENESIS)
    await store.write_genesis(model.leaves)
    every = set[bytes]()
    for number in range(1, BLOCKS + 1):
        height, names, changes = model.next_block()
        every.update(names)
        await store.append(block_at(height), names, changes)
        if number % 2 == 0:
            await store.prune(height - 1)
            model.forget(store.first)
        await assert_agrees(store, model)
    await store.close()
    store = Store(tmp_path / "chain.sqlite")
    await store.open(GENESIS)
    await assert_agrees(store, model)
    pruned = every - model.places.keys()
    assert len(pruned) > NAMES / 2
    assert [await store.transaction(name) for name in pruned] == [None] * len(pruned)
    assert store.first == BLOCKS - 1
    await store.close()


def test_pieces_are_the_whole_and_come_in_key_order(limits: None) -> None:
    waiting = Backlog()
    height = 0
    while not (waiting.piece().leaves or waiting.piece().places):
        height += 1
        waiting.add(height, {b"k%d" % (height * 7 % 10): b"v%d" % height}, [transaction_hash(b"%d" % height)], 100)
    leaves: list[tuple[bytes, bytes | None]] = []
    places: list[tuple[bytes, int, int]] = []
    settled = []
    for _ in range(PIECES):
        piece = waiting.piece()
        assert piece == waiting.piece(), "the same until it is stored"
        leaves += piece.leaves
        places += piece.places
        settled.append(piece.settled)
        waiting.stored(piece)
    assert leaves == sorted(leaves)
    assert places == sorted(places)
    assert {row[1] for row in places} == set(range(1, height + 1))
    assert settled == [None] * (PIECES - 1) + [height]
    assert waiting.settled == height


# --- accounts in layers ---


def holding(sequence: int, **balances: int) -> Account:
    account = Account(sequence, {})
    for symbol, amount in balances.items():
        account = account.with_balance(symbol, amount)
    return account


def test_an_account_is_the_same_leaf_however_it_came_about() -> None:
    leaf = AccountLeaf(7, (("cnyd", quantity(5)), ("gold", quantity(2**200))))
    account = decode_account(encode_leaf(leaf))
    assert account == holding(7, gold=2**200, silver=1, cnyd=5, gold2=3).with_balance("silver", 0).with_balance(
        "gold2", 0
    )
    for names in permutations(("gold", "silver", "cnyd")):
        other = holding(7, **{name: 2**200 if name == "gold" else 5 for name in names})
        assert encode_account(other.with_balance("silver", 0)) == encode_leaf(leaf) == encode_account(account)
    assert (account.balance("gold"), account.balance("cnyd"), account.balance("silver")) == (2**200, 5, 0)
    assert decode_sequence(encode_leaf(leaf)) == 7
    assert decode_leaf(encode_account(account), AccountLeaf) == leaf


def test_what_is_taken_back_was_never_written() -> None:
    base = {b"a": b"1", b"account": encode_account(holding(1, cnyd=1))}
    layer = Overlay(base)
    layer.put(b"before", b"x")
    layer.begin()
    layer.put(b"a", b"2")
    mark = layer.mark
    layer.put(b"a", b"3")
    layer.delete(b"before")
    layer.put(b"account", Account(2, {}))
    assert (layer.get(b"a"), layer.get(b"before")) == (b"3", None)
    assert layer.get(b"account") == encode_account(Account(2, {}))
    layer.take_back(mark)
    assert layer.writes == {b"before": b"x", b"a": b"2"}
    assert layer.account(b"account") == holding(1, cnyd=1)
    layer.take_back()
    assert layer.writes == {b"before": b"x"}


def test_what_the_state_has_by_now_leaves_the_layer() -> None:
    layer = Overlay({})
    layer.put(b"same", holding(1, cnyd=3))
    layer.put(b"newer", Account(2, {}))
    layer.put(b"gone", None)
    layer.put(b"mine", b"x")
    layer.settle({b"same": holding(1, cnyd=3), b"newer": Account(1, {}), b"gone": None, b"other": b"y"})
    assert layer.written == {b"newer": Account(2, {}), b"mine": b"x"}


def test_accounts_of_many_assets_stay_leaves_in_a_layer() -> None:
    """Decoded they would take several times the memory, of thousands in a block and of all that wait."""
    layer = Overlay({})
    few, many = (holding(1, **{f"asset{number:03}": number + 1 for number in range(count)}) for count in (8, 256))
    layer.put_account(account_key(b"f" * 20), few)
    layer.put_account(account_key(b"m" * 20), many)
    assert [type(leaf) for leaf in layer.written.values()] == [Account, bytes]
    assert read_account(layer, b"f" * 20) == few
    assert read_account(layer, b"m" * 20) == many
    assert layer.writes == {account_key(raw * 20): encode_account(one) for raw, one in ((b"f", few), (b"m", many))}
