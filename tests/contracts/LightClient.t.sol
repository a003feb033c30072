// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {vm} from "./Base.sol";
import {Block, Consortium, Validator} from "./Consortium.sol";
import {Commit, Header, IConsortiumLightClient, Key, Signature, Trust} from "./ILightClient.sol";

/// Headers of a chain that signs as the specification says, right ones and every kind of wrong one.
contract LightClient is Consortium {
    uint256 private constant ALL = type(uint256).max;
    Validator[] private four;
    bytes32 private fourHash;

    function setUp() public {
        Validator[] memory validators = validatorsNamed("validator", 4, 10);
        for (uint256 i; i < 4; ++i) {
            four.push(validators[i]);
        }
        fourHash = setHashOf(validators);
        begin(at(5), validators);
    }

    /// A block of the chain, with the four before and after it.
    function at(uint64 height) private view returns (Block memory) {
        uint64 time = uint64((START + height) * SECOND + height);
        return Block(height, time, fourHash, fourHash, keccak256(abi.encode("state", height)), 0, 1);
    }

    function later(uint64 height) private returns (Block memory it) {
        it = at(height);
        vm.warp(it.time / SECOND + 1);
    }

    function refused(bytes memory reason, Block memory it, Validator[] memory validators, uint256 signers) private {
        refusedWith(reason, headerOf(it), commitOf(it, validators, signers));
    }

    function untrusted(Block memory it) private pure returns (bytes memory) {
        return abi.encodeWithSelector(
            IConsortiumLightClient.UntrustedValidators.selector, it.validatorsHash, it.height
        );
    }

    function coded(bytes4 selector, uint256 value) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, value);
    }

    // ------------------------------------------------------------------------------------------- what is accepted

    function test_the_anchor_is_the_trusted_headers_hash() public view {
        require(client.anchor() == hashOf(at(5)), "another hash");
        (uint64 height, uint64 time, bool frozen) = client.newest();
        require(height == 5 && time == at(5).time && !frozen, "another newest");
        require(client.appHashAt(5) == at(5).appHash, "another app hash");
        require(client.trustingPeriodS() == PERIOD_S && client.maxClockDriftS() == DRIFT_S, "other periods");
    }

    /// Liveness and safety at once: any set, powers, round, number of parts and time, and who signs decides.
    function test_more_than_two_thirds_of_the_power_decide(
        uint64[5] memory powers,
        uint256 signers,
        uint32 round,
        uint32 parts,
        uint64 height,
        uint64 nanos
    ) public {
        Validator[] memory validators = validatorsNamed("any", 5, 0);
        (uint256 signed, uint256 total) = (0, 0);
        for (uint256 i; i < 5; ++i) {
            // From 1 to 2^59: consensus sums fit 63 bits.
            validators[i].power = powers[i] >> 4 | 1;
            total += validators[i].power;
            if (signers >> i & 1 == 1) signed += validators[i].power;
        }
        bytes32 set = setHashOf(validators);
        Block memory first = at(5);
        (first.validatorsHash, first.nextValidatorsHash) = (keccak256("unknown"), set);
        begin(first, validators);
        Block memory it = Block(6 + height % (1 << 60), 0, set, set, keccak256("state"), round, parts);
        if (parts == 0) it.partsTotal = 1;
        it.time = first.time + 1 + nanos % uint64(10 * SECOND);
        require(accepted(it, validators, signers) == (3 * signed > 2 * total), "not by the power");
    }

    function test_exactly_two_thirds_are_refused() public {
        Validator[] memory three = validatorsNamed("three", 3, 7);
        Block memory first = at(5);
        first.nextValidatorsHash = setHashOf(three);
        begin(first, three);
        Block memory it = later(6);
        (it.validatorsHash, it.nextValidatorsHash) = (first.nextValidatorsHash, first.nextValidatorsHash);
        bytes memory reason = abi.encodeWithSelector(IConsortiumLightClient.NotEnoughPower.selector, 14, 21);
        refused(reason, it, three, 3);
        refused(reason, it, three, 6);
        proven(it, three);
        require(client.appHashAt(6) == it.appHash, "not kept");
    }

    function test_every_chain_id_of_1_to_50_bytes_is_served(uint256 size, bytes32 first, bytes32 second) public {
        bytes memory name = bytes.concat(first, second);
        size = 1 + size % 50;
        assembly ("memory-safe") {
            mstore(name, size)
        }
        chainId = string(name);
        Block memory trusted = at(5);
        begin(trusted, four);
        require(client.anchor() == hashOf(trusted), "another hash");
        proven(later(6), four);
    }

    function test_times_with_and_without_nanoseconds_are_proven(uint8 kind) public {
        Block memory it = later(100);
        it.time = uint64((START + 100) * SECOND + [0, 1, 999_999_999, 128, 127, 16_384][kind % 6]);
        proven(it, four);
        (uint64 height, uint64 time,) = client.newest();
        require(height == 100 && time == it.time, "another newest");
    }

    function test_heights_in_any_order_are_proven() public {
        Block memory it = later(1_000);
        proven(it, four);
        proven(at(6), four);
        proven(at(300), four);
        require(client.appHashAt(6) == at(6).appHash && client.appHashAt(300) == at(300).appHash, "not kept");
        (uint64 height,,) = client.newest();
        require(height == 1_000, "an older header is the newest");
    }

    function test_a_known_header_changes_nothing() public {
        Block memory it = later(6);
        proven(it, four);
        Commit memory empty;
        (bool success,) = update(headerOf(it), empty);
        require(success, "refused");
        it.appHash = keccak256("another");
        refused(coded(IConsortiumLightClient.ConflictingHeader.selector, 6), it, four, ALL);
    }

    // -------------------------------------------------------------------------------------------------- signatures

    function test_a_validator_counts_once() public {
        Block memory it = later(6);
        Commit memory commit = commitOf(it, four, 3);
        Signature[] memory thrice = new Signature[](3);
        (thrice[0], thrice[1], thrice[2]) = (commit.signatures[0], commit.signatures[1], commit.signatures[1]);
        commit.signatures = thrice;
        refusedWith(coded(IConsortiumLightClient.PlaceOutOfOrder.selector, 1), headerOf(it), commit);
        (thrice[1], thrice[2]) = (commit.signatures[0], commit.signatures[1]);
        refusedWith(coded(IConsortiumLightClient.PlaceOutOfOrder.selector, 0), headerOf(it), commit);
    }

    function test_foreign_signatures_are_refused() public {
        Block memory it = later(6);
        Commit memory commit = commitOf(it, four, ALL);
        Validator memory foreign = Validator(777, 10);
        commit.signatures[2] = signatureOf(it, foreign, 2, 2);
        refusedWith(coded(IConsortiumLightClient.WrongSignature.selector, 2), headerOf(it), commit);
        commit.signatures[2] = signatureOf(it, four[1], 2, 2);
        refusedWith(coded(IConsortiumLightClient.WrongSignature.selector, 2), headerOf(it), commit);
        commit.signatures[2] = signatureOf(it, four[2], 4, 2);
        refusedWith(coded(IConsortiumLightClient.PlaceOutOfOrder.selector, 4), headerOf(it), commit);
        commit.signatures[2] = signatureOf(it, four[2], 2, 2);
        (bool success,) = update(headerOf(it), commit);
        require(success, "refused");
    }

    function test_no_other_form_of_a_signature_is_taken() public {
        Block memory it = later(6);
        Commit memory commit = commitOf(it, four, ALL);
        bytes memory stamp = stampOf(it, 3);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(four[3].secret, keccak256(voteFor(it, 2, stamp)));
        // The twin of a low s: in vs is room for hardly any, and those are refused by their height.
        commit.signatures[3] = packed(3, stamp, 55 - v, r, (ORDER - uint256(s)) & ~(uint256(1) << 255));
        refusedWith(coded(IConsortiumLightClient.WrongSignature.selector, 3), headerOf(it), commit);
        commit.signatures[3] = packed(3, stamp, v, bytes32(0), uint256(s));
        refusedWith(coded(IConsortiumLightClient.WrongSignature.selector, 3), headerOf(it), commit);
        commit.signatures[3] = packed(3, stamp, 55 - v, r, uint256(s));
        refusedWith(coded(IConsortiumLightClient.WrongSignature.selector, 3), headerOf(it), commit);
    }

    function test_other_votes_are_not_precommits_for_the_block() public {
        Block memory it = later(6);
        bytes memory reason = coded(IConsortiumLightClient.WrongSignature.selector, 0);
        Commit memory commit = commitOf(it, four, ALL);
        commit.signatures[0] = signatureOf(it, four[0], 0, 1); // a prevote
        refusedWith(reason, headerOf(it), commit);
        Block memory other = it;
        for (uint256 kind; kind < 4; ++kind) {
            other = later(6);
            if (kind == 0) other.round = 1;
            if (kind == 1) other.partsTotal = 2;
            if (kind == 2) other.height = 7;
            if (kind == 3) other.appHash = keccak256("another");
            Commit memory theirs = commitOf(other, four, ALL);
            (theirs.round, theirs.partsTotal, theirs.partsHash) = (it.round, it.partsTotal, partsHashOf(it));
            refusedWith(reason, headerOf(it), theirs);
        }
        string memory ours = chainId;
        chainId = "forge-2"; // the same validators on another chain
        Commit memory elsewhere = commitOf(it, four, ALL);
        Header memory theirHeader = headerOf(it);
        chainId = ours;
        refusedWith(reason, headerOf(it), elsewhere);
        refusedWith(reason, theirHeader, elsewhere);
    }

    /// Each word of header and commit is signed, or says who signed.
    function test_no_word_can_be_changed(uint256 word, uint8 bit) public {
        Block memory it = later(6);
        bytes memory data =
            abi.encodeCall(IConsortiumLightClient.update, (headerOf(it), commitOf(it, four, 7)));
        // The header's eleven words; of the commit, after its offset: round, parts; then four validators; then signatures.
        uint256[28] memory words = [uint256(0), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 2];
        uint256 place = 4 + 32 * words[word % 28];
        bool stamp = (place - 4) / 32 >= 23 && ((place - 4) / 32 - 23) % 3 == 0;
        // Behind a timestamp, of 8 bytes at least, nothing is read.
        if (stamp) bit = 255 - bit % 88;
        data[place + 31 - bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        (bool success,) = address(client).call(data);
        require(!success, "accepted");
    }

    function test_other_members_or_powers_are_not_the_set() public {
        Block memory it = later(6);
        Validator[] memory validators = four;
        validators[0].power = 1_000;
        refused(untrusted(it), it, validators, ALL);
        validators[0] = Validator(777, 10);
        refused(untrusted(it), it, validators, ALL);
        Validator[] memory fewer = new Validator[](3);
        (fewer[0], fewer[1], fewer[2]) = (four[0], four[1], four[2]);
        refused(untrusted(it), it, fewer, ALL);
    }

    // ------------------------------------------------------------------------------------------------------ clocks

    function test_headers_from_the_future_are_refused() public {
        Block memory it = later(6);
        it.time = uint64((block.timestamp + DRIFT_S) * SECOND);
        bytes memory reason = abi.encodeWithSelector(
            IConsortiumLightClient.HeaderFromFuture.selector, it.time, block.timestamp
        );
        refused(reason, it, four, ALL);
        it.time -= 1;
        proven(it, four);
    }

    function test_trust_ends_with_its_period() public {
        Block memory it = at(6);
        uint256 end = at(5).time / SECOND + PERIOD_S;
        vm.warp(end + 1); // the trusted header is a few nanoseconds into its second
        bytes memory reason =
            abi.encodeWithSelector(IConsortiumLightClient.TrustExpired.selector, at(5).time, block.timestamp);
        refused(reason, it, four, ALL);
        vm.warp(end);
        proven(it, four);
        vm.warp(end + 1); // the newer one vouches
        proven(at(7), four);
        Block memory whole = at(8);
        whole.time = uint64((block.timestamp - 100) * SECOND);
        proven(whole, four);
        vm.warp(whole.time / SECOND + PERIOD_S);
        reason = abi.encodeWithSelector(IConsortiumLightClient.TrustExpired.selector, whole.time, block.timestamp);
        whole.height = 9;
        whole.time += 1;
        refused(reason, whole, four, ALL);
    }

    function test_times_follow_heights() public {
        Block memory it = later(10);
        proven(it, four);
        Block memory higher = at(11);
        higher.time = it.time;
        bytes memory reason =
            abi.encodeWithSelector(IConsortiumLightClient.TimeOutOfOrder.selector, 11, higher.time);
        refused(reason, higher, four, ALL);
        Block memory lower = at(9);
        lower.time = it.time;
        reason = abi.encodeWithSelector(IConsortiumLightClient.TimeOutOfOrder.selector, 9, lower.time);
        refused(reason, lower, four, ALL);
    }

    // ---------------------------------------------------------------------------------------------------- rotation

    function test_a_set_signs_only_once_it_is_announced() public {
        Validator[] memory five = validatorsNamed("five", 5, 3);
        bytes32 fiveHash = setHashOf(five);
        Block memory change = later(8);
        change.nextValidatorsHash = fiveHash;
        Block memory after_ = later(9);
        (after_.validatorsHash, after_.nextValidatorsHash) = (fiveHash, fiveHash);

        bytes memory reason =
            abi.encodeWithSelector(IConsortiumLightClient.ValidatorsNotIntroduced.selector, fiveHash);
        refused(reason, change, four, ALL);
        require(client.introduce(keysOf(five)) == fiveHash, "another hash");
        refused(untrusted(after_), after_, five, ALL); // introduced is not trusted
        proven(change, four);
        require(client.trustOf(fiveHash).first == 9 && client.trustOf(fiveHash).last == 0, "another range");
        require(client.trustOf(fourHash).last == 8 && client.trustOf(fourHash).time == change.time, "not closed");
        proven(after_, five);
        refused(untrusted(at(10)), later(10), four, ALL); // their time is over
        proven(at(7), four); // not for what they signed before
        Block memory early = at(8);
        (early.validatorsHash, early.height) = (fiveHash, 6);
        refused(untrusted(early), early, five, ALL);
    }

    function test_a_set_comes_back() public {
        Validator[] memory five = validatorsNamed("five", 5, 3);
        bytes32 fiveHash = client.introduce(keysOf(five));
        Block memory leaving = later(8);
        leaving.nextValidatorsHash = fiveHash;
        proven(leaving, four);
        Block memory returning = later(12);
        (returning.validatorsHash, returning.nextValidatorsHash) = (fiveHash, fourHash);
        proven(returning, five);
        require(client.trustOf(fourHash).first == 6 && client.trustOf(fourHash).last == 0, "another range");
        proven(later(13), four);
        Block memory between = at(10);
        (between.validatorsHash, between.nextValidatorsHash) = (fiveHash, fiveHash);
        proven(between, five);
    }

    function test_an_old_set_vouches_as_long_as_its_own_trust() public {
        Validator[] memory five = validatorsNamed("five", 5, 3);
        bytes32 fiveHash = client.introduce(keysOf(five));
        Block memory change = later(8);
        change.nextValidatorsHash = fiveHash;
        proven(change, four);
        Block memory much = at(1_000_000); // eleven days
        (much.validatorsHash, much.nextValidatorsHash) = (fiveHash, fiveHash);
        vm.warp(much.time / SECOND + 1);
        proven(much, five);
        proven(at(6), four);
        vm.warp(change.time / SECOND + PERIOD_S + 1);
        bytes memory reason =
            abi.encodeWithSelector(IConsortiumLightClient.TrustExpired.selector, change.time, block.timestamp);
        refused(reason, at(7), four, ALL);
        much.height += 1;
        much.time = uint64(block.timestamp * SECOND);
        proven(much, five);
    }

    /// The set was in force for a while between two headers that are known; its own headers can be proven, too.
    function test_an_older_header_vouches_for_the_heights_behind_it() public {
        Validator[] memory five = validatorsNamed("five", 5, 3);
        bytes32 fiveHash = client.introduce(keysOf(five));
        proven(later(20), four);
        Block memory change = at(8);
        change.nextValidatorsHash = fiveHash;
        proven(change, four);
        Trust memory trust = client.trustOf(fiveHash);
        require(trust.first == 9 && trust.last == 20 && trust.time == change.time, "another range");
        require(client.trustOf(fourHash).last == 0, "the set in force was closed");
        Block memory between = at(10);
        (between.validatorsHash, between.nextValidatorsHash) = (fiveHash, fiveHash);
        proven(between, five);
        between = later(21);
        (between.validatorsHash, between.nextValidatorsHash) = (fiveHash, fiveHash);
        refused(untrusted(between), between, five, ALL);
        change = at(9); // known for more already
        change.nextValidatorsHash = fiveHash;
        proven(change, four);
        require(client.trustOf(fiveHash).first == 9, "another range");
    }

    // ------------------------------------------------------------------------------------------------------ freeze

    function freeze(Block memory lower, Block memory higher, uint256 signers)
        private
        returns (bool success, bytes memory result)
    {
        return freezeBy(lower, ALL, higher, signers);
    }

    function freezeBy(Block memory lower, uint256 lowerSigners, Block memory higher, uint256 signers)
        private
        returns (bool success, bytes memory result)
    {
        Commit memory first = commitOf(lower, four, lowerSigners);
        Commit memory second = commitOf(higher, four, signers);
        return address(client).call(
            abi.encodeCall(IConsortiumLightClient.freeze, (headerOf(lower), first, headerOf(higher), second))
        );
    }

    function test_two_headers_of_one_height_freeze_for_good() public {
        Block memory it = later(6);
        proven(it, four);
        Block memory twin = later(6);
        twin.partsTotal = 3; // the same header may be cut otherwise
        (bool success,) = freeze(it, twin, ALL);
        require(!success, "frozen without a contradiction");
        twin.appHash = keccak256("another");
        (success,) = freeze(it, twin, 3);
        require(!success, "frozen by half of the power");
        (success,) = freezeBy(it, 3, twin, ALL);
        require(!success, "frozen by half of the power");
        (success,) = freeze(it, twin, 7);
        require(success, "not frozen");
        isFrozen();
    }

    function test_a_higher_header_that_is_not_later_freezes() public {
        Block memory lower = later(6);
        Block memory higher = later(7);
        (bool success, bytes memory result) = freeze(lower, higher, ALL);
        require(!success && bytes4(result) == IConsortiumLightClient.NoContradiction.selector, "frozen");
        higher.time = lower.time + 1;
        (success,) = freeze(lower, higher, ALL);
        require(!success, "frozen");
        (success,) = freeze(higher, lower, ALL); // out of order
        require(!success, "frozen");
        higher.time = lower.time;
        (success,) = freeze(lower, higher, ALL);
        require(success, "not frozen");
        isFrozen();
    }

    /// Validators that are out of force can still be shown to have contradicted themselves, up to their last height.
    function test_a_conflict_at_a_change_of_validators_freezes() public {
        bytes32 fiveHash = client.introduce(keysOf(validatorsNamed("five", 5, 3)));
        Block memory change = later(8);
        change.nextValidatorsHash = fiveHash;
        proven(change, four);
        (bool success,) = freeze(change, at(8), ALL);
        require(success, "not frozen");
    }

    function isFrozen() private {
        bytes memory reason = abi.encodeWithSelector(IConsortiumLightClient.Frozen.selector);
        refused(reason, later(50), four, ALL);
        (bool success, bytes memory result) =
            address(client).call(abi.encodeCall(IConsortiumLightClient.appHashAt, (5)));
        require(!success && keccak256(result) == keccak256(reason), "still read");
        (success, result) = freeze(at(6), at(7), ALL);
        require(!success && keccak256(result) == keccak256(reason), "frozen again");
        (,, bool frozen) = client.newest();
        require(frozen, "not frozen");
    }

    // -------------------------------------------------------------------------------------------------------- keys

    function test_any_set_has_the_hash_that_headers_have(uint256 count, uint64[9] memory powers) public {
        Validator[] memory validators = validatorsNamed("some", 1 + count % 9, 0);
        for (uint256 i; i < validators.length; ++i) {
            validators[i].power = powers[i] | 1;
        }
        bytes32 hash = client.introduce(keysOf(validators));
        require(hash == setHashOf(validators), "another hash");
        require(client.setOf(hash) == keccak256(abi.encodePacked(hash, wordsOf(validators))), "other members");
        require(client.trustOf(hash).first == 0, "trusted for being introduced");
    }

    function notIntroduced(Key[] memory keys, uint256 index) private {
        (bool success, bytes memory result) =
            address(client).call(abi.encodeCall(IConsortiumLightClient.introduce, (keys)));
        bytes memory reason = coded(IConsortiumLightClient.NotOnCurve.selector, index);
        require(!success && keccak256(result) == keccak256(reason), "introduced");
    }

    /// The leaf under the header's hash would be the same, and the address another.
    function test_a_point_off_the_curve_is_not_introduced(uint256 wrong) public {
        uint256 field = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F;
        Key[] memory keys = keysOf(four);
        uint256 y = keys[2].y;
        keys[2].y = wrong == y || wrong == field - y ? wrong + 1 : wrong;
        notIntroduced(keys, 2);
        keys[2].y = field - y; // its mirror image is another key
        require(client.introduce(keys) != fourHash, "the same set");
    }

    /// x = 1 has a point, and x = 1 + field is the same number in another form; so is y.
    function test_a_coordinate_beyond_the_field_is_not_introduced() public {
        uint256 field = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F;
        uint256 y = 0x4218F20AE6C646B363DB68605822FB14264CA8D2587FDD6FBC750D587E76A7EE;
        Key[] memory keys = new Key[](1);
        keys[0] = Key(1, y, 1);
        client.introduce(keys);
        keys[0] = Key(field + 1, y, 1);
        notIntroduced(keys, 0);
        uint256 x = 0x1FE1E5EF3FCEB5C135AB7741333CE5A6E80D68167653F6B2B24BCBCFAAAFF507;
        keys[0] = Key(x, 1, 1); // here y = 1 has a second form
        client.introduce(keys);
        keys[0] = Key(x, field + 1, 1);
        notIntroduced(keys, 0);
    }

    // ---------------------------------------------------------------------------------------------------- creation

    function creationOf(string memory name, uint64 period) private returns (address) {
        return created(abi.encode(name, headerOf(at(5)), keysOf(four), period, DRIFT_S));
    }

    function test_what_cannot_work_is_not_created() public {
        require(creationOf("forge-1", PERIOD_S) != address(0), "not created");
        require(creationOf("", PERIOD_S) == address(0), "no chain id");
        require(creationOf("123456789012345678901234567890123456789012345678901", PERIOD_S) == address(0), "51 bytes");
        require(creationOf("forge-1", 0) == address(0), "no period");
        vm.warp(at(5).time / SECOND - 10); // as the chain's clock is ahead
        require(creationOf("forge-1", PERIOD_S) != address(0), "not created");
        require(creationOf("forge-1", 0) == address(0), "no period");
        vm.warp(at(5).time / SECOND + PERIOD_S + 1);
        require(creationOf("forge-1", PERIOD_S) == address(0), "expired");
        vm.warp(at(5).time / SECOND - DRIFT_S);
        require(creationOf("forge-1", PERIOD_S) == address(0), "from the future");
        vm.warp(at(5).time / SECOND);
        bytes memory others = abi.encode("forge-1", headerOf(at(5)), keysOf(validatorsNamed("x", 4, 10)), PERIOD_S, DRIFT_S);
        require(created(others) == address(0), "the validators of another header");
    }
}
