// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

/// The packed terms of a lock, high bits first:
///   receiver 160 | timelock 40 (seconds since 1970) | flags 8 (none is known) | generation 16 | lane 32
type Terms is uint256;

using {receiverOf, timelockOf, flagsOf, generationOf, laneOf} for Terms global;

function receiverOf(Terms terms) pure returns (address) {
    return address(uint160(Terms.unwrap(terms) >> 96));
}

function timelockOf(Terms terms) pure returns (uint256) {
    return uint40(Terms.unwrap(terms) >> 56);
}

function flagsOf(Terms terms) pure returns (uint256) {
    return uint8(Terms.unwrap(terms) >> 48);
}

function generationOf(Terms terms) pure returns (uint256) {
    return uint16(Terms.unwrap(terms) >> 32);
}

function laneOf(Terms terms) pure returns (uint256) {
    return uint32(Terms.unwrap(terms));
}

/// One item of a batch of locks, all of msg.sender.
struct NewLock {
    bytes32 hashlock;
    Terms terms;
    uint256 amount;
}

/// One item of a batch of claims or refunds: the lock's own terms, opened by its preimage or named by its hashlock.
struct Claim {
    bytes32 preimage;
    Terms terms;
    address sender;
    uint256 amount;
}

struct Refund {
    bytes32 hashlock;
    Terms terms;
    address sender;
    uint256 amount;
}
