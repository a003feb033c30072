// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {ICrossChainQuery, Question} from "./ILightClient.sol";

/// An asker that notes what it is called with, and does to its caller what it is set to do.
contract Asker {
    enum Mood {
        CALM,
        REVERTS,
        BURNS,
        RETURNS_MUCH,
        REENTERS
    }

    ICrossChainQuery internal immutable queries;
    Mood public mood;
    bool public takesMoney = true;
    uint256 public burnsOnMoney;
    /// What it calls from within, one call for each time it is called.
    bytes[] private within;

    uint256 public calls;
    uint256 public gasSeen;
    bytes32 public heard;
    bool public reentered;
    /// How the question stood while this was called.
    uint256 public statusSeen;

    constructor(ICrossChainQuery queries_) {
        queries = queries_;
    }

    function set(Mood mood_, bool takesMoney_) external {
        (mood, takesMoney) = (mood_, takesMoney_);
    }

    function burnOnMoney(uint256 amount) external {
        burnsOnMoney = amount;
    }

    function callWithin(bytes[] calldata calls_) external {
        delete within;
        for (uint256 i; i < calls_.length; ++i) {
            within.push(calls_[i]);
        }
    }

    function ask(bytes calldata key, uint64 first, uint64 last, uint32 callbackGas, uint64 deadline)
        external
        payable
        returns (uint256)
    {
        return queries.ask{value: msg.value}(key, first, last, this.onAnswer.selector, callbackGas, deadline);
    }

    function withdraw(address to) external {
        queries.withdraw(to);
    }

    function onAnswer(uint256 id, uint64 height, bool present, bytes calldata value) external {
        uint256 seen = gasleft();
        require(msg.sender == address(queries), "not asked");
        if (mood == Mood.REVERTS) revert("no");
        if (mood == Mood.BURNS) while (true) {}
        if (mood == Mood.RETURNS_MUCH) {
            assembly {
                return(0, 800000)
            }
        }
        (gasSeen, heard) = (seen, keccak256(abi.encode(id, height, present, value)));
        ++calls;
        if (mood == Mood.REENTERS) {
            statusSeen = queries.statusOf(id);
            for (uint256 i; i < within.length; ++i) {
                (bool success,) = address(queries).call(within[i]);
                if (success) reentered = true;
            }
        }
    }

    receive() external payable {
        require(takesMoney, "no money");
        uint256 start = gasleft();
        while (start - gasleft() < burnsOnMoney) {}
    }
}
