// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Commit, Header} from "./Comet.sol";
import {ILightClient} from "./LightClient.sol";
import {isAbsentUnder, isPresentUnder} from "./Merkle.sol";

/// A question as its event gives it and as its answer has to repeat it, packed from the high bits:
///   asked: asker 160 | callback 32 | callback gas 32 | 0
///   terms: first height 64 | last height 64 | deadline 40 (seconds since 1970) | fee 80 | 0
///   path: the SHA-256 of the key
struct Question {
    uint256 asked;
    uint256 terms;
    bytes32 path;
}

/// One answer. If the key is present, `content` is its value; else it has no bytes if the key's place is empty, or it is
/// the leaf that stands there: the SHA-256 of its key and of its value. Siblings from the root downwards.
struct Answer {
    uint256 id;
    Question question;
    bool present;
    bytes content;
    bytes32[] siblings;
}

/// Questions about the state of a consortium chain, and answers that prove themselves. No owner, no upgrade, no fee of its
/// own.
///
/// A contract asks for one key: at which heights, until when, which of its functions is called with the answer and with how
/// much gas, and for what fee. Anyone may answer, strictly before the deadline, by a proof under a header that the light
/// client has proven, and takes the fee. From the deadline on anyone may return the fee of a question without an answer.
///
/// Stored is one word for each question, and its answer takes the same place:
///   commitment 248 | status 8
/// The commitment of a question is the hash of its three words; that of a result, of `asked`, the height and the SHA-256 of
/// the value (0 if the key is absent).
contract CrossChainQuery {
    uint256 public constant OPEN = 1;
    uint256 public constant DELIVERED = 2;
    /// Answered, but the callback failed: `retry` calls it again.
    uint256 public constant UNDELIVERED = 3;
    uint256 public constant EXPIRED = 4;

    uint256 public constant MAX_KEY_BYTES = 256;
    uint256 public constant MAX_VALUE_BYTES = 32_768;
    uint256 public constant MAX_CALLBACK_GAS = 2_000_000;
    uint256 public constant MAX_FEE = type(uint80).max;
    /// A refund calls its asker with this much gas; an asker that needs more withdraws.
    uint256 public constant REFUND_GAS = 50_000;
    /// What a call of an asker uses between the look at the gas and the asker's first instruction: 2,900 at most, with
    /// value 36,900.
    uint256 private constant CALLING_GAS = 5_000;
    uint256 private constant PAYING_GAS = 40_000;
    uint256 private constant STATUS_MASK = 0xff;

    ILightClient public immutable lightClient;
    /// The number of questions so far, and the id of the newest.
    uint256 public count;
    mapping(uint256 id => uint256) private _words;
    /// Fees that went back to an asker that did not take them.
    mapping(address asker => uint256) public owed;

    event Asked(uint256 indexed id, address indexed asker, Question question, bytes key);
    event Answered(uint256 indexed id, uint64 height, bytes32 valueHash);
    /// The callback failed. `value` is what `retry` needs.
    event Undelivered(uint256 indexed id, bytes value);
    /// By a later call.
    event Delivered(uint256 indexed id);
    event Expired(uint256 indexed id, uint256 fee);

    error UnusableKey(uint256 size);
    error UnusableHeights(uint64 firstHeight, uint64 lastHeight);
    error UnusableDeadline(uint64 deadline);
    error TooMuchCallbackGas(uint256 gasAsked);
    error TooHighFee(uint256 fee);
    error WrongStatus(uint256 id, uint256 status);
    error WrongQuestion(uint256 id);
    error AnswerTooLate(uint256 deadline, uint256 timestamp);
    error ExpiryTooEarly(uint256 deadline, uint256 timestamp);
    error HeightNotAsked(uint64 height, uint64 firstHeight, uint64 lastHeight);
    error ValueTooLong(uint256 size);
    error WrongProof(uint256 id);
    error WrongResult(uint256 id);
    error NotEnoughGas(uint256 gasLeft, uint256 needed);
    error CallbackFailed(uint256 id);
    error PaymentRefused(address payee);
    error NothingOwed();

    constructor(ILightClient lightClient_) {
        lightClient = lightClient_;
    }

    // ----------------------------------------------------------------------------------------------------------- asking

    /// Ask for the value of `key` in the state of a header from `fromHeight` to `toHeight`; the value sent is the fee.
    /// `callback` is called as f(uint256 id, uint64 height, bool present, bytes value) with exactly `callbackGas`; with 0 it
    /// is not called.
    function ask(
        bytes calldata key,
        uint64 fromHeight,
        uint64 toHeight,
        bytes4 callback,
        uint32 callbackGas,
        uint64 deadline
    ) external payable returns (uint256 id) {
        if (key.length == 0 || key.length > MAX_KEY_BYTES) revert UnusableKey(key.length);
        if (fromHeight > toHeight) revert UnusableHeights(fromHeight, toHeight);
        if (deadline <= block.timestamp || deadline > type(uint40).max) revert UnusableDeadline(deadline);
        if (callbackGas > MAX_CALLBACK_GAS) revert TooMuchCallbackGas(callbackGas);
        if (msg.value > MAX_FEE) revert TooHighFee(msg.value);
        Question memory question = Question(
            uint256(uint160(msg.sender)) << 96 | uint256(uint32(callback)) << 64 | uint256(callbackGas) << 32,
            uint256(fromHeight) << 192 | uint256(toHeight) << 128 | uint256(deadline) << 88 | msg.value << 8,
            sha256(key)
        );
        id = ++count;
        _words[id] = _commitment(question.asked, question.terms, question.path) | OPEN;
        emit Asked(id, msg.sender, question, key);
    }

    /// Return the fee of a question that nobody answered before its deadline: to its asker, who may also withdraw it.
    function expire(uint256 id, Question calldata question) external {
        uint256 word = _words[id];
        _requireOpen(id, word, question);
        uint256 deadline = _deadlineOf(question.terms);
        if (block.timestamp < deadline) revert ExpiryTooEarly(deadline, block.timestamp);
        uint256 fee = _feeOf(question.terms);
        _words[id] = word - OPEN + EXPIRED;
        emit Expired(id, fee);
        if (fee == 0) return;
        address asker = _askerOf(question.asked);
        _requireGas(REFUND_GAS + PAYING_GAS);
        if (!_call(asker, REFUND_GAS, fee, "")) owed[asker] += fee;
    }

    /// Pay what `expire` could not pay the caller.
    function withdraw(address to) external {
        uint256 amount = owed[msg.sender];
        if (amount == 0) revert NothingOwed();
        owed[msg.sender] = 0;
        _pay(to, amount);
    }

    // -------------------------------------------------------------------------------------------------------- answering

    /// Answer one question under a header that is proven already, and take its fee.
    function answer(uint64 height, Answer calldata item) external {
        uint256 word = _words[item.id];
        uint256 deadline = _deadlineOf(item.question.terms);
        _requireOpen(item.id, word, item.question);
        if (block.timestamp >= deadline) revert AnswerTooLate(deadline, block.timestamp);
        _pay(msg.sender, _answer(height, lightClient.appHashAt(height), item));
    }

    /// Answer several questions under one header, and take their fees. Those that cannot be answered any more are left out.
    function answerMany(uint64 height, Answer[] calldata items) external {
        _pay(msg.sender, _answerAll(height, items));
    }

    /// Prove a header and answer under it, as answerMany.
    function updateAndAnswer(Header calldata header, Commit calldata commit, Answer[] calldata items) external {
        _update(header, commit);
        _pay(msg.sender, _answerAll(header.height, items));
    }

    /// Call again the callback of a question whose result is this; no bytes of value if the key is absent.
    function retry(uint256 id, uint256 asked, uint64 height, bool present, bytes calldata value) external {
        bytes32 valueHash = present ? sha256(value) : bytes32(0);
        uint256 word = _words[id];
        if (word & STATUS_MASK != UNDELIVERED) revert WrongStatus(id, word & STATUS_MASK);
        bool same = word == _commitment(asked, height, valueHash) | UNDELIVERED;
        if (!same || (!present && value.length != 0)) revert WrongResult(id);
        _words[id] = word - UNDELIVERED + DELIVERED;
        emit Delivered(id);
        if (!_deliver(id, asked, height, present, value)) revert CallbackFailed(id);
    }

    // ---------------------------------------------------------------------------------------------------------- reading

    /// Return 0 if the question was never asked, else OPEN, DELIVERED, UNDELIVERED or EXPIRED.
    function statusOf(uint256 id) external view returns (uint256) {
        return _words[id] & STATUS_MASK;
    }

    /// Return true if this is the result of a question; `valueHash` is the SHA-256 of the value, 0 if the key is absent.
    function isResult(uint256 id, uint256 asked, uint64 height, bytes32 valueHash) external view returns (bool) {
        uint256 word = _words[id];
        uint256 status = word & STATUS_MASK;
        return (status == DELIVERED || status == UNDELIVERED)
            && word == _commitment(asked, height, valueHash) | status;
    }

    // ------------------------------------------------------------------------------------------------------ transitions

    /// lightClient.update(header, commit). Assembly: as the arguments are encoded here already (3,000 gas); what lies behind
    /// the commit goes along unread.
    function _update(Header calldata header, Commit calldata commit) private {
        address client = address(lightClient);
        bytes4 selector = ILightClient.update.selector;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, selector)
            calldatacopy(add(free, 0x04), header, 0x160)
            mstore(add(free, 0x164), 0x180) // where the commit begins
            let size := sub(calldatasize(), commit)
            calldatacopy(add(free, 0x184), commit, size)
            if iszero(call(gas(), client, 0, free, add(size, 0x184), 0, 0)) {
                returndatacopy(free, 0, returndatasize())
                revert(free, returndatasize())
            }
        }
    }

    function _answerAll(uint64 height, Answer[] calldata items) private returns (uint256 fees) {
        bytes32 root = lightClient.appHashAt(height);
        for (uint256 i; i < items.length; ++i) {
            Answer calldata item = items[i];
            uint256 word = _words[item.id];
            if (word & STATUS_MASK != OPEN || block.timestamp >= _deadlineOf(item.question.terms)) continue;
            _requireOpen(item.id, word, item.question);
            fees += _answer(height, root, item);
        }
    }

    /// Verify the answer of an open question, settle it, call its asker; return its fee.
    function _answer(uint64 height, bytes32 root, Answer calldata item) private returns (uint256 fee) {
        Question calldata question = item.question;
        uint256 terms = question.terms;
        (uint64 first, uint64 last) = (uint64(terms >> 192), uint64(terms >> 128));
        if (height < first || height > last) revert HeightNotAsked(height, first, last);
        (bytes32 valueHash, bytes calldata value) = _verify(root, item);
        uint256 asked = question.asked;
        uint256 commitment = _commitment(asked, height, valueHash);
        _words[item.id] = commitment | DELIVERED;
        emit Answered(item.id, height, valueHash);
        if (!_deliver(item.id, asked, height, item.present, value)) {
            _words[item.id] = commitment | UNDELIVERED;
            emit Undelivered(item.id, value);
        }
        return _feeOf(terms);
    }

    /// Return the proven value and its hash; no bytes and 0 for an absent key.
    function _verify(bytes32 root, Answer calldata item) private view returns (bytes32 valueHash, bytes calldata value) {
        value = item.content;
        bool proven;
        if (item.present) {
            if (value.length > MAX_VALUE_BYTES) revert ValueTooLong(value.length);
            valueHash = sha256(value);
            proven = isPresentUnder(root, item.question.path, valueHash, item.siblings);
        } else {
            proven = isAbsentUnder(root, item.question.path, value, item.siblings);
            value = value[:0];
        }
        if (!proven) revert WrongProof(item.id);
    }

    /// Call the asker's function with exactly the promised gas. Return false if it fails; what it returns is not looked at.
    function _deliver(uint256 id, uint256 asked, uint64 height, bool present, bytes calldata value)
        private
        returns (bool)
    {
        uint256 callbackGas = uint32(asked >> 32);
        if (callbackGas == 0) return true;
        bytes memory data = abi.encodeWithSelector(bytes4(uint32(asked >> 64)), id, height, present, value);
        _requireGas(callbackGas + CALLING_GAS);
        return _call(_askerOf(asked), callbackGas, 0, data);
    }

    function _requireOpen(uint256 id, uint256 word, Question calldata question) private pure {
        if (word & STATUS_MASK != OPEN) revert WrongStatus(id, word & STATUS_MASK);
        if (word != _commitment(question.asked, question.terms, question.path) | OPEN) revert WrongQuestion(id);
    }

    /// The EVM keeps back a 64th of the gas (EIP-150): what it passes on is enough.
    function _requireGas(uint256 needed) private view {
        uint256 left = gasleft();
        if (left - left / 64 < needed) revert NotEnoughGas(left, needed);
    }

    /// Assembly: Solidity would copy what comes back.
    function _call(address to, uint256 gasGiven, uint256 value, bytes memory data) private returns (bool success) {
        assembly ("memory-safe") {
            success := call(gasGiven, to, value, add(data, 0x20), mload(data), 0, 0)
        }
    }

    function _pay(address to, uint256 amount) private {
        if (amount != 0 && !_call(to, gasleft(), amount, "")) revert PaymentRefused(to);
    }

    // -------------------------------------------------------------------------------------------------------- encodings

    function _commitment(uint256 asked, uint256 terms, bytes32 content) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(asked, terms, content))) >> 8 << 8;
    }

    function _askerOf(uint256 asked) private pure returns (address) {
        return address(uint160(asked >> 96));
    }

    function _deadlineOf(uint256 terms) private pure returns (uint256) {
        return uint40(terms >> 88);
    }

    function _feeOf(uint256 terms) private pure returns (uint256) {
        return uint80(terms >> 8);
    }
}
