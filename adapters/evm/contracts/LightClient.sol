// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

import {Commit, Header} from "./Comet.sol";

/// A light client of a consortium chain, as those who use what it has proven see it.
interface ILightClient {
    /// Prove a header and keep its app hash. A header that is known already changes nothing.
    function update(Header calldata header, Commit calldata commit) external;

    /// Return the root of the state that the proven header of this height commits to: the state after the block before.
    function appHashAt(uint64 height) external view returns (bytes32);
}
