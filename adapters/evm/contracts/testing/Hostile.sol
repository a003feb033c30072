// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {HashedTimelock, Terms} from "../HashedTimelock.sol";

/// ERC-20 tokens that misbehave, one way each, for the tests of HashedTimelock.
abstract contract Balances {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function _move(address from, address to, uint256 amount, uint256 delivered) internal {
        balanceOf[from] -= amount;
        balanceOf[to] += delivered;
    }
}

/// Returns nothing, like some large tokens.
contract SilentToken is Balances {
    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount, amount);
    }
}

/// Returns false instead of reverting, and moves nothing, while `refusing`.
contract RefusingToken is Balances {
    bool public refusing = true;

    function setRefusing(bool value) external {
        refusing = value;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (!refusing) _move(msg.sender, to, amount, amount);
        return !refusing;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (!refusing) _move(from, to, amount, amount);
        return !refusing;
    }
}

/// Keeps one percent of every transfer.
contract FeeToken is Balances {
    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount, amount - amount / 100);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _move(from, to, amount, amount - amount / 100);
        return true;
    }
}

/// Says true and moves nothing.
contract LyingToken is Balances {
    function transfer(address, uint256) external pure returns (bool) {
        return true;
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return true;
    }
}

/// Takes from the contract instead of giving.
contract TakingToken is Balances {
    function transferFrom(address, address to, uint256 amount) external returns (bool) {
        unchecked {
            balanceOf[to] += amount;
        }
        return true;
    }
}

/// Calls back into the contract from transferFrom or transfer, with whatever it was given, and reports whether that
/// inner call went through. Delivers exactly.
contract ReenteringToken is Balances {
    address public target;
    bytes public inner;
    bool public innerSucceeded;
    bytes public innerResult;

    function arm(address target_, bytes calldata inner_) external {
        target = target_;
        inner = inner_;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _callBack();
        _move(msg.sender, to, amount, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _callBack();
        _move(from, to, amount, amount);
        return true;
    }

    function _callBack() private {
        bytes memory data = inner;
        if (data.length == 0) return;
        delete inner;
        (innerSucceeded, innerResult) = target.call(data);
    }
}

/// The token that would break a contract without a guard: the outer transfer delivers nothing, and the inner lock made
/// from within it supplies the balance that the outer one is measured by.
contract DoubleCountingToken is Balances {
    address public target;
    bytes public inner;

    function arm(address target_, bytes calldata inner_) external {
        target = target_;
        inner = inner_;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        bytes memory data = inner;
        if (data.length == 0) {
            _move(from, to, amount, amount);
            return true;
        }
        delete inner;
        (bool success,) = target.call(data);
        return success;
    }
}

/// Locks its own tokens several times in one transaction.
contract TokenLocker {
    function lockAll(
        HashedTimelock htlc,
        Balances token,
        bytes32[] calldata hashlocks,
        Terms[] calldata terms,
        uint256 amount
    ) external {
        token.approve(address(htlc), amount * terms.length);
        for (uint256 i; i < terms.length; ++i) {
            htlc.lockToken(hashlocks[i], terms[i], amount, address(token));
        }
    }
}

/// Takes no ETH, unless told to; can lock, so that it can be a lock's sender.
contract RefusingPayee {
    bool public accepting;

    function setAccepting(bool value) external {
        accepting = value;
    }

    function lock(HashedTimelock htlc, bytes32 hashlock, Terms terms) external payable {
        htlc.lock{value: msg.value}(hashlock, terms);
    }

    receive() external payable {
        require(accepting);
    }
}

/// Takes ETH, and from within its receive calls the contract once with what it was given.
contract ReenteringPayee {
    address public target;
    bytes public inner;
    bool public called;
    bool public innerSucceeded;

    function arm(address target_, bytes calldata inner_) external {
        target = target_;
        inner = inner_;
    }

    receive() external payable {
        if (called) return;
        called = true;
        (innerSucceeded,) = target.call(inner);
    }
}
