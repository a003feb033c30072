// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Handler} from "./Handler.sol";

/// After any sequence of calls the contract agrees with a model: conservation whatever was sent to it uninvited, every
/// lock settled once and to its party, nobody else paid, the words of all lanes as predicted. See Handler.
contract Invariants {
    Handler private handler;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public {
        handler = new Handler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors());
    }

    /// Locks are drawn oftener, so that there is something to settle.
    function selectors() private view returns (bytes4[] memory all) {
        all = new bytes4[](21);
        (all[0], all[1], all[2], all[3]) = (handler.lockAgain.selector, handler.lockByAuthorization.selector, handler.bulkLock.selector, handler.refundAgreed.selector);
        (all[4], all[5], all[6]) = (handler.claim.selector, handler.refund.selector, handler.settleStrangers.selector);
        (all[7], all[8]) = (handler.settleFromWithin.selector, handler.settleWhilePulled.selector);
        (all[9], all[10]) = (handler.bulkClaim.selector, handler.bulkRefund.selector);
        (all[11], all[12], all[13]) = (handler.pass.selector, handler.giveUninvited.selector, handler.setPayee.selector);
        all[14] = handler.claim.selector;
        for (uint256 i = 15; i < 21; ++i) all[i] = handler.lock.selector;
    }

    /// The walk is worth its calls only if it gets everywhere: each function has met acceptance and refusal.
    function test_random_calls_reach_every_outcome() public {
        bytes4[] memory all = selectors();
        for (uint256 i; i < 4_000; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            (bool success,) = address(handler).call(abi.encodeWithSelector(all[seed % 21], seed, seed >> 255 == 0));
            require(success, "a prediction failed");
        }
        handler.check();
        for (uint256 i; i < 11; ++i) {
            (uint256 refused, uint256 accepted) = handler.counts(all[i]);
            bool again = all[i] == handler.lockAgain.selector; // which nobody can
            require(refused > 0 && (accepted > 0) == !again, "an outcome was never met");
        }
    }

    function invariant_the_contract_does_as_the_model() public view {
        handler.check();
    }
}
