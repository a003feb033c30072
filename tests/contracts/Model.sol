// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {Mood, MoodyPayee, MoodyToken, delivers} from "./Hostile.sol";
import {SignedToken} from "testing/Signed.sol";

interface Holder {
    function balanceOf(address account) external view returns (uint256);
}

/// What the contract should have done, kept beside it by a model that knows nothing of how it does it: which locks are
/// open, which generation each lane expects, and what everybody holds. Each step costs the same however many locks were
/// made before, so that long runs are cheap.
abstract contract Model is Deployed {
    uint256 internal constant LANES = 3;
    uint256 internal constant PURSE = 1e30;

    struct Lane {
        uint16 last; // generation of the newest lock, 0 in a lane that was never used
        bool busy;
        uint256 word;
    }

    address[] internal actors;
    mapping(address => uint256) internal keys;
    MoodyPayee internal payee;
    uint256[] internal assets;

    /// Every lock ever made, and where in this list the newest of each lane is, plus one.
    Lock[] internal made;
    mapping(address => mapping(uint256 => uint256)) internal newest;
    mapping(bytes32 => bool) internal isOpen;
    mapping(bytes32 => bool) internal wasMade;
    mapping(address => mapping(uint256 => Lane)) internal lanes;
    mapping(uint256 => mapping(address => uint256)) internal purse;
    /// Of an asset: what open locks hold, and what the contract was given uninvited.
    mapping(uint256 => uint256) internal locked;
    mapping(uint256 => uint256) internal gifts;

    /// How often a function of the handler met a refusal, and how often an acceptance.
    mapping(bytes4 => uint256[2]) internal outcomes;

    function populate() internal {
        deployShipped();
        vm.warp(1_000_000);
        payee = new MoodyPayee();
        for (uint256 key = 11; key < 14; ++key) {
            actors.push(vm.addr(key));
            keys[vm.addr(key)] = key;
        }
        actors.push(address(payee));
        assets.push(NATIVE);
        assets.push(erc20(address(new MoodyToken())));
        assets.push(erc20(address(new SignedToken())));
        for (uint256 i; i < actors.length; ++i) {
            for (uint256 j; j < assets.length; ++j) endow(actors[i], assets[j]);
        }
    }

    function endow(address account, uint256 asset) private {
        purse[asset][account] = PURSE;
        if (asset == NATIVE) {
            vm.deal(account, PURSE);
            return;
        }
        MoodyToken(address(uint160(asset))).mint(account, PURSE);
        if (asset == assets[2]) {
            vm.prank(account);
            SignedToken(address(uint160(asset))).approve(address(htlc), type(uint256).max);
        }
    }

    // ---------------------------------------------------------------------------------------------------- predictions

    function nextGeneration(address sender, uint256 lane) internal view returns (uint16) {
        unchecked {
            return lanes[sender][lane].last + 1;
        }
    }

    function mayOpen(Lock memory it) internal view returns (bool) {
        return it.amount != 0 && it.receiver != address(0) && it.flags == 0 && it.timelock > block.timestamp
            && it.generation == nextGeneration(it.sender, it.lane) && !lanes[it.sender][it.lane].busy;
    }

    function mayClaim(Lock memory it) internal view returns (bool) {
        return isOpen[idOf(it)] && block.timestamp < it.timelock;
    }

    function mayRefund(Lock memory it) internal view returns (bool) {
        return isOpen[idOf(it)] && block.timestamp >= it.timelock;
    }

    /// Whether this account can be paid now.
    function takes(uint256 asset, address account) internal view returns (bool) {
        if (asset == NATIVE) return account != address(payee) || payee.mood() == 0;
        return asset != assets[1] || delivers(MoodyToken(address(uint160(asset))).mood());
    }

    function expect(bool expected, bool success) internal {
        require(success == expected, "not as predicted");
        outcomes[msg.sig][success ? 1 : 0] += 1;
    }

    // ------------------------------------------------------------------------------------------------------------ steps

    function opened(Lock memory it) internal {
        require(!wasMade[idOf(it)], "a lock was made twice");
        isOpen[idOf(it)] = true;
        wasMade[idOf(it)] = true;
        made.push(it);
        newest[it.sender][it.lane] = made.length;
        Lane storage lane = lanes[it.sender][it.lane];
        (lane.last, lane.busy, lane.word) = (it.generation, true, wordOf(it, LOCKED));
        purse[it.asset][it.sender] -= it.amount;
        locked[it.asset] += it.amount;
    }

    function settled(Lock memory it, uint256 outcome) internal {
        require(isOpen[idOf(it)], "a lock settled twice");
        isOpen[idOf(it)] = false;
        Lane storage lane = lanes[it.sender][it.lane];
        (lane.busy, lane.word) = (false, wordOf(it, outcome));
        locked[it.asset] -= it.amount;
        purse[it.asset][outcome == CLAIMED ? it.receiver : it.sender] += it.amount;
    }

    // ----------------------------------------------------------------------------------------------------- comparison

    /// Every lane of every party, and everything that anybody holds of these assets.
    function compare() internal view {
        for (uint256 i; i < actors.length; ++i) {
            for (uint256 lane; lane < LANES; ++lane) {
                require(word(actors[i], lane) == lanes[actors[i]][lane].word, "a lane's word");
            }
        }
        for (uint256 j; j < assets.length; ++j) {
            for (uint256 i; i < actors.length; ++i) {
                require(held(assets[j], actors[i]) == purse[assets[j]][actors[i]], "a party's balance");
            }
        }
        conserved();
    }

    /// Of every asset the contract holds what is locked in it and what it was given uninvited.
    function conserved() internal view {
        for (uint256 j; j < assets.length; ++j) {
            require(held(assets[j], address(htlc)) == locked[assets[j]] + gifts[assets[j]], "conservation");
        }
    }

    function held(uint256 asset, address account) private view returns (uint256) {
        return asset == NATIVE ? account.balance : Holder(address(uint160(asset))).balanceOf(account);
    }
}
