// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Calls back with what it was given, once, when it is touched.
abstract contract CallsBack {
    enum Answer {
        NONE,
        REFUSED,
        ACCEPTED
    }

    address private target;
    bytes private inner;
    Answer public answer;

    function arm(address target_, bytes calldata inner_) external {
        (target, inner, answer) = (target_, inner_, Answer.NONE);
    }

    function _callBack() internal returns (bool called) {
        bytes memory data = inner;
        if (data.length == 0) return false;
        delete inner;
        (bool success,) = target.call(data);
        answer = success ? Answer.ACCEPTED : Answer.REFUSED;
        return true;
    }
}

/// A party that takes ETH, refuses it, or burns all gas, as it is told.
contract MoodyPayee is CallsBack {
    uint256 public mood;

    function set(uint256 value) external {
        mood = value;
    }

    receive() external payable {
        require(mood != 1, "refused");
        while (mood == 2) {}
        _callBack();
    }
}

contract Bomb {
    constructor(address target) payable {
        selfdestruct(payable(target));
    }
}

enum Mood {
    HONEST,
    SILENT, // returns nothing
    RAMBLES, // returns more than it should
    DENIES, // returns false, moves nothing
    TAXES, // keeps a part
    LIES, // says true, moves nothing
    REVERTS,
    REBASES, // doubles the holder's balance on the way
    MISSPEAKS, // moves, and returns 2
    LEAVES_IT // calls back, and leaves the delivery to what happens there

}

bytes32 constant MOODY_DOMAIN = keccak256("the domain of a moody token");

/// Whether a transfer in this mood is one that the contract takes for an exact delivery.
function delivers(Mood mood) pure returns (bool) {
    return mood <= Mood.RAMBLES;
}

/// A token that behaves as it is told, differently from call to call. It takes every signature for good.
contract MoodyToken is CallsBack {
    bytes32 public DOMAIN_SEPARATOR = MOODY_DOMAIN;
    mapping(address => uint256) public balanceOf;
    Mood public mood;

    function set(Mood value) external {
        mood = value;
    }

    /// Shows another token's domain.
    function pose(bytes32 domain) external {
        DOMAIN_SEPARATOR = domain;
    }

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _move(from, to, amount);
    }

    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external {}

    function receiveWithAuthorization(
        address from, address to, uint256 amount, uint256, uint256, bytes32, uint8, bytes32, bytes32
    ) external {
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        Mood now_ = mood;
        if (now_ == Mood.REVERTS) revert("moody");
        if (now_ == Mood.DENIES) _answer(0, 32);
        if (now_ == Mood.LIES) _answer(1, 32);
        if (_callBack() && now_ == Mood.LEAVES_IT) _answer(1, 32);
        balanceOf[from] -= amount;
        balanceOf[to] += now_ == Mood.TAXES ? amount - amount / 100 - 1 : amount;
        if (now_ == Mood.REBASES) balanceOf[to] = balanceOf[to] * 2 + 1;
        if (now_ == Mood.SILENT) _answer(0, 0);
        if (now_ == Mood.RAMBLES) _answer(1, 96);
        if (now_ == Mood.MISSPEAKS) _answer(2, 32);
        _answer(1, 32);
    }

    function _answer(uint256 value, uint256 size) private pure {
        assembly {
            mstore(0, value)
            return(0, size)
        }
    }
}
