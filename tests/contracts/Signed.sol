// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";

// What a sender signs for a token lock, written out a second time.

bytes32 constant AUTHORIZATION = keccak256(
    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
);
bytes32 constant PERMIT = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
bytes32 constant TOKEN_PERMISSIONS = keccak256("TokenPermissions(address token,uint256 amount)");
bytes32 constant TOKEN_LOCK = keccak256(
    "TokenLock(bytes32 hashlock,address receiver,uint40 timelock,uint8 flags,uint16 generation,uint32 lane)"
);
bytes32 constant PERMIT_TOKEN_LOCK = keccak256(
    "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,TokenLock witness)TokenLock(bytes32 hashlock,address receiver,uint40 timelock,uint8 flags,uint16 generation,uint32 lane)TokenPermissions(address token,uint256 amount)"
);

function typedDigest(bytes32 domain, bytes32 content) pure returns (bytes32) {
    return keccak256(abi.encodePacked(hex"1901", domain, content));
}

function authorizationNonce(address htlc, Lock memory it) view returns (bytes32) {
    return keccak256(abi.encode(block.chainid, htlc, it.hashlock, termsOf(it), it.sender, it.amount, it.asset));
}

function witnessOf(Lock memory it) pure returns (bytes32) {
    return keccak256(
        abi.encode(TOKEN_LOCK, it.hashlock, it.receiver, it.timelock, it.flags, it.generation, it.lane)
    );
}

function permit2Digest(bytes32 domain, address htlc, Lock memory it, uint256 nonce, uint256 deadline)
    pure
    returns (bytes32)
{
    bytes32 permitted = keccak256(abi.encode(TOKEN_PERMISSIONS, tokenOf(it), it.amount));
    return typedDigest(
        domain, keccak256(abi.encode(PERMIT_TOKEN_LOCK, permitted, htlc, nonce, deadline, witnessOf(it)))
    );
}
