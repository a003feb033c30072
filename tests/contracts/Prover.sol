// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {SHIPPED} from "generated/Shipped.sol";

/// A plain token: balances, and nothing that the proofs would have to follow further.
contract PlainToken {
    mapping(address => uint256) public balanceOf;

    function set(address account, uint256 amount) external {
        balanceOf[account] = amount;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// What the proofs have in common: the shipped contract, a token, and any state that they may be in.
abstract contract Prover {
    IHashedTimelock internal htlc;
    PlainToken internal token;

    function setUp() public {
        htlc = IHashedTimelock(create(SHIPPED));
        token = new PlainToken();
    }

    function slot(Lock memory it) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(it.sender)) << 96 | it.lane);
    }

    function read(Lock memory it) internal view returns (uint256) {
        return uint256(vm.load(address(htlc), slot(it)));
    }

    /// Any lock of ETH, or of the token; a lane with any word; a time that fits the chain.
    function arrange(Lock memory it, bool native, uint256 stored, uint64 time) internal {
        it.asset = native ? NATIVE : erc20(address(token));
        it.hashlock = sha256(abi.encode(it.preimage));
        ordinary(it.receiver);
        ordinary(it.sender);
        vm.warp(time);
        vm.store(address(htlc), slot(it), bytes32(stored));
    }

    /// An account of its own, none of the contracts that take part here.
    function ordinary(address account) internal view {
        vm.assume(account != address(htlc) && account != address(token) && account != address(this));
        vm.assume(account != address(vm) && uint160(account) > 0xffff);
    }

    /// Before a lock, whose receiver may be anybody.
    function await(Lock memory it, bool native, bytes32 hashlock, uint256 stored, uint64 time) internal {
        (it.asset, it.hashlock) = (native ? NATIVE : erc20(address(token)), hashlock);
        ordinary(it.sender);
        vm.assume(it.amount < 1 << 128);
        vm.warp(time);
        vm.store(address(htlc), slot(it), bytes32(stored));
        if (native) vm.deal(it.sender, it.amount);
    }

    /// What a lock needs to be taken, besides the money.
    function eligible(Lock memory it, uint256 stored, uint64 time) internal view returns (bool) {
        unchecked {
            return it.amount > 0 && it.receiver != address(0) && it.receiver != address(htlc) && it.flags == 0
                && it.timelock > time && stored & 0xffff != LOCKED && it.generation == uint16(uint16(stored >> 16) + 1);
        }
    }

    function fund(Lock memory it, uint256 amount) internal {
        vm.assume(amount < 1 << 128);
        if (it.asset == NATIVE) vm.deal(address(htlc), amount);
        else token.set(address(htlc), amount);
    }

    function held(Lock memory it, address account) internal view returns (uint256) {
        return it.asset == NATIVE ? account.balance : token.balanceOf(account);
    }

    function tried(address by, bytes memory data, uint256 value) internal returns (bool success) {
        vm.prank(by);
        (success,) = address(htlc).call{value: value}(data);
    }
}
