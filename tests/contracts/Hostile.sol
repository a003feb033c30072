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

/// A party that notes how much gas its payment comes with.
contract NotingPayee {
    uint256 public seen;

    receive() external payable {
        seen = gasleft();
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
    LEAVES_IT, // calls back, and leaves the delivery to what happens there
    WRAPS, // gives without taking, whatever the sum
    GROWS, // counts what an account pays itself twice
    SHRINKS, // loses what an account pays itself
    FADES, // shows whole balances before a transfer, and short ones after it
    RECOVERS // and the other way round

}

bytes32 constant MOODY_DOMAIN = keccak256("the domain of a moody token");

/// Whether a transfer in this mood is one that the contract takes for an exact delivery.
function delivers(Mood mood) pure returns (bool) {
    return mood <= Mood.RAMBLES;
}

/// A token that behaves as it is told, differently from call to call. It takes every signature for good.
contract MoodyToken is CallsBack {
    struct Answered {
        bool set;
        bool fails;
        uint16 size;
        uint256 word;
    }

    mapping(address => uint256) private balances;
    mapping(bytes4 => Answered) private answers;
    bytes32 private domain = MOODY_DOMAIN;
    Mood public mood;

    function set(Mood value) external {
        mood = value;
    }

    /// Has a function end with the first `size` bytes of a word, as an answer or as an error.
    function have(bytes4 selector, bool fails, uint16 size, uint256 word) external {
        answers[selector] = Answered(true, fails, size, word);
    }

    /// Shows another token's domain.
    function pose(bytes32 domain_) external {
        domain = domain_;
    }

    function mint(address to, uint256 amount) external {
        balances[to] += amount;
    }

    function balanceOf(address account) external view returns (uint256) {
        _answer(balances[account], 32);
    }

    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        _answer(uint256(domain), 32);
    }

    /// Unless it was told otherwise, it does not know this one.
    function supportsInterface(bytes4) external view virtual returns (bool) {
        require(answers[msg.sig].set, "no such function");
        _answer(0, 0);
    }

    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external {}

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _move(from, to, amount);
    }

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
        if (now_ == Mood.WRAPS) {
            unchecked {
                balances[to] += amount;
            }
            _answer(1, 32);
        }
        if (now_ == Mood.FADES) answers[this.balanceOf.selector] = Answered(true, false, 31, 0);
        if (now_ == Mood.RECOVERS) delete answers[this.balanceOf.selector];
        balances[from] -= amount;
        balances[to] += now_ == Mood.TAXES ? amount - amount / 100 - 1 : amount;
        if (now_ == Mood.REBASES) balances[to] = balances[to] * 2 + 1;
        if (now_ == Mood.GROWS && from == to) balances[to] += amount;
        if (now_ == Mood.SHRINKS && from == to) balances[to] -= amount;
        if (now_ == Mood.SILENT) _answer(0, 0);
        if (now_ == Mood.RAMBLES) _answer(1, 96);
        if (now_ == Mood.MISSPEAKS) _answer(2, 32);
        _answer(1, 32);
    }

    function _answer(uint256 word, uint256 size) private view {
        Answered memory told = answers[msg.sig];
        if (told.set) (word, size) = (told.word, told.size);
        bool fails = told.fails;
        assembly {
            mstore(0, word)
            if fails { revert(0, size) }
            return(0, size)
        }
    }
}

/// Items by number, an ERC-721: number 1 can be taken for one unit of a token. It may say what it is (ERC-165), and may
/// know `transfer`, as older ones do.
contract Items {
    bool private immutable saysSo;
    bool private immutable transfers;
    mapping(uint256 => address) public ownerOf;
    mapping(address => uint256) public balanceOf;
    bytes32 public constant DOMAIN_SEPARATOR = MOODY_DOMAIN;

    constructor(bool saysSo_, bool transfers_) {
        (saysSo, transfers) = (saysSo_, transfers_);
    }

    function mint(address to, uint256 id) external {
        ownerOf[id] = to;
        balanceOf[to] += 1;
    }

    function supportsInterface(bytes4 id) external view returns (bool) {
        require(saysSo);
        return id == 0x80ac58cd || id == 0x01ffc9a7;
    }

    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external {}

    function transferFrom(address from, address to, uint256 id) public {
        require(ownerOf[id] == from);
        ownerOf[id] = to;
        balanceOf[from] -= 1;
        balanceOf[to] += 1;
    }

    function transfer(address to, uint256 id) external {
        require(transfers);
        transferFrom(msg.sender, to, id);
    }

    function receiveWithAuthorization(
        address from, address to, uint256 id, uint256, uint256, bytes32, uint8, bytes32, bytes32
    ) external {
        transferFrom(from, to, id);
    }
}

/// A token that burns all gas it gets when it is asked what it is.
contract HungryToken is MoodyToken {
    function supportsInterface(bytes4) external pure override returns (bool) {
        while (true) {}
        return false;
    }
}
