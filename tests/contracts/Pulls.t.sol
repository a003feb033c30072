// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import "./Base.sol";
import {HungryToken, Items, Mood, MoodyToken, delivers} from "./Hostile.sol";
import {Paths} from "./Paths.sol";
import "./Specification.sol";

/// Tokens that deliver, answer or call back as they should not, for every path by which a lock takes tokens.
contract Pulls is Paths {
    function setUp() public {
        populate();
    }

    function tokenPath(uint256 which) private pure returns (Path) {
        return Path(2 + which % 5);
    }

    function refuseWith(Path path, Lock memory it, bytes memory reason) private {
        uint256 before = held(it, address(htlc));
        uint256 stored = word(it.sender, it.lane);
        (bool success, bytes memory result) = handIn(path, it);
        answered(reason, 0, success, result);
        require(held(it, address(htlc)) == before && word(it.sender, it.lane) == stored, "half");
    }

    function acceptAndPay(Path path, Lock memory it) private {
        (bool success, bytes memory result) = handIn(path, it);
        answered("", then(0, lockedEvent(it)), success, result);
        succeed(STRANGER, it, claimCall(it));
        require(held(it, it.receiver) == it.amount, "not paid");
    }

    // ------------------------------------------------------------------------------------------------ what is delivered

    /// What a token in this mood brings, by this path.
    function against(Path path, Mood mood, Lock memory it) private view returns (bytes memory) {
        bool askedByPermit2 = path == Path.PERMIT2;
        bool answerCounts = path != Path.AUTHORIZATION; // EIP-3009 has none
        if (delivers(mood) || (mood == Mood.MISSPEAKS && !answerCounts)) return "";
        if (mood == Mood.TAXES) return notExact(it.amount - it.amount / 100 - 1, it.amount);
        if (mood == Mood.LIES || (mood == Mood.DENIES && !answerCounts)) return notExact(0, it.amount);
        if (mood == Mood.REBASES) return notExact(held(it, address(htlc)) + it.amount * 2 + 1, it.amount);
        if (askedByPermit2) return abi.encodeWithSignature("Error(string)", "TRANSFER_FROM_FAILED");
        return refusalOfPayment(it.asset, address(0));
    }

    function test_exact_or_refused_by_every_path(uint256 seed, uint8 which, uint8 mood, uint64 others) public {
        Path path = tokenPath(which);
        Lock memory it = plain(seed, false);
        token.mint(address(htlc), others);
        token.set(Mood(mood % 9));
        bytes memory reason = against(path, Mood(mood % 9), it);
        if (reason.length != 0) {
            refuseWith(path, it, reason);
            return;
        }
        (bool success, bytes memory result) = handIn(path, it);
        answered("", then(0, lockedEvent(it)), success, result);
        require(token.balanceOf(address(htlc)) == it.amount + others, "delivered");
    }

    /// A balance that falls, and an amount that arithmetic which wraps would take the fall for.
    function test_a_balance_that_falls_is_no_delivery(uint256 seed, uint8 which, uint8 fall) public {
        Lock memory it = plain(seed, false);
        it.amount = type(uint256).max - fall;
        token.mint(address(htlc), 1_000);
        token.set(Mood.WRAPS);
        refuseWith(tokenPath(which), it, notExact(0, it.amount));
    }

    // --------------------------------------------------------------------------------------------------- calls from within

    /// The lock that a token makes from within a pull: its own, or one that was signed.
    function inner(uint256 seed, Path path) private returns (Lock memory it) {
        it = plain(uint256(keccak256(abi.encode(seed))), false);
        if (path != Path.AUTHORIZATION && path != Path.PERMIT2) it.sender = address(token);
        token.mint(it.sender, it.amount);
    }

    /// The token delivers nothing for the outer lock, and as much by a lock of its own within: counted once, not twice.
    function test_one_delivery_is_not_counted_for_two_locks(uint256 seed, uint8 outside, uint8 inside) public {
        Lock memory it = plain(seed, false);
        Lock memory within = inner(seed, tokenPath(inside));
        within.amount = it.amount;
        token.mint(within.sender, it.amount);
        token.set(Mood.LEAVES_IT);
        token.arm(address(htlc), handInCall(tokenPath(inside), within));
        refuseWith(tokenPath(outside), it, abi.encodeWithSelector(IHashedTimelock.Reentered.selector));
        require(word(within.sender, within.lane) == 0, "the inner lock");
    }

    /// Both deliver: the outer one then sees both deliveries.
    function test_two_deliveries_are_not_counted_for_one_lock(uint256 seed, uint8 outside, uint8 inside) public {
        Lock memory it = plain(seed, false);
        Lock memory within = inner(seed, tokenPath(inside));
        token.arm(address(htlc), handInCall(tokenPath(inside), within));
        refuseWith(tokenPath(outside), it, notExact(it.amount + within.amount, it.amount));
        require(word(within.sender, within.lane) == 0, "the inner lock");
    }

    /// An inner lock that is refused leaves the outer one alone, and so does a pull that is over.
    function test_a_refused_inner_lock_disturbs_no_pull(uint256 seed, uint8 outside, uint8 inside) public {
        Lock memory it = plain(seed, false);
        Lock memory within = inner(seed, tokenPath(inside));
        within.generation = 2;
        token.arm(address(htlc), handInCall(tokenPath(inside), within));
        acceptAndPay(tokenPath(outside), it);
        it.generation = 2;
        (bool success,) = handIn(tokenPath(inside), it);
        require(success, "a second pull");
    }

    // --------------------------------------------------------------------------------------------------- what it answers

    /// Of 1 to 31 bytes, even where what lay in memory before makes it a yes; and a refusal is none, whatever it says.
    function test_a_short_answer_is_no_yes(uint256 seed, uint8 size, bool fails) public {
        Lock memory it = plain(seed, false);
        it.sender = address(0x1111111111111111111111111111110111111111); // its byte under a short answer is 1
        while (it.hashlock & bytes32(uint256(0xff)) != bytes32(uint256(1))) {
            it.preimage = keccak256(abi.encode(it.preimage));
            it.hashlock = sha256(abi.encode(it.preimage)); // this one's, under a claim
        }
        token.mint(it.sender, it.amount);
        uint16 size_ = fails ? 32 : size % 2 == 0 ? 31 : 1 + size % 31;
        bytes memory reason = refusalOfPayment(it.asset, address(0));
        token.have(MoodyToken.transferFrom.selector, fails, size_, fails ? 1 : 0);
        refuseWith(Path.LOCK_TOKEN, it, reason);
        token.have(MoodyToken.transferFrom.selector, false, 32, 1);
        succeed(it.sender, it, lockCall(it));
        token.have(MoodyToken.transfer.selector, fails, size_, fails ? 1 : 0);
        (bool success, bytes memory result) = observe(STRANGER, it, claimCall(it));
        answered(reason, 0, success, result);
        vm.warp(it.timelock);
        (success, result) = observe(STRANGER, it, refundCall(it));
        answered(reason, 0, success, result);
    }

    function test_a_balance_is_a_whole_word(uint256 seed, uint8 which, uint8 size, bool fails) public {
        Lock memory it = plain(seed, false);
        bytes memory data = handInCall(tokenPath(which), it);
        token.have(MoodyToken.balanceOf.selector, fails, fails ? 32 : size % 32, 5);
        (bool success, bytes memory result) = observe(it.sender, it, data);
        answered(refusalOfPayment(it.asset, address(0)), 0, success, result);
    }

    function test_balances_before_and_after_are_whole_words(uint256 seed, uint8 which, uint8 size, bool fades) public {
        Lock memory it = plain(seed, false);
        token.set(fades ? Mood.FADES : Mood.RECOVERS);
        if (!fades) token.have(MoodyToken.balanceOf.selector, false, size % 32, 0);
        bytes memory data = handInCall(tokenPath(which), it);
        (bool success, bytes memory result) = observe(it.sender, it, data);
        answered(refusalOfPayment(it.asset, address(0)), 0, success, result);
    }

    function test_a_domain_is_a_whole_word(uint256 seed, uint8 size, bool fails) public {
        Lock memory it = plain(seed, false);
        token.have(MoodyToken.DOMAIN_SEPARATOR.selector, fails, fails ? 32 : size % 32, uint256(keccak256("d")));
        refuseWith(Path.AUTHORIZATION, it, refusalOfPayment(it.asset, address(0)));
    }

    /// Accounts without code, the contract itself, and precompiles that answer.
    function test_what_is_no_contract_is_no_token(uint256 seed, uint8 which, uint8 precompile) public {
        Lock memory it = plain(seed, false);
        it.asset = erc20(precompile % 3 == 0 ? STRANGER : precompile % 3 == 1 ? address(htlc) : address(uint160(precompile)));
        if (which % 2 == 0) it.amount = 36;
        Path path = which % 3 == 0 ? Path.LOCK_TOKEN : which % 3 == 1 ? Path.PERMIT : Path.BULK_LOCK_TOKEN;
        (bool success,) = handIn(path, it);
        require(!success && word(it.sender, it.lane) == 0, "no token");
    }

    // --------------------------------------------------------------------------------------------------- what is fungible

    function one(uint256 seed, address of_) private view returns (Lock memory it) {
        it = plain(seed, false);
        (it.amount, it.asset) = (1, erc20(of_));
    }

    function notFungible(Lock memory it) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IHashedTimelock.NotFungible.selector, tokenOf(it));
    }

    /// One that does not know `transfer` could never leave; one that says it is an ERC-721 is believed.
    function test_an_item_of_an_erc721_is_no_unit_of_a_token(uint256 seed, uint8 which, uint8 make) public {
        Path path = tokenPath(which);
        Items items = new Items(make % 3 != 0, make % 3 == 2);
        Lock memory it = one(seed, address(items));
        items.mint(it.sender, 1);
        refuseWith(path, it, notFungible(it));
        require(items.ownerOf(1) == it.sender, "taken");
        items.mint(it.sender, 7);
        it.amount = 7; // any other number is refused, as it is no delivery of so much
        refuseWith(path, it, notExact(1, 7));
    }

    /// Of a token that counts wrongly what an account pays itself, one unit is refused; any other amount does not come to it.
    function test_a_unit_that_counts_wrongly_is_refused(uint256 seed, uint8 which, bool grows, uint64 others) public {
        Lock memory it = one(seed, address(token));
        token.mint(address(htlc), others);
        token.set(grows ? Mood.GROWS : Mood.SHRINKS);
        refuseWith(tokenPath(which), it, notFungible(it));
        it.amount = 2;
        acceptAndPay(tokenPath(which), it);
    }

    /// One unit of a real token is taken and paid, whatever it answers to a question that it does not know.
    function test_one_unit_of_a_token_is_locked_and_paid(uint256 seed, uint8 which, uint8 kind) public {
        given = 300_000; // of which no question may burn the most
        MoodyToken made = kind % 5 == 0 ? new HungryToken() : new MoodyToken();
        bytes4 selector = MoodyToken.supportsInterface.selector;
        if (kind % 5 == 1) made.have(selector, false, 32, 0);
        if (kind % 5 == 2) made.have(selector, false, uint16(seed % 32), type(uint256).max);
        if (kind % 5 == 3) made.have(selector, true, 32, 1);
        Lock memory it = one(seed, address(made));
        made.mint(it.sender, 1);
        acceptAndPay(tokenPath(which), it);
    }

    // ------------------------------------------------------------------------------------------------ what a batch takes

    function batch(Lock memory it, uint256 asset, uint256 value) private returns (bool success, bytes memory result) {
        NewLock[] memory items = new NewLock[](1);
        items[0] = newLockItem(it);
        vm.recordLogs();
        vm.prank(it.sender);
        return address(htlc).call{value: value}(abi.encodeCall(IHashedTimelock.bulkLock, (it.lane & 1 == 0, items, asset)));
    }

    function test_a_batch_is_of_a_known_kind(uint256 seed, uint256 asset, uint96 value, bool small) public {
        if (small) asset = uint160(asset);
        vm.assume(asset != NATIVE && asset >> 160 != 1);
        Lock memory it = plain(seed, false);
        (bool success, bytes memory result) = batch(it, asset, value);
        answered(abi.encodeWithSelector(IHashedTimelock.UnknownAsset.selector, asset), 0, success, result);
    }

    function test_a_batch_has_the_value_of_its_sum(uint256 seed, uint96 value, uint8 how, bool native_) public {
        Lock memory it = plain(seed, native_);
        uint256 due = native_ ? it.amount : 0;
        uint256 sent = how % 4 == 0 ? due : how % 4 == 1 ? due + 1 : how % 4 == 2 && due > 0 ? due - 1 : value;
        (bool success, bytes memory result) = batch(it, it.asset, sent);
        bytes memory reason;
        if (sent != due) reason = abi.encodeWithSelector(IHashedTimelock.ValueNotExact.selector, sent, due);
        answered(reason, then(0, lockedEvent(it)), success, result);
    }

    /// Two amounts that are one wei together, to arithmetic that wraps.
    function test_the_sum_of_a_batch_does_not_wrap(uint256 seed, uint8 small, bool native_) public {
        Lock[2] memory locks = [plain(seed, native_), plain(seed, native_)];
        (locks[0].amount, locks[1].amount) = (type(uint256).max - small, uint256(small) + 2);
        locks[1].lane ^= 1;
        NewLock[] memory items = new NewLock[](2);
        (items[0], items[1]) = (newLockItem(locks[0]), newLockItem(locks[1]));
        vm.prank(locks[0].sender);
        (bool success, bytes memory result) = address(htlc).call{value: native_ ? 1 : 0}(
            abi.encodeCall(IHashedTimelock.bulkLock, (false, items, locks[0].asset))
        );
        require(!success && keccak256(result) == keccak256(abi.encodeWithSignature("Panic(uint256)", 0x11)), "wrapped");
    }
}
