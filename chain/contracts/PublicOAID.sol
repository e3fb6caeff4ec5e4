// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

/// @title Credit lines with the interface of the system as deployed in public
/// @notice Not an ERC-721: there is no `ownerOf`, a line names its user. Amounts are USDC base units.
contract PublicOAID is Ownable {
    struct CreditLine {
        address user;
        uint256 limit;
        uint256 used;
        uint256 positionId;
        bool active;
    }

    /// @notice The only contract that issues lines and moves them.
    address public vault;
    /// @notice The line issued last; the first is 1.
    uint256 public lastTokenId;
    mapping(uint256 tokenId => CreditLine) private _lines;

    event VaultSet(address indexed vault);
    event CreditLineUpdated(uint256 indexed tokenId, uint256 limit, uint256 used, bool active);

    error OnlyVault(address caller);
    error VaultAlreadySet();
    error CreditLineInactive(uint256 tokenId);
    error InsufficientCredit(uint256 tokenId, uint256 available, uint256 requested);

    modifier onlyVault() {
        if (msg.sender != vault) revert OnlyVault(msg.sender);
        _;
    }

    constructor(address owner_) Ownable(owner_) {}

    /// @notice Names the vault, once. Owner only.
    function setVault(address vault_) external onlyOwner {
        if (vault != address(0)) revert VaultAlreadySet();
        vault = vault_;
        emit VaultSet(vault_);
    }

    /// @notice A credit line; all zero for one that was never issued.
    function getCreditLine(uint256 tokenId) external view returns (CreditLine memory) {
        return _lines[tokenId];
    }

    /// @notice Suspends or resumes a credit line; repayments go on either way. Owner only.
    function setActive(uint256 tokenId, bool active) external onlyOwner {
        _lines[tokenId].active = active;
        _tell(tokenId);
    }

    /// @notice Issues an unused, active credit line for a position.
    function issue(address user, uint256 limit, uint256 positionId) external onlyVault returns (uint256 tokenId) {
        tokenId = ++lastTokenId;
        _lines[tokenId] = CreditLine(user, limit, 0, positionId, true);
        _tell(tokenId);
    }

    /// @notice Takes `amount` from the line; reverts where it is inactive or short.
    function draw(uint256 tokenId, uint256 amount) external onlyVault {
        CreditLine storage line = _lines[tokenId];
        if (!line.active) revert CreditLineInactive(tokenId);
        uint256 available = line.limit > line.used ? line.limit - line.used : 0;
        if (amount > available) revert InsufficientCredit(tokenId, available, amount);
        line.used += amount;
        _tell(tokenId);
    }

    /// @notice Gives `amount` of repaid principal back to the line.
    function restore(uint256 tokenId, uint256 amount) external onlyVault {
        _lines[tokenId].used -= amount;
        _tell(tokenId);
    }

    /// @notice Sets the limit after a revaluation; a limit below what is used leaves no credit.
    function setLimit(uint256 tokenId, uint256 limit) external onlyVault {
        _lines[tokenId].limit = limit;
        _tell(tokenId);
    }

    /// @notice Ends the line of a closed or liquidated position.
    function close(uint256 tokenId) external onlyVault {
        CreditLine storage line = _lines[tokenId];
        line.limit = 0;
        line.used = 0;
        line.active = false;
        _tell(tokenId);
    }

    function _tell(uint256 tokenId) private {
        CreditLine storage line = _lines[tokenId];
        emit CreditLineUpdated(tokenId, line.limit, line.used, line.active);
    }
}
