// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {CrossChainQuery} from "../CrossChainQuery.sol";

/// Contracts that ask, for tests.

/// Asks, and keeps what it is answered.
contract Asker {
    CrossChainQuery public immutable queries;
    uint256 public calls;
    uint256 public lastId;
    uint64 public lastHeight;
    bool public lastPresent;
    bytes public lastValue;

    constructor(CrossChainQuery queries_) {
        queries = queries_;
    }

    function ask(bytes calldata key, uint64 fromHeight, uint64 toHeight, uint32 callbackGas, uint64 deadline)
        external
        payable
        returns (uint256)
    {
        return queries.ask{value: msg.value}(
            key, fromHeight, toHeight, this.onAnswer.selector, callbackGas, deadline
        );
    }

    function onAnswer(uint256 id, uint64 height, bool present, bytes calldata value) external virtual {
        require(msg.sender == address(queries), "not the queries' contract");
        (lastId, lastHeight, lastPresent, lastValue) = (id, height, present, value);
        ++calls;
    }

    receive() external payable {}
}
