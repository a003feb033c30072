// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {
    Commit,
    Header,
    Key,
    MAX_CHAIN_ID_BYTES,
    NS_PER_S,
    Signature,
    Tail,
    beginVotes,
    headerHash,
    introduceKey,
    voteDigest
} from "./Comet.sol";
import {ILightClient} from "./LightClient.sol";
import {isAbsentUnder, isPresentUnder, rootOf, sha256At} from "./Merkle.sol";
import {MAX_S} from "./Signatures.sol";

/// A light client of one CometBFT chain whose validators have secp256k1eth keys. No owner, no upgrade.
///
/// It begins with a header that its creator trusts; compare `anchor` with a hash that you trust. From then on a header is
/// believed if more than two thirds of the power of its validator set signed it, and that set is one that a believed
/// header announced for the next height. A set is trusted from that height on, until a newer header announces another,
/// and for the trusting period after the last header that vouches for it. Two believed headers that contradict each other
/// freeze the client for good.
///
/// Who signs are the validators; by whom a call is sent does not matter.
contract ConsortiumLightClient is ILightClient {
    /// The newest proven header, by height; nanoseconds since 1970.
    struct Newest {
        uint64 height;
        uint64 time;
        bool frozen;
    }

    /// A trusted validator set: the heights it may sign, `last` 0 for the set that is in force (its last voucher is the
    /// newest header), and the time of the header that vouched for it last.
    struct Trust {
        uint64 first;
        uint64 last;
        uint64 time;
    }

    /// The hash of the header that the creator trusts.
    bytes32 public immutable anchor;
    uint64 public immutable trustingPeriodS;
    uint64 public immutable maxClockDriftS;
    bytes32 private immutable _chainIdLeaf;
    bytes32 private immutable _tailFirst;
    bytes32 private immutable _tailSecond;
    uint256 private immutable _tailSize;

    Newest public newest;
    /// The id of a validator set that was introduced, by its hash in headers: Keccak-256 over that hash and the words of its
    /// members, power 96 | address 160. Says who they are, not that they are trusted.
    mapping(bytes32 validatorsHash => bytes32) public setOf;
    mapping(bytes32 set => Trust) private _trust;
    mapping(uint64 height => bytes32) private _appHashes;

    event HeaderProven(uint64 indexed height, bytes32 headerHash, uint64 time, bytes32 appHash);
    event ValidatorsTrusted(bytes32 indexed validatorsHash, uint64 first);
    event ValidatorsIntroduced(bytes32 indexed validatorsHash);
    event FrozenForGood(uint64 height, bytes32 firstHash, bytes32 secondHash);

    error UnusableChainId();
    error UnusablePeriod();
    error Frozen();
    error UnknownHeight(uint64 height);
    error ConflictingHeader(uint64 height);
    error TimeOutOfOrder(uint64 height, uint64 time);
    error HeaderFromFuture(uint64 time, uint256 timestamp);
    error TrustExpired(uint64 time, uint256 timestamp);
    error UntrustedValidators(bytes32 validatorsHash, uint64 height);
    error ValidatorsNotIntroduced(bytes32 validatorsHash);
    error PlaceOutOfOrder(uint256 place);
    error WrongSignature(uint256 place);
    error NotEnoughPower(uint256 signed, uint256 total);
    error NoContradiction();

    /// `keys` are the validators that `trusted` announces: they are trusted from the next height on.
    constructor(
        string memory chainId,
        Header memory trusted,
        Key[] memory keys,
        uint64 trustingPeriodS_,
        uint64 maxClockDriftS_
    ) {
        uint256 size = bytes(chainId).length;
        if (size == 0 || size > MAX_CHAIN_ID_BYTES) revert UnusableChainId();
        if (trustingPeriodS_ == 0) revert UnusablePeriod();
        (trustingPeriodS, maxClockDriftS) = (trustingPeriodS_, maxClockDriftS_);
        bytes32 chainIdLeaf = sha256(abi.encodePacked(hex"000a", uint8(size), chainId));
        bytes memory tail = abi.encodePacked(hex"32", uint8(size), chainId, bytes32(0));
        (bytes32 first, bytes32 second) = (bytes32(0), bytes32(0));
        assembly ("memory-safe") {
            first := mload(add(tail, 0x20))
            second := mload(add(tail, 0x40))
        }
        (_chainIdLeaf, _tailFirst, _tailSecond, _tailSize) = (chainIdLeaf, first, second, size + 2);

        _requireTime(trusted.time, trusted.time);
        anchor = headerHash(trusted, chainIdLeaf);
        newest = Newest(trusted.height, trusted.time, false);
        _appHashes[trusted.height] = trusted.appHash;
        emit HeaderProven(trusted.height, anchor, trusted.time, trusted.appHash);
        _introduce(keys);
        _trust[_introduced(trusted.nextValidatorsHash)].first = trusted.height + 1;
        emit ValidatorsTrusted(trusted.nextValidatorsHash, trusted.height + 1);
    }

    // ------------------------------------------------------------------------------------------------------- headers

    /// Prove a header, newer or older than the newest, and keep its app hash. A newer one that announces other validators
    /// puts them in force; they have to be introduced before. A header with an app hash that is known for its height changes
    /// nothing, and is not looked at.
    function update(Header calldata header, Commit calldata commit) external {
        Newest memory last = newest;
        if (last.frozen) revert Frozen();
        uint64 height = header.height;
        bytes32 known = _appHashes[height];
        if (known != 0) {
            if (known != header.appHash) revert ConflictingHeader(height);
            return;
        }
        bytes32 hash = _verify(header, commit, last);
        bool newer = height > last.height;
        if (newer ? header.time <= last.time : header.time >= last.time) revert TimeOutOfOrder(height, header.time);
        _appHashes[height] = header.appHash;
        if (newer) newest = Newest(height, header.time, false);
        if (header.nextValidatorsHash != header.validatorsHash) _announce(header, commit, newer, last.height);
        emit HeaderProven(height, hash, header.time, header.appHash);
    }

    /// Two headers, each signed by enough of a trusted set, that cannot both be of one chain: two at one height, or a higher
    /// one that is not later. Nothing is proven by this client from then on.
    function freeze(
        Header calldata lower,
        Commit calldata lowerCommit,
        Header calldata higher,
        Commit calldata higherCommit
    ) external {
        Newest memory last = newest;
        if (last.frozen) revert Frozen();
        bytes32 lowerHash = _verify(lower, lowerCommit, last);
        bytes32 higherHash = _verify(higher, higherCommit, last);
        bool conflicting = lower.height == higher.height && lowerHash != higherHash;
        bool backwards = lower.height < higher.height && lower.time >= higher.time;
        if (!conflicting && !backwards) revert NoContradiction();
        newest.frozen = true;
        emit FrozenForGood(higher.height, lowerHash, higherHash);
    }

    /// Say who the members of a validator set are, in the set's own order. Needed once for each set, by anybody: its hash
    /// in headers is of compressed keys, and a signature recovers an address.
    function introduce(Key[] calldata keys) external returns (bytes32 validatorsHash) {
        return _introduce(keys);
    }

    // --------------------------------------------------------------------------------------------------------- state

    /// Return the root of the state that the proven header of this height commits to: the state after the block before.
    function appHashAt(uint64 height) public view returns (bytes32 appHash) {
        if (newest.frozen) revert Frozen();
        appHash = _appHashes[height];
        if (appHash == 0) revert UnknownHeight(height);
    }

    /// Return true if `key` holds `value` in the state of this height. Siblings from the root downwards.
    function isPresent(uint64 height, bytes calldata key, bytes calldata value, bytes32[] calldata siblings)
        external
        view
        returns (bool)
    {
        return isPresentUnder(appHashAt(height), sha256(key), sha256(value), siblings);
    }

    /// Return true if `key` is not in the state of this height. `other` has no bytes if the key's place is empty, else it is
    /// the leaf that stands there: the SHA-256 of its key and of its value.
    function isAbsent(uint64 height, bytes calldata key, bytes calldata other, bytes32[] calldata siblings)
        external
        view
        returns (bool)
    {
        return isAbsentUnder(appHashAt(height), sha256(key), other, siblings);
    }

    /// Return the heights that a validator set may sign, `last` 0 if it is in force, and the time of its last voucher if it is
    /// not. Zeros if it is not trusted.
    function trustOf(bytes32 validatorsHash) external view returns (Trust memory) {
        return _trust[setOf[validatorsHash]];
    }

    // ---------------------------------------------------------------------------------------------------- verification

    /// Return the hash of a header that its validators signed, if they may be believed.
    function _verify(Header calldata header, Commit calldata commit, Newest memory last)
        private
        view
        returns (bytes32 hash)
    {
        uint64 height = header.height;
        Trust memory trust = _trust[keccak256(abi.encodePacked(header.validatorsHash, commit.validators))];
        if (trust.first == 0 || height < trust.first || (trust.last != 0 && height > trust.last)) {
            revert UntrustedValidators(header.validatorsHash, height);
        }
        _requireTime(header.time, trust.last == 0 ? last.time : trust.time);
        hash = headerHash(header, _chainIdLeaf);
        _requirePower(height, commit, hash);
    }

    /// `time` is not in the future, and `vouched`, the time of what vouches for it, within the trusting period.
    function _requireTime(uint64 time, uint64 vouched) private view {
        if (time >= (block.timestamp + maxClockDriftS) * NS_PER_S) revert HeaderFromFuture(time, block.timestamp);
        if (vouched + trustingPeriodS * NS_PER_S <= block.timestamp * NS_PER_S) {
            revert TrustExpired(vouched, block.timestamp);
        }
    }

    /// More than two thirds of the power of `commit.validators` signed a precommit for this block.
    function _requirePower(uint64 height, Commit calldata commit, bytes32 hash) private view {
        uint256[] calldata validators = commit.validators;
        (uint256 start, uint256 end) = beginVotes(height, commit, hash);
        Tail memory tail = Tail(_tailFirst, _tailSecond, _tailSize);
        uint256 signed;
        uint256 next;
        for (uint256 i; i < commit.signatures.length; ++i) {
            Signature calldata signature = commit.signatures[i];
            uint256 place = uint16(bytes2(signature.head));
            // Ascending, so that nobody counts twice.
            if (place < next || place >= validators.length) revert PlaceOutOfOrder(place);
            next = place + 1;
            bytes32 digest = voteDigest(start, end, signature.head, tail);
            if (!_isSignedBy(address(uint160(validators[place])), digest, signature)) revert WrongSignature(place);
            signed = _plus(signed, validators[place]);
        }
        uint256 total;
        for (uint256 i; i < validators.length; ++i) {
            total = _plus(total, validators[i]);
        }
        if (3 * signed <= 2 * total) revert NotEnoughPower(signed, total);
    }

    /// Unchecked: a power has 64 bits, since nothing else is introduced.
    function _plus(uint256 sum, uint256 validator) private pure returns (uint256) {
        unchecked {
            return sum + (validator >> 160);
        }
    }

    /// An address here is that of a point (see introduceKey), never the zero that a failed recovery returns.
    function _isSignedBy(address signer, bytes32 digest, Signature calldata signature) private pure returns (bool) {
        bytes32 s = signature.vs << 1 >> 1;
        uint8 v = uint8(27 + (uint256(signature.vs) >> 255));
        return uint256(s) <= MAX_S && ecrecover(digest, v, signature.r, s) == signer;
    }

    // ------------------------------------------------------------------------------------------------- validator sets

    function _introduce(Key[] memory keys) private returns (bytes32 validatorsHash) {
        bytes32[] memory leaves = new bytes32[](keys.length);
        uint256[] memory words = new uint256[](keys.length);
        for (uint256 i; i < keys.length; ++i) {
            (leaves[i], words[i]) = introduceKey(keys[i], i);
        }
        validatorsHash = rootOf(leaves);
        setOf[validatorsHash] = keccak256(abi.encodePacked(validatorsHash, words));
        emit ValidatorsIntroduced(validatorsHash);
    }

    function _introduced(bytes32 validatorsHash) private view returns (bytes32 set) {
        set = setOf[validatorsHash];
        if (set == 0) revert ValidatorsNotIntroduced(validatorsHash);
    }

    /// The header announces a set that is not its own: from the next height on.
    function _announce(Header calldata header, Commit calldata commit, bool newer, uint64 newestHeight) private {
        Trust storage next = _trust[_introduced(header.nextValidatorsHash)];
        if (newer) {
            // Its own set has been in force until here.
            Trust storage own = _trust[keccak256(abi.encodePacked(header.validatorsHash, commit.validators))];
            (own.last, own.time) = (header.height, header.time);
            if (next.first == 0) next.first = header.height + 1;
            next.last = 0;
        } else {
            // Others have been in force since; what is known of the set already is more.
            if (next.first != 0) return;
            (next.first, next.last, next.time) = (header.height + 1, newestHeight, header.time);
        }
        emit ValidatorsTrusted(header.nextValidatorsHash, header.height + 1);
    }
}
