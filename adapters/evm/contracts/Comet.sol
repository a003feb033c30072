// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {innerHash, sha256At} from "./Merkle.sol";

// The bytes of CometBFT (v0.38 to v0.40) that are hashed or signed: headers, votes, validators. Sources: CometBFT spec "Core
// data structures", proto/tendermint/types; protobuf fields in ascending order, zero left out.

/// The fields of a header that are used here, and the hashes that complete its tree of 14 leaves.
///   time: nanoseconds since 1970, UTC
///   rest: leaf 0 (version), node over 4 (last block id) and 5 (last commit), leaf 6 (data), leaf 9 (consensus
///         parameters), leaf 11 (last results), node over 12 (evidence) and 13 (proposer)
struct Header {
    uint64 height;
    uint64 time;
    bytes32 validatorsHash;
    bytes32 nextValidatorsHash;
    bytes32 appHash;
    bytes32[6] rest;
}

/// One validator's precommit for the header's block.
///   head: place in the validator set 16 | length of the timestamp 8 | google.protobuf.Timestamp, from the high bits
///   vs: s, with the parity of the point in its highest bit (EIP-2098)
struct Signature {
    bytes32 head;
    bytes32 r;
    bytes32 vs;
}

/// The precommits for one block, which is cut into `partsTotal` parts.
///   validators: the set of the header's height, in its order: power 96 | address 160
///   signatures: by ascending place
struct Commit {
    uint32 round;
    uint32 partsTotal;
    bytes32 partsHash;
    uint256[] validators;
    Signature[] signatures;
}

/// A validator's secp256k1eth key as a point, and its power.
struct Key {
    uint256 x;
    uint256 y;
    uint64 power;
}

/// A vote's bytes behind the timestamp: the chain id's field, of 52 bytes at most.
struct Tail {
    bytes32 first;
    bytes32 second;
    uint256 size;
}

uint256 constant MAX_CHAIN_ID_BYTES = 50;
uint256 constant NS_PER_S = 1_000_000_000;
// The field of secp256k1.
uint256 constant P = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F;
// Bytes that a vote takes in memory, with its length before and what is written behind it.
uint256 constant VOTE_ROOM = 0x1c0;

error NotOnCurve(uint256 index);

// ------------------------------------------------------------------------------------------------------------- headers

/// Return the header's hash; `chainIdLeaf` is the hash of its leaf 1.
function headerHash(Header memory header, bytes32 chainIdLeaf) view returns (bytes32) {
    bytes32 from0 = innerHash(header.rest[0], chainIdLeaf);
    bytes32 from2 = innerHash(_heightLeaf(header.height), _timeLeaf(header.time));
    bytes32 from6 = innerHash(header.rest[2], hashLeaf(header.validatorsHash));
    bytes32 from8 = innerHash(hashLeaf(header.nextValidatorsHash), header.rest[3]);
    bytes32 from10 = innerHash(hashLeaf(header.appHash), header.rest[4]);
    bytes32 left = innerHash(innerHash(from0, from2), innerHash(header.rest[1], from6));
    return innerHash(left, innerHash(innerHash(from8, from10), header.rest[5]));
}

/// Return the hash of the leaf of a hash: BytesValue.
function hashLeaf(bytes32 value) view returns (bytes32) {
    uint256 free;
    assembly ("memory-safe") {
        free := mload(0x40)
        mstore(free, shl(232, 0x000a20))
        mstore(add(free, 3), value)
    }
    return sha256At(free, 35);
}

/// Int64Value.
function _heightLeaf(uint64 height) view returns (bytes32) {
    uint256 free = _begin(0x0008);
    return sha256At(free, writeVarint(free + 2, height) - free);
}

/// google.protobuf.Timestamp.
function _timeLeaf(uint64 time) view returns (bytes32) {
    uint256 free = _begin(0x0008);
    uint256 end = writeVarint(free + 2, time / NS_PER_S);
    uint256 nanos = time % NS_PER_S;
    if (nanos != 0) {
        writeByte(end, 0x10);
        end = writeVarint(end + 1, nanos);
    }
    return sha256At(free, end - free);
}

/// Return the start of free memory, with two bytes written there.
function _begin(uint256 two) pure returns (uint256 free) {
    assembly ("memory-safe") {
        free := mload(0x40)
        mstore(free, shl(240, two))
    }
}

// --------------------------------------------------------------------------------------------------------------- votes

/// Write what all precommits for a block have in common, up to the tag of the timestamp. Return where it starts and ends;
/// before its start is room for its length, and behind its end for the rest of a vote.
function beginVotes(uint64 height, Commit calldata commit, bytes32 blockHash)
    pure
    returns (uint256 start, uint256 end)
{
    assembly ("memory-safe") {
        start := add(mload(0x40), 2)
        mstore(0x40, add(start, VOTE_ROOM))
        mstore(start, shl(232, 0x080211)) // a precommit; its height follows
    }
    end = _writeFixed(start + 3, height);
    if (commit.round != 0) {
        writeByte(end, 0x19);
        end = _writeFixed(end + 1, commit.round);
    }
    end = _writeBlockId(end, blockHash, commit.partsTotal, commit.partsHash);
    writeByte(end, 0x2a);
    ++end;
}

/// CanonicalBlockID: the block's hash; its parts by their number, 1 to 5 bytes long, and their hash.
function _writeBlockId(uint256 place, bytes32 blockHash, uint256 total, bytes32 partsHash) pure returns (uint256 end) {
    assembly ("memory-safe") {
        mstore(add(place, 4), blockHash)
    }
    end = writeVarint(place + 39, total);
    uint256 parts = end - place - 4; // 8 bytes before the number, 34 behind it, of which 38 are not of the parts
    assembly ("memory-safe") {
        mstore(end, shl(240, 0x1220))
        mstore(add(end, 2), partsHash)
        end := add(end, 0x22)
        // What depends on the lengths.
        mstore8(place, 0x22)
        mstore8(add(place, 1), add(parts, 36))
        mstore8(add(place, 2), 0x0a)
        mstore8(add(place, 3), 0x20)
        mstore8(add(place, 36), 0x12)
        mstore8(add(place, 37), parts)
        mstore8(add(place, 38), 0x08)
    }
}

/// Complete the vote for one validator and return its digest: Keccak-256 of the vote behind its own length.
function voteDigest(uint256 start, uint256 end, bytes32 head, Tail memory tail) pure returns (bytes32 digest) {
    uint256 stamp = uint8(head[2]);
    (bytes32 first, bytes32 second, uint256 tailSize) = (tail.first, tail.second, tail.size);
    assembly ("memory-safe") {
        mstore(end, shl(16, head)) // length and timestamp
        let place := add(add(end, 1), stamp)
        mstore(place, first)
        mstore(add(place, 0x20), second)
        let size := sub(add(place, tailSize), start)
        let from := sub(start, 1)
        switch lt(size, 0x80)
        case 1 { mstore8(from, size) }
        default {
            mstore8(from, shr(7, size))
            from := sub(from, 1)
            mstore8(from, or(and(size, 0x7f), 0x80))
        }
        digest := keccak256(from, sub(add(place, tailSize), from))
    }
}

// ---------------------------------------------------------------------------------------------------------- validators

/// Return the leaf hash of a validator of this set, SimpleValidator, and its word in `Commit.validators`. Raise NotOnCurve:
/// the leaf holds x and the parity of y, so that only the point itself has the address.
function introduceKey(Key memory key, uint256 index) view returns (bytes32 leaf, uint256 word) {
    (uint256 x, uint256 y) = (key.x, key.y);
    if (x >= P || y >= P || mulmod(y, y, P) != addmod(mulmod(mulmod(x, x, P), x, P), 7, P)) revert NotOnCurve(index);
    uint256 free;
    assembly ("memory-safe") {
        free := mload(0x40)
        mstore(free, x)
        mstore(add(free, 0x20), y)
        word := and(keccak256(free, 0x40), sub(shl(160, 1), 1))
        mstore(free, shl(208, 0x000a232a2102))
        mstore8(add(free, 5), or(2, and(y, 1)))
        mstore(add(free, 6), x)
        mstore8(add(free, 38), 0x10)
    }
    word |= uint256(key.power) << 160;
    leaf = sha256At(free, writeVarint(free + 39, key.power) - free);
}

// ------------------------------------------------------------------------------------------------------------ encoding

/// Write a base-128 varint of memory; return its end.
function writeVarint(uint256 place, uint256 value) pure returns (uint256 end) {
    assembly ("memory-safe") {
        end := place
        for {} gt(value, 0x7f) {} {
            mstore8(end, or(value, 0x80))
            value := shr(7, value)
            end := add(end, 1)
        }
        mstore8(end, value)
        end := add(end, 1)
    }
}

/// Write a little-endian integer of 64 bits (sfixed64).
function _writeFixed(uint256 place, uint64 value) pure returns (uint256 end) {
    value = (value & 0xff00ff00ff00ff00) >> 8 | (value & 0x00ff00ff00ff00ff) << 8;
    value = (value & 0xffff0000ffff0000) >> 16 | (value & 0x0000ffff0000ffff) << 16;
    value = value >> 32 | value << 32;
    assembly ("memory-safe") {
        mstore(place, shl(192, value))
        end := add(place, 8)
    }
}

function writeByte(uint256 place, uint256 value) pure {
    assembly ("memory-safe") {
        mstore8(place, value)
    }
}
