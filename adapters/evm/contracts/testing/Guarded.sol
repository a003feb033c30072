// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.33;

/// A token that is particular about allowances, in the ways of large real ones, for the tests of the adapter.
contract GuardedToken {
    string public constant symbol = "GRD";
    uint8 public constant decimals = 6;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    /// Refuses to change an allowance that is not zero into another (Tether's rule).
    bool public immutable onlyFromZero;
    /// Refuses an allowance of zero (BNB's rule).
    bool public immutable neverZero;
    /// The largest allowance that it takes.
    uint256 public immutable most;
    /// Answers false where it refuses, instead of reverting.
    bool public immutable quiet;

    constructor(bool onlyFromZero_, bool neverZero_, uint256 most_, bool quiet_) {
        onlyFromZero = onlyFromZero_;
        neverZero = neverZero_;
        most = most_;
        quiet = quiet_;
    }

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        bool refused = (onlyFromZero && amount != 0 && allowance[msg.sender][spender] != 0)
            || (neverZero && amount == 0) || amount > most;
        require(quiet || !refused, "refused");
        if (!refused) allowance[msg.sender][spender] = amount;
        return !refused;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}
