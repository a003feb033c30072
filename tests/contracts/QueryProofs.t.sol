// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {Answer, ICrossChainQuery, Question} from "./ILightClient.sol";
import {SHIPPED_QUERIES} from "generated/Shipped.sol";

/// A light client that has proven what it is set to have proven: any root at any height.
contract ProvenStates {
    mapping(uint64 height => bytes32) public appHashAt;

    function set(uint64 height, bytes32 root) external {
        appHashAt[height] = root;
    }
}

/// Everything about one question and an attempt to answer it.
struct Case {
    Question question;
    uint64 height;
    uint64 time;
    bytes32 root;
    bytes32 content;
    bytes32 other;
    bytes32 sibling;
    address by;
}

/// Proved as Proofs.t.sol says, for a question of any words, whatever its place in storage holds. Assumed is that a
/// callback that is called does nothing: its gas is 0, as the prover knows no gas; the tests call.
contract QueryProofs {
    uint256 private constant ID = 7;
    uint256 private constant OTHER = 8;
    uint256 private constant OPEN = 1;
    uint256 private constant DELIVERED = 2;
    uint256 private constant EXPIRED = 4;
    /// What others have in the contract.
    uint256 private constant OTHERS = 1 << 90;

    ICrossChainQuery private queries;
    ProvenStates private states;

    function setUp() public {
        states = new ProvenStates();
        queries = ICrossChainQuery(create(bytes.concat(SHIPPED_QUERIES, abi.encode(address(states)))));
    }

    // ------------------------------------------------------------------------------------------------ what is expected

    function commitment(uint256 asked, uint256 terms, bytes32 content) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(asked, terms, content))) >> 8 << 8;
    }

    function openWord(Question memory it) private pure returns (uint256) {
        return commitment(it.asked, it.terms, it.path) | OPEN;
    }

    function firstOf(Question memory it) private pure returns (uint64) {
        return uint64(it.terms >> 192);
    }

    function lastOf(Question memory it) private pure returns (uint64) {
        return uint64(it.terms >> 128);
    }

    function deadlineOf(Question memory it) private pure returns (uint256) {
        return uint40(it.terms >> 88);
    }

    function feeOf(Question memory it) private pure returns (uint256) {
        return uint80(it.terms >> 8);
    }

    function leaf(bytes32 path, bytes32 valueHash) private pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"00", path, valueHash));
    }

    /// The root over a node and its sibling, at depth 0.
    function over(bytes32 path, bytes32 node, bytes32 sibling) private pure returns (bytes32) {
        return uint256(path) >> 255 == 1
            ? sha256(abi.encodePacked(hex"01", sibling, node))
            : sha256(abi.encodePacked(hex"01", node, sibling));
    }

    // ---------------------------------------------------------------------------------------------------- what is done

    function slot(uint256 id) private pure returns (bytes32) {
        return keccak256(abi.encode(id, uint256(1)));
    }

    function word(uint256 id) private view returns (uint256) {
        return uint256(vm.load(address(queries), slot(id)));
    }

    function arrange(Case memory it, uint256 stored) private {
        vm.assume(it.by != address(queries) && it.by != address(states) && it.by != address(this));
        vm.assume(it.by != address(vm) && uint160(it.by) > 0xffff);
        it.question.asked = it.question.asked >> 64 << 64; // no callback
        vm.warp(it.time);
        vm.store(address(queries), slot(ID), bytes32(stored));
        states.set(it.height, it.root);
        vm.assume(it.root != 0);
        vm.deal(address(queries), OTHERS);
        vm.deal(it.by, 0);
    }

    function tried(address by, bytes memory data) private returns (bool success) {
        vm.prank(by);
        (success,) = address(queries).call(data);
    }

    function present(Case memory it) private pure returns (Answer memory item) {
        (item.id, item.question, item.present) = (ID, it.question, true);
        item.content = abi.encode(it.content);
        item.siblings = new bytes32[](1);
        item.siblings[0] = it.sibling;
    }

    /// By the leaf `content` ‖ `other` in its place.
    function absent(Case memory it) private pure returns (Answer memory item) {
        item = present(it);
        item.present = false;
        item.content = abi.encode(it.content, it.other);
    }

    /// By nothing in its place.
    function empty(Case memory it) private pure returns (Answer memory item) {
        item = present(it);
        (item.present, item.content) = (false, "");
    }

    function call(Case memory it, Answer memory item) private pure returns (bytes memory) {
        return abi.encodeCall(ICrossChainQuery.answer, (it.height, item));
    }

    function expiry(Case memory it) private pure returns (bytes memory) {
        return abi.encodeCall(ICrossChainQuery.expire, (ID, it.question));
    }

    function eligible(Case memory it, uint256 stored) private pure returns (bool) {
        return stored == openWord(it.question) && it.time < deadlineOf(it.question)
            && it.height >= firstOf(it.question) && it.height <= lastOf(it.question);
    }

    /// The answer goes through if, and only if, its proof is right and it is the question's, in its range and in time. Then
    /// it is stored and has paid its fee and nothing else; else nothing has changed.
    function decided(Case memory it, uint256 stored, Answer memory item, bool right, bytes32 valueHash) private {
        bool success = tried(it.by, call(it, item));
        assert(success == (right && eligible(it, stored)));
        if (!success) {
            assert(word(ID) == stored && address(queries).balance == OTHERS);
            return;
        }
        assert(word(ID) == commitment(it.question.asked, it.height, valueHash) | DELIVERED);
        assert(it.by.balance == feeOf(it.question));
        assert(address(queries).balance == OTHERS - feeOf(it.question));
    }

    // ------------------------------------------------------------------------------------------------------ the proofs

    /// The value of a key is accepted if, and only if, it leads to the root and the question waits for it: "an eligible
    /// answer is accepted", and no other.
    function check_presence(Case memory it, uint256 stored) public {
        arrange(it, stored);
        bytes32 valueHash = sha256(abi.encode(it.content));
        bool right = over(it.question.path, leaf(it.question.path, valueHash), it.sibling) == it.root;
        decided(it, stored, present(it), right, valueHash);
    }

    function refute_presence(Case memory it, uint256 stored) public {
        arrange(it, stored);
        assert(!tried(it.by, call(it, present(it))));
    }

    /// So is its absence, by another leaf in its place.
    function check_absence(Case memory it, uint256 stored) public {
        arrange(it, stored);
        bool there = it.content != it.question.path && uint256(it.content ^ it.question.path) >> 255 == 0;
        bool right = there && over(it.question.path, leaf(it.content, it.other), it.sibling) == it.root;
        decided(it, stored, absent(it), right, 0);
    }

    function refute_absence(Case memory it, uint256 stored) public {
        arrange(it, stored);
        assert(!tried(it.by, call(it, absent(it))));
    }

    /// And by an empty place.
    function check_empty_place(Case memory it, uint256 stored) public {
        arrange(it, stored);
        bool right = over(it.question.path, 0, it.sibling) == it.root;
        decided(it, stored, empty(it), right, 0);
    }

    function refute_empty_place(Case memory it, uint256 stored) public {
        arrange(it, stored);
        assert(!tried(it.by, call(it, empty(it))));
    }

    /// Assumed: the values of different keys, and the other leaf, have different hashes. One key is not both present and
    /// absent under one root by proofs of one depth.
    function check_present_excludes_absent(Case memory it, uint256 stored, bytes32 value) public {
        arrange(it, stored);
        bytes32 path = it.question.path;
        vm.assume(over(path, leaf(path, sha256(abi.encode(value))), it.sibling) == it.root);
        // No collisions of SHA-256 between these two leaves.
        vm.assume(
            it.content == path
                || over(path, leaf(it.content, it.other), it.sibling)
                    != over(path, leaf(path, sha256(abi.encode(value))), it.sibling)
        );
        assert(!tried(it.by, call(it, absent(it))));
    }

    function refute_present_excludes_absent(Case memory it, uint256 stored, bytes32 value) public {
        arrange(it, stored);
        vm.assume(it.question.path != value);
        assert(!tried(it.by, call(it, absent(it))));
    }

    /// A fee goes back only from the deadline on, whole, and once: paid or owed.
    function check_expiry(Case memory it, uint256 stored) public {
        arrange(it, stored);
        address asker = address(uint160(it.question.asked >> 96));
        vm.assume(asker != address(queries) && asker != address(states) && asker != address(this));
        vm.assume(asker != address(vm) && uint160(asker) > 0xffff);
        vm.deal(asker, 0);
        bool success = tried(it.by, expiry(it));
        uint256 owed = queries.owed(asker);
        if (!success) {
            assert(word(ID) == stored && address(queries).balance == OTHERS && owed == 0);
            return;
        }
        assert(stored == openWord(it.question) && it.time >= deadlineOf(it.question));
        assert(word(ID) == stored - OPEN + EXPIRED);
        assert(asker.balance + owed == feeOf(it.question));
        assert(address(queries).balance == OTHERS - asker.balance);
    }

    function refute_expiry(Case memory it, uint256 stored) public {
        arrange(it, stored);
        assert(!tried(it.by, expiry(it)));
    }

    /// After one of the two, whenever, the other does not happen, and neither happens twice.
    function check_answer_and_expiry_exclude_each_other(Case memory it, uint64 later, bool answers, bool answersAgain)
        public
    {
        it.question.asked = it.question.asked >> 64 << 64;
        arrange(it, openWord(it.question));
        vm.assume(tried(it.by, answers ? call(it, present(it)) : expiry(it)));
        uint256 left = address(queries).balance;
        vm.warp(later);
        assert(!tried(it.by, answersAgain ? call(it, present(it)) : expiry(it)));
        assert(address(queries).balance == left);
    }

    function refute_answer_and_expiry_exclude_each_other(Case memory it, uint64 later, bool answers, bool answersAgain)
        public
    {
        it.question.asked = it.question.asked >> 64 << 64;
        arrange(it, openWord(it.question));
        tried(it.by, answers ? call(it, present(it)) : expiry(it));
        vm.warp(later);
        assert(!tried(it.by, answersAgain ? call(it, present(it)) : expiry(it)));
    }

    /// What is done to one question leaves others as they are.
    function check_other_questions_stay(Case memory it, uint256 stored, uint256 others, bool answers) public {
        arrange(it, stored);
        vm.store(address(queries), slot(OTHER), bytes32(others));
        tried(it.by, answers ? call(it, present(it)) : expiry(it));
        assert(word(OTHER) == others);
    }

    function refute_other_questions_stay(Case memory it, uint256 stored, uint256 others, bool answers) public {
        arrange(it, stored);
        vm.store(address(queries), slot(OTHER), bytes32(others));
        tried(it.by, answers ? call(it, present(it)) : expiry(it));
        assert(word(ID) == stored);
    }

    /// What is asked is stored with every word, and whoever can ask does.
    function check_asking(bytes32 key, uint64 first, uint64 last, bytes4 callback, uint32 gas_, uint64 deadline, uint96 fee, uint64 time)
        public
    {
        vm.warp(time);
        vm.deal(address(this), fee);
        (bool success,) = address(queries).call{value: fee}(
            abi.encodeCall(ICrossChainQuery.ask, (abi.encode(key), first, last, callback, gas_, deadline))
        );
        bool possible = first <= last && deadline > time && deadline < 1 << 40 && fee < 1 << 80 && gas_ <= 2_000_000;
        assert(success == possible);
        if (!success) return;
        Question memory it;
        it.asked = uint256(bytes32(abi.encodePacked(address(this), callback, gas_, uint32(0))));
        it.terms = uint256(bytes32(abi.encodePacked(first, last, uint40(deadline), uint80(fee), uint8(0))));
        it.path = sha256(abi.encode(key));
        assert(queries.count() == 1 && word(1) == openWord(it));
        assert(address(queries).balance == fee);
    }

    function refute_asking(bytes32 key, uint64 first, uint64 last, bytes4 callback, uint32 gas_, uint64 deadline, uint96 fee, uint64 time)
        public
    {
        vm.warp(time);
        vm.deal(address(this), fee);
        (bool success,) = address(queries).call{value: fee}(
            abi.encodeCall(ICrossChainQuery.ask, (abi.encode(key), first, last, callback, gas_, deadline))
        );
        assert(!success);
    }
}
