"""The tree of `make native` is Python's: the same roots, proofs and neighbours after any updates."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_chains.consortium.state.tree import (
    NATIVE,
    InnerNode,
    build,
    neighbours,
    prove,
    root_hash,
    update,
    update_in_python,
)

needs_native = pytest.mark.skipif(NATIVE is None, reason="make native has not been called")
keys = st.one_of(st.binary(max_size=2), st.binary(max_size=40))
values = st.one_of(st.none(), st.binary(max_size=4), st.binary(min_size=60, max_size=200))
writes = st.dictionaries(keys, values, max_size=40)


def shape(node: Any) -> object:
    """All that a tree says of itself."""
    if node is None:
        return None
    if hasattr(node, "left"):
        return node.hash, shape(node.left), shape(node.right)
    return node.hash, node.content


@needs_native
@given(st.lists(writes, max_size=8), st.lists(keys, max_size=10))
def test_trees_of_both_kinds_are_the_same(batches: Sequence[dict[bytes, bytes | None]], others: list[bytes]) -> None:
    native = ours = None
    known: dict[bytes, bytes | None] = {}
    earlier = []
    for batch in batches:
        native, ours = update(native, batch), update_in_python(ours, batch)
        assert not isinstance(native, InnerNode)
        earlier.append((native, ours))
        known |= batch
    for one, other in earlier:
        assert shape(one) == shape(other), "later updates leave a tree as it was"
    present = {key: leaf for key, leaf in known.items() if leaf is not None}
    assert shape(build(present)) == shape(native)
    for key in (*known, *others):
        assert prove(native, key) == prove(ours, key)
        if key not in present:
            assert neighbours(native, key) == neighbours(ours, key)


@needs_native
def test_many_leaves_are_the_same_tree_in_either() -> None:
    leaves = {b"%d" % number: b"leaf %d" % number for number in range(20_000)}
    native, ours = build(leaves), update_in_python(None, leaves)
    assert root_hash(native) == root_hash(ours)
    some = {b"%d" % number: None if number % 3 else b"new" for number in range(0, 40_000, 7)}
    assert root_hash(update(native, some)) == root_hash(update_in_python(ours, some))
    gone = dict.fromkeys(leaves)
    assert update(native, gone) is None


@needs_native
@pytest.mark.parametrize(
    ("root", "batch"),
    [
        (b"no node", {}),
        (None, {"text": b""}),
        (None, {b"": "text"}),
        (None, {1: b""}),
        (None, []),
        (object(), {b"": b""}),
    ],
)
def test_what_is_not_of_a_tree_is_refused(root: object, batch: object) -> None:
    with pytest.raises(TypeError):
        NATIVE.update(root, batch)


def test_native_module_of_another_interface_is_left_alone() -> None:
    script = (
        "import sys, types; sys.modules['causeway_native'] = types.ModuleType('causeway_native');"
        "from local_chains.consortium.state import tree; assert tree.NATIVE is None;"
        "print(tree.root_hash(tree.update(None, {b'a': b'1'})).hex())"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == root_hash(update_in_python(None, {b"a": b"1"})).hex()
