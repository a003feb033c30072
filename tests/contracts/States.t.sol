// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {vm} from "./Base.sol";
import {Block, Consortium, Validator} from "./Consortium.sol";
import {IConsortiumLightClient} from "./ILightClient.sol";
import {Leaf, bitOf, leafHash, leafOf, nodeHash, proofOf, treeRoot} from "./Trees.sol";

/// Keys that are, or are not, in the state that a trusted header commits to.
contract States is Consortium {
    uint256 private constant MOST = 24;
    Leaf[] private leaves;

    function key(uint256 i) private pure returns (bytes memory) {
        return abi.encodePacked("records/charity/", i);
    }

    function value(uint256 i) private pure returns (bytes memory) {
        return i % 7 == 6 ? bytes("") : abi.encode("value", i);
    }

    /// A state of so many leaves, with others for another seed.
    function arrange(uint256 seed, uint256 count) private {
        delete leaves;
        for (uint256 i; i < count; ++i) {
            leaves.push(leafOf(key(seed + i), value(seed + i)));
        }
        bytes32 root_ = treeRoot(leaves, 0);
        beginUnder(root_ == 0 ? bytes32(uint256(1)) : root_);
    }

    /// A client that trusts a header over this state, whatever made it.
    function beginUnder(bytes32 root_) private {
        Validator[] memory four = validatorsNamed("validator", 4, 10);
        bytes32 set = setHashOf(four);
        begin(Block(5, uint64(START * SECOND), set, set, root_, 0, 1), four);
    }

    function test_what_is_there_is_proven_and_nothing_else(uint64 seed, uint8 size, uint8 which) public {
        uint256 count = 1 + size % MOST;
        arrange(seed, count);
        uint256 i = uint256(seed) + which % count;
        (bytes32[] memory siblings, Leaf[] memory here) = proofOf(leaves, sha256(key(i)));
        require(client.isPresent(5, key(i), value(i), siblings), "not proven");
        require(!client.isPresent(5, key(i), "another value", siblings), "another value");
        require(!client.isPresent(5, key(uint256(seed) + count), value(i), siblings), "another key");
        require(!client.isAbsent(5, key(i), "", siblings), "absent");
        require(!client.isAbsent(5, key(i), abi.encode(here[0]), siblings), "absent by itself");
        if (siblings.length > 0) {
            siblings[which % siblings.length] ^= bytes32(uint256(1) << (seed % 256));
            require(!client.isPresent(5, key(i), value(i), siblings), "another tree");
        }
    }

    function test_what_is_not_there_is_proven_and_nothing_else(uint64 seed, uint8 size, uint256 which) public {
        uint256 count = 1 + size % MOST;
        arrange(seed, count);
        bytes memory missing = abi.encodePacked("missing", which);
        (bytes32[] memory siblings, Leaf[] memory here) = proofOf(leaves, sha256(missing));
        bytes memory other = here.length == 0 ? bytes("") : abi.encode(here[0]);
        require(client.isAbsent(5, missing, other, siblings), "not proven");
        require(!client.isPresent(5, missing, value(0), siblings), "present");
        // Its proof shows nothing of a key that is there, and theirs nothing of it.
        for (uint256 i; i < count; ++i) {
            require(!client.isAbsent(5, key(seed + i), other, siblings), "present and absent");
        }
        if (other.length == 0) return;
        require(!client.isAbsent(5, missing, bytes.concat(other, hex"00"), siblings), "65 bytes");
        other[which % 64] ^= 0x01;
        require(!client.isAbsent(5, missing, other, siblings), "another leaf");
    }

    /// A leaf elsewhere in the tree does not show that a place is empty.
    function test_a_leaf_in_another_place_shows_no_absence(uint64 seed, uint256 which) public {
        arrange(seed, 16);
        for (uint256 i; i < 16; ++i) {
            (bytes32[] memory siblings, Leaf[] memory here) = proofOf(leaves, leaves[i].path);
            bytes memory missing = abi.encodePacked("missing", which);
            bool belongs = (uint256(sha256(missing) ^ leaves[i].path) >> (256 - siblings.length)) == 0;
            require(client.isAbsent(5, missing, abi.encode(here[0]), siblings) == belongs, "another place");
        }
    }

    /// A root that no ledger makes: under it a leaf stands where its own path does not lead.
    function test_a_misplaced_leaf_shows_no_absence(uint256 which, bytes32 sibling, bytes32 valueHash) public {
        bytes memory missing = abi.encodePacked("missing", which);
        bytes32 path = sha256(missing);
        bytes32[] memory siblings = new bytes32[](1);
        siblings[0] = sibling;
        for (uint256 bit = 254; bit < 256; ++bit) {
            Leaf memory other = Leaf(path ^ bytes32(uint256(1) << bit), valueHash);
            bytes32 node = leafHash(other);
            beginUnder(bitOf(path, 0) ? nodeHash(sibling, node) : nodeHash(node, sibling));
            // Only the first bit leads to this depth.
            require(client.isAbsent(5, missing, abi.encode(other), siblings) == (bit == 254), "another place");
        }
    }

    function test_a_path_has_256_bits() public {
        arrange(1, 3);
        bytes memory deep = abi.encodeWithSelector(IConsortiumLightClient.ProofTooDeep.selector, 257);
        bytes32[] memory siblings = new bytes32[](257);
        (bool success, bytes memory result) =
            address(client).call(abi.encodeCall(IConsortiumLightClient.isPresent, (5, key(1), value(1), siblings)));
        require(!success && keccak256(result) == keccak256(deep), "too deep");
        (success, result) =
            address(client).call(abi.encodeCall(IConsortiumLightClient.isAbsent, (5, key(9), "", siblings)));
        require(!success && keccak256(result) == keccak256(deep), "too deep");
        require(!client.isPresent(5, key(1), value(1), new bytes32[](256)), "present");
    }

    /// A tree of one leaf: every other key is absent, with no sibling to show.
    function test_a_single_leaf_is_the_whole_tree(uint256 which) public {
        arrange(3, 1);
        bytes32[] memory none;
        require(client.isPresent(5, key(3), value(3), none), "not present");
        require(client.isAbsent(5, abi.encode(which), abi.encode(leaves[0]), none), "not absent");
        require(!client.isAbsent(5, key(3), abi.encode(leaves[0]), none), "absent");
    }

    function test_nothing_is_proven_at_an_unknown_height(uint64 height) public {
        arrange(1, 3);
        vm.assume(height != 5);
        (bytes32[] memory siblings,) = proofOf(leaves, sha256(key(1)));
        (bool success, bytes memory result) =
            address(client).call(abi.encodeCall(IConsortiumLightClient.isPresent, (height, key(1), value(1), siblings)));
        bytes memory reason = abi.encodeWithSelector(IConsortiumLightClient.UnknownHeight.selector, height);
        require(!success && keccak256(result) == keccak256(reason), "proven");
    }
}
