// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Collateral of the sandbox: a tokenized asset with 18 decimals
/// @notice Anybody may mint: it is worth only what a sandbox vault says it is.
contract CollateralToken is ERC20 {
    constructor() ERC20("Sandbox Real Estate", "sRE") {}

    /// @notice Creates `amount` for `to`.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
