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

address constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;
bytes32 constant PERMIT2_SALT = 0x0000000000000000000000000000000000000000d3af2663da51c10215000000;

interface Permit2 {
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}

/// The real code: its address is the hash of it.
function deployPermit2() {
    address proxy = address(0x4e59b44847b379578588920cA78FbF26c0B4956C);
    vm.etch(proxy, hex"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3");
    bytes memory code =
        vm.readFileBinary("../../node_modules/hardhat-predeploy/bin/0x000000000022D473030F116dDEE9F6B43aC78BA3.bytecode");
    (bool success,) = proxy.call(abi.encodePacked(PERMIT2_SALT, code));
    require(success && PERMIT2.code.length > 9_000, "not the code that has this address");
}

/// The call that hands in an authorization by `key`, good for one second.
function authorizedCall(address htlc, Lock memory it, bytes32 domain, uint256 key) view returns (bytes memory) {
    uint256 until = block.timestamp + 1;
    bytes32 nonce = authorizationNonce(htlc, it);
    bytes32 content = keccak256(abi.encode(AUTHORIZATION, it.sender, htlc, it.amount, 0, until, nonce));
    (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, typedDigest(domain, content));
    return abi.encodeCall(
        IHashedTimelock.lockByAuthorization, (it.hashlock, termsOf(it), it.amount, tokenOf(it), it.sender, until, v, r, s)
    );
}

/// The call that hands in a transfer by Permit2, signed by `key` and good in this second.
function permit2Call(address htlc, Lock memory it, uint256 nonce, uint256 key) view returns (bytes memory) {
    bytes32 digest = permit2Digest(Permit2(PERMIT2).DOMAIN_SEPARATOR(), htlc, it, nonce, block.timestamp);
    return abi.encodeCall(
        IHashedTimelock.lockByPermit2,
        (it.hashlock, termsOf(it), it.amount, tokenOf(it), it.sender, nonce, block.timestamp, signature(key, digest))
    );
}
