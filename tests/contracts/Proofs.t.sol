// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {SHIPPED} from "generated/Shipped.sol";

/// A plain token: balances, and nothing that the proofs would have to follow further.
contract PlainToken {
    mapping(address => uint256) public balanceOf;

    function set(address account, uint256 amount) external {
        balanceOf[account] = amount;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// Proved by halmos on the shipped bytecode: for every caller, all arguments, any time, and any word that the lane holds
/// before, reachable or not. SHA-256 is to the prover a function of which it knows nothing, so what is proved holds
/// whatever SHA-256 does; what the proofs need of the two hashes is said as an assumption where it is used.
contract Proofs {
    IHashedTimelock private htlc;
    PlainToken private token;

    function setUp() public {
        htlc = IHashedTimelock(create(SHIPPED));
        token = new PlainToken();
    }

    // --------------------------------------------------------------------------------------------------------- tools

    function slot(Lock memory it) private pure returns (bytes32) {
        return bytes32(uint256(uint160(it.sender)) << 96 | it.lane);
    }

    function read(Lock memory it) private view returns (uint256) {
        return uint256(vm.load(address(htlc), slot(it)));
    }

    /// Any lock of ETH, or of the token; a lane with any word; a time that fits the chain.
    function arrange(Lock memory it, bool native, uint256 stored, uint64 time) private {
        it.asset = native ? NATIVE : erc20(address(token));
        it.hashlock = sha256(abi.encode(it.preimage));
        // The parties are accounts of their own, not the contracts that take part here.
        vm.assume(it.receiver != address(htlc) && it.receiver != address(token) && it.receiver != address(this));
        vm.assume(it.sender != address(htlc) && it.sender != address(token) && it.sender != address(this));
        vm.assume(it.receiver != address(vm) && it.sender != address(vm));
        vm.assume(uint160(it.receiver) > 0xffff && uint160(it.sender) > 0xffff);
        vm.warp(time);
        vm.store(address(htlc), slot(it), bytes32(stored));
    }

    function fund(Lock memory it, uint256 amount) private {
        vm.assume(amount < 1 << 128);
        if (it.asset == NATIVE) vm.deal(address(htlc), amount);
        else token.set(address(htlc), amount);
    }

    function held(Lock memory it, address account) private view returns (uint256) {
        return it.asset == NATIVE ? account.balance : token.balanceOf(account);
    }

    function tried(address by, bytes memory data, uint256 value) private returns (bool success) {
        vm.prank(by);
        (success,) = address(htlc).call{value: value}(data);
    }

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

    // ---------------------------------------------------------------------------------------------------------- locks

    /// A lock of ETH goes through only into a lane with no open lock, as its next generation, with terms that can be
    /// settled. It leaves the lane with the word of these terms.
    function check_lock_of_ether(Lock memory it, bytes32 hashlock, uint256 stored, uint64 time) public {
        arrange(it, true, stored, time);
        it.hashlock = hashlock;
        vm.assume(it.amount < 1 << 128);
        vm.deal(it.sender, it.amount);
        bool success = tried(it.sender, lockCall(it), it.amount);
        if (!success) {
            assert(read(it) == stored);
            return;
        }
        assert(it.amount > 0 && it.receiver != address(0) && it.timelock > time && it.flags == 0);
        assert(stored & 0xffff != LOCKED);
        unchecked {
            assert(it.generation == uint16(uint16(stored >> 16) + 1));
        }
        assert(read(it) == wordOf(it, LOCKED));
        assert(address(htlc).balance == it.amount);
    }

    /// A lock of tokens is exact or not at all.
    function check_lock_of_tokens(Lock memory it, bytes32 hashlock, uint256 stored, uint64 time, uint256 has) public {
        arrange(it, false, stored, time);
        it.hashlock = hashlock;
        vm.assume(has < 1 << 128 && it.amount < 1 << 128);
        token.set(it.sender, has);
        bool success = tried(it.sender, lockCall(it), 0);
        assert(token.balanceOf(address(htlc)) == (success ? it.amount : 0));
        if (!success) {
            assert(read(it) == stored);
            return;
        }
        assert(it.amount > 0 && it.receiver != address(0) && it.timelock > time && it.flags == 0);
        assert(stored & 0xffff != LOCKED);
        assert(read(it) == wordOf(it, LOCKED));
    }

    /// Whatever is called, by whomever: another lane stays as it is.
    function check_no_other_lane_is_touched(Lock memory it, address other, uint32 lane, uint256 stored, uint8 which, uint64 time) public {
        arrange(it, true, wordOf(it, LOCKED), time);
        bytes32 elsewhere = bytes32(uint256(uint160(other)) << 96 | lane);
        vm.assume(elsewhere != slot(it));
        vm.store(address(htlc), elsewhere, bytes32(stored));
        fund(it, it.amount);
        vm.deal(it.sender, it.amount);
        if (which == 0) tried(it.sender, claimCall(it), 0);
        else if (which == 1) tried(it.sender, refundCall(it), 0);
        else tried(it.sender, lockCall(it), it.amount);
        assert(uint256(vm.load(address(htlc), elsewhere)) == stored);
    }

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

    // -------------------------------------------------------------------------------------------------------- batches
    //
    // Two items in two lanes, each for itself: what the single calls do, and paid for exactly.

    function pair(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) private {
        vm.assume(slot(first) != slot(second));
        arrange(first, true, stored, time);
        arrange(second, true, other, time);
        vm.assume(first.amount < 1 << 120 && second.amount < 1 << 120);
    }

    /// What a lane holds after its item: `outcome` of the lock that it held open, or what it held.
    function expectedWord(Lock memory it, uint256 stored, bool due, uint256 outcome) private pure returns (uint256) {
        if (!due || stored != wordOf(it, LOCKED)) return stored;
        return wordOf(it, outcome);
    }

    function check_bulk_claims(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        pair(first, second, stored, other, time);
        vm.deal(address(htlc), 1 << 127);
        Exit[] memory items = new Exit[](2);
        (items[0], items[1]) = (claimItem(first), claimItem(second));
        bool success = tried(first.sender, abi.encodeCall(IHashedTimelock.bulkClaim, (true, items, NATIVE)), 0);
        assert(read(first) == expectedWord(first, stored, success && time < first.timelock, CLAIMED));
        assert(read(second) == expectedWord(second, other, success && time < second.timelock, CLAIMED));
        settledFor(first, second, stored, other);
    }

    function check_bulk_refunds(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        pair(first, second, stored, other, time);
        vm.deal(address(htlc), 1 << 127);
        Exit[] memory items = new Exit[](2);
        (items[0], items[1]) = (refundItem(first), refundItem(second));
        bool success = tried(first.sender, abi.encodeCall(IHashedTimelock.bulkRefund, (true, items, NATIVE)), 0);
        assert(read(first) == expectedWord(first, stored, success && time >= first.timelock, REFUNDED));
        assert(read(second) == expectedWord(second, other, success && time >= second.timelock, REFUNDED));
        settledFor(first, second, stored, other);
    }

    function settledFor(Lock memory first, Lock memory second, uint256 stored, uint256 other) private view {
        uint256 paid = (read(first) == stored ? 0 : first.amount) + (read(second) == other ? 0 : second.amount);
        assert(address(htlc).balance == (1 << 127) - paid);
    }

    function check_bulk_locks(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        second.sender = first.sender;
        pair(first, second, stored, other, time);
        vm.deal(first.sender, 1 << 127);
        NewLock[] memory items = new NewLock[](2);
        (items[0], items[1]) = (newLockItem(first), newLockItem(second));
        bytes memory data = abi.encodeCall(IHashedTimelock.bulkLock, (true, items, NATIVE));
        tried(first.sender, data, first.amount + second.amount);
        uint256 taken = lockedBy(first, stored) + lockedBy(second, other);
        assert(address(htlc).balance == taken);
    }

    function lockedBy(Lock memory it, uint256 stored) private view returns (uint256) {
        if (read(it) == stored) return 0;
        assert(stored & 0xffff != LOCKED && read(it) == wordOf(it, LOCKED));
        unchecked {
            assert(it.generation == uint16(uint16(stored >> 16) + 1));
        }
        return it.amount;
    }

    // ------------------------------------------------------------------------------------------------------- controls
    //
    // Each says that something never happens which does; the prover has to find how. A proof over no case at all would
    // pass, and its control, too.

    function refute_claim(Lock memory it, bool native, uint256 stored, uint64 time, address by) public {
        arrange(it, native, stored, time);
        fund(it, it.amount);
        assert(!tried(by, claimCall(it), 0));
    }

    function refute_refund(Lock memory it, bool native, uint256 stored, uint64 time, address by) public {
        arrange(it, native, stored, time);
        fund(it, it.amount);
        assert(!tried(by, refundCall(it), 0));
    }

    function refute_lock(Lock memory it, uint256 stored, uint64 time) public {
        arrange(it, true, stored, time);
        vm.assume(it.amount < 1 << 128);
        vm.deal(it.sender, it.amount);
        assert(!tried(it.sender, lockCall(it), it.amount));
    }

    function refute_lock_of_tokens(Lock memory it, uint256 stored, uint64 time) public {
        arrange(it, false, stored, time);
        vm.assume(it.amount < 1 << 128);
        token.set(it.sender, it.amount);
        assert(!tried(it.sender, lockCall(it), 0));
    }

    function refute_early_refund(Lock memory it, uint256 stored, uint64 time, address by) public {
        arrange(it, true, stored, time);
        fund(it, it.amount);
        assert(!tried(by, agreedCall(it, type(uint256).max, ""), 0));
    }

    /// Both items of a batch.
    function refute_bulk_claim(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        pair(first, second, stored, other, time);
        vm.deal(address(htlc), 1 << 127);
        Exit[] memory items = new Exit[](2);
        (items[0], items[1]) = (claimItem(first), claimItem(second));
        assert(!tried(first.sender, abi.encodeCall(IHashedTimelock.bulkClaim, (false, items, NATIVE)), 0));
    }

    function refute_bulk_lock(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        second.sender = first.sender;
        pair(first, second, stored, other, time);
        vm.deal(first.sender, 1 << 127);
        NewLock[] memory items = new NewLock[](2);
        (items[0], items[1]) = (newLockItem(first), newLockItem(second));
        bytes memory data = abi.encodeCall(IHashedTimelock.bulkLock, (false, items, NATIVE));
        assert(!tried(first.sender, data, first.amount + second.amount));
    }
}
