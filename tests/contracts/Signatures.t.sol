// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {MoodyToken} from "./Hostile.sol";
import "./Signed.sol";
import "./Specification.sol";
import {SignedToken} from "testing/Signed.sol";

/// A wallet that is a contract (EIP-1271) and says yes to one digest, in one of several ways.
contract Wallet {
    bytes32 private agreed;
    uint256 private manner;

    function agree(bytes32 digest, uint256 manner_) external {
        (agreed, manner) = (digest, manner_);
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes32) {
        if (manner == 1) revert("no");
        bytes32 yes = bytes32(bytes4(0x1626ba7e));
        if (manner == 2) assembly ("memory-safe") { mstore(0, yes) return(0, 31) } // too short an answer
        if (manner == 6) assembly ("memory-safe") { mstore(0, yes) revert(0, 32) }
        if (manner == 7) assembly ("memory-safe") { mstore(0, yes) return(0, 0) }
        if (manner == 3) while (true) {}
        if (manner == 4) return bytes32(bytes4(0xffffffff));
        if (manner == 5) return bytes32(bytes4(0x1626ba7e)) | bytes32(uint256(1)); // not the value, but its first bytes
        return digest == agreed ? bytes32(bytes4(0x1626ba7e)) : bytes32(0);
    }

    receive() external payable {}
}

/// What parties sign works for exactly what they signed, whoever hands it in.
contract Signatures is Deployed {
    uint256 private constant NOW = 1_000_000;
    uint256 private constant SENDER_KEY = 21;
    uint256 private constant RECEIVER_KEY = 22;
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    address private constant STRANGER = address(0x5714);

    SignedToken private token;

    function setUp() public {
        deployShipped();
        token = new SignedToken();
        vm.warp(NOW);
    }

    function aLock(uint256 seed, bool native) private returns (Lock memory it) {
        it.sender = vm.addr(SENDER_KEY);
        it.receiver = vm.addr(RECEIVER_KEY);
        it.timelock = uint40(NOW + 1 + seed % 1e6);
        it.lane = uint32(seed >> 40);
        it.generation = 1;
        it.amount = 1 + (seed >> 80) % 1e20;
        it.asset = native ? NATIVE : erc20(address(token));
        it.preimage = keccak256(abi.encode(seed));
        it.hashlock = sha256(abi.encode(it.preimage));
        if (native) {
            vm.deal(it.sender, it.amount);
        } else {
            token.mint(it.sender, it.amount);
            vm.prank(it.sender);
            token.approve(address(htlc), it.amount);
        }
    }

    // --------------------------------------------------------------------------------------------------- early refund

    function test_the_receiver_gives_back_until_the_deadline(uint256 seed, bool native, uint256 deadline) public {
        Lock memory it = aLock(seed, native);
        succeed(it.sender, it, lockCall(it));
        if (deadline % 2 == 0) deadline = NOW - 2 + deadline % 5;
        bytes memory signed = signature(RECEIVER_KEY, earlyRefundDigest(address(htlc), block.chainid, it, deadline));
        (bool success, bytes memory result) = observe(STRANGER, it, agreedCall(it, deadline, signed));
        bytes memory reason;
        if (deadline < NOW) reason = abi.encodeWithSelector(IHashedTimelock.SignatureExpired.selector, deadline, NOW);
        answered(reason, then(0, exitEvent(it, REFUNDED)), success, result); // the deadline is inclusive
        refuse(STRANGER, it, agreedCall(it, deadline, signed));
        if (success) refuse(STRANGER, it, claimCall(it));
    }

    /// Another contract, chain, lock, deadline or signer, the signature's twin, a shorter or a longer one: none gives the
    /// lock back.
    function test_nothing_but_this_signature_gives_back(uint256 seed, bool native, uint256 other) public {
        Lock memory it = aLock(seed, native);
        succeed(it.sender, it, lockCall(it));
        uint256 deadline = NOW + 100;
        refuseSigned(it, RECEIVER_KEY, earlyRefundDigest(STRANGER, block.chainid, it, deadline));
        refuseSigned(it, RECEIVER_KEY, earlyRefundDigest(address(htlc), block.chainid + 1, it, deadline));
        refuseSigned(it, RECEIVER_KEY, earlyRefundDigest(address(htlc), block.chainid, it, deadline + 1));
        refuseSigned(it, SENDER_KEY, earlyRefundDigest(address(htlc), block.chainid, it, deadline));
        Lock memory bent = abi.decode(abi.encode(it), (Lock));
        if (other % 6 == 0) bent.amount += 1;
        if (other % 6 == 1) bent.lane ^= 1;
        if (other % 6 == 2) bent.generation += 1;
        if (other % 6 == 3) bent.sender = STRANGER;
        if (other % 6 == 4) bent.hashlock = bytes32(other);
        if (other % 6 == 5) bent.timelock += 1;
        refuseSigned(it, RECEIVER_KEY, earlyRefundDigest(address(htlc), block.chainid, bent, deadline));

        bytes32 digest = earlyRefundDigest(address(htlc), block.chainid, it, deadline);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(RECEIVER_KEY, digest);
        refuse(STRANGER, it, agreedCall(it, deadline, abi.encodePacked(r, bytes32(ORDER - uint256(s)), v ^ 7)));
        refuse(STRANGER, it, agreedCall(it, deadline, abi.encodePacked(r, s)));
        refuse(STRANGER, it, agreedCall(it, deadline, abi.encodePacked(r, s, v, uint8(0))));
        refuse(STRANGER, it, agreedCall(it, deadline, abi.encodePacked(r, s, v - 27)));
        refuse(STRANGER, it, agreedCall(it, deadline, abi.encodePacked(r, bytes32(uint256(s) | uint256(v - 27) << 255))));
        refuse(it.sender, it, agreedCall(it, deadline, ""));
        succeed(STRANGER, it, agreedCall(it, deadline, abi.encodePacked(r, s, v)));
    }

    function refuseSigned(Lock memory it, uint256 key, bytes32 digest) private {
        (bool success, bytes memory result) = observe(STRANGER, it, agreedCall(it, NOW + 100, signature(key, digest)));
        answered(wrongSignature(it.receiver), 0, success, result);
    }

    /// What is recovered from no signature is the zero address, and that is nobody's.
    function test_nobody_signs_for_the_zero_address(uint256 seed, uint8 v) public {
        if (v == 27 || v == 28) v = 0;
        Lock memory it = aLock(seed, false);
        (it.sender, it.asset) = (address(0), erc20(address(new MoodyToken())));
        MoodyToken(tokenOf(it)).mint(it.sender, it.amount);
        bytes memory data = abi.encodeCall(
            IHashedTimelock.lockByAuthorization,
            (it.hashlock, termsOf(it), it.amount, tokenOf(it), it.sender, NOW + 9, v, bytes32(seed), bytes32(uint256(1)))
        );
        (bool success, bytes memory result) = observe(STRANGER, it, data);
        answered(wrongSignature(address(0)), 0, success, result);
        it.receiver = address(0);
        data = agreedCall(it, NOW, abi.encodePacked(bytes32(seed), bytes32(uint256(1)), v));
        (success, result) = observe(STRANGER, it, data);
        answered(wrongSignature(address(0)), 0, success, result);
    }

    /// A wallet's code decides for it, and only a clear yes is one.
    function test_a_wallet_gives_back_by_its_code(uint256 seed, bool native, uint8 manner) public {
        Wallet wallet = new Wallet();
        Lock memory it = aLock(seed, native);
        it.receiver = address(wallet);
        succeed(it.sender, it, lockCall(it));
        wallet.agree(earlyRefundDigest(address(htlc), block.chainid, it, NOW), manner % 8);
        (bool success, bytes memory result) = observe(STRANGER, it, agreedCall(it, NOW, hex"01"));
        bytes memory reason = manner % 8 == 0 ? bytes("") : wrongSignature(it.receiver);
        answered(reason, then(0, exitEvent(it, REFUNDED)), success, result);
        if (!success) return;
        require(word(it.sender, it.lane) == wordOf(it, REFUNDED), "given back");
    }

    /// A wallet's yes to one lock is none to another.
    function test_a_wallets_yes_is_for_one_lock(uint256 seed, uint256 otherSeed, bool native) public {
        Wallet wallet = new Wallet();
        Lock memory it = aLock(seed, native);
        it.receiver = address(wallet);
        succeed(it.sender, it, lockCall(it));
        Lock memory other = aLock(otherSeed, native);
        other.receiver = address(wallet);
        vm.assume(idOf(it) != idOf(other));
        wallet.agree(earlyRefundDigest(address(htlc), block.chainid, other, NOW), 0);
        refuse(STRANGER, it, agreedCall(it, NOW, hex"01"));
    }

    /// An account with code and a key (EIP-7702) signs with its key.
    function test_an_account_with_code_and_a_key_signs_with_its_key(uint256 seed) public {
        Lock memory it = aLock(seed, true);
        succeed(it.sender, it, lockCall(it));
        vm.etch(it.receiver, hex"ef01000000000000000000000000000000000000005714");
        bytes memory signed = signature(RECEIVER_KEY, earlyRefundDigest(address(htlc), block.chainid, it, NOW));
        succeed(STRANGER, it, agreedCall(it, NOW, signed));
    }

    // --------------------------------------------------------------------------------------------------- EIP-2612, 3009

    /// The permit works, whether it is new or somebody handed it in before; and it serves nobody but its owner.
    function test_a_permit_serves_its_owner(uint256 seed, bool handedIn, bool byStranger) public {
        Lock memory it = aLock(seed, false);
        vm.prank(it.sender);
        token.approve(address(htlc), 0);
        uint256 allowance = it.amount + seed % 1_000;
        bytes32 content = keccak256(abi.encode(PERMIT, it.sender, address(htlc), allowance, 0, NOW));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SENDER_KEY, typedDigest(token.DOMAIN_SEPARATOR(), content));
        if (handedIn) token.permit(it.sender, address(htlc), allowance, NOW, v, r, s);
        bytes memory data = abi.encodeCall(
            IHashedTimelock.lockTokenByPermit,
            (it.hashlock, termsOf(it), it.amount, address(token), allowance, NOW, v, r, s)
        );
        if (byStranger) {
            refuse(STRANGER, it, data);
            require(token.balanceOf(it.sender) >= it.amount, "taken");
        } else {
            succeed(it.sender, it, data);
            require(word(it.sender, it.lane) == wordOf(it, LOCKED), "locked");
            refuse(it.sender, it, data);
        }
    }

    /// A token that shows another token's domain moves its own balances; the lane stays shut to it.
    function test_a_signature_for_one_token_opens_no_lane_for_another(uint256 seed) public {
        Lock memory it = aLock(seed, false);
        bytes memory genuine = authorize(it, token.DOMAIN_SEPARATOR());
        MoodyToken impostor = new MoodyToken();
        impostor.pose(token.DOMAIN_SEPARATOR());
        impostor.mint(it.sender, it.amount);
        Lock memory fake = abi.decode(abi.encode(it), (Lock));
        fake.asset = erc20(address(impostor));
        bytes32 signedNonce = authorizationNonce(address(htlc), it);
        refuse(STRANGER, fake, authorized(fake, signedNonce, token.DOMAIN_SEPARATOR()));
        require(word(it.sender, it.lane) == 0, "opened");
        succeed(STRANGER, it, genuine);
    }

    function authorize(Lock memory it, bytes32 domain) private view returns (bytes memory) {
        return authorized(it, authorizationNonce(address(htlc), it), domain);
    }

    function authorized(Lock memory it, bytes32 nonce, bytes32 domain) private view returns (bytes memory) {
        bytes32 content = keccak256(abi.encode(AUTHORIZATION, it.sender, address(htlc), it.amount, 0, NOW + 9, nonce));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SENDER_KEY, typedDigest(domain, content));
        return abi.encodeCall(
            IHashedTimelock.lockByAuthorization,
            (it.hashlock, termsOf(it), it.amount, tokenOf(it), it.sender, NOW + 9, v, r, s)
        );
    }

    // --------------------------------------------------------------------------------------------------------- Permit2

    /// Signed by the sender over all terms, handed in by anybody: these terms, once.
    function test_permit2_locks_what_was_signed(uint256 seed, uint256 how, uint256 nonce) public {
        deployPermit2();
        Lock memory it = aLock(seed, false);
        vm.prank(it.sender);
        token.approve(PERMIT2, type(uint256).max);
        bytes32 digest = permit2Digest(Permit2(PERMIT2).DOMAIN_SEPARATOR(), address(htlc), it, nonce, NOW);
        bytes memory signed = signature(SENDER_KEY, digest);
        Lock memory bent = abi.decode(abi.encode(it), (Lock));
        how %= 8;
        if (how == 0) bent.receiver = STRANGER;
        if (how == 1) bent.hashlock = bytes32(how);
        if (how == 2) bent.timelock += 1;
        if (how == 3) bent.flags = 1;
        if (how == 4) bent.lane ^= 1;
        if (how == 5) bent.amount -= 1;
        if (how == 6) bent.sender = STRANGER;
        if (how != 7) refuse(STRANGER, bent, permitted(bent, nonce, signed));
        succeed(STRANGER, it, permitted(it, nonce, signed));
        require(word(it.sender, it.lane) == wordOf(it, LOCKED) && token.balanceOf(address(htlc)) == it.amount, "locked");
        refuse(STRANGER, it, permitted(it, nonce, signed));
        succeed(STRANGER, it, claimCall(it));
        refuse(STRANGER, it, permitted(it, nonce, signed));
    }

    function test_without_permit2_its_locks_are_refused(uint256 seed) public {
        Lock memory it = aLock(seed, false);
        (bool success, bytes memory reason) = observe(STRANGER, it, permitted(it, 0, ""));
        require(!success && bytes4(reason) == bytes4(keccak256("NoPermit2()")), "NoPermit2");
    }

    function permitted(Lock memory it, uint256 nonce, bytes memory signed) private pure returns (bytes memory) {
        return abi.encodeCall(
            IHashedTimelock.lockByPermit2,
            (it.hashlock, termsOf(it), it.amount, tokenOf(it), it.sender, nonce, NOW, signed)
        );
    }
}
