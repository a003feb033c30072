// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Asker} from "./Askers.sol";
import {Log, vm} from "./Base.sol";
import {Block, Consortium, Validator} from "./Consortium.sol";
import {Answer, Commit, Header, ICrossChainQuery, Question} from "./ILightClient.sol";
import {Leaf, leafOf, proofOf, treeRoot} from "./Trees.sol";

/// A question of these tests: what was asked, and its three words as the page has them.
struct Asked {
    uint256 id;
    bytes key;
    uint64 first;
    uint64 last;
    uint32 callbackGas;
    uint64 deadline;
    uint256 fee;
    Question question;
}

/// A chain with a state, a client that knows three of its headers, and an asker.
abstract contract QueryTest is Consortium {
    uint64 internal constant LOW = 10;
    uint64 internal constant HEIGHT = 20;
    uint64 internal constant HIGH = 30;
    uint32 internal constant CALLBACK_GAS = 200_000;
    uint256 internal constant LEAVES = 9;
    uint256 internal constant OPEN = 1;
    uint256 internal constant DELIVERED = 2;
    uint256 internal constant UNDELIVERED = 3;
    uint256 internal constant EXPIRED = 4;
    address internal constant RELAYER = address(0xbeef);

    ICrossChainQuery internal queries;
    Asker internal asker;
    Validator[] internal four;
    bytes32 internal set;

    function setUp() public virtual {
        Validator[] memory validators = validatorsNamed("validator", 4, 10);
        for (uint256 i; i < 4; ++i) {
            four.push(validators[i]);
        }
        set = setHashOf(validators);
        begin(at(5), validators);
        vm.warp(at(HIGH).time / SECOND + 1);
        proven(at(LOW), validators);
        proven(at(HEIGHT), validators);
        proven(at(HIGH), validators);
        bytes memory code = codeOf("QUERIES_ARTIFACT", "CrossChainQuery");
        queries = ICrossChainQuery(creation(bytes.concat(code, abi.encode(address(client)))));
        asker = new Asker(queries);
        vm.deal(address(this), 1e30);
    }

    // -------------------------------------------------------------------------------------------------- the chain

    function at(uint64 height) internal view returns (Block memory) {
        uint64 time = uint64((START + height) * SECOND);
        return Block(height, time, set, set, treeRoot(stateAt(height), 0), 0, 1);
    }

    function keyOf(uint256 i) internal pure returns (bytes memory) {
        return abi.encodePacked("records/charity/", i);
    }

    function valueAt(uint256 i, uint64 height) internal pure returns (bytes memory) {
        return abi.encode("value", i, height);
    }

    function stateAt(uint64 height) internal pure returns (Leaf[] memory leaves) {
        leaves = new Leaf[](LEAVES);
        for (uint256 i; i < LEAVES; ++i) {
            leaves[i] = leafOf(keyOf(i), valueAt(i, height));
        }
    }

    // -------------------------------------------------------------------------------------------------- questions

    function plain(uint256 i) internal view returns (Asked memory it) {
        it.key = keyOf(i);
        (it.first, it.last, it.callbackGas) = (LOW, HIGH, CALLBACK_GAS);
        (it.deadline, it.fee) = (uint64(block.timestamp + 1 hours), 1e15 + i);
    }

    function wordsOf(Asked memory it, address by) internal pure returns (Question memory question) {
        question.asked = uint256(bytes32(abi.encodePacked(by, Asker.onAnswer.selector, it.callbackGas, uint32(0))));
        bytes memory terms = abi.encodePacked(it.first, it.last, uint40(it.deadline), uint80(it.fee), uint8(0));
        question.terms = uint256(bytes32(terms));
        question.path = sha256(it.key);
    }

    function ask(Asked memory it) internal returns (Asked memory) {
        it.id = asker.ask{value: it.fee}(it.key, it.first, it.last, it.callbackGas, it.deadline);
        it.question = wordsOf(it, address(asker));
        return it;
    }

    function asked(uint256 i) internal returns (Asked memory) {
        return ask(plain(i));
    }

    /// The true answer, whatever is asked.
    function answerTo(Asked memory it, uint64 height) internal pure returns (Answer memory item) {
        Leaf[] memory here;
        (item.id, item.question) = (it.id, it.question);
        (item.siblings, here) = proofOf(stateAt(height), sha256(it.key));
        item.content = here.length == 0 ? bytes("") : abi.encode(here[0]);
        for (uint256 i; i < LEAVES; ++i) {
            if (keccak256(it.key) != keccak256(keyOf(i))) continue;
            (item.present, item.content) = (true, valueAt(i, height));
        }
    }

    // ------------------------------------------------------------------------------------------------------ calls

    function call(bytes memory data, uint256 gasGiven) internal returns (bool success, bytes memory result) {
        vm.prank(RELAYER);
        return address(queries).call{gas: gasGiven}(data);
    }

    function answer(uint64 height, Answer memory item) internal returns (bool success, bytes memory result) {
        return call(abi.encodeCall(ICrossChainQuery.answer, (height, item)), 20_000_000);
    }

    function answered(uint64 height, Answer memory item) internal {
        (bool success,) = answer(height, item);
        require(success, "refused");
    }

    function refuses(bytes memory reason, uint64 height, Answer memory item) internal {
        refusedCall(reason, abi.encodeCall(ICrossChainQuery.answer, (height, item)));
    }

    function refusedCall(bytes memory reason, bytes memory data) internal {
        (bool success, bytes memory result) = call(data, 20_000_000);
        require(!success, "accepted");
        require(keccak256(result) == keccak256(reason), "another reason");
    }

    function expire(Asked memory it) internal returns (bool success, bytes memory result) {
        return call(abi.encodeCall(ICrossChainQuery.expire, (it.id, it.question)), 20_000_000);
    }

    function retryCall(Asked memory it, uint64 height, Answer memory item) internal pure returns (bytes memory) {
        bytes memory value = item.present ? item.content : bytes("");
        return abi.encodeCall(ICrossChainQuery.retry, (it.id, it.question.asked, height, item.present, value));
    }

    function isResult(Asked memory it, uint64 height, Answer memory item) internal view returns (bool) {
        bytes32 valueHash = item.present ? sha256(item.content) : bytes32(0);
        return queries.isResult(it.id, it.question.asked, height, valueHash);
    }

    function heardOf(Asked memory it, uint64 height, Answer memory item) internal pure returns (bytes32) {
        return keccak256(abi.encode(it.id, height, item.present, item.present ? item.content : bytes("")));
    }
}
