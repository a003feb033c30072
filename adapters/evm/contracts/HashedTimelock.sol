// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Terms, NewLock, Claim, Refund} from "./Terms.sol";
import {
    TokenAmountNotExact,
    TokenCallFailed,
    domainOf,
    heldOf,
    pullToken,
    requireFungible,
    transferToken
} from "./Tokens.sol";
import {
    AUTHORIZATION_TYPE,
    EARLY_REFUND_TYPE,
    WITNESS_TYPE,
    WITNESS_TYPE_STRING,
    domainSeparator,
    isSignedBy,
    isSignedByKey,
    typedDigest
} from "./Signatures.sol";
import {IERC20Permit, IERC3009, IPermit2} from "./Interfaces.sol";

/// Hash time locks for the native coin and ERC-20 tokens. No owner, no upgrade, no fee.
///
/// A lock pays its receiver against the 32-byte preimage of a SHA-256 hashlock strictly before the timelock, and its
/// sender at or after it; there is no moment at which both are possible. Anyone may send either call, the money goes
/// only to the party. Before the timelock the receiver may give the lock back, by his signature.
///
/// Each sender has 2^32 lanes, and a lane is one storage word at `sender << 96 | lane`; nothing else is stored:
///   commitment 224 | generation 16 | status 16      status: 0 never used, 1 locked, 2 claimed, 3 refunded
/// A settled lane keeps its word, and the sender's next lock overwrites it: a dirty word costs 17,100 gas less than a
/// fresh one. The next lock must name the generation that follows the stored one, so a lock that was signed twice is
/// mined once. The first generation is 1, and 0 follows 65535: after 65,536 uses of a lane its generations, and with them
/// its lock ids, come round again. What was signed for an earlier round is good in a later one only while its own
/// timelock or deadline has not come.
contract HashedTimelock {
    uint256 private constant LOCKED = 1;
    uint256 private constant CLAIMED = 2;
    uint256 private constant REFUNDED = 3;

    /// Kinds of asset, above the token's address in the committed asset word.
    uint256 private constant NATIVE = 0;
    uint256 private constant ERC20 = 1 << 160;

    uint256 private constant STATUS_MASK = 0xffff;

    /// What settleStrangers keeps for itself behind an item: reporting it, and ending.
    uint256 private constant RESERVED_GAS = 10_000;
    /// What it uses between looking at the gas and calling an item, without copying it: 400 at most.
    uint256 private constant CALLING_GAS = 1_000;

    /// The same address on every chain, bound to its code (CREATE2).
    IPermit2 private constant PERMIT2 = IPermit2(0x000000000022D473030F116dDEE9F6B43aC78BA3);

    /// A whole word, so that no write needs a read.
    uint256 private transient pulling;

    /// Locked carries all terms. A lock's id names the lock they belong to, by its sender and its terms without the
    /// receiver: sender 160 | timelock 40 | flags 8 | generation 16 | lane 32.
    event Locked(bytes32 indexed hashlock, Terms terms, address sender, uint256 amount);
    event LockedToken(bytes32 indexed hashlock, Terms terms, address sender, uint256 amount, address token);
    event Claimed(bytes32 indexed hashlock, uint256 lockId, bytes32 preimage);
    event Refunded(bytes32 indexed hashlock, uint256 lockId);
    /// An item of a batch that was left out, with the error that it would have met alone.
    event Skipped(uint256 index, bytes reason);

    error AmountIsZero();
    error ReceiverIsZero();
    error ReceiverIsThisContract();
    error UnknownFlags(uint256 flags);
    error UnknownAsset(uint256 asset);
    error TimelockNotInFuture(uint256 timelock, uint256 timestamp);
    error LaneBusy(uint256 lane);
    error WrongGeneration(uint256 named, uint256 expected);
    error NotLocked(uint256 generation, uint256 status);
    error WrongTermsOrPreimage();
    error ClaimTooLate(uint256 timelock, uint256 timestamp);
    error RefundTooEarly(uint256 timelock, uint256 timestamp);
    error PaymentRefused(address payee);
    error Reentered();
    error ValueNotExact(uint256 sent, uint256 expected);
    error SignatureExpired(uint256 deadline, uint256 timestamp);
    error WrongSignature(address signer);
    error NoPermit2();
    error NotASettlement(bytes4 selector);
    error OutOfGas();

    // ------------------------------------------------------------------------------------------------------ one lock

    /// Locks the sent value.
    function lock(bytes32 hashlock, Terms terms) external payable {
        if (!_tryOpen(hashlock, terms, msg.sender, msg.value, NATIVE)) {
            _revert(_refusalOfLock(terms, msg.sender, msg.value));
        }
        _logLockedNative(hashlock);
    }

    /// Locks `amount` of `token`, which msg.sender has allowed this contract to take. Refuses a token that does not
    /// deliver exactly `amount`.
    function lockToken(bytes32 hashlock, Terms terms, uint256 amount, address token) external {
        _openToken(hashlock, terms, msg.sender, amount, token);
        _pull(token, amount);
    }

    /// Pays the receiver; `terms`, `sender` and `amount` are the lock's own.
    function claim(bytes32 preimage, Terms terms, address sender, uint256 amount) external {
        if (!_tryClaim(preimage, terms, sender, amount, NATIVE)) _revert(_refusalOfClaim(terms, sender));
        _pay(terms.receiverOf(), amount);
    }

    function claimToken(bytes32 preimage, Terms terms, address sender, uint256 amount, address token) external {
        if (!_tryClaim(preimage, terms, sender, amount, _erc20(token))) _revert(_refusalOfClaim(terms, sender));
        transferToken(token, terms.receiverOf(), amount);
    }

    /// Pays the sender back.
    function refund(bytes32 hashlock, Terms terms, address sender, uint256 amount) external {
        if (!_tryRefund(hashlock, terms, sender, amount, NATIVE)) _revert(_refusalOfRefund(terms, sender));
        _pay(sender, amount);
    }

    function refundToken(bytes32 hashlock, Terms terms, address sender, uint256 amount, address token) external {
        if (!_tryRefund(hashlock, terms, sender, amount, _erc20(token))) _revert(_refusalOfRefund(terms, sender));
        transferToken(token, sender, amount);
    }

    /// Pays the sender back before the timelock: with the receiver's signature over this very lock, valid until
    /// `deadline` inclusive, or sent by the receiver himself. `asset` is the committed word: kind 96 | token 160.
    function refundAgreed(
        bytes32 hashlock,
        Terms terms,
        address sender,
        uint256 amount,
        uint256 asset,
        uint256 deadline,
        bytes calldata signature
    ) external {
        if (msg.sender != terms.receiverOf()) {
            if (block.timestamp > deadline) revert SignatureExpired(deadline, block.timestamp);
            uint256 commitment = _word(hashlock, terms, sender, amount, asset) >> 32 << 32;
            bytes32 digest = _earlyRefundDigest(terms, sender, bytes28(bytes32(commitment)), deadline);
            if (!isSignedBy(terms.receiverOf(), digest, signature)) revert WrongSignature(terms.receiverOf());
        }
        if (!_tryGiveBack(hashlock, terms, sender, amount, asset)) _revert(_refusalOfExit(terms, sender));
        _payOut(asset, sender, amount);
    }

    /// The word of one lane: commitment 224 | generation 16 | status 16.
    function laneWord(address sender, uint32 lane) external view returns (uint256) {
        return _load(_key(sender, Terms.wrap(lane)));
    }

    // --------------------------------------------------------------------------- a token lock without prior allowance

    // slither-disable-start missing-zero-check,reentrancy-benign,redundant-statements
    /// As lockToken, with an allowance given on the way by EIP-2612. Somebody may have handed in the permit already;
    /// then the allowance is there, so a permit that fails is no reason to stop.
    function lockTokenByPermit(
        bytes32 hashlock,
        Terms terms,
        uint256 amount,
        address token,
        uint256 allowance,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        (bool permitted,) =
            token.call(abi.encodeCall(IERC20Permit.permit, (msg.sender, address(this), allowance, deadline, v, r, s)));
        permitted; // whether the allowance suffices, the transfer tells
        _openToken(hashlock, terms, msg.sender, amount, token);
        _pull(token, amount);
    }
    // slither-disable-end missing-zero-check,reentrancy-benign,redundant-statements

    /// Locks the tokens of `sender` by his EIP-3009 authorization, whoever hands it in. Its nonce is the hash of chain,
    /// contract and all terms, so it can open this lock and nothing else. The signature is checked here too: a lane is
    /// opened by its sender, not by what a token says of him.
    function lockByAuthorization(
        bytes32 hashlock,
        Terms terms,
        uint256 amount,
        address token,
        address sender,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        bytes32 nonce =
            keccak256(abi.encode(block.chainid, address(this), hashlock, terms, sender, amount, _erc20(token)));
        bytes32 authorization =
            keccak256(abi.encode(AUTHORIZATION_TYPE, sender, address(this), amount, 0, validBefore, nonce));
        bytes32 digest = typedDigest(domainOf(token), authorization);
        if (!isSignedByKey(sender, digest, v, r, s)) revert WrongSignature(sender);

        _openToken(hashlock, terms, sender, amount, token);
        (uint256 mark, uint256 before) = _beginPull(token);
        try IERC3009(token).receiveWithAuthorization(sender, address(this), amount, 0, validBefore, nonce, v, r, s) {}
        catch {
            revert TokenCallFailed(token);
        }
        _endPull(token, mark, before, amount);
    }

    /// Locks the tokens of `sender`, who has allowed Permit2 to take them, by his signature over transfer and terms,
    /// whoever hands it in.
    function lockByPermit2(
        bytes32 hashlock,
        Terms terms,
        uint256 amount,
        address token,
        address sender,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external {
        if (address(PERMIT2).code.length == 0) revert NoPermit2();
        _openToken(hashlock, terms, sender, amount, token);
        (uint256 mark, uint256 before) = _beginPull(token);
        PERMIT2.permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, amount), nonce, deadline),
            IPermit2.SignatureTransferDetails(address(this), amount),
            sender,
            _witness(hashlock, terms),
            WITNESS_TYPE_STRING,
            signature
        );
        _endPull(token, mark, before, amount);
    }

    // -------------------------------------------------------------------------------------------------------- batches
    //
    // Of one asset each: its committed word, kind 96 | token 160. `each` false: all items or none. `each` true: an item
    // that cannot be executed is left out and reported. One payment is made for consecutive items of one payee; where
    // it is refused, the whole batch reverts either way, so these are for payees one knows, settleStrangers for strangers.

    /// Native coin: the sent value must be the sum of all amounts, what is left out comes back. Tokens: the sum of what
    /// is locked is taken in one transfer.
    function bulkLock(bool each, NewLock[] calldata locks, uint256 asset) external payable {
        if (asset != NATIVE && asset >> 160 != ERC20 >> 160) revert UnknownAsset(asset);
        uint256 sum;
        uint256 leftOut;
        for (uint256 i; i < locks.length; ++i) {
            NewLock calldata item = _at(locks, i);
            (bytes32 hashlock, Terms terms, uint256 amount) = (item.hashlock, item.terms, item.amount);
            sum += amount;
            if (_tryOpen(hashlock, terms, msg.sender, amount, asset)) {
                if (asset == NATIVE) _logLockedNative(hashlock);
                else _logLockedToken(hashlock, address(uint160(asset)));
            } else {
                _leaveOut(i, _refusalOfLock(terms, msg.sender, amount), each);
                leftOut += amount;
            }
        }
        if (msg.value != (asset == NATIVE ? sum : 0)) revert ValueNotExact(msg.value, asset == NATIVE ? sum : 0);
        if (asset != NATIVE) _pull(address(uint160(asset)), sum - leftOut);
        else if (leftOut != 0) _pay(msg.sender, leftOut);
    }

    function bulkClaim(bool each, Claim[] calldata claims, uint256 asset) external {
        address payee;
        uint256 due;
        for (uint256 i; i < claims.length; ++i) {
            Claim calldata item = _at(claims, i);
            (Terms terms, uint256 amount) = (item.terms, item.amount);
            if (!_tryClaim(item.preimage, terms, item.sender, amount, asset)) {
                _leaveOut(i, _refusalOfClaim(terms, item.sender), each);
                continue;
            }
            if (terms.receiverOf() != payee) {
                if (due != 0) _payOut(asset, payee, due);
                (payee, due) = (terms.receiverOf(), 0);
            }
            due += amount;
        }
        if (due != 0) _payOut(asset, payee, due);
    }

    function bulkRefund(bool each, Refund[] calldata refunds, uint256 asset) external {
        address payee;
        uint256 due;
        for (uint256 i; i < refunds.length; ++i) {
            Refund calldata item = _at(refunds, i);
            (Terms terms, address sender, uint256 amount) = (item.terms, item.sender, item.amount);
            if (!_tryRefund(item.hashlock, terms, sender, amount, asset)) {
                _leaveOut(i, _refusalOfRefund(terms, sender), each);
                continue;
            }
            if (sender != payee) {
                if (due != 0) _payOut(asset, payee, due);
                (payee, due) = (sender, 0);
            }
            due += amount;
        }
        if (due != 0) _payOut(asset, payee, due);
    }

    // slither-disable-start calls-loop,reentrancy-events
    /// Claims and refunds of strangers: any of this contract's settling calls, encoded, each on its own with `gasEach`, no
    /// more and no less. Nothing that a payee or token does reaches beyond its item. Stops where the gas no longer
    /// suffices for a whole item, and keeps what is done.
    function settleStrangers(bytes[] calldata calls, uint256 gasEach) external {
        uint256 paid;
        for (uint256 i; i < calls.length; ++i) {
            bytes calldata item = calls[i];
            bytes4 selector = bytes4(item);
            if (!_settles(selector)) revert NotASettlement(selector);
            uint256 left = gasleft();
            (uint256 copying, uint256 memoryGas) = _gasOfCopying(item.length, paid);
            left = left < copying + CALLING_GAS ? 0 : left - copying - CALLING_GAS;
            // The EVM passes on 63/64 of what is left at most (EIP-150).
            if (left - left / 64 < gasEach || left - gasEach < RESERVED_GAS) {
                emit Skipped(i, abi.encodePacked(OutOfGas.selector));
                return;
            }
            paid = memoryGas;
            _callItem(i, item, gasEach);
        }
    }
    // slither-disable-end calls-loop,reentrancy-events

    /// At most what it takes to copy an item to unreserved memory, where `paid` has gone into memory before, and what has
    /// then: 3 gas a word of memory and its square over 512, and 3 a word copied (Yellow Paper, appendices G and H).
    function _gasOfCopying(uint256 size, uint256 paid) private pure returns (uint256 copying, uint256 memoryGas) {
        assembly ("memory-safe") {
            let words := shr(5, add(add(mload(0x40), size), 0x1f))
            memoryGas := add(mul(3, words), shr(9, mul(words, words)))
            if lt(memoryGas, paid) { memoryGas := paid }
            copying := add(sub(memoryGas, paid), mul(3, shr(5, add(size, 0x1f))))
        }
    }

    /// Calls this contract, and reports an item that failed. Assembly: each item is copied over the one before, so that
    /// memory is paid for once. What it fails with is one of this contract's own errors, and short.
    function _callItem(uint256 index, bytes calldata item, uint256 gasEach) private {
        bytes32 topic = Skipped.selector;
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, item.offset, item.length)
            if iszero(call(gasEach, address(), 0, free, item.length, 0, 0)) {
                let size := returndatasize()
                mstore(free, index)
                mstore(add(free, 0x20), 0x40)
                mstore(add(free, 0x40), size)
                mstore(add(free, add(0x60, size)), 0) // up to a whole word
                returndatacopy(add(free, 0x60), 0, size)
                log1(free, add(0x60, and(add(size, 0x1f), not(0x1f))), topic)
            }
        }
    }

    function _settles(bytes4 selector) private pure returns (bool) {
        return selector == this.claim.selector || selector == this.claimToken.selector
            || selector == this.refund.selector || selector == this.refundToken.selector
            || selector == this.refundAgreed.selector || selector == this.bulkClaim.selector
            || selector == this.bulkRefund.selector;
    }

    /// The i-th item of a batch. Assembly: the loop has compared i with the length (40 gas).
    function _at(NewLock[] calldata items, uint256 i) private pure returns (NewLock calldata item) {
        assembly ("memory-safe") {
            item := add(items.offset, mul(i, 0x60))
        }
    }

    function _at(Claim[] calldata items, uint256 i) private pure returns (Claim calldata item) {
        assembly ("memory-safe") {
            item := add(items.offset, shl(7, i))
        }
    }

    function _at(Refund[] calldata items, uint256 i) private pure returns (Refund calldata item) {
        assembly ("memory-safe") {
            item := add(items.offset, shl(7, i))
        }
    }

    function _leaveOut(uint256 index, bytes memory reason, bool each) private {
        if (!each) _revert(reason);
        emit Skipped(index, reason);
    }

    // ---------------------------------------------------------------------------------------------------- transitions
    //
    // Each does all of it and says true, or changes nothing and says false.

    /// Writes an open lock into the sender's lane. Its event is the caller's, who knows the kind.
    /// Assembly: all tests with one jump (150 gas).
    function _tryOpen(bytes32 hashlock, Terms terms, address sender, uint256 amount, uint256 asset)
        private
        returns (bool)
    {
        uint256 key = _key(sender, terms);
        uint256 word = _load(key);
        uint256 refused;
        assembly ("memory-safe") {
            // No amount; no receiver, or this contract; a timelock that has come.
            refused := or(iszero(amount), iszero(shr(96, terms)))
            refused := or(refused, eq(shr(96, terms), address()))
            refused := or(refused, iszero(gt(and(shr(56, terms), 0xffffffffff), timestamp())))
            // A flag, or a generation that does not follow the stored one: flags 8 | generation 16 in one number.
            refused := or(refused, and(xor(shr(32, terms), and(add(shr(16, word), 1), 0xffff)), 0xffffff))
            // An open lock.
            refused := or(refused, eq(and(word, STATUS_MASK), LOCKED))
        }
        if (refused != 0) return false;
        _store(key, _word(hashlock, terms, sender, amount, asset) | LOCKED);
        return true;
    }

    /// The event of the lock that _tryOpen has just opened, of the kind whose topic this is. Assembly: its fields stand
    /// in memory already (70 gas).
    function _logLocked(bytes32 hashlock, uint256 size, bytes32 topic) private {
        assembly ("memory-safe") {
            // _word left hashlock, terms, sender, amount, asset in unreserved memory.
            log2(add(mload(0x40), 0x20), size, topic, hashlock)
        }
    }

    function _logLockedNative(bytes32 hashlock) private {
        _logLocked(hashlock, 0x60, Locked.selector);
    }

    function _logLockedToken(bytes32 hashlock, address token) private {
        assembly ("memory-safe") {
            mstore(add(mload(0x40), 0x80), token) // without its kind
        }
        _logLocked(hashlock, 0x80, LockedToken.selector);
    }

    function _tryClaim(bytes32 preimage, Terms terms, address sender, uint256 amount, uint256 asset)
        private
        returns (bool)
    {
        if (block.timestamp >= terms.timelockOf()) return false;
        bytes32 hashlock = _sha256(preimage);
        uint256 settled = _word(hashlock, terms, sender, amount, asset);
        uint256 key = _key(sender, terms);
        if (_load(key) != settled | LOCKED) return false;
        _store(key, settled | CLAIMED);
        emit Claimed(hashlock, _lockId(key, terms), preimage);
        return true;
    }

    function _tryRefund(bytes32 hashlock, Terms terms, address sender, uint256 amount, uint256 asset)
        private
        returns (bool)
    {
        return block.timestamp >= terms.timelockOf() && _tryGiveBack(hashlock, terms, sender, amount, asset);
    }

    /// A refund whose time is not asked: it has come, or the receiver agrees.
    function _tryGiveBack(bytes32 hashlock, Terms terms, address sender, uint256 amount, uint256 asset)
        private
        returns (bool)
    {
        uint256 settled = _word(hashlock, terms, sender, amount, asset);
        uint256 key = _key(sender, terms);
        if (_load(key) != settled | LOCKED) return false;
        _store(key, settled | REFUNDED);
        emit Refunded(hashlock, _lockId(key, terms));
        return true;
    }

    // ------------------------------------------------------------------------------------------------------- refusals
    //
    // Why a transition said false, as revert data.

    function _refusalOfLock(Terms terms, address sender, uint256 amount) private view returns (bytes memory) {
        uint256 word = _load(_key(sender, terms));
        if (amount == 0) return abi.encodeWithSelector(AmountIsZero.selector);
        if (terms.receiverOf() == address(0)) return abi.encodeWithSelector(ReceiverIsZero.selector);
        if (terms.receiverOf() == address(this)) return abi.encodeWithSelector(ReceiverIsThisContract.selector);
        if (terms.flagsOf() != 0) return abi.encodeWithSelector(UnknownFlags.selector, terms.flagsOf());
        if (terms.timelockOf() <= block.timestamp) {
            return abi.encodeWithSelector(TimelockNotInFuture.selector, terms.timelockOf(), block.timestamp);
        }
        if (terms.generationOf() != _next(word)) {
            return abi.encodeWithSelector(WrongGeneration.selector, terms.generationOf(), _next(word));
        }
        return abi.encodeWithSelector(LaneBusy.selector, terms.laneOf());
    }

    function _refusalOfClaim(Terms terms, address sender) private view returns (bytes memory) {
        if (block.timestamp < terms.timelockOf()) return _refusalOfExit(terms, sender);
        return abi.encodeWithSelector(ClaimTooLate.selector, terms.timelockOf(), block.timestamp);
    }

    function _refusalOfRefund(Terms terms, address sender) private view returns (bytes memory) {
        if (block.timestamp >= terms.timelockOf()) return _refusalOfExit(terms, sender);
        return abi.encodeWithSelector(RefundTooEarly.selector, terms.timelockOf(), block.timestamp);
    }

    /// The lane's word is not that of the open lock that the terms describe.
    function _refusalOfExit(Terms terms, address sender) private view returns (bytes memory) {
        uint256 word = _load(_key(sender, terms));
        uint256 generation = uint16(word >> 16);
        if (word & STATUS_MASK != LOCKED) {
            return abi.encodeWithSelector(NotLocked.selector, generation, word & STATUS_MASK);
        }
        if (generation != terms.generationOf()) {
            return abi.encodeWithSelector(WrongGeneration.selector, terms.generationOf(), generation);
        }
        return abi.encodeWithSelector(WrongTermsOrPreimage.selector);
    }

    /// Assembly: Solidity reverts with encoded data only where the error is named in place.
    function _revert(bytes memory reason) private pure {
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }

    // ------------------------------------------------------------------------------------------------------ encodings

    /// Assembly: the compiler masks what the shift has dropped already.
    function _key(address sender, Terms terms) private pure returns (uint256 key) {
        assembly ("memory-safe") {
            key := or(shl(96, sender), and(terms, 0xffffffff))
        }
    }

    function _lockId(uint256 key, Terms terms) private pure returns (uint256) {
        return key | uint96(Terms.unwrap(terms));
    }

    function _erc20(address token) private pure returns (uint256) {
        return ERC20 | uint256(uint160(token));
    }

    /// The generation that the next lock in a lane with this word has to name.
    function _next(uint256 word) private pure returns (uint256) {
        unchecked {
            return uint16((word >> 16) + 1);
        }
    }

    function _earlyRefundDigest(Terms terms, address sender, bytes28 commitment, uint256 deadline)
        private
        view
        returns (bytes32)
    {
        bytes32 structHash = keccak256(
            abi.encode(
                EARLY_REFUND_TYPE,
                terms.receiverOf(),
                sender,
                terms.laneOf(),
                terms.generationOf(),
                commitment,
                deadline
            )
        );
        return typedDigest(domainSeparator(address(this)), structHash);
    }

    function _witness(bytes32 hashlock, Terms terms) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                WITNESS_TYPE,
                hashlock,
                terms.receiverOf(),
                terms.timelockOf(),
                terms.flagsOf(),
                terms.generationOf(),
                terms.laneOf()
            )
        );
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

    // ------------------------------------------------------------------------------------------------------- payments

    /// Assembly: Solidity's call copies whatever the payee returns, at the caller's cost.
    function _pay(address payee, uint256 amount) private {
        bool success;
        assembly ("memory-safe") {
            success := call(gas(), payee, amount, 0, 0, 0, 0)
        }
        if (!success) revert PaymentRefused(payee);
    }

    function _payOut(uint256 asset, address payee, uint256 amount) private {
        if (asset == NATIVE) _pay(payee, amount);
        else transferToken(address(uint160(asset)), payee, amount);
    }

    function _openToken(bytes32 hashlock, Terms terms, address sender, uint256 amount, address token) private {
        if (!_tryOpen(hashlock, terms, sender, amount, _erc20(token))) _revert(_refusalOfLock(terms, sender, amount));
        _logLockedToken(hashlock, token);
    }

    /// Takes exactly `amount` from msg.sender. A token that calls back may not open a second lock meanwhile: both would
    /// count the same delivery. The mark is the gas left, which no later call can have as much of, so that one write
    /// begins the pull and one read ends it.
    function _pull(address token, uint256 amount) private {
        uint256 mark = gasleft();
        pulling = mark;
        pullToken(token, msg.sender, amount);
        // Any other amount is none that an item of an ERC-721 can pass for.
        if (amount == 1) requireFungible(token, address(this));
        if (pulling != mark) revert Reentered();
    }

    /// The same for a pull that another contract makes: the balance before, and what has to hold after.
    function _beginPull(address token) private returns (uint256 mark, uint256 before) {
        mark = gasleft();
        pulling = mark;
        before = heldOf(token);
    }

    function _endPull(address token, uint256 mark, uint256 before, uint256 amount) private {
        uint256 held = heldOf(token);
        uint256 received = held < before ? 0 : held - before;
        if (received != amount) revert TokenAmountNotExact(received, amount);
        if (amount == 1) requireFungible(token, address(this));
        if (pulling != mark) revert Reentered();
    }
}
