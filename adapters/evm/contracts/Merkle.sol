// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

// The two Merkle trees of a consortium chain, both over SHA-256: that of RFC 6962 (§2.1), which CometBFT's headers and
// validator sets are made of, and the sparse tree of the ledger's state, in the layout of ICS-23's SmtSpec. In both a
// leaf is hashed behind a byte 0 and an inner node behind a byte 1. Free functions: the contracts have no library to link.

uint256 constant MAX_DEPTH = 256;

/// A sparse proof has more siblings than a path has bits.
error ProofTooDeep(uint256 depth);

/// Return the SHA-256 of `size` bytes of memory. Assembly: Solidity would copy them first.
function sha256At(uint256 place, uint256 size) view returns (bytes32 hash) {
    assembly ("memory-safe") {
        // The precompile fails only for want of gas.
        if iszero(staticcall(gas(), 2, place, size, 0, 0x20)) { revert(0, 0) }
        hash := mload(0)
    }
}

function innerHash(bytes32 left, bytes32 right) view returns (bytes32) {
    uint256 free;
    assembly ("memory-safe") {
        free := mload(0x40)
        mstore8(free, 1)
        mstore(add(free, 1), left)
        mstore(add(free, 0x21), right)
    }
    return sha256At(free, 65);
}

/// Return the RFC 6962 root over leaf hashes, one at least. The array is used up. Pairing neighbours level by level gives
/// the tree that the RFC defines by splitting at powers of two.
function rootOf(bytes32[] memory hashes) view returns (bytes32) {
    uint256 count = hashes.length;
    while (count > 1) {
        uint256 pairs = count >> 1;
        for (uint256 i; i < pairs; ++i) {
            hashes[i] = innerHash(hashes[2 * i], hashes[2 * i + 1]);
        }
        if (count & 1 == 1) hashes[pairs] = hashes[count - 1];
        count -= pairs;
    }
    return hashes[0];
}

/// Return the hash of a leaf of the sparse tree: its path is the SHA-256 of its key.
function sparseLeaf(bytes32 path, bytes32 valueHash) view returns (bytes32) {
    uint256 free;
    assembly ("memory-safe") {
        free := mload(0x40)
        mstore8(free, 0)
        mstore(add(free, 1), path)
        mstore(add(free, 0x21), valueHash)
    }
    return sha256At(free, 65);
}

/// Return the root that `node` leads to along `path`; siblings from the root downwards. Assembly: half the gas.
function sparseRoot(bytes32 path, bytes32 node, bytes32[] calldata siblings) view returns (bytes32 root) {
    if (siblings.length > MAX_DEPTH) revert ProofTooDeep(siblings.length);
    assembly ("memory-safe") {
        root := node
        let free := mload(0x40)
        mstore8(free, 1)
        let left := add(free, 1)
        let right := add(free, 0x21)
        for { let depth := siblings.length } depth {} {
            depth := sub(depth, 1)
            let sibling := calldataload(add(siblings.offset, shl(5, depth)))
            switch and(shr(sub(255, depth), path), 1)
            case 0 {
                mstore(left, root)
                mstore(right, sibling)
            }
            default {
                mstore(left, sibling)
                mstore(right, root)
            }
            if iszero(staticcall(gas(), 2, free, 65, 0, 0x20)) { revert(0, 0) }
            root := mload(0)
        }
    }
}

/// Return true if the key of this path holds the value of this hash under `root`.
function isPresentUnder(bytes32 root, bytes32 path, bytes32 valueHash, bytes32[] calldata siblings) view returns (bool) {
    return sparseRoot(path, sparseLeaf(path, valueHash), siblings) == root;
}

/// Return true if the key of this path is not under `root`: its place is empty (`other` has no bytes), or taken by the leaf
/// of another key, whose path and value's hash `other` is.
function isAbsentUnder(bytes32 root, bytes32 path, bytes calldata other, bytes32[] calldata siblings)
    view
    returns (bool)
{
    if (other.length == 0) return sparseRoot(path, 0, siblings) == root;
    if (other.length != 64) return false;
    bytes32 otherPath = bytes32(other[:32]);
    if (otherPath == path) return false;
    bytes32 found = sparseRoot(path, sparseLeaf(otherPath, bytes32(other[32:])), siblings);
    // The other leaf belongs in this place: its path begins with the bits that lead here.
    return found == root && uint256(otherPath ^ path) >> (MAX_DEPTH - siblings.length) == 0;
}
