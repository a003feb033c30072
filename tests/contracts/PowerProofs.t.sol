// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {Commit, Header, IConsortiumLightClient, Key, Signature} from "./ILightClient.sol";
import {SHIPPED_LIGHT_CLIENT} from "generated/Shipped.sol";

struct Vote {
    bytes32 stamp;
    bytes32 r;
    bytes32 vs;
}

/// A header of three validators, and what two of them are said to have signed. Anything but height, time and the lengths
/// of timestamps may be anything.
///   hashes: of the validators, of the state, of the block's parts
struct Attempt {
    uint160[3] members;
    uint64[3] powers;
    bytes32[3] hashes;
    bytes32[6] rest;
    Vote[2] votes;
}

/// Proved as Proofs.t.sol says, by halmos: for any three validators with any powers, any hashes in the header and any
/// signatures, a header is accepted if, and only if, the two that sign hold more than two thirds. What an address has
/// signed is to the prover a function of digest and signature of which it knows nothing.
contract PowerProofs {
    uint64 private constant HEIGHT = 9;
    uint64 private constant START = 1_700_000_000;
    uint64 private constant TIME = (START + 9) * 1_000_000_000;
    uint256 private constant STAMP_BYTES = 12;
    uint256 private constant HALF = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    uint256 private constant TRUST_SLOT = 2;
    uint256 private constant APP_HASH_SLOT = 3;

    IConsortiumLightClient private client;

    /// A client that trusts a set of one validator, the generator's point.
    function setUp() public {
        vm.warp(START + 10);
        Key[] memory keys = new Key[](1);
        keys[0] = Key(
            0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
            0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
            1
        );
        Header memory trusted;
        (trusted.height, trusted.time) = (5, START * 1_000_000_000);
        bytes memory leaf = abi.encodePacked(hex"000a232a2102", keys[0].x, hex"1001");
        trusted.nextValidatorsHash = sha256(leaf);
        bytes memory arguments = abi.encode("c", trusted, keys, uint64(1 days), uint64(10));
        client = IConsortiumLightClient(create(bytes.concat(SHIPPED_LIGHT_CLIENT, arguments)));
    }

    function inner(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"01", left, right));
    }

    function leafOf(bytes32 value) private pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"000a20", value));
    }

    /// With the varints of this height and time, and the chain id "c".
    function hashOf(Header memory it) private pure returns (bytes32) {
        bytes32 chain = sha256(hex"000a0163");
        bytes32 height = sha256(hex"000809");
        bytes32 time = sha256(abi.encodePacked(hex"0008", hex"89e2cfaa06"));
        bytes32 left = inner(inner(it.rest[0], chain), inner(height, time));
        left = inner(left, inner(it.rest[1], inner(it.rest[2], leafOf(it.validatorsHash))));
        bytes32 right = inner(leafOf(it.nextValidatorsHash), it.rest[3]);
        right = inner(inner(right, inner(leafOf(it.appHash), it.rest[4])), it.rest[5]);
        return inner(left, right);
    }

    function digestOf(Header memory it, bytes32 partsHash, Vote memory vote) private pure returns (bytes32) {
        bytes memory start = abi.encodePacked(hex"66", hex"080211", hex"0900000000000000", hex"22480a20", hashOf(it));
        bytes memory end = abi.encodePacked(hex"122408011220", partsHash, hex"2a0c", bytes12(vote.stamp), hex"320163");
        return keccak256(bytes.concat(start, end));
    }

    function headOf(uint16 place, Vote memory vote) private pure returns (bytes32) {
        return bytes32(abi.encodePacked(place, uint8(STAMP_BYTES), bytes12(vote.stamp), bytes17(0)));
    }

    function signedBy(uint256 word, bytes32 digest, Vote memory vote) private pure returns (bool) {
        bytes32 s = vote.vs << 1 >> 1;
        uint8 v = uint8(27 + (uint256(vote.vs) >> 255));
        return uint256(s) <= HALF && ecrecover(digest, v, vote.r, s) == address(uint160(word));
    }

    function trust(bytes32 validatorsHash, uint256[] memory words) private {
        bytes32 set = keccak256(abi.encodePacked(validatorsHash, words));
        vm.store(address(client), keccak256(abi.encode(set, TRUST_SLOT)), bytes32(uint256(6)));
    }

    function headerOf(Attempt memory it) private pure returns (Header memory header) {
        (header.height, header.time, header.rest) = (HEIGHT, TIME, it.rest);
        (header.validatorsHash, header.nextValidatorsHash, header.appHash) = (it.hashes[0], it.hashes[0], it.hashes[1]);
    }

    function commitOf(Attempt memory it, uint16 second) private pure returns (Commit memory commit) {
        (commit.partsTotal, commit.partsHash) = (1, it.hashes[2]);
        commit.validators = new uint256[](3);
        for (uint256 i; i < 3; ++i) {
            commit.validators[i] = uint256(it.powers[i]) << 160 | it.members[i];
        }
        commit.signatures = new Signature[](2);
        commit.signatures[0] = Signature(headOf(0, it.votes[0]), it.votes[0].r, it.votes[0].vs);
        commit.signatures[1] = Signature(headOf(second, it.votes[1]), it.votes[1].r, it.votes[1].vs);
    }

    /// Return true if the client, which trusts these three, accepts the header by the votes of places 0 and `second`.
    function tried(Attempt memory it, uint16 second) private returns (bool success) {
        (Header memory header, Commit memory commit) = (headerOf(it), commitOf(it, second));
        trust(header.validatorsHash, commit.validators);
        (success,) = address(client).call(abi.encodeCall(IConsortiumLightClient.update, (header, commit)));
    }

    /// Places 0 and 2 sign.
    function check_two_of_three(
        uint160[3] memory members,
        uint64[3] memory powers,
        bytes32[3] memory hashes,
        bytes32[6] memory rest,
        Vote[2] memory votes
    ) public {
        Attempt memory it = Attempt(members, powers, hashes, rest, votes);
        Header memory header = headerOf(it);
        vm.assume(header.appHash != 0);
        bool right = signedBy(it.members[0], digestOf(header, it.hashes[2], it.votes[0]), it.votes[0])
            && signedBy(it.members[2], digestOf(header, it.hashes[2], it.votes[1]), it.votes[1]);
        uint256 signed = uint256(it.powers[0]) + it.powers[2];
        bool success = tried(it, 2);
        assert(success == (right && 3 * signed > 2 * (signed + it.powers[1])));
        bytes32 kept = vm.load(address(client), keccak256(abi.encode(uint256(HEIGHT), APP_HASH_SLOT)));
        assert(kept == (success ? header.appHash : bytes32(0)));
    }

    function refute_two_of_three(
        uint160[3] memory members,
        uint64[3] memory powers,
        bytes32[3] memory hashes,
        bytes32[6] memory rest,
        Vote[2] memory votes
    ) public {
        assert(!tried(Attempt(members, powers, hashes, rest, votes), 2));
    }

    /// One that signs twice proves nothing, whatever its power.
    function check_one_signs_twice(
        uint160[3] memory members,
        uint64[3] memory powers,
        bytes32[3] memory hashes,
        bytes32[6] memory rest,
        Vote[2] memory votes
    ) public {
        assert(!tried(Attempt(members, powers, hashes, rest, votes), 0));
    }

    function refute_one_signs_twice(
        uint160[3] memory members,
        uint64[3] memory powers,
        bytes32[3] memory hashes,
        bytes32[6] memory rest,
        Vote[2] memory votes
    ) public {
        assert(!tried(Attempt(members, powers, hashes, rest, votes), 1));
    }
}
