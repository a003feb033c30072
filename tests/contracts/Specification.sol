// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {CLAIMED, LOCKED, Lock, NATIVE, termsOf, tokenOf, wordOf} from "./Base.sol";
import {IHashedTimelock} from "./IHashedTimelock.sol";

// What the contract has to answer, written out a second time: refusals with their data, events with all their fields.
// No data is no refusal.

function refusalOfLock(Lock memory it, uint256 stored, uint256 time, address htlc) pure returns (bytes memory) {
    uint256 next = (stored >> 16 & 0xffff) == 0xffff ? 0 : (stored >> 16 & 0xffff) + 1;
    if (it.amount == 0) return abi.encodeWithSelector(IHashedTimelock.AmountIsZero.selector);
    if (it.receiver == address(0)) return abi.encodeWithSelector(IHashedTimelock.ReceiverIsZero.selector);
    if (it.receiver == htlc) return abi.encodeWithSelector(IHashedTimelock.ReceiverIsThisContract.selector);
    if (it.flags != 0) return abi.encodeWithSelector(IHashedTimelock.UnknownFlags.selector, it.flags);
    if (time >= it.timelock) {
        return abi.encodeWithSelector(IHashedTimelock.TimelockNotInFuture.selector, it.timelock, time);
    }
    if (it.generation != next) {
        return abi.encodeWithSelector(IHashedTimelock.WrongGeneration.selector, it.generation, next);
    }
    if (stored & 0xffff == LOCKED) return abi.encodeWithSelector(IHashedTimelock.LaneBusy.selector, it.lane);
    return "";
}

function refusalOfClaim(Lock memory it, uint256 stored, uint256 time) pure returns (bytes memory) {
    if (time < it.timelock) return refusalOfExit(it, stored);
    return abi.encodeWithSelector(IHashedTimelock.ClaimTooLate.selector, it.timelock, time);
}

function refusalOfRefund(Lock memory it, uint256 stored, uint256 time) pure returns (bytes memory) {
    if (time >= it.timelock) return refusalOfExit(it, stored);
    return abi.encodeWithSelector(IHashedTimelock.RefundTooEarly.selector, it.timelock, time);
}

function refusalOfExit(Lock memory it, uint256 stored) pure returns (bytes memory) {
    if (stored == wordOf(it, LOCKED)) return "";
    (uint256 generation, uint256 status) = (stored >> 16 & 0xffff, stored & 0xffff);
    if (status != LOCKED) return abi.encodeWithSelector(IHashedTimelock.NotLocked.selector, generation, status);
    if (generation != it.generation) {
        return abi.encodeWithSelector(IHashedTimelock.WrongGeneration.selector, it.generation, generation);
    }
    return abi.encodeWithSelector(IHashedTimelock.WrongTermsOrPreimage.selector);
}

/// Of a payee that takes nothing.
function refusalOfPayment(uint256 asset, address payee) pure returns (bytes memory) {
    if (asset == NATIVE) return abi.encodeWithSelector(IHashedTimelock.PaymentRefused.selector, payee);
    return abi.encodeWithSelector(IHashedTimelock.TokenCallFailed.selector, address(uint160(asset)));
}

function wrongSignature(address signer) pure returns (bytes memory) {
    return abi.encodeWithSelector(IHashedTimelock.WrongSignature.selector, signer);
}

function notExact(uint256 received, uint256 expected) pure returns (bytes memory) {
    return abi.encodeWithSelector(IHashedTimelock.TokenAmountNotExact.selector, received, expected);
}

function outOfGas() pure returns (bytes memory) {
    return abi.encodeWithSelector(IHashedTimelock.OutOfGas.selector);
}

// Events, a word for each and for a sequence of them.

function eventOf(bytes32[] memory topics, bytes memory data) pure returns (bytes32) {
    return keccak256(abi.encode(topics, data));
}

function then(bytes32 before, bytes32 next) pure returns (bytes32) {
    return keccak256(abi.encode(before, next));
}

function eventAbout(string memory signature, bytes32 hashlock, bytes memory data) pure returns (bytes32) {
    bytes32[] memory topics = new bytes32[](2);
    (topics[0], topics[1]) = (keccak256(bytes(signature)), hashlock);
    return eventOf(topics, data);
}

function lockedEvent(Lock memory it) pure returns (bytes32) {
    if (it.asset == NATIVE) {
        bytes memory fields = abi.encode(termsOf(it), it.sender, it.amount);
        return eventAbout("Locked(bytes32,uint256,address,uint256)", it.hashlock, fields);
    }
    bytes memory withToken = abi.encode(termsOf(it), it.sender, it.amount, tokenOf(it));
    return eventAbout("LockedToken(bytes32,uint256,address,uint256,address)", it.hashlock, withToken);
}

function exitEvent(Lock memory it, uint256 outcome) pure returns (bytes32) {
    uint256 id = uint256(uint160(it.sender)) << 96 | uint256(it.timelock) << 56 | uint256(it.flags) << 48
        | uint256(it.generation) << 32 | it.lane;
    if (outcome != CLAIMED) return eventAbout("Refunded(bytes32,uint256)", it.hashlock, abi.encode(id));
    return eventAbout("Claimed(bytes32,uint256,bytes32)", it.hashlock, abi.encode(id, it.preimage));
}

function skippedEvent(uint256 index, bytes memory reason) pure returns (bytes32) {
    bytes32[] memory topics = new bytes32[](1);
    topics[0] = keccak256("Skipped(uint256,bytes)");
    return eventOf(topics, abi.encode(index, reason));
}
