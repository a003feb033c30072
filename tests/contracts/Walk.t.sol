// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Asker} from "./Askers.sol";
import {vm} from "./Base.sol";
import {Answer, ICrossChainQuery} from "./ILightClient.sol";
import {Asked, QueryTest} from "./Queries.sol";

/// A random walk of askers, relayers and time: of each call a model says if it goes through, and after each the contract
/// holds what open questions and refused refunds add up to, and every question stands where the model has it.
contract QueryWalk is QueryTest {
    uint256 private constant STEPS = 120;
    uint256 private constant MOST = 12;

    Asked[] private questions;
    uint256[] private statuses;
    uint64[] private heights;
    uint256 private draws;
    uint256 private held;
    uint256 private owed;
    uint256 private earned;
    uint256 private accepted_;
    uint256 private refused_;

    function draw(uint256 bound) private returns (uint256) {
        draws = uint256(keccak256(abi.encode(draws)));
        return draws % bound;
    }

    function anyHeight() private returns (uint64) {
        return [LOW, HEIGHT, HIGH][draw(3)];
    }

    /// forge-config: default.fuzz.runs = 128
    /// forge-config: long.fuzz.runs = 1000
    function test_a_walk_goes_as_the_model_says(uint256 seed) public {
        draws = seed;
        for (uint256 i; i < STEPS; ++i) {
            uint256 kind = draw(8);
            if (kind < 2) asks();
            else if (questions.length == 0) continue;
            else if (kind < 4) answers(draw(questions.length));
            else if (kind == 4) expires(draw(questions.length));
            else if (kind == 5) retries(draw(questions.length));
            else if (kind == 6) withdraws();
            else moves();
            agrees();
        }
        resultsAreKept();
        require(accepted_ > 0 && refused_ > 0, "the walk goes nowhere");
    }

    function agrees() private view {
        require(address(queries).balance == held + owed, "other money");
        require(queries.owed(address(asker)) == owed && RELAYER.balance == earned, "other fees");
        for (uint256 i; i < questions.length; ++i) {
            require(queries.statusOf(questions[i].id) == statuses[i], "another status");
        }
    }

    function resultsAreKept() private view {
        for (uint256 i; i < questions.length; ++i) {
            if (statuses[i] == OPEN || statuses[i] == EXPIRED) continue;
            require(isResult(questions[i], heights[i], answerTo(questions[i], heights[i])), "another result");
        }
    }

    /// As the model says; else this fails.
    function happens(bytes memory data, bool expected) private returns (bool success) {
        (success,) = call(data, 20_000_000);
        require(success == expected, "not as predicted");
        if (success) ++accepted_;
        else ++refused_;
    }

    function asks() private {
        if (questions.length == MOST) return;
        Asked memory it = plain(draw(LEAVES + 3));
        (it.first, it.last) = (uint64(draw(25)), uint64(25 + draw(10)));
        (it.fee, it.callbackGas) = (draw(1e18), draw(4) == 0 ? 0 : CALLBACK_GAS);
        it.deadline = uint64(block.timestamp + 1 + draw(1_000));
        it = ask(it);
        questions.push(it);
        statuses.push(OPEN);
        heights.push(0);
        held += it.fee;
    }

    function answers(uint256 i) private {
        Asked memory it = questions[i];
        uint64 height = anyHeight();
        Answer memory item = answerTo(it, height);
        bool right = draw(4) != 0;
        if (!right) item.siblings[draw(item.siblings.length)] ^= bytes32(uint256(1) << draw(256));
        bool expected = right && statuses[i] == OPEN && block.timestamp < it.deadline && height >= it.first && height <= it.last;
        if (!happens(abi.encodeCall(ICrossChainQuery.answer, (height, item)), expected)) return;
        bool hears = it.callbackGas == 0 || asker.mood() == Asker.Mood.CALM;
        (statuses[i], heights[i]) = (hears ? DELIVERED : UNDELIVERED, height);
        held -= it.fee;
        earned += it.fee;
    }

    function expires(uint256 i) private {
        Asked memory it = questions[i];
        bool expected = statuses[i] == OPEN && block.timestamp >= it.deadline;
        if (!happens(abi.encodeCall(ICrossChainQuery.expire, (it.id, it.question)), expected)) return;
        statuses[i] = EXPIRED;
        held -= it.fee;
        if (!asker.takesMoney()) owed += it.fee;
    }

    function retries(uint256 i) private {
        Asked memory it = questions[i];
        uint64 height = draw(4) == 0 ? anyHeight() : heights[i];
        bool expected = statuses[i] == UNDELIVERED && height == heights[i] && asker.mood() == Asker.Mood.CALM;
        if (height == 0) height = LOW;
        if (happens(retryCall(it, height, answerTo(it, height)), expected)) statuses[i] = DELIVERED;
    }

    function withdraws() private {
        address to = address(0xcafe);
        uint256 before = to.balance;
        (bool success,) = address(asker).call(abi.encodeCall(Asker.withdraw, (to)));
        require(success == (owed != 0) && to.balance - before == owed, "not as predicted");
        owed = 0;
    }

    function moves() private {
        uint256 kind = draw(3);
        if (kind == 0) vm.warp(block.timestamp + draw(400));
        else asker.set(draw(2) == 0 ? Asker.Mood.CALM : Asker.Mood.REVERTS, draw(2) == 0);
    }
}
