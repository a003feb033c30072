// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

struct NewLock {
    bytes32 hashlock;
    uint256 terms;
    uint256 amount;
}

/// Of a claim: its preimage; of a refund: its hashlock.
struct Exit {
    bytes32 opening;
    uint256 terms;
    address sender;
    uint256 amount;
}

/// The contract as its callers know it, written out a second time: the tests run the committed bytecode and compile
/// nothing of the contract's own sources.
interface IHashedTimelock {
    function lock(bytes32 hashlock, uint256 terms) external payable;
    function lockToken(bytes32 hashlock, uint256 terms, uint256 amount, address token) external;
    function claim(bytes32 preimage, uint256 terms, address sender, uint256 amount) external;
    function claimToken(bytes32 preimage, uint256 terms, address sender, uint256 amount, address token) external;
    function refund(bytes32 hashlock, uint256 terms, address sender, uint256 amount) external;
    function refundToken(bytes32 hashlock, uint256 terms, address sender, uint256 amount, address token) external;
    function refundAgreed(
        bytes32 hashlock,
        uint256 terms,
        address sender,
        uint256 amount,
        uint256 asset,
        uint256 deadline,
        bytes calldata signature
    ) external;
    function laneWord(address sender, uint32 lane) external view returns (uint256);
    function lockTokenByPermit(
        bytes32 hashlock,
        uint256 terms,
        uint256 amount,
        address token,
        uint256 allowance,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
    function lockByAuthorization(
        bytes32 hashlock,
        uint256 terms,
        uint256 amount,
        address token,
        address sender,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
    function lockByPermit2(
        bytes32 hashlock,
        uint256 terms,
        uint256 amount,
        address token,
        address sender,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external;
    function bulkLock(bool each, NewLock[] calldata locks, uint256 asset) external payable;
    function bulkClaim(bool each, Exit[] calldata claims, uint256 asset) external;
    function bulkRefund(bool each, Exit[] calldata refunds, uint256 asset) external;
    function settleStrangers(bytes[] calldata calls, uint256 gasEach) external;

    error AmountIsZero();
    error ReceiverIsZero();
    error ReceiverIsThisContract();
    error UnknownFlags(uint256 flags);
    error UnknownAsset(uint256 asset);
    error TimelockNotInFuture(uint256 timelock, uint256 timestamp);
    error LaneBusy(uint256 lane);
    error WrongGeneration(uint256 named, uint256 expected);
    error NotLocked(uint256 generation, uint256 status);
    error WrongTermsOrPreimage();
    error ClaimTooLate(uint256 timelock, uint256 timestamp);
    error RefundTooEarly(uint256 timelock, uint256 timestamp);
    error PaymentRefused(address payee);
    error Reentered();
    error ValueNotExact(uint256 sent, uint256 expected);
    error SignatureExpired(uint256 deadline, uint256 timestamp);
    error WrongSignature(address signer);
    error NoPermit2();
    error NotASettlement(bytes4 selector);
    error OutOfGas();
    error TokenCallFailed(address token);
    error TokenAmountNotExact(uint256 received, uint256 expected);
    error NotFungible(address token);
}
