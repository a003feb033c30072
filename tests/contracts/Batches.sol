// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import "./Specification.sol";
import {Model} from "./Model.sol";

/// The calls that hold many locks, and how locks are drawn.
abstract contract Batches is Model {
    uint256 private constant GAS_EACH = 400_000;

    function bulkLock(uint256 seed, bool each) external {
        seed = mix(seed, 100);
        (Lock[] memory items, address sender, uint256 asset) = newBatch(seed);
        NewLock[] memory encoded = new NewLock[](items.length);
        for (uint256 i; i < items.length; ++i) encoded[i] = newLockItem(items[i]);
        (bytes memory reason, bytes32 said, bool[] memory good, uint256 sum) = foreseeLocks(items, each);
        uint256 due = asset == NATIVE ? sum : 0;
        uint256 value = seed % 7 == 0 ? due + 1 : due;
        if (seed % 13 == 0) {
            asset |= uint256(2) << 160 + seed % 90;
            reason = abi.encodeWithSelector(IHashedTimelock.UnknownAsset.selector, asset);
        } else if (reason.length == 0 && value != due) {
            reason = abi.encodeWithSelector(IHashedTimelock.ValueNotExact.selector, value, due);
        } else if (reason.length == 0 && asset == NATIVE && leftOut(items, good) != 0) {
            reason = againstPayment(NATIVE, sender);
        }
        vm.recordLogs();
        vm.deal(sender, sender.balance + value - due);
        vm.prank(sender);
        (bool success, bytes memory result) = address(htlc).call{value: value, gas: 3_000_000}(
            abi.encodeCall(IHashedTimelock.bulkLock, (each, encoded, asset))
        );
        expect(reason, said, success, result);
        vm.deal(sender, sender.balance + due - value);
        if (success) for (uint256 i; i < items.length; ++i) if (good[i]) opened(items[i]);
        conserved();
    }

    function foreseeLocks(Lock[] memory items, bool each)
        private
        view
        returns (bytes memory reason, bytes32 said, bool[] memory good, uint256 sum)
    {
        good = new bool[](items.length);
        for (uint256 i; i < items.length; ++i) {
            uint256 stored = storedOf(items[i]);
            for (uint256 j; j < i; ++j) if (good[j] && items[j].lane == items[i].lane) stored = wordOf(items[j], LOCKED);
            bytes memory refusal = refusalOfLock(items[i], stored, block.timestamp, address(htlc));
            sum += items[i].amount;
            good[i] = refusal.length == 0;
            said = then(said, good[i] ? lockedEvent(items[i]) : skippedEvent(i, refusal));
            if (!good[i] && !each && reason.length == 0) reason = refusal;
        }
    }

    function bulkClaim(uint256 seed, bool each) external {
        bulkSettle(mix(seed, 101), each, CLAIMED);
    }

    function bulkRefund(uint256 seed, bool each) external {
        bulkSettle(mix(seed, 102), each, REFUNDED);
    }

    function bulkSettle(uint256 seed, bool each, uint256 outcome) private {
        if (made.length == 0) return;
        (Lock[] memory items, uint256 asset) = choose(seed);
        Exit[] memory encoded = new Exit[](items.length);
        for (uint256 i; i < items.length; ++i) {
            items[i] = copy(items[i]);
            items[i].asset = asset;
            encoded[i] = outcome == CLAIMED ? claimItem(items[i]) : refundItem(items[i]);
        }
        (bytes memory reason, bytes32 said, bool[] memory good) = foreseeExits(items, each, outcome);
        vm.recordLogs();
        (bool success, bytes memory result) = address(htlc).call{gas: 3_000_000}(
            outcome == CLAIMED
                ? abi.encodeCall(IHashedTimelock.bulkClaim, (each, encoded, asset))
                : abi.encodeCall(IHashedTimelock.bulkRefund, (each, encoded, asset))
        );
        expect(reason, said, success, result);
        if (success) for (uint256 i; i < items.length; ++i) if (good[i]) settled(items[i], outcome);
        conserved();
    }

    /// Consecutive items of one payee are paid together, before the next item of another.
    function foreseeExits(Lock[] memory items, bool each, uint256 outcome)
        private
        view
        returns (bytes memory reason, bytes32 said, bool[] memory good)
    {
        good = new bool[](items.length);
        address due;
        for (uint256 i; i < items.length && reason.length == 0; ++i) {
            bytes memory refusal = againstItem(items, good, i, outcome);
            good[i] = refusal.length == 0;
            said = then(said, good[i] ? exitEvent(items[i], outcome) : skippedEvent(i, refusal));
            if (!good[i]) {
                if (!each) reason = refusal;
                continue;
            }
            address to = payeeOf(items[i], outcome);
            if (due != to && due != address(0)) reason = againstPayment(items[i].asset, due);
            due = to;
        }
        if (reason.length == 0 && due != address(0)) reason = againstPayment(items[0].asset, due);
    }

    function againstItem(Lock[] memory items, bool[] memory good, uint256 i, uint256 outcome)
        private
        view
        returns (bytes memory)
    {
        uint256 stored = storedOf(items[i]);
        for (uint256 j; j < i; ++j) {
            bool sameLane = items[j].sender == items[i].sender && items[j].lane == items[i].lane;
            if (good[j] && sameLane) stored = wordOf(items[j], outcome);
        }
        return outcome == CLAIMED
            ? refusalOfClaim(items[i], stored, block.timestamp)
            : refusalOfRefund(items[i], stored, block.timestamp);
    }

    /// Strangers' claims and refunds, hostile payees among them: each item for itself.
    function settleStrangers(uint256 seed) external {
        if (made.length == 0) return;
        seed = mix(seed, 103);
        (Lock[] memory items,) = choose(seed);
        bytes[] memory calls = new bytes[](items.length);
        bytes32 said;
        for (uint256 i; i < items.length; ++i) {
            Lock memory it = items[i];
            uint256 outcome = seed >> i & 1 == 0 ? CLAIMED : REFUNDED;
            bytes memory reason = beforePayment(it, outcome);
            calls[i] = exitCall(it, outcome);
            if (outcome == REFUNDED && seed >> 100 + i & 1 == 0 && keys[it.receiver] != 0) {
                calls[i] = signedAway(it);
                reason = refusalOfExit(it, storedOf(it));
            }
            if (reason.length == 0) {
                said = then(said, exitEvent(it, outcome)); // to be reverted where it cannot be paid
                reason = againstPayment(it.asset, payeeOf(it, outcome));
            }
            if (reason.length == 0) settled(it, outcome);
            else said = then(said, skippedEvent(i, reason));
            outcomes[msg.sig][reason.length == 0 ? 1 : 0] += 1;
        }
        vm.recordLogs();
        htlc.settleStrangers{gas: 10_000_000}(calls, GAS_EACH);
        require(heard() == said, "other events");
        conserved();
    }

    function signedAway(Lock memory it) private view returns (bytes memory) {
        bytes32 digest = earlyRefundDigest(address(htlc), block.chainid, it, block.timestamp);
        return agreedCall(it, block.timestamp, signature(keys[it.receiver], digest));
    }

    // ---------------------------------------------------------------------------------------------------------- draws

    function mix(uint256 seed, uint256 salt) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, salt)));
    }

    function tokenAt(uint256 index) internal view returns (address) {
        return address(uint160(assets[index]));
    }

    function copy(Lock memory it) internal pure returns (Lock memory) {
        return abi.decode(abi.encode(it), (Lock));
    }

    /// A lock that was made: mostly the newest of some lane, sometimes any.
    function some(uint256 seed) internal view returns (Lock memory) {
        uint256 index = seed % 6 == 0 ? 0 : newest[actors[(seed >> 4) % 4]][(seed >> 8) % LANES];
        return made[index == 0 ? (seed >> 16) % made.length : index - 1];
    }

    /// A lock that can be settled now, if one is found in a few lanes, and how; 0 if none.
    function somethingDue(uint256 seed) internal view returns (Lock memory it, uint256 outcome) {
        for (uint256 i; i < 6; ++i) {
            it = some(uint256(keccak256(abi.encode(seed, i))));
            address to = block.timestamp < it.timelock ? it.receiver : it.sender;
            if (!isOpen[idOf(it)] || !takes(it.asset, to)) continue;
            return (it, block.timestamp < it.timelock ? CLAIMED : REFUNDED);
        }
    }

    function newLock(uint256 seed) internal view returns (Lock memory it) {
        it.sender = actors[seed % 4];
        it.receiver = actors[(seed >> 16) % 4];
        if ((seed >> 8) % 31 == 0) it.receiver = (seed >> 13) & 1 == 0 ? address(0) : address(htlc);
        it.lane = uint32((seed >> 24) % LANES);
        it.generation = (seed >> 32) % 9 == 0 ? uint16(seed >> 40) : nextGeneration(it.sender, it.lane);
        if ((seed >> 32) % 9 == 1) it.generation = 1;
        it.flags = (seed >> 64) % 37 == 0 ? uint8(seed >> 72) : 0;
        bool late = (seed >> 80) % 11 == 0;
        it.timelock = uint40(late ? block.timestamp - (seed >> 88) % 5 : block.timestamp + 1 + (seed >> 88) % 600);
        it.amount = (seed >> 104) % 41 == 0 ? 0 : 1 + (seed >> 112) % 1e18;
        it.asset = assets[(seed >> 184) % 3];
        it.preimage = keccak256(abi.encode((seed >> 192) % 50)); // hashlocks repeat, too
        it.hashlock = sha256(abi.encode(it.preimage));
    }

    function newBatch(uint256 seed) private view returns (Lock[] memory items, address sender, uint256 asset) {
        items = new Lock[](1 + seed % 4);
        sender = actors[(seed >> 8) % 4];
        asset = assets[(seed >> 16) % 3];
        for (uint256 i; i < items.length; ++i) {
            Lock memory it = newLock(mix(seed, i));
            (it.sender, it.asset, it.generation) = (sender, asset, nextGeneration(sender, it.lane));
            items[i] = it;
        }
    }

    function leftOut(Lock[] memory items, bool[] memory good) private pure returns (uint256 sum) {
        for (uint256 i; i < items.length; ++i) if (!good[i]) sum += items[i].amount;
    }

    /// Some locks, sometimes one twice, mostly of one asset.
    function choose(uint256 seed) private view returns (Lock[] memory items, uint256 asset) {
        items = new Lock[](1 + seed % 5);
        for (uint256 i; i < items.length; ++i) {
            uint256 part = mix(seed, i);
            items[i] = i > 0 && part >> 240 & 15 == 0 ? items[i - 1] : some(part);
        }
        asset = seed % 11 == 0 ? assets[(seed >> 8) % 3] : items[0].asset;
    }
}
