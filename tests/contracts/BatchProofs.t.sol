// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {Prover} from "./Prover.sol";

/// Proved as Proofs.t.sol says: two items in two lanes, each for itself, do what the single calls do, and are paid for
/// exactly.
contract BatchProofs is Prover {
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

    function claimBoth(Lock memory first, Lock memory second, bool each) private returns (bool) {
        vm.deal(address(htlc), 1 << 127);
        Exit[] memory items = new Exit[](2);
        (items[0], items[1]) = (claimItem(first), claimItem(second));
        return tried(first.sender, abi.encodeCall(IHashedTimelock.bulkClaim, (each, items, NATIVE)), 0);
    }

    function check_bulk_claims(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        pair(first, second, stored, other, time);
        bool success = claimBoth(first, second, true);
        assert(read(first) == expectedWord(first, stored, success && time < first.timelock, CLAIMED));
        assert(read(second) == expectedWord(second, other, success && time < second.timelock, CLAIMED));
        settledFor(first, second, stored, other);
    }

    /// Both items of a batch, of which none may be left out.
    function refute_bulk_claims(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        pair(first, second, stored, other, time);
        assert(!claimBoth(first, second, false));
    }

    function refundBoth(Lock memory first, Lock memory second, bool each) private returns (bool) {
        vm.deal(address(htlc), 1 << 127);
        Exit[] memory items = new Exit[](2);
        (items[0], items[1]) = (refundItem(first), refundItem(second));
        return tried(first.sender, abi.encodeCall(IHashedTimelock.bulkRefund, (each, items, NATIVE)), 0);
    }

    function check_bulk_refunds(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        pair(first, second, stored, other, time);
        bool success = refundBoth(first, second, true);
        assert(read(first) == expectedWord(first, stored, success && time >= first.timelock, REFUNDED));
        assert(read(second) == expectedWord(second, other, success && time >= second.timelock, REFUNDED));
        settledFor(first, second, stored, other);
    }

    function refute_bulk_refunds(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        pair(first, second, stored, other, time);
        assert(!refundBoth(first, second, false));
    }

    function settledFor(Lock memory first, Lock memory second, uint256 stored, uint256 other) private view {
        uint256 paid = (read(first) == stored ? 0 : first.amount) + (read(second) == other ? 0 : second.amount);
        assert(address(htlc).balance == (1 << 127) - paid);
    }

    function lockBoth(Lock memory first, Lock memory second, bool each) private returns (bool) {
        vm.deal(first.sender, 1 << 127);
        NewLock[] memory items = new NewLock[](2);
        (items[0], items[1]) = (newLockItem(first), newLockItem(second));
        bytes memory data = abi.encodeCall(IHashedTimelock.bulkLock, (each, items, NATIVE));
        return tried(first.sender, data, first.amount + second.amount);
    }

    function check_bulk_locks(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        second.sender = first.sender;
        pair(first, second, stored, other, time);
        lockBoth(first, second, true);
        uint256 taken = lockedBy(first, stored) + lockedBy(second, other);
        assert(address(htlc).balance == taken);
    }

    function refute_bulk_locks(Lock memory first, Lock memory second, uint256 stored, uint256 other, uint64 time) public {
        second.sender = first.sender;
        pair(first, second, stored, other, time);
        assert(!lockBoth(first, second, false));
    }

    function lockedBy(Lock memory it, uint256 stored) private view returns (uint256) {
        if (read(it) == stored) return 0;
        assert(stored & 0xffff != LOCKED && read(it) == wordOf(it, LOCKED));
        unchecked {
            assert(it.generation == uint16(uint16(stored >> 16) + 1));
        }
        return it.amount;
    }
}
