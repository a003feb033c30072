// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {Paths} from "./Paths.sol";
import "./Signed.sol";
import "./Specification.sol";

/// Locks and exits by every path, beside what Specification.sol says of them: refusals with their data, events with all
/// their fields, the lane's word, and who holds what.
contract Locks is Paths {
    function setUp() public {
        populate();
    }

    // ---------------------------------------------------------------------------------------------------------- draws

    /// Moments about which numbers of 32 and 40 bits go wrong.
    function moment(uint256 seed) private pure returns (uint256) {
        uint256[6] memory moments =
            [NOW, uint256(type(uint32).max), uint256(type(uint32).max) + 8, 1 << 39, uint256(type(uint40).max) - 2, 1 << 41];
        return moments[seed % 6];
    }

    /// A word that a lane may hold, mostly one of a settled lane; about the wrap, too.
    function drawnWord(uint256 seed) private pure returns (uint256) {
        uint256[5] memory generations = [uint256(0), 1, 65_534, 65_535, seed >> 8 & 0xffff];
        uint256[6] memory statuses = [uint256(0), CLAIMED, REFUNDED, LOCKED, 4, seed >> 24 & 0xffff];
        return (seed ^ seed << 60) >> 32 << 32 | generations[seed % 5] << 16 | statuses[(seed >> 40) % 6];
    }

    /// A lock that may be made over `stored`, with as many of its terms spoilt as `spoils` has bits.
    function drawn(uint256 seed, uint256 stored, uint8 spoils, bool native_) private view returns (Lock memory it) {
        it = plain(seed, native_);
        unchecked {
            it.timelock = uint40(block.timestamp + (seed >> 200) % 3 == 0 ? seed >> 210 : block.timestamp + 1);
            it.generation = uint16(stored >> 16) + 1;
            if ((seed >> 220) % 4 == 0) it.amount = 1;
            if (spoils & 1 != 0) it.amount = 0;
            if (spoils & 2 != 0) it.receiver = address(0);
            if (spoils & 4 != 0) it.receiver = address(htlc);
            if (spoils & 8 != 0) it.flags = uint8(1 << (seed >> 240) % 8);
            if (spoils & 16 != 0) it.timelock = uint40(block.timestamp - (seed >> 190) % 2);
            if (spoils & 32 != 0) it.generation += uint16(1 << (seed >> 180) % 16);
        }
    }

    function some(uint256 seed) private pure returns (uint8) {
        if (seed % 4 == 0) return 0;
        return seed % 4 == 1 ? uint8(seed >> 8) & 63 : uint8(1 << (seed >> 8) % 6);
    }

    // ---------------------------------------------------------------------------------------------------------- locks

    /// forge-config: default.fuzz.runs = 2000
    function test_a_lock_is_taken_as_specified_by_every_path(uint256 seed, uint8 which) public {
        vm.warp(moment(seed >> 3));
        Path path = Path(which % 7);
        uint256 stored = drawnWord(uint256(keccak256(abi.encode(seed))));
        Lock memory it = drawn(seed, stored, some(seed >> 128), native(path));
        store(it, stored);
        bytes memory reason = refusalOfLock(it, stored, block.timestamp, address(htlc));
        uint256 before = held(it, it.sender);
        (bool success, bytes memory result) = handIn(path, it);
        answered(reason, then(0, lockedEvent(it)), success, result);
        require(word(it.sender, it.lane) == (success ? wordOf(it, LOCKED) : stored), "the word");
        require(held(it, address(htlc)) == (success ? it.amount : 0), "what it holds");
        require(before - held(it, it.sender) == (success ? it.amount : 0), "what it took");
    }

    // ---------------------------------------------------------------------------------------------------------- exits

    /// How an exit is made: alone, in a batch of one, among strangers' items; a claim, a refund, or given back.
    function exit(Lock memory it, uint256 outcome, uint256 how) private returns (bool success, bytes memory result) {
        bytes memory data = exitCall(it, outcome);
        Exit[] memory items = new Exit[](1);
        items[0] = outcome == CLAIMED ? claimItem(it) : refundItem(it);
        if (how == 1 && outcome == CLAIMED) data = abi.encodeCall(IHashedTimelock.bulkClaim, (false, items, it.asset));
        if (how == 1 && outcome == REFUNDED) data = abi.encodeCall(IHashedTimelock.bulkRefund, (false, items, it.asset));
        if (how == 2) data = agreedCall(it, 0, "");
        return observe(how == 2 ? it.receiver : STRANGER, it, data);
    }

    function bend(Lock memory it, uint256 seed) private pure {
        uint256 how = seed % 12;
        unchecked {
            if (how == 0) it.amount ^= 1 << (seed >> 8) % 256;
            if (how == 1) it.receiver = address(uint160(it.receiver) ^ uint160(1 << (seed >> 8) % 160));
            if (how == 2) it.timelock ^= uint40(1 << (seed >> 8) % 40);
            if (how == 3) it.flags ^= uint8(1 << (seed >> 8) % 8);
            if (how == 4) it.generation ^= uint16(1 << (seed >> 8) % 16);
            if (how == 5) it.lane ^= uint32(1 << (seed >> 8) % 32);
            if (how == 6) it.sender = address(uint160(it.sender) ^ uint160(1 << (seed >> 8) % 160));
            if (how == 7) it.preimage ^= bytes32(1 << (seed >> 8) % 256);
        }
    }

    /// Before, at and after the timelock, of a lane that holds this lock, open or settled, or another.
    /// forge-config: default.fuzz.runs = 2000
    function test_an_exit_is_made_as_specified_by_every_path(uint256 seed, uint8 how, bool claims) public {
        how %= 3;
        uint256 outcome = claims && how != 2 ? CLAIMED : REFUNDED;
        vm.warp(moment(seed >> 3));
        Lock memory it = plain(seed, seed & 1 == 0);
        it.generation = uint16(seed >> 200);
        uint256 stored = (seed >> 100) % 8 == 0 ? drawnWord(seed) : wordOf(it, (seed >> 100) % 8 < 5 ? (seed >> 100) % 8 : 1);
        store(it, stored);
        vm.deal(address(htlc), 1 << 100);
        token.mint(address(htlc), 1 << 100);
        bend(it, seed >> 110);
        it.hashlock = sha256(abi.encode(it.preimage));
        vm.warp(uint256(it.timelock) + (seed >> 130) % 3 - 1);
        if (word(it.sender, it.lane) != stored) stored = 0;

        bytes memory reason = refusalOfExit(it, stored);
        if (how != 2 && outcome == CLAIMED) reason = refusalOfClaim(it, stored, block.timestamp);
        if (how != 2 && outcome == REFUNDED) reason = refusalOfRefund(it, stored, block.timestamp);
        address payee = outcome == CLAIMED ? it.receiver : it.sender;
        uint256 before = held(it, payee);
        (bool success, bytes memory result) = exit(it, outcome, how);
        answered(reason, then(0, exitEvent(it, outcome)), success, result);
        require(word(it.sender, it.lane) == (success ? wordOf(it, outcome) : stored), "the word");
        require(held(it, payee) - before == (success ? it.amount : 0), "what was paid");
        require(held(it, address(htlc)) == (1 << 100) - (success ? it.amount : 0), "what is left");
    }

    function test_the_lanes_word_is_shown(uint256 seed, address sender, uint32 lane) public {
        Lock memory it;
        (it.sender, it.lane) = (sender, lane);
        store(it, seed);
        require(htlc.laneWord(sender, lane) == seed, "laneWord");
        if (lane > 0) require(htlc.laneWord(sender, lane - 1) == 0, "another lane");
    }

    // ------------------------------------------------------------------------------------------------- what was signed

    function bent(Lock memory it, uint256 how) private view returns (Lock memory other) {
        other = copy(it);
        how %= 9;
        if (how == 0) other.receiver = STRANGER;
        if (how == 1) other.hashlock = bytes32(uint256(it.hashlock) ^ 1);
        if (how == 2) other.timelock += 1;
        if (how == 3) other.generation += 1;
        if (how == 4) other.lane ^= 1;
        if (how == 5) other.amount -= 1;
        if (how == 6) other.sender = STRANGER;
        if (how == 7) (other.generation, other.lane) = (other.generation + 1, other.lane ^ 1);
        if (how == 8) other.timelock = uint40(block.timestamp + 1) + (it.timelock & 1) + 2e6;
    }

    /// Also where the lane waits for exactly the lock that was not signed.
    function test_what_was_signed_opens_no_other_lock(uint256 seed, uint256 how, bool byPermit2, uint64 chain) public {
        Lock memory it = plain(seed, false);
        Lock memory other = bent(it, how);
        store(other, uint256(other.generation - 1) << 16 | CLAIMED);
        token.mint(STRANGER, MANY);
        bytes memory signed = handInCall(byPermit2 ? Path.PERMIT2 : Path.AUTHORIZATION, it);
        uint256 before = word(other.sender, other.lane);
        (bool success,) = observe(STRANGER, other, replaced(signed, other, byPermit2));
        require(!success && word(other.sender, other.lane) == before, "another lock was opened");
        store(it, 0);
        uint256 here = block.chainid;
        vm.chainId(here + 1 + chain % 1_000);
        (success,) = observe(STRANGER, it, signed);
        require(!success, "on another chain");
        vm.chainId(here);
        (success,) = observe(STRANGER, it, signed);
        require(success && word(it.sender, it.lane) == wordOf(it, LOCKED), "what was signed");
    }

    /// The same signature over other terms.
    function replaced(bytes memory signed, Lock memory other, bool byPermit2) private pure returns (bytes memory) {
        bytes memory arguments = new bytes(signed.length - 4);
        for (uint256 i; i < arguments.length; ++i) arguments[i] = signed[i + 4];
        if (byPermit2) {
            (,,,,, uint256 nonce, uint256 deadline, bytes memory by) =
                abi.decode(arguments, (bytes32, uint256, uint256, address, address, uint256, uint256, bytes));
            return abi.encodeCall(
                IHashedTimelock.lockByPermit2,
                (other.hashlock, termsOf(other), other.amount, tokenOf(other), other.sender, nonce, deadline, by)
            );
        }
        (,,,,, uint256 until, uint8 v, bytes32 r, bytes32 s) =
            abi.decode(arguments, (bytes32, uint256, uint256, address, address, uint256, uint8, bytes32, bytes32));
        return abi.encodeCall(
            IHashedTimelock.lockByAuthorization,
            (other.hashlock, termsOf(other), other.amount, tokenOf(other), other.sender, until, v, r, s)
        );
    }
}
