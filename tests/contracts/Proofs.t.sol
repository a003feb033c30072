// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {PlainToken, Prover} from "./Prover.sol";

/// Proved by halmos on the shipped bytecode: for every caller, all arguments, any time, and any word that the lane holds
/// before, reachable or not. Every `check_` has a control, the `refute_` of the same name: it says that something never
/// happens which does, about the same cases, and the prover has to find how; so no proof is about nothing. SHA-256 is to the prover a function of which it knows nothing, so what is proved holds
/// whatever SHA-256 does; what the proofs need of the two hashes is said as an assumption where it is used.
contract Proofs is Prover {
    // --------------------------------------------------------------------------------------------------------- claims

    /// A claim goes through only for the open lock of exactly these terms, whose hashlock is the preimage's, before its
    /// timelock; it pays the receiver the amount, and leaves the lane claimed. Any other changes nothing.
    function claimed(Lock memory it, bool native, uint256 stored, uint64 time, address by) private {
        arrange(it, native, stored, time);
        fund(it, it.amount);
        uint256 before = held(it, it.receiver);
        bool success = tried(by, claimCall(it), 0);
        if (!success) {
            assert(read(it) == stored);
            return;
        }
        assert(time < it.timelock);
        assert(stored == wordOf(it, LOCKED));
        assert(read(it) == wordOf(it, CLAIMED));
        assert(held(it, address(htlc)) == 0);
        assert(held(it, it.receiver) == before + it.amount);
    }

    function check_claim_of_ether(Lock memory it, uint256 stored, uint64 time, address by) public {
        claimed(it, true, stored, time, by);
    }

    function check_claim_of_tokens(Lock memory it, uint256 stored, uint64 time, address by) public {
        claimed(it, false, stored, time, by);
    }

    function refute_claim_of_ether(Lock memory it, uint256 stored, uint64 time, address by) public {
        arrange(it, true, stored, time);
        fund(it, it.amount);
        assert(!tried(by, claimCall(it), 0));
    }

    function refute_claim_of_tokens(Lock memory it, uint256 stored, uint64 time, address by) public {
        arrange(it, false, stored, time);
        fund(it, it.amount);
        assert(!tried(by, claimCall(it), 0));
    }

    /// A lock made under a hashlock is not claimed by a preimage of another. Assumed: the commitments of different terms
    /// differ (keccak256, 224 bits).
    function check_a_wrong_preimage_never_pays(Lock memory it, bytes32 hashlock, uint64 time, address by) public {
        it.asset = NATIVE;
        it.hashlock = hashlock;
        uint256 stored = wordOf(it, LOCKED);
        arrange(it, true, stored, time);
        fund(it, it.amount);
        vm.assume(it.hashlock != hashlock); // the preimage's is another
        vm.assume(wordOf(it, LOCKED) != stored);
        assert(!tried(by, claimCall(it), 0));
        assert(address(htlc).balance == it.amount && read(it) == stored);
    }

    /// Where the hashlock may be the preimage's, it pays.
    function refute_a_wrong_preimage_never_pays(Lock memory it, bytes32 hashlock, uint64 time, address by) public {
        it.asset = NATIVE;
        it.hashlock = hashlock;
        uint256 stored = wordOf(it, LOCKED);
        arrange(it, true, stored, time);
        fund(it, it.amount);
        assert(!tried(by, claimCall(it), 0));
    }

    // -------------------------------------------------------------------------------------------------------- refunds

    function refunded(Lock memory it, bool native, uint256 stored, uint64 time, address by) private {
        arrange(it, native, stored, time);
        fund(it, it.amount);
        uint256 before = held(it, it.sender);
        bool success = tried(by, refundCall(it), 0);
        if (!success) {
            assert(read(it) == stored);
            return;
        }
        assert(time >= it.timelock);
        assert(stored == wordOf(it, LOCKED));
        assert(read(it) == wordOf(it, REFUNDED));
        assert(held(it, address(htlc)) == 0);
        assert(held(it, it.sender) == before + it.amount);
    }

    function check_refund_of_ether(Lock memory it, uint256 stored, uint64 time, address by) public {
        refunded(it, true, stored, time, by);
    }

    function check_refund_of_tokens(Lock memory it, uint256 stored, uint64 time, address by) public {
        refunded(it, false, stored, time, by);
    }

    function refute_refund_of_ether(Lock memory it, uint256 stored, uint64 time, address by) public {
        arrange(it, true, stored, time);
        fund(it, it.amount);
        assert(!tried(by, refundCall(it), 0));
    }

    function refute_refund_of_tokens(Lock memory it, uint256 stored, uint64 time, address by) public {
        arrange(it, false, stored, time);
        fund(it, it.amount);
        assert(!tried(by, refundCall(it), 0));
    }

    /// After a claim, at any later or earlier time, there is no refund and no second claim; after a refund no claim. The
    /// contract has money of others to pay with.
    function check_claim_and_refund_exclude_each_other(
        Lock memory it,
        uint256 stored,
        uint64 time,
        uint64 later,
        bool refundFirst,
        bool refundThen
    ) public {
        arrange(it, true, stored, time);
        fund(it, 1 << 127);
        vm.assume(it.amount < 1 << 120);
        bool success = tried(it.sender, refundFirst ? refundCall(it) : claimCall(it), 0);
        vm.assume(success);
        vm.warp(later);
        assert(!tried(it.sender, refundThen ? refundCall(it) : claimCall(it), 0));
        assert(address(htlc).balance == (1 << 127) - it.amount);
    }

    /// The first of the two goes through.
    function refute_claim_and_refund_exclude_each_other(
        Lock memory it,
        uint256 stored,
        uint64 time,
        uint64 later,
        bool refundFirst,
        bool refundThen
    ) public {
        arrange(it, true, stored, time);
        fund(it, 1 << 127);
        vm.assume(it.amount < 1 << 120 && later >= time && refundThen != refundFirst);
        assert(!tried(it.sender, refundFirst ? refundCall(it) : claimCall(it), 0));
    }

    // ---------------------------------------------------------------------------------------------------------- locks

    /// A lock of ETH goes through where it is eligible, and nowhere else: into a lane with no open lock, as its next
    /// generation, with terms that can be settled. It leaves the lane with the word of these terms.
    function check_lock_of_ether(Lock memory it, bytes32 hashlock, uint256 stored, uint64 time) public {
        await(it, true, hashlock, stored, time);
        bool success = tried(it.sender, lockCall(it), it.amount);
        assert(success == eligible(it, stored, time));
        assert(read(it) == (success ? wordOf(it, LOCKED) : stored));
        assert(address(htlc).balance == (success ? it.amount : 0));
    }

    function refute_lock_of_ether(Lock memory it, bytes32 hashlock, uint256 stored, uint64 time) public {
        await(it, true, hashlock, stored, time);
        assert(!tried(it.sender, lockCall(it), it.amount));
    }

    /// A lock of tokens is exact or not at all, and goes through where it is eligible and the money is there.
    function check_lock_of_tokens(Lock memory it, bytes32 hashlock, uint256 stored, uint64 time, uint256 has) public {
        await(it, false, hashlock, stored, time);
        vm.assume(has < 1 << 128);
        token.set(it.sender, has);
        bool success = tried(it.sender, lockCall(it), 0);
        assert(success == (eligible(it, stored, time) && has >= it.amount));
        assert(token.balanceOf(address(htlc)) == (success ? it.amount : 0));
        assert(read(it) == (success ? wordOf(it, LOCKED) : stored));
    }

    function refute_lock_of_tokens(Lock memory it, bytes32 hashlock, uint256 stored, uint64 time, uint256 has) public {
        await(it, false, hashlock, stored, time);
        vm.assume(has < 1 << 128);
        token.set(it.sender, has);
        assert(!tried(it.sender, lockCall(it), 0));
    }

    // ---------------------------------------------------------------------------------------------------- other lanes

    /// Another lane, of anybody, with any word.
    function elsewhere(Lock memory it, address other, uint32 lane, uint256 held_) private returns (bytes32 at) {
        at = bytes32(uint256(uint160(other)) << 96 | lane);
        vm.assume(at != slot(it));
        vm.store(address(htlc), at, bytes32(held_));
    }

    function check_a_claim_touches_no_other_lane(Lock memory it, uint256 stored, uint64 time, address other, uint32 lane, uint256 held_) public {
        arrange(it, true, stored, time);
        bytes32 at = elsewhere(it, other, lane, held_);
        fund(it, it.amount);
        tried(other, claimCall(it), 0);
        assert(uint256(vm.load(address(htlc), at)) == held_);
    }

    function refute_a_claim_touches_no_other_lane(Lock memory it, uint256 stored, uint64 time, address other, uint32 lane, uint256 held_) public {
        arrange(it, true, stored, time);
        elsewhere(it, other, lane, held_);
        fund(it, it.amount);
        assert(!tried(other, claimCall(it), 0));
    }

    function check_a_refund_touches_no_other_lane(Lock memory it, uint256 stored, uint64 time, address other, uint32 lane, uint256 held_) public {
        arrange(it, true, stored, time);
        bytes32 at = elsewhere(it, other, lane, held_);
        fund(it, it.amount);
        tried(other, refundCall(it), 0);
        assert(uint256(vm.load(address(htlc), at)) == held_);
    }

    function refute_a_refund_touches_no_other_lane(Lock memory it, uint256 stored, uint64 time, address other, uint32 lane, uint256 held_) public {
        arrange(it, true, stored, time);
        elsewhere(it, other, lane, held_);
        fund(it, it.amount);
        assert(!tried(other, refundCall(it), 0));
    }

    function check_a_lock_touches_no_other_lane(Lock memory it, bytes32 hashlock, uint256 stored, uint64 time, address other, uint32 lane, uint256 held_) public {
        await(it, true, hashlock, stored, time);
        bytes32 at = elsewhere(it, other, lane, held_);
        tried(it.sender, lockCall(it), it.amount);
        assert(uint256(vm.load(address(htlc), at)) == held_);
    }

    function refute_a_lock_touches_no_other_lane(Lock memory it, bytes32 hashlock, uint256 stored, uint64 time, address other, uint32 lane, uint256 held_) public {
        await(it, true, hashlock, stored, time);
        elsewhere(it, other, lane, held_);
        assert(!tried(it.sender, lockCall(it), it.amount));
    }

    // ------------------------------------------------------------------------------------------------------- liveness
    //
    // What is due goes through: by anybody, at every moment on its side of the timelock. A control leaves the side open.

    /// An open lock of these terms, whatever they are.
    function opened(Lock memory it, bool native, uint64 time) private {
        it.asset = native ? NATIVE : erc20(address(token));
        it.hashlock = sha256(abi.encode(it.preimage));
        arrange(it, native, wordOf(it, LOCKED), time);
        fund(it, it.amount);
    }

    function check_an_open_lock_of_ether_can_be_claimed(Lock memory it, uint64 time, address by) public {
        opened(it, true, time);
        vm.assume(time < it.timelock);
        assert(tried(by, claimCall(it), 0));
    }

    function refute_an_open_lock_of_ether_can_be_claimed(Lock memory it, uint64 time, address by) public {
        opened(it, true, time);
        assert(tried(by, claimCall(it), 0));
    }

    function check_an_open_lock_of_tokens_can_be_claimed(Lock memory it, uint64 time, address by) public {
        opened(it, false, time);
        vm.assume(time < it.timelock);
        assert(tried(by, claimCall(it), 0));
    }

    function refute_an_open_lock_of_tokens_can_be_claimed(Lock memory it, uint64 time, address by) public {
        opened(it, false, time);
        assert(tried(by, claimCall(it), 0));
    }

    function check_an_open_lock_of_ether_can_be_refunded(Lock memory it, uint64 time, address by) public {
        opened(it, true, time);
        vm.assume(time >= it.timelock);
        assert(tried(by, refundCall(it), 0));
    }

    function refute_an_open_lock_of_ether_can_be_refunded(Lock memory it, uint64 time, address by) public {
        opened(it, true, time);
        assert(tried(by, refundCall(it), 0));
    }

    function check_an_open_lock_of_tokens_can_be_refunded(Lock memory it, uint64 time, address by) public {
        opened(it, false, time);
        vm.assume(time >= it.timelock);
        assert(tried(by, refundCall(it), 0));
    }

    function refute_an_open_lock_of_tokens_can_be_refunded(Lock memory it, uint64 time, address by) public {
        opened(it, false, time);
        assert(tried(by, refundCall(it), 0));
    }

    // --------------------------------------------------------------------------------------------------- early refunds

    /// Given back by the receiver himself: the open lock of these terms, at any time; by anybody else never without a
    /// signature.
    function check_early_refund(Lock memory it, uint256 stored, uint64 time, address by) public {
        arrange(it, true, stored, time);
        fund(it, it.amount);
        bool success = tried(by, agreedCall(it, type(uint256).max, ""), 0);
        if (!success) {
            assert(read(it) == stored);
            return;
        }
        assert(by == it.receiver && stored == wordOf(it, LOCKED));
        assert(read(it) == wordOf(it, REFUNDED));
        assert(address(htlc).balance == 0);
    }

    function refute_early_refund(Lock memory it, uint256 stored, uint64 time, address by) public {
        arrange(it, true, stored, time);
        fund(it, it.amount);
        assert(!tried(by, agreedCall(it, type(uint256).max, ""), 0));
    }
}
