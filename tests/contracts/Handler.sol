// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Batches} from "./Batches.sol";
import "./Base.sol";
import {Bomb, CallsBack, Mood, MoodyToken} from "./Hostile.sol";
import "./Specification.sol";
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
        bytes memory reason = againstLock(it);
        if (reason.length == 0) reason = againstPull(it, mood);
        (bool success, bytes memory result) = observe(it.sender, it, lockCall(it));
        MoodyToken(tokenAt(1)).set(Mood.HONEST);
        expect(reason, then(0, lockedEvent(it)), success, result);
        if (success) opened(it);
    }

    /// An earlier lock once more, as a transaction that was signed twice.
    function lockAgain(uint256 seed) external checked {
        if (made.length == 0) return;
        Lock memory it = some(mix(seed, 1));
        bytes memory reason = againstLock(it);
        require(reason.length != 0, "a lock is made once");
        (bool success, bytes memory result) = observe(it.sender, it, lockCall(it));
        expect(reason, 0, success, result);
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
        (bool success, bytes memory result) = observe(actors[(seed >> 220) % 4], it, data);
        expect(againstAuthorized(it, bent), then(0, lockedEvent(it)), success, result);
        if (success) opened(it);
        (success, result) = observe(it.sender, it, data);
        answered(againstAuthorized(it, bent), 0, success, result);
    }

    // ---------------------------------------------------------------------------------------------------------- exits

    function claim(uint256 seed) external checked {
        if (made.length == 0) return;
        seed = mix(seed, 3);
        Lock memory it = maybeBent(seed);
        setExitMood(seed);
        bytes memory reason = againstExit(it, CLAIMED);
        (bool success, bytes memory result) = observe(actors[(seed >> 200) % 4], it, claimCall(it));
        MoodyToken(tokenAt(1)).set(Mood.HONEST);
        expect(reason, then(0, exitEvent(it, CLAIMED)), success, result);
        if (success) settled(it, CLAIMED);
    }

    function refund(uint256 seed) external checked {
        if (made.length == 0) return;
        seed = mix(seed, 4);
        Lock memory it = maybeBent(seed);
        setExitMood(seed);
        bytes memory reason = againstExit(it, REFUNDED);
        (bool success, bytes memory result) = observe(actors[(seed >> 200) % 4], it, refundCall(it));
        MoodyToken(tokenAt(1)).set(Mood.HONEST);
        expect(reason, then(0, exitEvent(it, REFUNDED)), success, result);
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
        bytes32 digest = earlyRefundDigest(address(htlc), block.chainid, signedFor, deadline);
        bool signs = key != 0 && vm.addr(key) == it.receiver
            && digest == earlyRefundDigest(address(htlc), block.chainid, it, deadline);
        bytes memory data = agreedCall(it, deadline, key == 0 ? bytes("") : signature(key, digest));
        address by = actors[(seed >> 200) % 4];
        bytes memory reason = againstEarlyRefund(it, by, deadline, signs);
        (bool success, bytes memory result) = observe(by, it, data);
        expect(reason, then(0, exitEvent(it, REFUNDED)), success, result);
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
        bytes32 said = then(0, exitEvent(outer, outcome));
        bool accepts = againstExit(inner, innerOutcome).length == 0;
        if (beforePayment(inner, innerOutcome).length == 0) said = then(said, exitEvent(inner, innerOutcome));
        hostile.arm(address(htlc), exitCall(inner, innerOutcome));
        (bool success, bytes memory result) = observe(actors[seed % 4], outer, exitCall(outer, outcome));
        answered("", said, success, result);
        require((hostile.answer() == CallsBack.Answer.ACCEPTED) == accepts, "the inner call");
        outcomes[msg.sig][accepts ? 1 : 0] += 1;
        if (accepts) settled(inner, innerOutcome);
    }

    /// A token, while it is pulled, settles something: what leaves the contract's own balance of it meanwhile makes the
    /// delivery inexact, and then nothing happens at all.
    function settleWhilePulled(uint256 seed) external checked {
        if (made.length == 0) return;
        seed = mix(seed, 7);
        Lock memory it = newLock(seed);
        (it.asset, it.generation) = (assets[1], nextGeneration(it.sender, it.lane));
        (Lock memory inner, uint256 outcome) = somethingDue(seed >> 50);
        if (outcome == 0 || againstLock(it).length != 0) return;
        MoodyToken token = MoodyToken(tokenAt(1));
        token.arm(address(htlc), exitCall(inner, outcome));
        bytes memory reason;
        if (inner.asset == it.asset) reason = notExact(it.amount < inner.amount ? 0 : it.amount - inner.amount, it.amount);
        (bool success, bytes memory result) = observe(it.sender, it, lockCall(it));
        expect(reason, then(then(0, lockedEvent(it)), exitEvent(inner, outcome)), success, result);
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

    function againstAuthorized(Lock memory signedFor, Lock memory it) private view returns (bytes memory) {
        return idOf(signedFor) == idOf(it) ? againstLock(it) : wrongSignature(it.sender);
    }

    function againstEarlyRefund(Lock memory it, address by, uint256 deadline, bool signs)
        private
        view
        returns (bytes memory)
    {
        if (by != it.receiver) {
            if (deadline < block.timestamp) {
                return abi.encodeWithSelector(IHashedTimelock.SignatureExpired.selector, deadline, block.timestamp);
            }
            if (!signs) return wrongSignature(it.receiver);
        }
        bytes memory reason = refusalOfExit(it, storedOf(it));
        return reason.length == 0 ? againstPayment(it.asset, it.sender) : reason;
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
