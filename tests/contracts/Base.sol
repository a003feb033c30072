// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Exit, IHashedTimelock, NewLock} from "./IHashedTimelock.sol";
import {eventOf, then} from "./Specification.sol";

/// The cheatcodes that these tests use, of forge's own precompile.
interface Vm {
    function prank(address sender) external;
    function deal(address account, uint256 balance) external;
    function etch(address account, bytes calldata code) external;
    function store(address account, bytes32 slot, bytes32 value) external;
    function load(address account, bytes32 slot) external view returns (bytes32);
    function warp(uint256 timestamp) external;
    function chainId(uint256 id) external;
    function assume(bool condition) external pure;
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function readFile(string calldata path) external view returns (string memory);
    function readFileBinary(string calldata path) external view returns (bytes memory);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function parseBytes(string calldata text) external pure returns (bytes memory);
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
}

struct Log {
    bytes32[] topics;
    bytes data;
    address emitter;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

uint256 constant LOCKED = 1;
uint256 constant CLAIMED = 2;
uint256 constant REFUNDED = 3;
uint256 constant NATIVE = 0;

/// One lock as the tests speak of it; `hashlock` is kept, as a call of sha256 would use up a prank.
struct Lock {
    address sender;
    uint40 timelock;
    uint8 flags;
    uint16 generation;
    uint32 lane;
    address receiver;
    uint256 amount;
    uint256 asset;
    bytes32 preimage;
    bytes32 hashlock;
}

function termsOf(Lock memory it) pure returns (uint256) {
    return uint256(uint160(it.receiver)) << 96 | uint256(it.timelock) << 56 | uint256(it.flags) << 48
        | uint256(it.generation) << 32 | it.lane;
}

function erc20(address token) pure returns (uint256) {
    return 1 << 160 | uint256(uint160(token));
}

function tokenOf(Lock memory it) pure returns (address) {
    return address(uint160(it.asset));
}

/// All that the word commits to, and the preimage: two locks are the same lock where this is the same.
function idOf(Lock memory it) pure returns (bytes32) {
    return keccak256(abi.encode(it));
}

/// The documented word, computed without the contract's own code.
function wordOf(Lock memory it, uint256 status) pure returns (uint256) {
    bytes32 digest = keccak256(abi.encode(it.hashlock, termsOf(it), it.sender, it.amount, it.asset));
    return uint256(digest) >> 32 << 32 | uint256(it.generation) << 16 | status;
}

function lockCall(Lock memory it) pure returns (bytes memory) {
    return it.asset == NATIVE
        ? abi.encodeCall(IHashedTimelock.lock, (it.hashlock, termsOf(it)))
        : abi.encodeCall(IHashedTimelock.lockToken, (it.hashlock, termsOf(it), it.amount, tokenOf(it)));
}

function claimCall(Lock memory it) pure returns (bytes memory) {
    return it.asset == NATIVE
        ? abi.encodeCall(IHashedTimelock.claim, (it.preimage, termsOf(it), it.sender, it.amount))
        : abi.encodeCall(IHashedTimelock.claimToken, (it.preimage, termsOf(it), it.sender, it.amount, tokenOf(it)));
}

function refundCall(Lock memory it) pure returns (bytes memory) {
    return it.asset == NATIVE
        ? abi.encodeCall(IHashedTimelock.refund, (it.hashlock, termsOf(it), it.sender, it.amount))
        : abi.encodeCall(IHashedTimelock.refundToken, (it.hashlock, termsOf(it), it.sender, it.amount, tokenOf(it)));
}

function exitCall(Lock memory it, uint256 outcome) pure returns (bytes memory) {
    return outcome == CLAIMED ? claimCall(it) : refundCall(it);
}

function agreedCall(Lock memory it, uint256 deadline, bytes memory signed) pure returns (bytes memory) {
    return abi.encodeCall(
        IHashedTimelock.refundAgreed, (it.hashlock, termsOf(it), it.sender, it.amount, it.asset, deadline, signed)
    );
}

function newLockItem(Lock memory it) pure returns (NewLock memory) {
    return NewLock(it.hashlock, termsOf(it), it.amount);
}

function claimItem(Lock memory it) pure returns (Exit memory) {
    return Exit(it.preimage, termsOf(it), it.sender, it.amount);
}

function refundItem(Lock memory it) pure returns (Exit memory) {
    return Exit(it.hashlock, termsOf(it), it.sender, it.amount);
}

bytes32 constant DOMAIN = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
bytes32 constant EARLY_REFUND = keccak256(
    "EarlyRefund(address receiver,address sender,uint32 lane,uint16 generation,bytes28 commitment,uint256 deadline)"
);

/// EIP-712, written out a second time.
function earlyRefundDigest(address htlc, uint256 chain, Lock memory it, uint256 deadline) pure returns (bytes32) {
    bytes32 domain = keccak256(abi.encode(DOMAIN, keccak256("HashedTimelock"), keccak256("1"), chain, htlc));
    bytes28 commitment = bytes28(bytes32(wordOf(it, 0)));
    bytes32 content = keccak256(
        abi.encode(EARLY_REFUND, it.receiver, it.sender, it.lane, it.generation, commitment, deadline)
    );
    return keccak256(abi.encodePacked(hex"1901", domain, content));
}

function signature(uint256 key, bytes32 digest) pure returns (bytes memory) {
    (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
    return abi.encodePacked(r, s, v);
}

/// Creation code on the chain.
function create(bytes memory code) returns (address at) {
    assembly {
        at := create(0, add(code, 0x20), mload(code))
    }
    require(at != address(0), "the code does not deploy");
}

/// Puts the committed bytecode on the chain: what is tested is what is shipped, not a second compilation. (A mutant is
/// named by the environment.)
abstract contract Deployed {
    /// A payee that burns all gas burns this much.
    uint256 private constant GAS = 1_500_000;
    IHashedTimelock internal htlc;

    function deployShipped() internal {
        string memory path = vm.envOr("HTLC_ARTIFACT", string("../../adapters/evm/contracts/artifacts/HashedTimelock.json"));
        string memory code = vm.parseJsonString(vm.readFile(path), ".bytecode");
        htlc = IHashedTimelock(create(vm.parseBytes(string.concat("0x", code))));
    }

    /// Sends a call as `by`, with the value where it locks the native coin.
    function attempt(address by, Lock memory it, bytes memory data) internal returns (bool success, bytes memory result) {
        uint256 value = bytes4(data) == IHashedTimelock.lock.selector ? it.amount : 0;
        vm.prank(by);
        (success, result) = address(htlc).call{value: value, gas: GAS}(data);
    }

    /// The same, and from here on it is noted what the contract says.
    function observe(address by, Lock memory it, bytes memory data) internal returns (bool success, bytes memory result) {
        vm.recordLogs();
        return attempt(by, it, data);
    }

    /// What the contract has said since, in one word (see `then`); also, as forge records it so, what was reverted within.
    function heard() internal returns (bytes32 all) {
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter == address(htlc)) all = then(all, eventOf(logs[i].topics, logs[i].data));
        }
    }

    /// The call that was observed met `reason`, or nothing stood against it, and it said `said`.
    function answered(bytes memory reason, bytes32 said, bool success, bytes memory result) internal {
        require(success == (reason.length == 0), "not as predicted");
        if (success) require(heard() == said, "other events");
        else require(keccak256(result) == keccak256(reason), "another reason");
    }

    function succeed(address by, Lock memory it, bytes memory data) internal {
        (bool success,) = attempt(by, it, data);
        require(success, "refused");
    }

    function refuse(address by, Lock memory it, bytes memory data) internal {
        (bool success,) = attempt(by, it, data);
        require(!success, "accepted");
    }

    function word(address sender, uint256 lane) internal view returns (uint256) {
        return uint256(vm.load(address(htlc), bytes32(uint256(uint160(sender)) << 96 | lane)));
    }
}
