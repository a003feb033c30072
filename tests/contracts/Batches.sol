// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {Model} from "./Model.sol";

/// The calls that hold many locks, and how locks are drawn.
abstract contract Batches is Model {
    uint256 private constant GAS_EACH = 400_000;

    function bulkLock(uint256 seed, bool each) external {
        seed = mix(seed, 100);
        (Lock[] memory items, address sender, uint256 asset) = newBatch(seed);
        NewLock[] memory encoded = new NewLock[](items.length);
        bool[] memory good = new bool[](items.length);
        uint256 sum;
        uint256 taken;
        bool all = true;
        for (uint256 i; i < items.length; ++i) {
            encoded[i] = newLockItem(items[i]);
            good[i] = mayOpen(items[i]) && !laneTaken(items, good, i);
            sum += items[i].amount;
            if (good[i]) taken += items[i].amount;
            else all = false;
        }
        bool wrongValue = asset == NATIVE && seed % 7 == 0;
        bool returns_ = asset != NATIVE || taken == sum || takes(NATIVE, sender);
        vm.prank(sender);
        (bool success,) = address(htlc).call{value: asset == NATIVE ? sum + (wrongValue ? 1 : 0) : 0, gas: 3_000_000}(
            abi.encodeCall(IHashedTimelock.bulkLock, (each, encoded, asset))
        );
        expect(((all || each) && !wrongValue && returns_), success);
        if (success) for (uint256 i; i < items.length; ++i) if (good[i]) opened(items[i]);
        conserved();
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
        bool[] memory good = new bool[](items.length);
        bool all = true;
        bool paid = true;
        for (uint256 i; i < items.length; ++i) {
            Lock memory it = items[i];
            encoded[i] = outcome == CLAIMED ? claimItem(it) : refundItem(it);
            good[i] = it.asset == asset && (outcome == CLAIMED ? mayClaim(it) : mayRefund(it)) && !before(items, i);
            all = all && good[i];
            if (good[i]) paid = paid && takes(asset, outcome == CLAIMED ? it.receiver : it.sender);
        }
        (bool success,) = address(htlc).call{gas: 3_000_000}(
            outcome == CLAIMED
                ? abi.encodeCall(IHashedTimelock.bulkClaim, (each, encoded, asset))
                : abi.encodeCall(IHashedTimelock.bulkRefund, (each, encoded, asset))
        );
        expect(((all || each) && paid), success);
        if (success) for (uint256 i; i < items.length; ++i) if (good[i]) settled(items[i], outcome);
        conserved();
    }

    /// Strangers' claims and refunds, hostile payees among them: each item for itself.
    function settleStrangers(uint256 seed) external {
        if (made.length == 0) return;
        seed = mix(seed, 103);
        (Lock[] memory items,) = choose(seed);
        bytes[] memory calls = new bytes[](items.length);
        for (uint256 i; i < items.length; ++i) {
            calls[i] = seed >> i & 1 == 0 ? claimCall(items[i]) : refundCall(items[i]);
        }
        htlc.settleStrangers{gas: 10_000_000}(calls, GAS_EACH);
        for (uint256 i; i < items.length; ++i) {
            Lock memory it = items[i];
            bool claims = seed >> i & 1 == 0;
            bool due = claims ? mayClaim(it) && takes(it.asset, it.receiver) : mayRefund(it) && takes(it.asset, it.sender);
            if (due) settled(it, claims ? CLAIMED : REFUNDED);
            outcomes[msg.sig][due ? 1 : 0] += 1;
        }
        conserved();
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
        it.receiver = (seed >> 8) % 31 == 0 ? address(0) : actors[(seed >> 16) % 4];
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

    /// Whether an item before the i-th has taken its lane.
    function laneTaken(Lock[] memory items, bool[] memory good, uint256 i) private pure returns (bool) {
        for (uint256 j; j < i; ++j) if (good[j] && items[j].lane == items[i].lane) return true;
        return false;
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

    function before(Lock[] memory items, uint256 i) private pure returns (bool) {
        for (uint256 j; j < i; ++j) if (idOf(items[j]) == idOf(items[i])) return true;
        return false;
    }
}
