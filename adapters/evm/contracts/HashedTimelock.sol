// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

/// The packed terms of a lock, high bits first:
///   receiver 160 | timelock 40 (seconds since 1970) | flags 8 | generation 16 | lane 32
type Terms is uint256;

using {receiverOf, timelockOf, flagsOf, generationOf, laneOf} for Terms;

function receiverOf(Terms terms) pure returns (address) {
    return address(uint160(Terms.unwrap(terms) >> 96));
}

function timelockOf(Terms terms) pure returns (uint256) {
    return uint40(Terms.unwrap(terms) >> 56);
}

function flagsOf(Terms terms) pure returns (uint256) {
    return uint8(Terms.unwrap(terms) >> 48);
}

function generationOf(Terms terms) pure returns (uint256) {
    return uint16(Terms.unwrap(terms) >> 32);
}

function laneOf(Terms terms) pure returns (uint256) {
    return uint32(Terms.unwrap(terms));
}

/// Hash time locks for the native coin and ERC-20 tokens. No owner, no upgrade, no fee.
///
/// A lock pays its receiver against the 32-byte preimage of a SHA-256 hashlock strictly before the timelock, and its
/// sender at or after it; there is no moment at which both are possible. Anyone may send either call, the money goes
/// only to the party.
///
/// Each sender has 2^32 lanes, and a lane is one storage word at `sender << 96 | lane`; nothing else is stored:
///   commitment 224 | generation 16 | status 16      status: 0 never used or cleared, 1 locked, 2 claimed, 3 refunded
/// A settled lane keeps its word, and the sender's next lock overwrites it: a dirty word costs 17,100 gas less than a
/// fresh one. The next lock must name the generation that follows the stored one, so a lock that was signed twice is
/// mined once. ONE_SHOT clears the word when it settles, for the gas refund; the lane then starts at generation 1 again.
contract HashedTimelock {
    uint256 private constant LOCKED = 1;
    uint256 private constant CLAIMED = 2;
    uint256 private constant REFUNDED = 3;

    uint256 private constant ONE_SHOT = 1;

    /// Kinds of asset, above the token's address in the committed asset word.
    uint256 private constant NATIVE = 0;
    uint256 private constant ERC20 = 1 << 160;

    uint256 private constant STATUS_MASK = 0xffff;

    /// A whole word, so that no write needs a read.
    uint256 private transient pulling;

    /// Locked carries all terms. A lock's id names the lock they belong to, by its sender and its terms without the
    /// receiver: sender 160 | timelock 40 | flags 8 | generation 16 | lane 32.
    event Locked(bytes32 indexed hashlock, Terms terms, address sender, uint256 amount);
    event LockedToken(bytes32 indexed hashlock, Terms terms, address sender, uint256 amount, address token);
    event Claimed(bytes32 indexed hashlock, uint256 lockId, bytes32 preimage);
    event Refunded(bytes32 indexed hashlock, uint256 lockId);

    error AmountIsZero();
    error ReceiverIsZero();
    error UnknownFlags(uint256 flags);
    error TimelockNotInFuture(uint256 timelock, uint256 timestamp);
    error LaneBusy(uint256 lane);
    error WrongGeneration(uint256 named, uint256 expected);
    error NotLocked(uint256 generation, uint256 status);
    error WrongTermsOrPreimage();
    error ClaimTooLate(uint256 timelock, uint256 timestamp);
    error RefundTooEarly(uint256 timelock, uint256 timestamp);
    error PaymentRefused(address payee);
    error TokenCallFailed(address token);
    error TokenAmountNotExact(uint256 received, uint256 expected);
    error Reentered();

    /// Locks the sent value.
    function lock(bytes32 hashlock, Terms terms) external payable {
        _open(hashlock, terms, msg.value, NATIVE);
        emit Locked(hashlock, terms, msg.sender, msg.value);
    }

    /// Locks `amount` of `token`, which msg.sender has allowed this contract to take. Refuses a token that does not
    /// deliver exactly `amount`.
    function lockToken(bytes32 hashlock, Terms terms, uint256 amount, address token) external {
        _open(hashlock, terms, amount, _erc20(token));
        emit LockedToken(hashlock, terms, msg.sender, amount, token);
        _pull(token, amount);
    }

    /// Pays the receiver; `terms`, `sender` and `amount` are the lock's own.
    function claim(bytes32 preimage, Terms terms, address sender, uint256 amount) external {
        _claim(preimage, terms, sender, amount, NATIVE);
        _pay(terms.receiverOf(), amount);
    }

    function claimToken(bytes32 preimage, Terms terms, address sender, uint256 amount, address token) external {
        _claim(preimage, terms, sender, amount, _erc20(token));
        _push(token, terms.receiverOf(), amount);
    }

    /// Pays the sender back.
    function refund(bytes32 hashlock, Terms terms, address sender, uint256 amount) external {
        _refund(hashlock, terms, sender, amount, NATIVE);
        _pay(sender, amount);
    }

    function refundToken(bytes32 hashlock, Terms terms, address sender, uint256 amount, address token) external {
        _refund(hashlock, terms, sender, amount, _erc20(token));
        _push(token, sender, amount);
    }

    /// The word of one lane: commitment 224 | generation 16 | status 16.
    function laneWord(address sender, uint32 lane) external view returns (uint256) {
        return _load(_key(sender, lane));
    }

    function _open(bytes32 hashlock, Terms terms, uint256 amount, uint256 asset) private {
        if (amount == 0) revert AmountIsZero();
        if (terms.receiverOf() == address(0)) revert ReceiverIsZero();
        if (terms.flagsOf() > ONE_SHOT) revert UnknownFlags(terms.flagsOf());
        if (terms.timelockOf() <= block.timestamp) revert TimelockNotInFuture(terms.timelockOf(), block.timestamp);

        uint256 key = _key(msg.sender, terms.laneOf());
        uint256 word = _load(key);
        uint256 next;
        unchecked {
            next = uint16((word >> 16) + 1);
        }
        if (terms.generationOf() != next) revert WrongGeneration(terms.generationOf(), next);
        if (word & STATUS_MASK == LOCKED) revert LaneBusy(terms.laneOf());
        _store(key, _word(hashlock, terms, msg.sender, amount, asset) | LOCKED);
    }

    function _claim(bytes32 preimage, Terms terms, address sender, uint256 amount, uint256 asset) private {
        if (block.timestamp >= terms.timelockOf()) revert ClaimTooLate(terms.timelockOf(), block.timestamp);
        bytes32 hashlock = _sha256(preimage);
        _settle(hashlock, terms, sender, amount, asset, CLAIMED);
        emit Claimed(hashlock, _lockId(sender, terms), preimage);
    }

    function _refund(bytes32 hashlock, Terms terms, address sender, uint256 amount, uint256 asset) private {
        if (block.timestamp < terms.timelockOf()) revert RefundTooEarly(terms.timelockOf(), block.timestamp);
        _settle(hashlock, terms, sender, amount, asset, REFUNDED);
        emit Refunded(hashlock, _lockId(sender, terms));
    }

    /// Turns an open lock's status into `outcome`, or clears the lane of a one-shot lock.
    function _settle(bytes32 hashlock, Terms terms, address sender, uint256 amount, uint256 asset, uint256 outcome)
        private
    {
        uint256 settled = _word(hashlock, terms, sender, amount, asset);
        uint256 key = _key(sender, terms.laneOf());
        uint256 word = _load(key);
        if (word != settled | LOCKED) _refuse(word, terms);
        _store(key, terms.flagsOf() & ONE_SHOT == 0 ? settled | outcome : 0);
    }

    /// Says why a lane's word is not that of the open lock `terms` describe.
    function _refuse(uint256 word, Terms terms) private pure {
        uint256 generation = uint16(word >> 16);
        if (word & STATUS_MASK != LOCKED) revert NotLocked(generation, word & STATUS_MASK);
        if (generation != terms.generationOf()) revert WrongGeneration(terms.generationOf(), generation);
        revert WrongTermsOrPreimage();
    }

    function _key(address sender, uint256 lane) private pure returns (uint256) {
        return uint256(uint160(sender)) << 96 | lane;
    }

    function _lockId(address sender, Terms terms) private pure returns (uint256) {
        return uint256(uint160(sender)) << 96 | uint96(Terms.unwrap(terms));
    }

    function _erc20(address token) private pure returns (uint256) {
        return ERC20 | uint256(uint160(token));
    }

    /// A lane's word without its status: commitment 224 | generation 16 | 0. The commitment is the high part of
    /// keccak256(hashlock, terms, sender, amount, asset), five words; asset = kind 96 | token 160.
    /// Assembly: hashes in unreserved memory, where abi.encode would allocate and copy (200 gas).
    function _word(bytes32 hashlock, Terms terms, address sender, uint256 amount, uint256 asset)
        private
        pure
        returns (uint256 word)
    {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, hashlock)
            mstore(add(free, 0x20), terms)
            mstore(add(free, 0x40), sender)
            mstore(add(free, 0x60), amount)
            mstore(add(free, 0x80), asset)
            word := or(and(keccak256(free, 0xa0), not(0xffffffff)), and(shr(16, terms), 0xffff0000))
        }
    }

    /// Assembly: the compiler's own sha256 copies its argument and result through allocated memory (300 gas).
    function _sha256(bytes32 preimage) private view returns (bytes32 digest) {
        assembly ("memory-safe") {
            mstore(0, preimage)
            if iszero(staticcall(gas(), 2, 0, 0x20, 0, 0x20)) { revert(0, 0) }
            digest := mload(0)
        }
    }

    /// Assembly: Solidity has no storage at a key of one's own choosing; a mapping would hash twice at each access.
    function _load(uint256 key) private view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(key)
        }
    }

    function _store(uint256 key, uint256 word) private {
        assembly ("memory-safe") {
            sstore(key, word)
        }
    }

    /// Assembly: Solidity's call copies whatever the payee returns, at the caller's cost.
    function _pay(address payee, uint256 amount) private {
        bool success;
        assembly ("memory-safe") {
            success := call(gas(), payee, amount, 0, 0, 0, 0)
        }
        if (!success) revert PaymentRefused(payee);
    }

    /// Takes exactly `amount` from msg.sender. A token that calls back may not open a second lock meanwhile: both would
    /// count the same delivery.
    function _pull(address token, uint256 amount) private {
        if (pulling != 0) revert Reentered();
        pulling = 1;
        uint256 before = _balance(token);
        // transferFrom(msg.sender, this, amount)
        bool success;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, shl(224, 0x23b872dd))
            mstore(add(free, 0x04), caller())
            mstore(add(free, 0x24), address())
            mstore(add(free, 0x44), amount)
            success := call(gas(), token, 0, free, 0x64, 0, 0x20)
        }
        if (!_agreed(success)) revert TokenCallFailed(token);
        uint256 held = _balance(token);
        uint256 received = held > before ? held - before : 0;
        if (received != amount) revert TokenAmountNotExact(received, amount);
        pulling = 0;
    }

    function _push(address token, address payee, uint256 amount) private {
        // transfer(payee, amount)
        bool success;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, shl(224, 0xa9059cbb))
            mstore(add(free, 0x04), payee)
            mstore(add(free, 0x24), amount)
            success := call(gas(), token, 0, free, 0x44, 0, 0x20)
        }
        if (!_agreed(success)) revert TokenCallFailed(token);
    }

    /// Whether the token call just made succeeded and returned true or nothing at all; its result word is at 0.
    /// That the token has code is known: _balance got a word from it before it was ever locked.
    function _agreed(bool success) private pure returns (bool agreed) {
        assembly ("memory-safe") {
            agreed := and(success, or(iszero(returndatasize()), and(gt(returndatasize(), 0x1f), eq(mload(0), 1))))
        }
    }

    function _balance(address token) private view returns (uint256 amount) {
        bool success;
        assembly ("memory-safe") {
            mstore(0, shl(224, 0x70a08231))
            mstore(0x04, address())
            success := staticcall(gas(), token, 0, 0x24, 0, 0x20)
            success := and(success, gt(returndatasize(), 0x1f))
            amount := mload(0)
        }
        if (!success) revert TokenCallFailed(token);
    }
}
