// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {Bomb, Mood, MoodyToken} from "./Hostile.sol";

interface Accesses {
    function record() external;
    function accesses(address target) external returns (bytes32[] memory reads, bytes32[] memory writes);
}

/// One property each, for any terms that forge draws.
contract Properties is Deployed {
    uint256 private constant NOW = 1_000_000;
    address private constant STRANGER = address(0x5714);

    MoodyToken private token;

    function setUp() public {
        deployShipped();
        token = new MoodyToken();
        vm.warp(NOW);
    }

    /// Makes drawn terms into those of a lock that can be made: of ETH or of the token.
    function sane(Lock memory it, bool native) private returns (Lock memory) {
        it.sender = address(uint160(uint256(keccak256(abi.encode(it.sender)))));
        it.receiver = address(uint160(uint256(keccak256(abi.encode(it.receiver, 1)))));
        if (it.timelock <= NOW) it.timelock += uint40(NOW) + 1;
        (it.flags, it.generation) = (0, 1);
        it.amount = 1 + it.amount % 1e27;
        it.asset = native ? NATIVE : erc20(address(token));
        it.hashlock = sha256(abi.encode(it.preimage));
        if (native) vm.deal(it.sender, it.amount);
        else token.mint(it.sender, it.amount);
        return it;
    }

    function balance(Lock memory it, address account) private view returns (uint256) {
        return it.asset == NATIVE ? account.balance : token.balanceOf(account);
    }

    function test_claim_before_the_timelock_refund_from_it(Lock memory it, bool native, uint40 at, uint8 by) public {
        it = sane(it, native);
        succeed(it.sender, it, lockCall(it));
        if (by < 128) at = it.timelock - 2 + at % 3; // about the moment itself
        if (at < NOW) at = uint40(NOW);
        vm.warp(at);
        if (at < it.timelock) {
            refuse(STRANGER, it, refundCall(it));
            succeed(STRANGER, it, claimCall(it));
        } else {
            refuse(STRANGER, it, claimCall(it));
            succeed(STRANGER, it, refundCall(it));
        }
        require(balance(it, at < it.timelock ? it.receiver : it.sender) == it.amount, "not paid");
        refuse(STRANGER, it, claimCall(it));
        refuse(STRANGER, it, refundCall(it));
    }

    function test_a_wrong_preimage_never_pays(Lock memory it, bool native, bytes32 guess) public {
        it = sane(it, native);
        succeed(it.sender, it, lockCall(it));
        vm.assume(guess != it.preimage);
        it.preimage = guess;
        refuse(it.receiver, it, claimCall(it));
        it.hashlock = sha256(abi.encode(guess));
        refuse(it.receiver, it, claimCall(it));
    }

    /// Whatever else is told of a lock than what it was made with, nothing is paid.
    function test_no_other_terms_pay(Lock memory it, Lock memory other, bool native, bool otherNative) public {
        it = sane(it, native);
        succeed(it.sender, it, lockCall(it));
        other.preimage = it.preimage;
        other.hashlock = it.hashlock;
        other.asset = otherNative ? NATIVE : erc20(address(uint160(other.asset)));
        if (other.lane & 1 == 0) (other.sender, other.lane, other.generation) = (it.sender, it.lane, it.generation);
        vm.assume(idOf(other) != idOf(it));
        refuse(it.receiver, other, claimCall(other));
        refuse(it.sender, other, refundCall(other));
        refuse(other.receiver, other, agreedCall(other, type(uint256).max, ""));
    }

    /// Of all storage only the lane of these terms is written, by every call.
    function test_only_the_own_lane_is_written(Lock memory it, bool native, bool refunds) public {
        it = sane(it, native);
        Accesses(address(vm)).record();
        succeed(it.sender, it, lockCall(it));
        if (refunds) vm.warp(it.timelock);
        succeed(STRANGER, it, refunds ? refundCall(it) : claimCall(it));
        (, bytes32[] memory writes) = Accesses(address(vm)).accesses(address(htlc));
        require(writes.length == 2, "two writes");
        for (uint256 i; i < 2; ++i) {
            require(uint256(writes[i]) == uint256(uint160(it.sender)) << 96 | it.lane, "another slot");
        }
    }

    /// From any word that a lane may hold: the generation that follows it is taken, once, and no other.
    function test_a_lock_that_was_signed_twice_is_made_once(Lock memory it, uint256 stored, bool native) public {
        it = sane(it, native);
        stored = stored >> 16 << 16 | (stored % 4);
        vm.store(address(htlc), bytes32(uint256(uint160(it.sender)) << 96 | it.lane), bytes32(stored));
        unchecked {
            it.generation = uint16(stored >> 16) + 1;
        }
        if (stored % 4 == LOCKED) {
            refuse(it.sender, it, lockCall(it));
            return;
        }
        Lock memory other = abi.decode(abi.encode(it), (Lock));
        other.generation = uint16(stored);
        if (other.generation != it.generation) refuse(it.sender, other, lockCall(other));
        succeed(it.sender, it, lockCall(it));
        if (native) vm.deal(it.sender, it.amount);
        else token.mint(it.sender, it.amount);
        refuse(it.sender, it, lockCall(it));
        succeed(STRANGER, it, claimCall(it));
        refuse(it.sender, it, lockCall(it));
    }

    function test_uninvited_money_stays_and_harms_nobody(Lock memory it, bool native, uint96 gift) public {
        it = sane(it, native);
        succeed(it.sender, it, lockCall(it));
        vm.deal(address(this), gift);
        (bool success,) = address(htlc).call{value: gift}("");
        require(!success, "took ETH outside of a lock");
        new Bomb{value: gift}(address(htlc));
        token.mint(address(htlc), gift);
        succeed(STRANGER, it, claimCall(it));
        require(balance(it, it.receiver) == it.amount && address(htlc).balance == gift, "moved");
        require(token.balanceOf(address(htlc)) == gift, "moved");
    }

    /// Exact or refused, whatever the token does and says.
    function test_a_token_delivers_exactly_or_is_refused(Lock memory it, uint8 mood) public {
        it = sane(it, false);
        token.set(Mood(mood % 9));
        (bool success,) = attempt(it.sender, it, lockCall(it));
        uint256 held = token.balanceOf(address(htlc));
        require(held == (success ? it.amount : 0) && word(it.sender, it.lane) == (success ? wordOf(it, LOCKED) : 0), "half");
        require(success == (mood % 9 <= uint8(Mood.RAMBLES)), "the mood");
    }

    /// A token that delivers nothing, and makes its own lock in between, whose delivery would be counted for both.
    function test_one_delivery_is_not_counted_twice(Lock memory outer, Lock memory inner) public {
        (outer, inner) = (sane(outer, false), sane(inner, false));
        inner.sender = address(token);
        inner.amount = outer.amount;
        token.mint(address(token), inner.amount);
        token.set(Mood.LEAVES_IT);
        token.arm(address(htlc), lockCall(inner));
        refuse(outer.sender, outer, lockCall(outer));
        require(word(inner.sender, inner.lane) == 0 && token.balanceOf(address(htlc)) == 0, "half");
    }
}
