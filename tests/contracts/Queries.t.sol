// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Asker} from "./Askers.sol";
import {Log, vm} from "./Base.sol";
import {Block, Validator} from "./Consortium.sol";
import {Answer, ICrossChainQuery, IConsortiumLightClient, Question} from "./ILightClient.sol";
import {Asked, QueryTest} from "./Queries.sol";

/// Questions and their answers: which are accepted, what is paid, what is stored.
contract Queries is QueryTest {
    function coded(bytes4 selector, uint256 value) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, value);
    }

    function coded(bytes4 selector, uint256 first, uint256 second) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, first, second);
    }

    // ------------------------------------------------------------------------------------------------------ asking

    function test_a_question_is_stored_in_one_word() public {
        vm.recordLogs();
        Asked memory it = asked(3);
        Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == ICrossChainQuery.Asked.selector, "another event");
        require(logs[0].topics[1] == bytes32(it.id), "another id");
        require(logs[0].topics[2] == bytes32(uint256(uint160(address(asker)))), "another asker");
        require(keccak256(logs[0].data) == keccak256(abi.encode(it.question, it.key)), "other words");
        require(it.id == 1 && queries.count() == 1 && queries.statusOf(1) == OPEN, "another status");
        require(address(queries).balance == it.fee, "another fee");
        bytes32 word = vm.load(address(queries), keccak256(abi.encode(it.id, uint256(1))));
        bytes32 commitment = keccak256(abi.encode(it.question.asked, it.question.terms, it.question.path));
        require(uint256(word) == uint256(commitment) >> 8 << 8 | OPEN, "another word");
    }

    function cannotAsk(bytes memory reason, Asked memory it) private {
        (bool success, bytes memory result) = address(asker).call{value: it.fee}(
            abi.encodeCall(Asker.ask, (it.key, it.first, it.last, it.callbackGas, it.deadline))
        );
        require(!success && keccak256(result) == keccak256(reason), "asked");
    }

    function test_what_cannot_be_answered_is_not_asked() public {
        Asked memory it = plain(1);
        it.key = "";
        cannotAsk(coded(ICrossChainQuery.UnusableKey.selector, 0), it);
        it.key = new bytes(257);
        cannotAsk(coded(ICrossChainQuery.UnusableKey.selector, 257), it);
        it = plain(1);
        (it.first, it.last) = (8, 7);
        cannotAsk(coded(ICrossChainQuery.UnusableHeights.selector, 8, 7), it);
        it = plain(1);
        it.deadline = uint64(block.timestamp);
        cannotAsk(coded(ICrossChainQuery.UnusableDeadline.selector, it.deadline), it);
        it.deadline = 1 << 40;
        cannotAsk(coded(ICrossChainQuery.UnusableDeadline.selector, it.deadline), it);
        it = plain(1);
        it.callbackGas = 2_000_001;
        cannotAsk(coded(ICrossChainQuery.TooMuchCallbackGas.selector, it.callbackGas), it);
        it = plain(1);
        it.fee = 1 << 80;
        cannotAsk(coded(ICrossChainQuery.TooHighFee.selector, it.fee), it);
    }

    function test_the_limits_themselves_can_be_asked() public {
        Asked memory it = plain(1);
        it.key = new bytes(256);
        (it.first, it.last) = (7, 7);
        it.deadline = (1 << 40) - 1;
        (it.callbackGas, it.fee) = (2_000_000, (1 << 80) - 1);
        it = ask(it);
        require(queries.statusOf(it.id) == OPEN, "not asked");
        it.deadline = uint64(block.timestamp + 1);
        it = ask(it);
        require(queries.statusOf(it.id) == OPEN && it.id == 2, "not asked");
    }

    // --------------------------------------------------------------------------------------------------- answering

    /// Liveness: any question about these heights is answered at any of them, at any time before its deadline.
    function test_an_eligible_answer_is_accepted(
        uint256 which,
        uint64 first,
        uint64 last,
        uint8 choice,
        uint32 wait,
        uint80 fee,
        uint32 callbackGas
    ) public {
        uint64 height = [LOW, HEIGHT, HIGH][choice % 3];
        Asked memory it = plain(which % (LEAVES + 5)); // some are not there
        (it.first, it.last) = (first % (height + 1), height + last % 1_000);
        (it.fee, it.callbackGas) = (fee, callbackGas % 2_000_001);
        it.deadline = uint64(block.timestamp + 1 + wait);
        it = ask(it);
        vm.warp(it.deadline - 1);
        Answer memory item = answerTo(it, height);
        uint256 before = RELAYER.balance;
        vm.recordLogs();
        answered(height, item);
        Log[] memory logs = vm.getRecordedLogs();
        bytes32 valueHash = item.present ? sha256(item.content) : bytes32(0);
        require(logs[0].topics[0] == ICrossChainQuery.Answered.selector, "another event");
        require(logs[0].topics[1] == bytes32(it.id), "another id");
        require(keccak256(logs[0].data) == keccak256(abi.encode(height, valueHash)), "another result");
        require(RELAYER.balance - before == fee && address(queries).balance == 0, "another fee");
        require(isResult(it, height, item), "another result");
        require(!isResult(it, height + 1, item), "any height is the result's");
        item.present = !item.present;
        require(!isResult(it, height, item), "any value is the result's");
        called(it, height, item);
    }

    /// `item` says the opposite of what was answered.
    function called(Asked memory it, uint64 height, Answer memory item) private view {
        item.present = !item.present;
        bool much = it.callbackGas > 100_000; // more than noting it takes
        bool little = it.callbackGas < 20_000;
        uint256 status = queries.statusOf(it.id);
        if (it.callbackGas == 0) require(status == DELIVERED && asker.calls() == 0, "called without a promise");
        else if (much) require(status == DELIVERED && asker.heard() == heardOf(it, height, item), "not heard");
        else if (little) require(status == UNDELIVERED && asker.calls() == 0, "delivered");
    }

    function test_heights_outside_the_question_are_refused() public {
        Asked memory it = plain(2);
        (it.first, it.last) = (HEIGHT, HEIGHT);
        it = ask(it);
        bytes4 selector = ICrossChainQuery.HeightNotAsked.selector;
        refuses(abi.encodeWithSelector(selector, LOW, HEIGHT, HEIGHT), LOW, answerTo(it, LOW));
        refuses(abi.encodeWithSelector(selector, HIGH, HEIGHT, HEIGHT), HIGH, answerTo(it, HIGH));
        it.first = it.last = 21;
        it = ask(it);
        bytes memory unknown = abi.encodeWithSelector(IConsortiumLightClient.UnknownHeight.selector, 21);
        refuses(unknown, 21, answerTo(it, HEIGHT));
    }

    function test_a_proof_of_anything_else_is_refused() public {
        Asked memory it = asked(2);
        bytes memory reason = coded(ICrossChainQuery.WrongProof.selector, it.id);
        refuses(reason, HEIGHT, answerTo(it, LOW)); // another height
        Answer memory item = answerTo(it, HEIGHT);
        Answer memory other = answerTo(asked(3), HEIGHT);
        (item.content, item.siblings) = (other.content, other.siblings); // another key
        refuses(reason, HEIGHT, item);
        item = answerTo(it, HEIGHT);
        item.content[0] ^= 0x01; // another value
        refuses(reason, HEIGHT, item);
        item = answerTo(it, HEIGHT);
        item.present = false; // absent
        refuses(reason, HEIGHT, item);
        item.content = "";
        refuses(reason, HEIGHT, item);
        item.content = abi.encode(sha256(it.key), sha256(valueAt(2, HEIGHT)));
        refuses(reason, HEIGHT, item);
        item = answerTo(it, HEIGHT);
        item.siblings[1] ^= bytes32(uint256(1));
        refuses(reason, HEIGHT, item);
        item.siblings = new bytes32[](257);
        refuses(coded(ICrossChainQuery.ProofTooDeep.selector, 257), HEIGHT, item);
        Asked memory missing = plain(LEAVES + 1);
        missing = ask(missing);
        item = answerTo(missing, HEIGHT);
        item.present = true;
        refuses(coded(ICrossChainQuery.WrongProof.selector, missing.id), HEIGHT, item);
        require(queries.statusOf(it.id) == OPEN && address(queries).balance == it.fee + plain(3).fee + missing.fee, "changed");
    }

    function test_the_questions_own_words_are_needed(uint256 word, uint8 bit) public {
        Asked memory it = asked(2);
        Answer memory item = answerTo(it, HEIGHT);
        uint256 flipped = uint256(1) << bit;
        if (word % 3 == 0) item.question.asked ^= flipped;
        if (word % 3 == 1) item.question.terms ^= flipped;
        if (word % 3 == 2) item.question.path ^= bytes32(flipped);
        refuses(coded(ICrossChainQuery.WrongQuestion.selector, it.id), HEIGHT, item);
        it.question = item.question;
        (bool success,) = expire(it);
        require(!success, "expired");
    }

    function test_another_questions_words_are_refused() public {
        (Asked memory it, Asked memory other) = (asked(2), asked(3));
        Answer memory item = answerTo(other, HEIGHT);
        item.id = it.id;
        refuses(coded(ICrossChainQuery.WrongQuestion.selector, it.id), HEIGHT, item);
        item.id = 3;
        refuses(coded(ICrossChainQuery.WrongStatus.selector, 3, 0), HEIGHT, item);
    }

    function test_a_question_is_answered_once() public {
        Asked memory it = asked(2);
        answered(HEIGHT, answerTo(it, HEIGHT));
        asked(3); // its fee lies there now
        refuses(coded(ICrossChainQuery.WrongStatus.selector, it.id, DELIVERED), HIGH, answerTo(it, HIGH));
        vm.warp(it.deadline);
        (bool success,) = expire(it);
        require(!success, "expired");
        require(isResult(it, HEIGHT, answerTo(it, HEIGHT)), "another result");
    }

    function test_a_value_has_a_most_length() public {
        Asked memory it = asked(2);
        Answer memory item = answerTo(it, HEIGHT);
        item.content = new bytes(32_769);
        refuses(coded(ICrossChainQuery.ValueTooLong.selector, 32_769), HEIGHT, item);
        item.content = new bytes(32_768);
        refuses(coded(ICrossChainQuery.WrongProof.selector, it.id), HEIGHT, item);
    }

    // ------------------------------------------------------------------------------------------------------ clocks

    function test_an_answer_before_the_deadline_expiry_from_it(uint32 wait, int8 offset) public {
        Asked memory it = plain(2);
        it.deadline = uint64(block.timestamp + 200 + wait);
        it = ask(it);
        uint256 time = uint256(int256(uint256(it.deadline)) + offset);
        vm.warp(time);
        uint256 before = vm.snapshotState();
        (bool answeredNow,) = answer(HEIGHT, answerTo(it, HEIGHT));
        vm.revertToState(before);
        (bool expiredNow,) = expire(it);
        require(answeredNow == (time < it.deadline) && expiredNow == (time >= it.deadline), "not by the clock");
    }

    function test_the_clock_says_why() public {
        Asked memory it = asked(2);
        bytes memory early =
            coded(ICrossChainQuery.ExpiryTooEarly.selector, it.deadline, block.timestamp);
        refusedCall(early, abi.encodeCall(ICrossChainQuery.expire, (it.id, it.question)));
        vm.warp(it.deadline);
        refuses(coded(ICrossChainQuery.AnswerTooLate.selector, it.deadline, it.deadline), HEIGHT, answerTo(it, HEIGHT));
    }

    // ----------------------------------------------------------------------------------------------------- refunds

    function test_an_expired_fee_goes_back_once() public {
        Asked memory it = asked(2);
        Asked memory other = asked(3);
        vm.warp(it.deadline);
        vm.recordLogs();
        (bool success,) = expire(it);
        require(success && address(asker).balance == it.fee, "not paid back");
        Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[0] == ICrossChainQuery.Expired.selector, "another event");
        require(logs[0].topics[1] == bytes32(it.id) && uint256(bytes32(logs[0].data)) == it.fee, "another fee");
        require(queries.statusOf(it.id) == EXPIRED && queries.owed(address(asker)) == 0, "another status");
        (success,) = expire(it);
        require(!success && address(queries).balance == other.fee, "paid twice");
        require(!isResult(it, HEIGHT, answerTo(it, HEIGHT)), "a result");
        refuses(coded(ICrossChainQuery.WrongStatus.selector, it.id, EXPIRED), HEIGHT, answerTo(it, HEIGHT));
    }

    function test_a_fee_that_is_refused_is_owed() public {
        Asked memory it = asked(2);
        vm.warp(it.deadline);
        asker.set(Asker.Mood.CALM, false);
        (bool success,) = expire(it);
        require(success && queries.owed(address(asker)) == it.fee, "not owed");
        require(queries.statusOf(it.id) == EXPIRED, "another status");
        Asked memory again = asked(4);
        vm.warp(again.deadline);
        (success,) = expire(again);
        require(success && queries.owed(address(asker)) == it.fee + again.fee, "not owed");
        vm.prank(RELAYER);
        (success,) = address(queries).call(abi.encodeCall(ICrossChainQuery.withdraw, (RELAYER)));
        require(!success, "withdrawn by another");
        (success,) = address(asker).call(abi.encodeCall(Asker.withdraw, (address(asker))));
        require(!success && queries.owed(address(asker)) == it.fee + again.fee, "lost on the way");
        asker.withdraw(address(0xcafe));
        require(address(0xcafe).balance == it.fee + again.fee && queries.owed(address(asker)) == 0, "not withdrawn");
        require(address(queries).balance == 0, "money left");
        (success,) = address(asker).call(abi.encodeCall(Asker.withdraw, (address(0xcafe))));
        require(!success, "withdrawn twice");
    }

    /// Whoever expires a question cannot make the asker's payment fail for want of gas.
    function test_a_refund_has_its_gas_or_does_not_happen(uint32 given) public {
        Asked memory it = asked(2);
        asker.burnOnMoney(45_000);
        vm.warp(it.deadline);
        bytes memory data = abi.encodeCall(ICrossChainQuery.expire, (it.id, it.question));
        (bool success,) = call(data, 20_000 + given % 150_000);
        if (success) require(address(asker).balance == it.fee, "owed for want of gas");
        else require(queries.statusOf(it.id) == OPEN && address(queries).balance == it.fee, "changed");
    }

    function test_a_question_without_a_fee_expires_too() public {
        Asked memory it = plain(2);
        it.fee = 0;
        it = ask(it);
        asker.set(Asker.Mood.CALM, false);
        vm.warp(it.deadline);
        (bool success,) = expire(it);
        require(success && queries.statusOf(it.id) == EXPIRED, "not expired");
    }

    function test_a_frozen_client_answers_nothing_and_fees_come_back() public {
        Asked memory it = asked(2);
        Block memory twin = at(HIGH);
        twin.appHash = keccak256("another");
        client.freeze(
            headerOf(at(HIGH)), commitOf(at(HIGH), four, 15), headerOf(twin), commitOf(twin, four, 15)
        );
        (bool success,) = answer(HEIGHT, answerTo(it, HEIGHT));
        require(!success, "answered");
        vm.warp(it.deadline);
        (success,) = expire(it);
        require(success && address(asker).balance == it.fee, "not paid back");
    }

    // ----------------------------------------------------------------------------------------------------- batches

    function batch(uint256 count) private returns (Asked[] memory questions, Answer[] memory items) {
        (questions, items) = (new Asked[](count), new Answer[](count));
        for (uint256 i; i < count; ++i) {
            questions[i] = asked(i);
            items[i] = answerTo(questions[i], HEIGHT);
        }
    }

    function test_a_batch_answers_what_is_still_open() public {
        (Asked[] memory questions, Answer[] memory items) = batch(5);
        answered(HEIGHT, items[1]);
        Asked memory soon = plain(2);
        soon.deadline = uint64(block.timestamp + 1);
        soon = ask(soon);
        items[2] = answerTo(soon, HEIGHT);
        items[4] = items[3]; // twice
        vm.warp(soon.deadline);
        uint256 before = RELAYER.balance;
        (bool success,) = call(abi.encodeCall(ICrossChainQuery.answerMany, (HEIGHT, items)), 20_000_000);
        require(success, "refused");
        require(RELAYER.balance - before == questions[0].fee + questions[3].fee, "other fees");
        require(queries.statusOf(questions[0].id) == DELIVERED && queries.statusOf(questions[3].id) == DELIVERED, "not answered");
        require(queries.statusOf(soon.id) == OPEN && queries.statusOf(questions[4].id) == OPEN, "answered");
        require(address(queries).balance == soon.fee + questions[2].fee + questions[4].fee, "other fees");
    }

    function test_a_wrong_item_stops_its_batch() public {
        (Asked[] memory questions, Answer[] memory items) = batch(3);
        items[2].content[0] ^= 0x01;
        bytes memory reason = coded(ICrossChainQuery.WrongProof.selector, questions[2].id);
        refusedCall(reason, abi.encodeCall(ICrossChainQuery.answerMany, (HEIGHT, items)));
        items[2] = answerTo(questions[2], HEIGHT);
        items[2].question.terms += 1 << 8; // a higher fee
        reason = coded(ICrossChainQuery.WrongQuestion.selector, questions[2].id);
        refusedCall(reason, abi.encodeCall(ICrossChainQuery.answerMany, (HEIGHT, items)));
        require(queries.statusOf(questions[0].id) == OPEN, "answered");
    }

    function test_a_header_and_its_answers_go_together() public {
        (Asked[] memory questions, Answer[] memory items) = batch(2);
        Block memory it = at(25);
        for (uint256 i; i < 2; ++i) {
            items[i] = answerTo(questions[i], 25);
        }
        bytes memory data =
            abi.encodeCall(ICrossChainQuery.updateAndAnswer, (headerOf(it), commitOf(it, four, 3), items));
        refusedCall(abi.encodeWithSelector(IConsortiumLightClient.NotEnoughPower.selector, 20, 40), data);
        data = abi.encodeCall(ICrossChainQuery.updateAndAnswer, (headerOf(it), commitOf(it, four, 7), items));
        uint256 before = RELAYER.balance;
        (bool success,) = call(data, 20_000_000);
        require(success && client.appHashAt(25) == it.appHash, "refused");
        require(RELAYER.balance - before == questions[0].fee + questions[1].fee, "other fees");
        (success,) = call(data, 20_000_000); // nothing is open, and the header is known
        require(success && RELAYER.balance - before == questions[0].fee + questions[1].fee, "paid twice");
    }

    function test_who_does_not_take_the_fee_does_not_answer() public {
        Asked memory it = asked(2);
        asker.set(Asker.Mood.CALM, false);
        Answer memory item = answerTo(it, HEIGHT);
        vm.prank(address(asker));
        (bool success, bytes memory result) =
            address(queries).call(abi.encodeCall(ICrossChainQuery.answer, (HEIGHT, item)));
        bytes memory reason = abi.encodeWithSelector(ICrossChainQuery.PaymentRefused.selector, address(asker));
        require(!success && keccak256(result) == keccak256(reason), "answered");
        require(queries.statusOf(it.id) == OPEN && asker.calls() == 0, "changed");
    }
}
