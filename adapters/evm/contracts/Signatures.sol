// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

// What parties sign, by EIP-712, and how it is checked. Free functions: the contract has no library to link.

bytes32 constant DOMAIN_TYPE = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
);
bytes32 constant NAME_HASH = keccak256("HashedTimelock");
bytes32 constant VERSION_HASH = keccak256("1");
bytes32 constant EARLY_REFUND_TYPE = keccak256(
    "EarlyRefund(address receiver,address sender,uint32 lane,uint16 generation,bytes28 commitment,uint256 deadline)"
);
bytes32 constant AUTHORIZATION_TYPE = keccak256(
    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
);

// The witness that Permit2 puts beside the permitted token and amount; wallets show its fields by name.
bytes32 constant WITNESS_TYPE = keccak256(
    "TokenLock(bytes32 hashlock,address receiver,uint40 timelock,uint8 flags,uint16 generation,uint32 lane)"
);
string constant WITNESS_TYPE_STRING =
    "TokenLock witness)TokenLock(bytes32 hashlock,address receiver,uint40 timelock,uint8 flags,uint16 generation,uint32 lane)TokenPermissions(address token,uint256 amount)";

bytes4 constant ERC1271_MAGIC = 0x1626ba7e;
// Half the order of secp256k1: a signature's s above it has a twin below (EIP-2).
uint256 constant MAX_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

/// Computed at each use rather than stored at creation, so that the code is the same on every chain and a chain that
/// splits has two domains.
function domainSeparator(address verifyingContract) view returns (bytes32) {
    return keccak256(abi.encode(DOMAIN_TYPE, NAME_HASH, VERSION_HASH, block.chainid, verifyingContract));
}

function typedDigest(bytes32 domain, bytes32 structHash) pure returns (bytes32) {
    return keccak256(abi.encodePacked(hex"1901", domain, structHash));
}

/// Whether `signer` made this signature: 65 bytes r, s, v by its key, or whatever its code accepts (EIP-1271). Code does
/// not rule out a key: an account may have both (EIP-7702).
function isSignedBy(address signer, bytes32 digest, bytes calldata signature) view returns (bool) {
    if (signature.length == 65) {
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        if (isSignedByKey(signer, digest, uint8(signature[64]), r, s)) return true;
    }
    if (signer.code.length == 0) return false;
    (bool success, bytes memory answer) =
        signer.staticcall(abi.encodeWithSelector(ERC1271_MAGIC, digest, signature));
    return success && answer.length >= 32 && abi.decode(answer, (bytes32)) == bytes32(ERC1271_MAGIC);
}

function isSignedByKey(address signer, bytes32 digest, uint8 v, bytes32 r, bytes32 s) pure returns (bool) {
    return uint256(s) <= MAX_S && signer != address(0) && ecrecover(digest, v, r, s) == signer;
}
