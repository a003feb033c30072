// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Wallet} from "./Signed.sol";

/// A party that is a contract: anybody makes it do several things in one transaction, and its owner's key signs for it. It
/// shows what any contract may show: logs of its own making, and those of other contracts' code under its own address.
contract Batcher is Wallet {
    uint256 private constant CALL = 0;
    uint256 private constant DELEGATE_CALL = 1;
    /// LOG + n: a log with n topics.
    uint256 private constant LOG = 2;

    struct Step {
        uint256 kind;
        address to;
        uint256 value;
        /// The call's, or a log's topics and what follows them.
        bytes data;
    }

    constructor(address owner) Wallet(owner) {}

    /// Does all, passing over what fails, and returns how many calls succeeded.
    function run(Step[] calldata steps) external payable returns (uint256 done) {
        for (uint256 i; i < steps.length; ++i) {
            Step calldata step = steps[i];
            bool success = true;
            if (step.kind == CALL) (success,) = step.to.call{value: step.value}(step.data);
            else if (step.kind == DELEGATE_CALL) (success,) = step.to.delegatecall(step.data);
            else _log(step.kind - LOG, step.data);
            if (success) ++done;
        }
    }

    function _log(uint256 topics, bytes memory data) private {
        assembly ("memory-safe") {
            let from := add(data, add(0x20, shl(5, topics)))
            let size := sub(mload(data), shl(5, topics))
            switch topics
            case 0 { log0(from, size) }
            case 1 { log1(from, size, mload(add(data, 0x20))) }
            case 2 { log2(from, size, mload(add(data, 0x20)), mload(add(data, 0x40))) }
            case 3 { log3(from, size, mload(add(data, 0x20)), mload(add(data, 0x40)), mload(add(data, 0x60))) }
            default {
                log4(
                    from,
                    size,
                    mload(add(data, 0x20)),
                    mload(add(data, 0x40)),
                    mload(add(data, 0x60)),
                    mload(add(data, 0x80))
                )
            }
        }
    }
}
