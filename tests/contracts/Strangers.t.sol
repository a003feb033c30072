// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {MoodyPayee, NotingPayee} from "./Hostile.sol";
import {Paths} from "./Paths.sol";
import "./Specification.sol";

/// `settleStrangers`: each item with its whole gas or not at all, whatever the others do and however long it is.
contract Strangers is Paths {
    uint256 private constant PLENTY = 60_000_000;
    uint256 private constant RESERVED = 10_000;

    NotingPayee private noting;
    MoodyPayee private burning;

    function setUp() public {
        populate();
        (noting, burning) = (new NotingPayee(), new MoodyPayee());
        burning.set(2);
    }

    /// An open lock in a lane of its own, and its claim with `more` bytes behind it, which say nothing.
    function item(uint256 lane, address receiver, uint256 more) private returns (Lock memory it, bytes memory call) {
        it = plain(lane, true);
        (it.lane, it.receiver) = (uint32(lane), receiver);
        store(it, wordOf(it, LOCKED));
        vm.deal(address(htlc), address(htlc).balance + it.amount);
        call = abi.encodePacked(claimCall(it), new bytes(more));
    }

    function batch(bytes[] memory calls, uint256 gasEach) private pure returns (bytes memory) {
        return abi.encodeCall(IHashedTimelock.settleStrangers, (calls, gasEach));
    }

    function settle(bytes memory data, uint256 given) private returns (bool success) {
        vm.recordLogs();
        (success,) = address(htlc).call{gas: given}(data);
    }

    // ---------------------------------------------------------------------------------------------------- an item's gas

    /// What the noting payee saw of the gas that was given; as if nothing had happened.
    function seen(bytes memory data, uint256 given) private returns (bool success, uint256 gas_) {
        uint256 before = vm.snapshotState();
        success = settle(data, given);
        gas_ = noting.seen();
        vm.revertToState(before);
    }

    /// The least gas with which the noting payee's item is run.
    function least(bytes memory data) private returns (uint256 given) {
        (uint256 low, uint256 high) = (0, PLENTY);
        while (high - low > 1) {
            uint256 middle = (low + high) / 2;
            (, uint256 gas_) = seen(data, middle);
            if (gas_ == 0) low = middle;
            else high = middle;
        }
        return high;
    }

    /// What memory of so many words costs, and copying them: yellow paper, appendices G and H.
    function costOfCopying(uint256 size) private pure returns (uint256) {
        uint256 words = size / 32 + 20;
        return words * 6 + words * words / 512;
    }

    /// At the least gas with which it is run at all, it has as much as with plenty; and that is not far above its need.
    function itemHasItsGas(uint256 gasEach, uint256 more) private {
        bytes[] memory calls = new bytes[](1);
        (, calls[0]) = item(1, address(noting), more);
        bytes memory data = batch(calls, gasEach);
        uint256 given = least(data);
        (bool success, uint256 gas_) = seen(data, given);
        (, uint256 withPlenty) = seen(data, PLENTY);
        require(success && gas_ == withPlenty, "less than its gas");
        require(gas_ < gasEach && gas_ > gasEach - gasEach / 64 - 30_000, "not its gas");
        uint256 kept = gasEach / 63 > RESERVED ? gasEach / 63 : RESERVED;
        require(given < gasEach + kept + costOfCopying(more) + 5_000, "asks for too much");
        require(settle(data, given - 1), "undone");
        require(heard() == then(0, skippedEvent(0, outOfGas())), "left out for another reason");
    }

    function test_an_item_has_all_its_gas_or_is_not_run() public {
        uint24[5] memory gasEach = [60_000, 200_000, 650_000, 1_000_000, 5_000_000];
        uint24[5] memory more = [0, 1, 65, 6_000, 100_000];
        for (uint256 i; i < 25; ++i) itemHasItsGas(gasEach[i % 5], more[i / 5]);
    }

    /// No length is bad: from item to item the memory is there already.
    function test_memory_is_asked_for_once() public {
        bytes[] memory alone = new bytes[](1);
        bytes[] memory calls = new bytes[](2);
        (, calls[0]) = item(1, STRANGER, 200_000);
        (, calls[1]) = item(2, address(noting), 200_000);
        alone[0] = calls[1];
        bytes memory both = batch(calls, 300_000);
        uint256 given = least(both);
        uint256 first = given - least(batch(alone, 300_000));
        require(first < 3 * (200_000 / 32) + 80_000, "memory is asked for again");
        (bool success, uint256 gas_) = seen(both, given);
        (, uint256 withPlenty) = seen(both, PLENTY);
        require(success && gas_ == withPlenty, "less than its gas");
    }

    function test_no_gas_is_enough_for_items_without_bound(uint256 gasEach) public {
        bytes[] memory calls = new bytes[](1);
        (, calls[0]) = item(1, address(noting), 0);
        if (gasEach < PLENTY) gasEach = type(uint256).max - gasEach;
        require(settle(batch(calls, gasEach), PLENTY) && noting.seen() == 0, "was run");
        require(heard() == then(0, skippedEvent(0, outOfGas())), "left out for another reason");
    }

    /// Whatever is given, what has been done stays done: long items, and those that burn what they get.
    function test_no_item_undoes_what_was_done() public {
        bytes[] memory calls = new bytes[](4);
        Lock memory first;
        Lock memory bad;
        (first, calls[0]) = item(1, STRANGER, 0);
        (bad, calls[1]) = item(2, address(burning), 60_000);
        (, calls[2]) = item(3, address(burning), 7);
        (, calls[3]) = item(4, address(noting), 200_000);
        bytes memory data = batch(calls, 100_000);
        uint256 before = vm.snapshotState();
        bool everDone;
        for (uint256 given = 90_000; given < 700_000; given += 331) {
            bool success = settle(data, given);
            bool done = word(first.sender, first.lane) == wordOf(first, CLAIMED);
            require(success || !everDone, "undone");
            everDone = everDone || done;
            require(done == everDone, "not done with more");
            require(word(bad.sender, bad.lane) == wordOf(bad, LOCKED), "what burns");
            vm.revertToState(before);
        }
        require(everDone, "never done");
    }

    /// The batch ends at the first item that no longer fits, though a later one would.
    function test_the_batch_ends_where_the_gas_does() public {
        bytes[] memory calls = new bytes[](3);
        Lock memory first;
        (first, calls[0]) = item(1, STRANGER, 0);
        (, calls[1]) = item(2, STRANGER, 300_000);
        (, calls[2]) = item(3, address(noting), 0);
        require(settle(batch(calls, 100_000), 250_000), "undone");
        require(heard() == then(then(0, exitEvent(first, CLAIMED)), skippedEvent(1, outOfGas())), "went on");
    }

    // -------------------------------------------------------------------------------------------------------- what is run

    /// What a payee refuses or burns ends with its item, and is reported with the error it would have met alone.
    function test_strangers_items_stand_alone(uint8 mood, uint64 lane) public {
        bytes[] memory calls = new bytes[](3);
        Lock memory bad;
        Lock memory good;
        (bad, calls[0]) = item(lane, address(burning), 0);
        (good, calls[1]) = item(uint256(lane) + 1, STRANGER, 0);
        calls[2] = calls[1];
        burning.set(1 + mood % 2);
        bytes32 said = then(0, exitEvent(bad, CLAIMED)); // reverted, with the payment that was refused
        said = then(said, skippedEvent(0, refusalOfPayment(NATIVE, address(burning))));
        said = then(said, exitEvent(good, CLAIMED));
        said = then(said, skippedEvent(2, refusalOfClaim(good, wordOf(good, CLAIMED), block.timestamp)));
        require(settle(batch(calls, 200_000), 2_000_000) && heard() == said, "other events");
        require(STRANGER.balance == good.amount && word(bad.sender, bad.lane) == wordOf(bad, LOCKED), "held up");
    }

    /// Each of the seven calls that settle.
    function test_every_settling_call_is_run(uint256 seed, bool late) public {
        for (uint256 which; which < 7; ++which) {
            Lock memory it = plain(seed, which != 1 && which != 3);
            it.lane = uint32(which);
            store(it, wordOf(it, LOCKED));
            vm.deal(address(htlc), it.amount);
            token.mint(address(htlc), it.amount);
            bool claims = which < 2 || which == 4;
            if (!claims && which != 6) vm.warp(it.timelock);
            bytes[] memory calls = new bytes[](1);
            calls[0] = claims ? claimCall(it) : refundCall(it);
            Exit[] memory items = new Exit[](1);
            items[0] = claims ? claimItem(it) : refundItem(it);
            if (which == 4) calls[0] = abi.encodeCall(IHashedTimelock.bulkClaim, (late, items, it.asset));
            if (which == 5) calls[0] = abi.encodeCall(IHashedTimelock.bulkRefund, (late, items, it.asset));
            if (which == 6) {
                bytes32 digest = earlyRefundDigest(address(htlc), block.chainid, it, block.timestamp);
                calls[0] = agreedCall(it, block.timestamp, signature(RECEIVER_KEY, digest));
            }
            require(settle(batch(calls, 200_000), 1_000_000), "refused");
            require(heard() == then(0, exitEvent(it, claims ? CLAIMED : REFUNDED)), "not run");
            vm.warp(NOW);
        }
    }

    function test_only_settlements_are_settled(bytes4 selector, uint8 known, uint8 length) public {
        bytes4[8] memory others = [
            IHashedTimelock.lock.selector,
            IHashedTimelock.lockToken.selector,
            IHashedTimelock.bulkLock.selector,
            IHashedTimelock.settleStrangers.selector,
            IHashedTimelock.lockTokenByPermit.selector,
            IHashedTimelock.lockByAuthorization.selector,
            IHashedTimelock.lockByPermit2.selector,
            IHashedTimelock.laneWord.selector
        ];
        if (known < 8) selector = others[known];
        vm.assume(selector != IHashedTimelock.claim.selector && selector != IHashedTimelock.claimToken.selector);
        vm.assume(selector != IHashedTimelock.refund.selector && selector != IHashedTimelock.refundToken.selector);
        vm.assume(selector != IHashedTimelock.bulkClaim.selector && selector != IHashedTimelock.bulkRefund.selector);
        vm.assume(selector != IHashedTimelock.refundAgreed.selector);
        bytes[] memory calls = new bytes[](2);
        (, calls[0]) = item(1, STRANGER, 0);
        calls[1] = length < 4 ? new bytes(length) : abi.encodePacked(selector, uint256(1));
        bytes memory reason =
            abi.encodeWithSelector(IHashedTimelock.NotASettlement.selector, length < 4 ? bytes4(0) : selector);
        (bool success, bytes memory result) =
            address(htlc).call(batch(calls, 100_000));
        require(!success && keccak256(result) == keccak256(reason), "not a settlement");
    }
}
