// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

// Calls to ERC-20 tokens that trust nothing they return. Assembly: Solidity copies whatever a token returns, at the
// caller's cost, and reverts on tokens that return nothing.

error TokenCallFailed(address token);
error TokenAmountNotExact(uint256 received, uint256 expected);
error NotFungible(address token);

function transferToken(address token, address to, uint256 amount) {
    if (!triesTransfer(token, to, amount)) revert TokenCallFailed(token);
}

/// Whether the token agreed to transfer(to, amount).
function triesTransfer(address token, address to, uint256 amount) returns (bool) {
    bool success;
    assembly ("memory-safe") {
        let free := mload(0x40)
        mstore(free, shl(224, 0xa9059cbb))
        mstore(add(free, 0x04), to)
        mstore(add(free, 0x24), amount)
        success := call(gas(), token, 0, free, 0x44, 0, 0x20)
    }
    return agreed(success);
}

/// Takes `amount` from `from`, and refuses a token that delivers anything else. In one piece of assembly with one branch:
/// 250 gas less than from the functions below.
function pullToken(address token, address from, uint256 amount) {
    uint256 before;
    uint256 held;
    bool called;
    bool exact;
    assembly ("memory-safe") {
        let free := mload(0x40)
        mstore(0, shl(224, 0x70a08231)) // balanceOf(this), twice
        mstore(0x04, address())
        called := staticcall(gas(), token, 0, 0x24, free, 0x20)
        called := and(called, gt(returndatasize(), 0x1f))
        before := mload(free)

        mstore(free, shl(224, 0x23b872dd)) // transferFrom(from, this, amount)
        mstore(add(free, 0x04), from)
        mstore(add(free, 0x24), address())
        mstore(add(free, 0x44), amount)
        called := and(called, call(gas(), token, 0, free, 0x64, free, 0x20))
        called := and(called, or(iszero(returndatasize()), and(gt(returndatasize(), 0x1f), eq(mload(free), 1))))

        called := and(called, staticcall(gas(), token, 0, 0x24, free, 0x20))
        called := and(called, gt(returndatasize(), 0x1f))
        held := mload(free)
        exact := and(called, and(eq(sub(held, before), amount), iszero(lt(held, before))))
    }
    if (!exact) {
        if (!called) revert TokenCallFailed(token);
        revert TokenAmountNotExact(held < before ? 0 : held - before, amount);
    }
}

/// Of a pull of 1: item 1 of an ERC-721 comes by `transferFrom` as well, and raises the balance by one as well, but could
/// never leave by `transfer`. Refuses a token that says it is an ERC-721 (ERC-165, which grants 30,000 gas for the
/// question), and one that does not let this contract transfer what it has just got to itself (`self`), or counts it wrongly then.
function requireFungible(address token, address self) {
    bool items;
    assembly ("memory-safe") {
        mstore(0, shl(224, 0x01ffc9a7)) // supportsInterface(0x80ac58cd)
        mstore(0x04, shl(224, 0x80ac58cd))
        items := staticcall(30000, token, 0, 0x24, 0, 0x20)
        items := and(items, and(gt(returndatasize(), 0x1f), iszero(iszero(mload(0)))))
    }
    uint256 held = heldOf(token);
    if (items || !triesTransfer(token, self, 1) || heldOf(token) != held) revert NotFungible(token);
}

/// Whether the token call just made succeeded and returned true or nothing at all; its result word is at 0. That the
/// token has code is known: heldOf got a word from it before it was ever locked.
function agreed(bool success) pure returns (bool yes) {
    assembly ("memory-safe") {
        yes := and(success, or(iszero(returndatasize()), and(gt(returndatasize(), 0x1f), eq(mload(0), 1))))
    }
}

/// How much of the token this contract holds, by what the token says.
function heldOf(address token) view returns (uint256 amount) {
    bool success;
    assembly ("memory-safe") {
        mstore(0, shl(224, 0x70a08231))
        mstore(0x04, address())
        success := staticcall(gas(), token, 0, 0x24, 0, 0x20)
        success := and(success, gt(returndatasize(), 0x1f))
        amount := mload(0)
    }
    if (!success) revert TokenCallFailed(token);
}

/// The domain that an EIP-3009 token checks signatures in.
function domainOf(address token) view returns (bytes32 domain) {
    bool success;
    assembly ("memory-safe") {
        mstore(0, shl(224, 0x3644e515)) // DOMAIN_SEPARATOR()
        success := staticcall(gas(), token, 0, 0x04, 0, 0x20)
        success := and(success, gt(returndatasize(), 0x1f))
        domain := mload(0)
    }
    if (!success) revert TokenCallFailed(token);
}
