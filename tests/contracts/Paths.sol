// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {MOODY_DOMAIN, MoodyToken} from "./Hostile.sol";
import "./Signed.sol";
import "./Specification.sol";

/// Every way in which a lock comes about, of one sender whose key the tests have.
abstract contract Paths is Deployed {
    enum Path {
        LOCK,
        BULK_LOCK,
        LOCK_TOKEN,
        PERMIT,
        AUTHORIZATION,
        PERMIT2,
        BULK_LOCK_TOKEN
    }

    uint256 internal constant NOW = 1_000_000;
    uint256 internal constant SENDER_KEY = 21;
    uint256 internal constant RECEIVER_KEY = 22;
    address internal constant STRANGER = address(0x5714);
    uint256 internal constant MANY = 1 << 200;

    MoodyToken internal token;
    /// Gas with which locks are handed in.
    uint256 internal given = 2_000_000;

    function populate() internal {
        deployShipped();
        deployPermit2();
        vm.warp(NOW);
        token = new MoodyToken();
        vm.deal(vm.addr(SENDER_KEY), MANY);
        token.mint(vm.addr(SENDER_KEY), MANY);
    }

    function native(Path path) internal pure returns (bool) {
        return path <= Path.BULK_LOCK;
    }

    /// A lock that can be made, of the native coin or the token.
    function plain(uint256 seed, bool native_) internal view returns (Lock memory it) {
        it.sender = vm.addr(SENDER_KEY);
        it.receiver = vm.addr(RECEIVER_KEY);
        it.timelock = uint40(block.timestamp + 1 + seed % 1e6);
        it.lane = uint32(seed >> 32);
        it.generation = 1;
        it.amount = 2 + (seed >> 64) % 1e20;
        it.asset = native_ ? NATIVE : erc20(address(token));
        it.preimage = keccak256(abi.encode(seed));
        it.hashlock = sha256(abi.encode(it.preimage));
    }

    function copy(Lock memory it) internal pure returns (Lock memory) {
        return abi.decode(abi.encode(it), (Lock));
    }

    /// Hands a lock in, as the sender where only he may; the token is the lock's own.
    function handIn(Path path, Lock memory it) internal returns (bool success, bytes memory result) {
        bytes memory data = handInCall(path, it);
        uint256 value = native(path) ? it.amount : 0;
        bool byAnybody = path == Path.AUTHORIZATION || path == Path.PERMIT2;
        vm.recordLogs();
        vm.prank(byAnybody ? STRANGER : it.sender);
        return address(htlc).call{value: value, gas: given}(data);
    }

    function handInCall(Path path, Lock memory it) internal view returns (bytes memory) {
        if (path == Path.LOCK || path == Path.LOCK_TOKEN) return lockCall(it);
        if (path == Path.AUTHORIZATION) return authorizedCall(address(htlc), it, MOODY_DOMAIN, SENDER_KEY);
        if (path == Path.PERMIT2) return permit2Call(address(htlc), it, uint256(idOf(it)), SENDER_KEY);
        if (path == Path.PERMIT) {
            return abi.encodeCall(
                IHashedTimelock.lockTokenByPermit, (it.hashlock, termsOf(it), it.amount, tokenOf(it), 0, 0, 0, 0, 0)
            );
        }
        NewLock[] memory items = new NewLock[](1);
        items[0] = newLockItem(it);
        return abi.encodeCall(IHashedTimelock.bulkLock, (false, items, it.asset));
    }

    function store(Lock memory it, uint256 value) internal {
        vm.store(address(htlc), bytes32(uint256(uint160(it.sender)) << 96 | it.lane), bytes32(value));
    }

    function held(Lock memory it, address account) internal view returns (uint256) {
        return it.asset == NATIVE ? account.balance : MoodyToken(tokenOf(it)).balanceOf(account);
    }
}
