// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title The sandbox's USDC
/// @notice 6 decimals, minted by its owner, and with a block list, as the real one has: a blocked settlement address is how
/// a pay-out fails after the borrow before it went through.
contract MockUSDC is ERC20, Ownable {
    /// @notice Addresses that can no longer receive.
    mapping(address account => bool) public blocked;

    event BlockedSet(address indexed account, bool blocked);

    error Blocked(address account);

    constructor(address owner_) ERC20("USD Coin (sandbox)", "USDC") Ownable(owner_) {}

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Creates `amount` base units for `to`. Owner only.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @notice Stops or lets `account` receive. Owner only.
    function setBlocked(address account, bool blocked_) external onlyOwner {
        blocked[account] = blocked_;
        emit BlockedSet(account, blocked_);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (blocked[to]) revert Blocked(to);
        super._update(from, to, value);
    }
}
