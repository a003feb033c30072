// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import "./Specification.sol";
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
        // One lane is about to wrap.
        uint256 old = uint256(keccak256("an old lock")) >> 32 << 32 | 65_533 << 16 | REFUNDED;
        lanes[actors[0]][LANES - 1] = Lane(65_533, old);
        vm.store(address(htlc), bytes32(uint256(uint160(actors[0])) << 96 | LANES - 1), bytes32(old));
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

    function storedOf(Lock memory it) internal view returns (uint256) {
        return lanes[it.sender][it.lane].word;
    }

    /// What the contract has to say against this lock now; nothing if it has to take it.
    function againstLock(Lock memory it) internal view returns (bytes memory) {
        return refusalOfLock(it, storedOf(it), block.timestamp, address(htlc));
    }

    function beforePayment(Lock memory it, uint256 outcome) internal view returns (bytes memory) {
        return outcome == CLAIMED
            ? refusalOfClaim(it, storedOf(it), block.timestamp)
            : refusalOfRefund(it, storedOf(it), block.timestamp);
    }

    /// Against a claim or a refund, its payment included.
    function againstExit(Lock memory it, uint256 outcome) internal view returns (bytes memory reason) {
        reason = beforePayment(it, outcome);
        if (reason.length == 0) reason = againstPayment(it.asset, payeeOf(it, outcome));
    }

    function againstPayment(uint256 asset, address payee_) internal view returns (bytes memory) {
        return takes(asset, payee_) ? bytes("") : refusalOfPayment(asset, payee_);
    }

    function payeeOf(Lock memory it, uint256 outcome) internal pure returns (address) {
        return outcome == CLAIMED ? it.receiver : it.sender;
    }

    /// Of a lock that the contract has to say nothing against: what the token's mood brings.
    function againstPull(Lock memory it, Mood mood) internal view returns (bytes memory) {
        if (it.asset != assets[1] || delivers(mood)) return "";
        if (mood == Mood.TAXES) return notExact(it.amount - it.amount / 100 - 1, it.amount);
        if (mood == Mood.LIES) return notExact(0, it.amount);
        if (mood == Mood.REBASES) return notExact(held(it.asset, address(htlc)) + it.amount * 2 + 1, it.amount);
        return refusalOfPayment(it.asset, address(0));
    }

    /// Whether this account can be paid now.
    function takes(uint256 asset, address account) internal view returns (bool) {
        if (asset == NATIVE) return account != address(payee) || payee.mood() == 0;
        return asset != assets[1] || delivers(MoodyToken(address(uint160(asset))).mood());
    }

    function expect(bytes memory reason, bytes32 said, bool success, bytes memory result) internal {
        answered(reason, said, success, result);
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
        (lane.last, lane.word) = (it.generation, wordOf(it, LOCKED));
        purse[it.asset][it.sender] -= it.amount;
        locked[it.asset] += it.amount;
    }

    function settled(Lock memory it, uint256 outcome) internal {
        require(isOpen[idOf(it)], "a lock settled twice");
        isOpen[idOf(it)] = false;
        lanes[it.sender][it.lane].word = wordOf(it, outcome);
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

    function held(uint256 asset, address account) internal view returns (uint256) {
        return asset == NATIVE ? account.balance : Holder(address(uint160(asset))).balanceOf(account);
    }
}
