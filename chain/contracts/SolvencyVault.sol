// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {OAID} from "./OAID.sol";
import {SeniorPool} from "./SeniorPool.sol";
import {ICreditLines, VaultBase} from "./VaultBase.sol";

/// @title The vault with the interface of the plan
/// @notice Any number of loans on a position, within its credit; OAIDs are ERC-721 tokens.
contract SolvencyVault is VaultBase {
    OAID public immutable oaid;

    event USDCBorrowed(uint256 indexed positionId, address indexed borrower, uint256 amount);

    constructor(address owner_, IERC20 usdc_, OAID oaid_, SeniorPool pool_)
        VaultBase(owner_, usdc_, ICreditLines(address(oaid_)), pool_)
    {
        oaid = oaid_;
    }

    /// @notice Borrows `amount` against a position; the USDC goes to the caller, its user or their operator.
    function borrowUSDC(uint256 positionId, uint256 amount) external {
        _borrow(positionId, amount);
        emit USDCBorrowed(positionId, msg.sender, amount);
    }

    function _issue(address user, uint256 limit, uint256) internal override returns (uint256) {
        return oaid.issue(user, limit);
    }
}
