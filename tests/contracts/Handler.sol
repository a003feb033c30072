// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Batches} from "./Batches.sol";
import "./Base.sol";
import {Bomb, CallsBack, Mood, MoodyToken, delivers} from "./Hostile.sol";
import {AUTHORIZATION, authorizationNonce, typedDigest} from "./Signed.sol";

interface Domain {
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}

/// Calls the contract in every way, right and wrong. Each call's success is predicted by the model, and conservation is
/// looked at after each; what differs reverts, and that fails the run. Everything is drawn from `seed`.
contract Handler is Batches {
    modifier checked() {
        _;
        conserved();
    }

    constructor() {
        populate();
    }

    // ---------------------------------------------------------------------------------------------------------- locks

    function lock(uint256 seed) external checked {
        seed = mix(seed, 0);
        Lock memory it = newLock(seed);
        Mood mood = seed % 5 == 0 ? Mood((seed >> 180) % 9) : Mood.HONEST;
        MoodyToken(tokenAt(1)).set(mood);
        bool expected = mayOpen(it) && (it.asset != assets[1] || delivers(mood));
        (bool success,) = attempt(it.sender, it, lockCall(it));
        MoodyToken(tokenAt(1)).set(Mood.HONEST);
        expect(expected, success);
        if (success) opened(it);
    }

    /// An earlier lock once more, as a transaction that was signed twice.
    function lockAgain(uint256 seed) external checked {
        if (made.length == 0) return;
        Lock memory it = some(mix(seed, 1));
        bool expected = mayOpen(it);
        (bool success,) = attempt(it.sender, it, lockCall(it));
        expect(expected, success);
        if (success) opened(it);
    }

    /// By an EIP-3009 authorization, handed in by anybody: for this lock, or for one with another receiver or hashlock.
    function lockByAuthorization(uint256 seed) external checked {
        seed = mix(seed, 2);
        Lock memory it = newLock(seed);
        (it.asset, it.sender) = (assets[2], actors[(seed >> 200) % 3]);
        it.generation = nextGeneration(it.sender, it.lane);
        Lock memory bent = copy(it);
        if (seed % 4 == 0) bent.receiver = actors[(seed >> 210) % 4];
        if (seed % 4 == 1) bent.hashlock = bytes32(seed);
        bytes memory data = authorizedCall(bent, signAuthorization(it));
        bool expected = mayOpen(it) && idOf(bent) == idOf(it);
        (bool success,) = attempt(actors[(seed >> 220) % 4], it, data);
        expect(expected, success);
        if (success) opened(it);
        refuse(it.sender, it, data);
    }

    // ---------------------------------------------------------------------------------------------------------- exits

    function claim(uint256 seed) external checked {
        if (made.length == 0) return;
        seed = mix(seed, 3);
        Lock memory it = maybeBent(seed);
        setExitMood(seed);
        bool expected = mayClaim(it) && takes(it.asset, it.receiver);
        (bool success,) = attempt(actors[(seed >> 200) % 4], it, claimCall(it));
        MoodyToken(tokenAt(1)).set(Mood.HONEST);
        expect(expected, success);
        if (success) settled(it, CLAIMED);
    }

    function refund(uint256 seed) external checked {
        if (made.length == 0) return;
        seed = mix(seed, 4);
        Lock memory it = maybeBent(seed);
        setExitMood(seed);
        bool expected = mayRefund(it) && takes(it.asset, it.sender);
        (bool success,) = attempt(actors[(seed >> 200) % 4], it, refundCall(it));
        MoodyToken(tokenAt(1)).set(Mood.HONEST);
        expect(expected, success);
        if (success) settled(it, REFUNDED);
    }

    /// A refund the receiver agrees to: signed by him or by somebody else, for this lock or another, in time or not.
    function refundAgreed(uint256 seed) external checked {
        if (made.length == 0) return;
        seed = mix(seed, 5);
        Lock memory it = maybeBent(seed);
        Lock memory signedFor = seed % 5 == 0 ? some(seed >> 100) : it;
        uint256 key = seed % 3 == 0 ? 11 + (seed >> 120) % 3 : keys[it.receiver];
        uint256 deadline = seed % 4 == 0 ? block.timestamp - 1 : block.timestamp + seed % 3;
        address by = actors[(seed >> 200) % 4];
        bool agreed = by == it.receiver
            || (deadline >= block.timestamp && key != 0 && vm.addr(key) == it.receiver && wordOf(signedFor, 0) == wordOf(it, 0));
        bool expected = isOpen[idOf(it)] && agreed && takes(it.asset, it.sender);
        bytes memory signed =
            key == 0 ? bytes("") : signature(key, earlyRefundDigest(address(htlc), block.chainid, signedFor, deadline));
        (bool success,) = attempt(by, it, agreedCall(it, deadline, signed));
        expect(expected, success);
        if (success) settled(it, REFUNDED);
    }

    // -------------------------------------------------------------------------------------------------------- re-entry

    /// A payee, or a token while it pays out, settles another lock or the same one from within.
    function settleFromWithin(uint256 seed) external checked {
        if (made.length == 0) return;
        seed = mix(seed, 6);
        (Lock memory outer, uint256 outcome) = somethingDue(seed);
        CallsBack hostile = hostileIn(outer, outcome);
        if (outcome == 0 || address(hostile) == address(0)) return;
        settled(outer, outcome); // before the payee hears of it
        (Lock memory inner, uint256 innerOutcome) = seed % 3 == 0 ? (outer, outcome) : somethingDue(seed >> 50);
        if (innerOutcome == 0) innerOutcome = CLAIMED;
        bool expected = (innerOutcome == CLAIMED ? mayClaim(inner) : mayRefund(inner))
            && takes(inner.asset, innerOutcome == CLAIMED ? inner.receiver : inner.sender);
        hostile.arm(address(htlc), innerOutcome == CLAIMED ? claimCall(inner) : refundCall(inner));
        succeed(actors[seed % 4], outer, outcome == CLAIMED ? claimCall(outer) : refundCall(outer));
        expect(expected, hostile.answer() == CallsBack.Answer.ACCEPTED);
        if (expected) settled(inner, innerOutcome);
    }

    /// A token, while it is pulled, settles something: what leaves the contract's own balance of it meanwhile makes the
    /// delivery inexact, and then nothing happens at all.
    function settleWhilePulled(uint256 seed) external checked {
        if (made.length == 0) return;
        seed = mix(seed, 7);
        Lock memory it = newLock(seed);
        (it.asset, it.generation) = (assets[1], nextGeneration(it.sender, it.lane));
        (Lock memory inner, uint256 outcome) = somethingDue(seed >> 50);
        if (outcome == 0 || !mayOpen(it)) return;
        MoodyToken token = MoodyToken(tokenAt(1));
        token.arm(address(htlc), outcome == CLAIMED ? claimCall(inner) : refundCall(inner));
        bool expected = inner.asset != it.asset;
        (bool success,) = attempt(it.sender, it, lockCall(it));
        expect(expected, success);
        token.arm(address(0), "");
        if (!success) return;
        settled(inner, outcome);
        opened(it);
    }

    // ---------------------------------------------------------------------------------------------------- surroundings

    function pass(uint256 seed) external {
        vm.warp(block.timestamp + 1 + seed % 300);
    }

    function giveUninvited(uint256 seed) external checked {
        seed = mix(seed, 8);
        uint256 asset = assets[seed % 3];
        uint256 amount = (seed >> 8) % 1e20;
        gifts[asset] += amount;
        if (asset == NATIVE) {
            vm.deal(address(this), amount);
            new Bomb{value: amount}(address(htlc));
        } else {
            MoodyToken(address(uint160(asset))).mint(address(htlc), amount);
        }
    }

    function setPayee(uint256 seed) external {
        payee.set(seed % 4 == 3 ? 0 : seed % 4);
    }

    function check() external view {
        compare();
    }

    /// Of a function: refusals and acceptances so far.
    function counts(bytes4 selector) external view returns (uint256 refused, uint256 accepted) {
        return (outcomes[selector][0], outcomes[selector][1]);
    }

    // --------------------------------------------------------------------------------------------------------- choices

    function setExitMood(uint256 seed) private {
        uint256 how = (seed >> 190) % 12;
        Mood mood = how == 0 ? Mood.SILENT : how == 1 ? Mood.RAMBLES : how == 2 ? Mood.DENIES : Mood.HONEST;
        if (how == 3) mood = Mood.REVERTS;
        if (how == 4) mood = Mood.MISSPEAKS;
        MoodyToken(tokenAt(1)).set(mood);
    }

    /// Who can call back while this lock is paid out.
    function hostileIn(Lock memory it, uint256 outcome) private view returns (CallsBack) {
        if (it.asset == assets[1]) return CallsBack(tokenAt(1));
        address to = outcome == CLAIMED ? it.receiver : it.sender;
        return CallsBack(it.asset == NATIVE && to == address(payee) ? to : address(0));
    }

    /// A lock that was made, as it is or with one term bent; a bent one is nobody's lock.
    function maybeBent(uint256 seed) private view returns (Lock memory it) {
        it = some(seed);
        uint256 how = (seed >> 40) % 24;
        unchecked {
            if (how == 0) it.amount += 1;
            else if (how == 1) it.amount -= 1;
            else if (how == 2) it.receiver = address(uint160(it.receiver) ^ 1);
            else if (how == 3) it.timelock += 1;
            else if (how == 4) it.flags ^= 1;
            else if (how == 5) it.generation += 1;
            else if (how == 6) it.lane += uint32(LANES);
            else if (how == 7) it.asset = it.asset == NATIVE ? erc20(address(0)) : NATIVE;
            else if (how == 8) (it.preimage, it.hashlock) = (bytes32(seed), bytes32(seed));
            else if (how == 9) it.sender = address(uint160(it.sender) ^ 1);
            else if (how == 10) it.timelock = uint40(block.timestamp);
        }
    }

    function signAuthorization(Lock memory it) private view returns (bytes32 digest) {
        bytes32 nonce = authorizationNonce(address(htlc), it);
        bytes32 content = keccak256(
            abi.encode(AUTHORIZATION, it.sender, address(htlc), it.amount, 0, block.timestamp + 10, nonce)
        );
        return typedDigest(Domain(tokenOf(it)).DOMAIN_SEPARATOR(), content);
    }

    function authorizedCall(Lock memory it, bytes32 digest) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[it.sender], digest);
        return abi.encodeCall(
            IHashedTimelock.lockByAuthorization,
            (it.hashlock, termsOf(it), it.amount, tokenOf(it), it.sender, block.timestamp + 10, v, r, s)
        );
    }
}
