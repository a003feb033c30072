// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

/// The ledger's sparse tree over a few leaves, rebuilt by recursion: correct by being simple.
struct Leaf {
    bytes32 path;
    bytes32 valueHash;
}

function leafOf(bytes memory key, bytes memory value) pure returns (Leaf memory) {
    return Leaf(sha256(key), sha256(value));
}

function leafHash(Leaf memory leaf) pure returns (bytes32) {
    return sha256(abi.encodePacked(hex"00", leaf.path, leaf.valueHash));
}

function nodeHash(bytes32 left, bytes32 right) pure returns (bytes32) {
    return sha256(abi.encodePacked(hex"01", left, right));
}

function bitOf(bytes32 path, uint256 depth) pure returns (bool) {
    return uint256(path) >> (255 - depth) & 1 == 1;
}

/// The leaves on one side at this depth.
function side(Leaf[] memory leaves, uint256 depth, bool right) pure returns (Leaf[] memory kept) {
    uint256 count;
    for (uint256 i; i < leaves.length; ++i) {
        if (bitOf(leaves[i].path, depth) == right) ++count;
    }
    kept = new Leaf[](count);
    count = 0;
    for (uint256 i; i < leaves.length; ++i) {
        if (bitOf(leaves[i].path, depth) == right) kept[count++] = leaves[i];
    }
}

function treeRoot(Leaf[] memory leaves, uint256 depth) pure returns (bytes32) {
    if (leaves.length == 0) return 0;
    if (leaves.length == 1) return leafHash(leaves[0]);
    return nodeHash(treeRoot(side(leaves, depth, false), depth + 1), treeRoot(side(leaves, depth, true), depth + 1));
}

/// Siblings from the root downwards, and what stands in the path's place: one leaf, its own or another's, or none.
function proofOf(Leaf[] memory leaves, bytes32 path) pure returns (bytes32[] memory siblings, Leaf[] memory here) {
    bytes32[256] memory all;
    uint256 depth;
    here = leaves;
    while (here.length > 1) {
        bool right = bitOf(path, depth);
        all[depth] = treeRoot(side(here, depth, !right), depth + 1);
        here = side(here, depth, right);
        ++depth;
    }
    siblings = new bytes32[](depth);
    for (uint256 i; i < depth; ++i) {
        siblings[i] = all[i];
    }
}
