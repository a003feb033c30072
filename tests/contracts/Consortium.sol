// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Vm, vm} from "./Base.sol";
import {Commit, Header, IConsortiumLightClient, Key, Signature} from "./ILightClient.sol";

/// A cheatcode of forge's that is needed here only.
interface Wallets {
    struct Wallet {
        address addr;
        uint256 publicKeyX;
        uint256 publicKeyY;
        uint256 privateKey;
    }

    function createWallet(uint256 privateKey) external returns (Wallet memory);
}

/// A validator that tests can sign with.
struct Validator {
    uint256 secret;
    uint64 power;
}

/// One block as the tests speak of it, before it is signed.
struct Block {
    uint64 height;
    uint64 time;
    bytes32 validatorsHash;
    bytes32 nextValidatorsHash;
    bytes32 appHash;
    uint32 round;
    uint32 partsTotal;
}

/// A consortium chain in the plainest form: protobuf by concatenation, trees by the RFC's own recursion. Shares nothing
/// with the contracts but the specification.
abstract contract Consortium {
    uint256 internal constant SECOND = 1e9;
    uint64 internal constant START = 1_700_000_000;
    uint64 internal constant PERIOD_S = 14 days;
    uint64 internal constant DRIFT_S = 30;
    uint256 internal constant HALF = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    uint256 internal constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    string internal chainId = "forge-1";
    IConsortiumLightClient internal client;

    // ------------------------------------------------------------------------------------------------- encodings

    function varint(uint256 value) internal pure returns (bytes memory) {
        if (value < 128) return abi.encodePacked(uint8(value));
        return bytes.concat(abi.encodePacked(uint8(value % 128 + 128)), varint(value / 128));
    }

    /// A scalar field; zero is left out.
    function scalar(uint8 tag, uint256 value) internal pure returns (bytes memory) {
        return value == 0 ? bytes("") : bytes.concat(abi.encodePacked(tag), varint(value));
    }

    function field(uint8 tag, bytes memory value) internal pure returns (bytes memory) {
        return bytes.concat(abi.encodePacked(tag), varint(value.length), value);
    }

    function fixed64(uint8 tag, uint64 value) internal pure returns (bytes memory result) {
        if (value == 0) return "";
        result = abi.encodePacked(tag);
        for (uint256 i; i < 8; ++i) {
            result = abi.encodePacked(result, uint8(value >> (8 * i)));
        }
    }

    function timestamp(uint64 time) internal pure returns (bytes memory) {
        return bytes.concat(scalar(0x08, time / SECOND), scalar(0x10, time % SECOND));
    }

    function root(bytes[] memory leaves, uint256 first, uint256 count) internal pure returns (bytes32) {
        if (count == 1) return sha256(abi.encodePacked(hex"00", leaves[first]));
        uint256 left = 1;
        while (left * 2 < count) left *= 2;
        return sha256(abi.encodePacked(hex"01", root(leaves, first, left), root(leaves, first + left, count - left)));
    }

    // ---------------------------------------------------------------------------------------------------- blocks

    function leavesOf(Block memory it, string memory chain) internal pure returns (bytes[] memory leaves) {
        leaves = new bytes[](14);
        leaves[0] = hex"080b";
        leaves[1] = field(0x0a, bytes(chain));
        leaves[2] = scalar(0x08, it.height);
        leaves[3] = timestamp(it.time);
        leaves[4] = field(0x0a, abi.encode("last block", it.height));
        leaves[7] = field(0x0a, abi.encode(it.validatorsHash));
        leaves[8] = field(0x0a, abi.encode(it.nextValidatorsHash));
        leaves[10] = field(0x0a, abi.encode(it.appHash));
        for (uint256 i; i < 14; ++i) {
            if (leaves[i].length == 0) leaves[i] = field(0x0a, abi.encode("leaf", i));
        }
    }

    function hashOf(Block memory it) internal view returns (bytes32) {
        return root(leavesOf(it, chainId), 0, 14);
    }

    function headerOf(Block memory it) internal view returns (Header memory header) {
        bytes[] memory leaves = leavesOf(it, chainId);
        (header.height, header.time) = (it.height, it.time);
        (header.validatorsHash, header.nextValidatorsHash) = (it.validatorsHash, it.nextValidatorsHash);
        header.appHash = it.appHash;
        header.rest[0] = root(leaves, 0, 1);
        header.rest[1] = root(leaves, 4, 2);
        header.rest[2] = root(leaves, 6, 1);
        header.rest[3] = root(leaves, 9, 1);
        header.rest[4] = root(leaves, 11, 1);
        header.rest[5] = root(leaves, 12, 2);
    }

    function partsHashOf(Block memory it) internal pure returns (bytes32) {
        return keccak256(abi.encode("parts", it.height));
    }

    function voteFor(Block memory it, uint8 kind, bytes memory stamp) internal view returns (bytes memory) {
        bytes memory parts = bytes.concat(scalar(0x08, it.partsTotal), field(0x12, abi.encode(partsHashOf(it))));
        bytes memory blockId = bytes.concat(field(0x0a, abi.encode(hashOf(it))), field(0x12, parts));
        bytes memory vote = bytes.concat(scalar(0x08, kind), fixed64(0x11, it.height), fixed64(0x19, it.round));
        vote = bytes.concat(vote, field(0x22, blockId), field(0x2a, stamp), field(0x32, bytes(chainId)));
        return bytes.concat(varint(vote.length), vote);
    }

    /// A precommit's time is its validator's own.
    function stampOf(Block memory it, uint256 place) internal pure returns (bytes memory) {
        return timestamp(it.time + uint64(place) * 77_000_123);
    }

    function signatureOf(Block memory it, Validator memory validator, uint256 place, uint8 kind)
        internal
        view
        returns (Signature memory)
    {
        bytes memory stamp = stampOf(it, place);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(validator.secret, keccak256(voteFor(it, kind, stamp)));
        return packed(place, stamp, v, r, uint256(s));
    }

    function packed(uint256 place, bytes memory stamp, uint8 v, bytes32 r, uint256 s)
        internal
        pure
        returns (Signature memory)
    {
        bytes memory head = abi.encodePacked(uint16(place), uint8(stamp.length), stamp, bytes32(0));
        return Signature(bytes32(head), r, bytes32(s | uint256(v - 27) << 255));
    }

    /// Signed by the validators whose bits are set.
    function commitOf(Block memory it, Validator[] memory validators, uint256 signers)
        internal
        view
        returns (Commit memory commit)
    {
        (commit.round, commit.partsTotal, commit.partsHash) = (it.round, it.partsTotal, partsHashOf(it));
        commit.validators = wordsOf(validators);
        uint256 count;
        for (uint256 i; i < validators.length; ++i) {
            if (signers >> i & 1 == 1) ++count;
        }
        commit.signatures = new Signature[](count);
        count = 0;
        for (uint256 i; i < validators.length; ++i) {
            if (signers >> i & 1 == 1) commit.signatures[count++] = signatureOf(it, validators[i], i, 2);
        }
    }

    // ------------------------------------------------------------------------------------------------ validators

    function validatorsNamed(string memory name, uint256 count, uint64 power)
        internal
        pure
        returns (Validator[] memory validators)
    {
        validators = new Validator[](count);
        for (uint256 i; i < count; ++i) {
            validators[i] = Validator(uint256(keccak256(abi.encode(name, i))) >> 1, power);
        }
    }

    function wordsOf(Validator[] memory validators) internal pure returns (uint256[] memory words) {
        words = new uint256[](validators.length);
        for (uint256 i; i < words.length; ++i) {
            words[i] = uint256(validators[i].power) << 160 | uint160(vm.addr(validators[i].secret));
        }
    }

    function keysOf(Validator[] memory validators) internal returns (Key[] memory keys) {
        keys = new Key[](validators.length);
        for (uint256 i; i < keys.length; ++i) {
            Wallets.Wallet memory wallet = Wallets(address(vm)).createWallet(validators[i].secret);
            keys[i] = Key(wallet.publicKeyX, wallet.publicKeyY, validators[i].power);
        }
    }

    function setHashOf(Validator[] memory validators) internal returns (bytes32) {
        Key[] memory keys = keysOf(validators);
        bytes[] memory leaves = new bytes[](keys.length);
        for (uint256 i; i < keys.length; ++i) {
            bytes memory compressed = abi.encodePacked(uint8(2 + keys[i].y % 2), keys[i].x);
            leaves[i] = bytes.concat(field(0x0a, field(0x2a, compressed)), scalar(0x10, keys[i].power));
        }
        return root(leaves, 0, leaves.length);
    }

    // ---------------------------------------------------------------------------------------------------- client

    function created(bytes memory arguments) internal returns (address made) {
        bytes memory code = codeOf("LIGHT_CLIENT_ARTIFACT", "ConsortiumLightClient");
        return creation(bytes.concat(code, arguments));
    }

    function codeOf(string memory variable, string memory name) internal view returns (bytes memory) {
        string memory shipped = string.concat("../../adapters/evm/contracts/artifacts/", name, ".json");
        string memory path = vm.envOr(variable, shipped);
        return vm.parseBytes(string.concat("0x", vm.parseJsonString(vm.readFile(path), ".bytecode")));
    }

    function creation(bytes memory code) internal returns (address made) {
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
        }
    }

    /// A client that trusts `first` and the validators it announces, now.
    function begin(Block memory first, Validator[] memory announced) internal {
        vm.warp(first.time / SECOND + 1);
        bytes memory arguments = abi.encode(chainId, headerOf(first), keysOf(announced), PERIOD_S, DRIFT_S);
        client = IConsortiumLightClient(created(arguments));
        require(address(client) != address(0), "not created");
    }

    function accepted(Block memory it, Validator[] memory validators, uint256 signers) internal returns (bool success) {
        (success,) = update(headerOf(it), commitOf(it, validators, signers));
    }

    function update(Header memory header, Commit memory commit) internal returns (bool success, bytes memory result) {
        return address(client).call(abi.encodeCall(IConsortiumLightClient.update, (header, commit)));
    }

    function proven(Block memory it, Validator[] memory validators) internal {
        require(accepted(it, validators, type(uint256).max), "refused");
    }

    function refusedWith(bytes memory reason, Header memory header, Commit memory commit) internal {
        (bool success, bytes memory result) = update(header, commit);
        require(!success, "accepted");
        require(keccak256(result) == keccak256(reason), "another reason");
    }
}
