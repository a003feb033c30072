// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

// The two contracts of cross-chain queries as their callers know them, from their pages. Written out a second time on purpose:
// the tests run the committed bytecode and compile nothing of the contracts' own sources, so that a change of an error, an
// event or an argument's place that the pages do not have fails here.

struct Header {
    uint64 height;
    uint64 time;
    bytes32 validatorsHash;
    bytes32 nextValidatorsHash;
    bytes32 appHash;
    bytes32[6] rest;
}

struct Signature {
    bytes32 head;
    bytes32 r;
    bytes32 vs;
}

struct Commit {
    uint32 round;
    uint32 partsTotal;
    bytes32 partsHash;
    uint256[] validators;
    Signature[] signatures;
}

struct Key {
    uint256 x;
    uint256 y;
    uint64 power;
}

struct Trust {
    uint64 first;
    uint64 last;
    uint64 time;
}

interface IConsortiumLightClient {
    error UnusableChainId();
    error UnusablePeriod();
    error Frozen();
    error UnknownHeight(uint64 height);
    error ConflictingHeader(uint64 height);
    error TimeOutOfOrder(uint64 height, uint64 time);
    error HeaderFromFuture(uint64 time, uint256 timestamp);
    error TrustExpired(uint64 time, uint256 timestamp);
    error UntrustedValidators(bytes32 validatorsHash, uint64 height);
    error ValidatorsNotIntroduced(bytes32 validatorsHash);
    error PlaceOutOfOrder(uint256 place);
    error WrongSignature(uint256 place);
    error NotEnoughPower(uint256 signed, uint256 total);
    error NoContradiction();
    error NotOnCurve(uint256 index);
    error ProofTooDeep(uint256 depth);

    event HeaderProven(uint64 indexed height, bytes32 headerHash, uint64 time, bytes32 appHash);
    event ValidatorsTrusted(bytes32 indexed validatorsHash, uint64 first);
    event ValidatorsIntroduced(bytes32 indexed validatorsHash);
    event FrozenForGood(uint64 height, bytes32 firstHash, bytes32 secondHash);

    function update(Header calldata header, Commit calldata commit) external;
    function freeze(Header calldata lower, Commit calldata lowerCommit, Header calldata higher, Commit calldata higherCommit)
        external;
    function introduce(Key[] calldata keys) external returns (bytes32 validatorsHash);
    function appHashAt(uint64 height) external view returns (bytes32);
    function isPresent(uint64 height, bytes calldata key, bytes calldata value, bytes32[] calldata siblings)
        external
        view
        returns (bool);
    function isAbsent(uint64 height, bytes calldata key, bytes calldata other, bytes32[] calldata siblings)
        external
        view
        returns (bool);
    function anchor() external view returns (bytes32);
    function newest() external view returns (uint64 height, uint64 time, bool frozen);
    function setOf(bytes32 validatorsHash) external view returns (bytes32);
    function trustOf(bytes32 validatorsHash) external view returns (Trust memory);
    function trustingPeriodS() external view returns (uint64);
    function maxClockDriftS() external view returns (uint64);
}

struct Question {
    uint256 asked;
    uint256 terms;
    bytes32 path;
}

struct Answer {
    uint256 id;
    Question question;
    bool present;
    bytes content;
    bytes32[] siblings;
}

interface ICrossChainQuery {
    error UnusableKey(uint256 size);
    error UnusableHeights(uint64 firstHeight, uint64 lastHeight);
    error UnusableDeadline(uint64 deadline);
    error TooMuchCallbackGas(uint256 gasAsked);
    error TooHighFee(uint256 fee);
    error WrongStatus(uint256 id, uint256 status);
    error WrongQuestion(uint256 id);
    error AnswerTooLate(uint256 deadline, uint256 timestamp);
    error ExpiryTooEarly(uint256 deadline, uint256 timestamp);
    error HeightNotAsked(uint64 height, uint64 firstHeight, uint64 lastHeight);
    error ValueTooLong(uint256 size);
    error WrongProof(uint256 id);
    error WrongResult(uint256 id);
    error NotEnoughGas(uint256 gasLeft, uint256 needed);
    error CallbackFailed(uint256 id);
    error PaymentRefused(address payee);
    error NothingOwed();
    error ProofTooDeep(uint256 depth);

    event Asked(uint256 indexed id, address indexed asker, Question question, bytes key);
    event Answered(uint256 indexed id, uint64 height, bytes32 valueHash);
    event Undelivered(uint256 indexed id, bytes value);
    event Delivered(uint256 indexed id);
    event Expired(uint256 indexed id, uint256 fee);

    function ask(
        bytes calldata key,
        uint64 fromHeight,
        uint64 toHeight,
        bytes4 callback,
        uint32 callbackGas,
        uint64 deadline
    ) external payable returns (uint256 id);
    function answer(uint64 height, Answer calldata item) external;
    function answerMany(uint64 height, Answer[] calldata items) external;
    function updateAndAnswer(Header calldata header, Commit calldata commit, Answer[] calldata items) external;
    function retry(uint256 id, uint256 asked, uint64 height, bool present, bytes calldata value) external;
    function expire(uint256 id, Question calldata question) external;
    function withdraw(address to) external;
    function statusOf(uint256 id) external view returns (uint256);
    function isResult(uint256 id, uint256 asked, uint64 height, bytes32 valueHash) external view returns (bool);
    function count() external view returns (uint256);
    function owed(address asker) external view returns (uint256);
    function lightClient() external view returns (address);
}
