// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Asker} from "./Askers.sol";
import {Log, vm} from "./Base.sol";
import {Answer, ICrossChainQuery} from "./ILightClient.sol";
import {Asked, QueryTest} from "./Queries.sol";

/// Askers that refuse, burn, return much or call back: an answer is settled and paid, and they have the gas they asked for.
contract Callbacks is QueryTest {
    /// A question of `setUp`, a transaction of its own: a test that answers it first finds the asker's account cold.
    Asked private early;

    function setUp() public override {
        super.setUp();
        Asked memory it = plain(2);
        it.callbackGas = 1_500_000; // its 64th is far more than a call costs
        it.fee = 0; // nothing but the call needs gas
        early = ask(it);
    }

    function delivers(Asker.Mood mood) private returns (Asked memory it, Answer memory item, uint256 status) {
        asker.set(mood, true);
        it = asked(2);
        item = answerTo(it, HEIGHT);
        uint256 before = RELAYER.balance;
        vm.recordLogs();
        answered(HEIGHT, item);
        require(RELAYER.balance - before == it.fee, "not paid");
        require(isResult(it, HEIGHT, item), "not stored");
        status = queries.statusOf(it.id);
        Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == (status == DELIVERED ? 1 : 2), "other events");
        if (status == DELIVERED) return (it, item, status);
        require(logs[1].topics[0] == ICrossChainQuery.Undelivered.selector, "another event");
        require(logs[1].topics[1] == bytes32(it.id), "another id");
        require(keccak256(logs[1].data) == keccak256(abi.encode(item.content)), "another value");
    }

    function test_a_failing_callback_stops_nothing_and_is_retried() public {
        for (uint256 i = 1; i < 3; ++i) {
            (Asked memory it, Answer memory item, uint256 status) = delivers(Asker.Mood(i));
            require(status == UNDELIVERED, "delivered");
            bytes memory reason = abi.encodeWithSelector(ICrossChainQuery.CallbackFailed.selector, it.id);
            refusedCall(reason, retryCall(it, HEIGHT, item));
            require(queries.statusOf(it.id) == UNDELIVERED, "delivered");
            asker.set(Asker.Mood.CALM, true);
            vm.warp(it.deadline + 1 days); // at any time
            vm.recordLogs();
            (bool success,) = call(retryCall(it, HEIGHT, item), 20_000_000);
            require(success && queries.statusOf(it.id) == DELIVERED, "not delivered");
            Log[] memory logs = vm.getRecordedLogs();
            require(logs.length == 1 && logs[0].topics[0] == ICrossChainQuery.Delivered.selector, "another event");
            require(asker.heard() == heardOf(it, HEIGHT, item) && asker.calls() == i, "not heard");
            require(isResult(it, HEIGHT, item), "not stored");
            reason = abi.encodeWithSelector(ICrossChainQuery.WrongStatus.selector, it.id, DELIVERED);
            refusedCall(reason, retryCall(it, HEIGHT, item));
        }
    }

    function test_absence_is_retried_too() public {
        asker.set(Asker.Mood.REVERTS, true);
        Asked memory it = asked(LEAVES + 2);
        Answer memory item = answerTo(it, HEIGHT);
        answered(HEIGHT, item);
        asker.set(Asker.Mood.CALM, true);
        bytes memory reason = abi.encodeWithSelector(ICrossChainQuery.WrongResult.selector, it.id);
        refusedCall(
            reason, abi.encodeCall(ICrossChainQuery.retry, (it.id, it.question.asked, HEIGHT, false, hex"00"))
        );
        refusedCall(reason, abi.encodeCall(ICrossChainQuery.retry, (it.id, it.question.asked, HEIGHT, true, "")));
        (bool success,) = call(retryCall(it, HEIGHT, item), 20_000_000);
        require(success && asker.heard() == heardOf(it, HEIGHT, item), "not heard");
    }

    function test_nothing_else_is_retried(uint8 bit) public {
        (Asked memory it, Answer memory item,) = delivers(Asker.Mood.REVERTS);
        asker.set(Asker.Mood.CALM, true);
        bytes memory reason = abi.encodeWithSelector(ICrossChainQuery.WrongResult.selector, it.id);
        refusedCall(reason, retryCall(it, HIGH, item));
        item.present = false;
        refusedCall(reason, retryCall(it, HEIGHT, item));
        item.present = true;
        uint256 words = it.question.asked;
        it.question.asked ^= uint256(1) << bit; // another asker, function or gas
        refusedCall(reason, retryCall(it, HEIGHT, item));
        it.question.asked = words;
        item.content[bit % item.content.length] ^= 0x01;
        refusedCall(reason, retryCall(it, HEIGHT, item));
        Asked memory open = asked(3);
        reason = abi.encodeWithSelector(ICrossChainQuery.WrongStatus.selector, open.id, OPEN);
        refusedCall(reason, retryCall(open, HEIGHT, item));
    }

    function test_what_a_callback_returns_is_not_copied() public {
        asker.set(Asker.Mood.RETURNS_MUCH, true);
        Asked memory it = plain(2);
        it.callbackGas = 2_000_000;
        it = ask(it);
        Answer memory item = answerTo(it, HEIGHT);
        uint256 before = gasleft();
        answered(HEIGHT, item);
        require(queries.statusOf(it.id) == DELIVERED, "not delivered");
        // It costs the asker 1,300,000, and a copy of it would cost us as much again.
        require(before - gasleft() < 2_000_000, "copied");
    }

    /// Settled before it is called: whatever it calls, this question is over, and others are paid once.
    function test_a_callback_that_reenters_gains_nothing() public {
        Asked memory other = asked(4);
        Asked memory it = asked(2);
        Answer memory item = answerTo(it, HEIGHT);
        bytes[] memory calls = new bytes[](6);
        calls[0] = abi.encodeCall(ICrossChainQuery.answer, (HEIGHT, item));
        calls[1] = retryCall(it, HEIGHT, item);
        calls[2] = abi.encodeCall(ICrossChainQuery.expire, (it.id, it.question));
        calls[3] = abi.encodeCall(ICrossChainQuery.withdraw, (address(asker)));
        Answer[] memory items = new Answer[](1);
        items[0] = item;
        calls[4] = abi.encodeCall(ICrossChainQuery.expire, (other.id, other.question));
        calls[5] = abi.encodeCall(ICrossChainQuery.answer, (HIGH, item));
        asker.set(Asker.Mood.REENTERS, true);
        asker.callWithin(calls);
        answered(HEIGHT, item);
        require(asker.calls() == 1 && !asker.reentered(), "called from within");
        require(asker.statusSeen() == DELIVERED, "called before it was settled");
        require(address(queries).balance == other.fee && address(asker).balance == 0, "paid");
    }

    function test_a_batch_is_paid_once_whatever_is_answered_within() public {
        (Asked memory it, Asked memory other) = (plain(2), plain(4));
        it.callbackGas = 800_000;
        (it, other) = (ask(it), ask(other));
        Asked memory third = asked(5);
        Answer[] memory items = new Answer[](2);
        (items[0], items[1]) = (answerTo(it, HEIGHT), answerTo(other, HEIGHT));
        bytes[] memory calls = new bytes[](1);
        calls[0] = abi.encodeCall(ICrossChainQuery.answer, (HEIGHT, items[1]));
        asker.callWithin(calls);
        asker.set(Asker.Mood.REENTERS, true);
        uint256 before = RELAYER.balance;
        (bool success,) = call(abi.encodeCall(ICrossChainQuery.answerMany, (HEIGHT, items)), 20_000_000);
        require(success && asker.reentered(), "not answered from within");
        require(RELAYER.balance - before == it.fee && address(asker).balance == other.fee, "paid twice");
        require(address(queries).balance == third.fee && queries.statusOf(third.id) == OPEN, "another's fee");
    }

    // --------------------------------------------------------------------------------------------------------- gas

    /// With any gas the callback has all that was promised, or nothing happens.
    function test_a_callback_has_its_gas_or_is_not_called(uint32 given, uint32 promised) public {
        Asked memory it = plain(2);
        it.callbackGas = 90_000 + promised % 400_000;
        it = ask(it);
        bytes memory data = abi.encodeCall(ICrossChainQuery.answer, (HEIGHT, answerTo(it, HEIGHT)));
        (bool success,) = call(data, given % (it.callbackGas + 150_000));
        if (success) {
            require(queries.statusOf(it.id) == DELIVERED, "called with too little");
            // Between the call and the asker's first look at its gas: its dispatcher.
            require(asker.gasSeen() <= it.callbackGas && asker.gasSeen() + 1_000 > it.callbackGas, "other gas");
        } else {
            require(queries.statusOf(it.id) == OPEN && asker.calls() == 0, "changed");
        }
    }

    /// The least gas with which an answer goes through, and one less, where the call of the asker costs most.
    function test_the_least_gas_serves() public {
        Asked memory it = early;
        bytes memory data = abi.encodeCall(ICrossChainQuery.answer, (HEIGHT, answerTo(it, HEIGHT)));
        (uint256 low, uint256 high) = (0, 3_000_000);
        while (high - low > 1) {
            uint256 middle = (low + high) / 2;
            uint256 before = vm.snapshotState();
            (bool success,) = call(data, middle);
            vm.revertToState(before);
            if (success) high = middle;
            else low = middle;
        }
        (bool enough, bytes memory result) = call(data, low);
        require(!enough, "low enough");
        require(result.length == 0 || bytes4(result) == ICrossChainQuery.NotEnoughGas.selector, "another reason");
        (enough,) = call(data, high);
        require(enough && queries.statusOf(it.id) == DELIVERED, "not delivered");
        require(asker.gasSeen() + 1_000 > it.callbackGas, "called with too little");
        require(high < it.callbackGas + it.callbackGas / 60 + 90_000, "much more than it takes");
    }

    function test_a_retry_has_its_gas_or_does_not_happen(uint32 given) public {
        (Asked memory it, Answer memory item,) = delivers(Asker.Mood.REVERTS);
        asker.set(Asker.Mood.CALM, true);
        (bool success,) = call(retryCall(it, HEIGHT, item), given % 400_000);
        if (success) require(asker.gasSeen() + 1_000 > CALLBACK_GAS, "called with too little");
        else require(queries.statusOf(it.id) == UNDELIVERED && asker.calls() == 0, "changed");
    }
}
