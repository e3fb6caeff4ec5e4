// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title On-chain Asset Identifier: an ERC-721 that carries a credit line
/// @notice The vault issues tokens and keeps `used` equal to the principal borrowed. Amounts are USDC base units.
contract OAID is ERC721, Ownable {
    using SafeCast for uint256;

    /// @dev One storage slot.
    struct CreditLine {
        uint120 limit;
        uint120 used;
        bool active;
    }

    /// @notice The only contract that issues tokens and moves credit lines.
    address public vault;
    /// @notice The token issued last; the first is 1.
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

    constructor(address owner_) ERC721("On-chain Asset Identifier", "OAID") Ownable(owner_) {}

    /// @notice Names the vault, once. Owner only.
    function setVault(address vault_) external onlyOwner {
        if (vault != address(0)) revert VaultAlreadySet();
        vault = vault_;
        emit VaultSet(vault_);
    }

    /// @notice The credit line of a token; reverts for a token that does not exist.
    function getCreditLine(uint256 tokenId) external view returns (uint256 limit, uint256 used, bool active) {
        _requireOwned(tokenId);
        CreditLine storage line = _lines[tokenId];
        return (line.limit, line.used, line.active);
    }

    /// @notice Suspends or resumes a credit line; repayments go on either way. Owner only.
    function setActive(uint256 tokenId, bool active) external onlyOwner {
        _requireOwned(tokenId);
        CreditLine memory line = _lines[tokenId];
        line.active = active;
        _store(tokenId, line);
    }

    /// @notice Issues a token with an unused, active credit line.
    function issue(address to, uint256 limit) external onlyVault returns (uint256 tokenId) {
        tokenId = ++lastTokenId;
        _mint(to, tokenId);
        _store(tokenId, CreditLine({limit: limit.toUint120(), used: 0, active: true}));
    }

    /// @notice Takes `amount` from the line; reverts where it is inactive or short.
    function draw(uint256 tokenId, uint256 amount) external onlyVault {
        CreditLine memory line = _lines[tokenId];
        if (!line.active) revert CreditLineInactive(tokenId);
        uint256 available = line.limit > line.used ? line.limit - line.used : 0;
        if (amount > available) revert InsufficientCredit(tokenId, available, amount);
        unchecked {
            line.used += uint120(amount); // at most `limit`
        }
        _store(tokenId, line);
    }

    /// @notice Gives `amount` of repaid principal back to the line.
    function restore(uint256 tokenId, uint256 amount) external onlyVault {
        CreditLine memory line = _lines[tokenId];
        line.used = (line.used - amount).toUint120();
        _store(tokenId, line);
    }

    /// @notice Sets the limit after a revaluation; a limit below what is used leaves no credit.
    function setLimit(uint256 tokenId, uint256 limit) external onlyVault {
        CreditLine memory line = _lines[tokenId];
        line.limit = limit.toUint120();
        _store(tokenId, line);
    }

    /// @notice Ends the line of a closed or liquidated position.
    function close(uint256 tokenId) external onlyVault {
        _store(tokenId, CreditLine({limit: 0, used: 0, active: false}));
    }

    function _store(uint256 tokenId, CreditLine memory line) private {
        _lines[tokenId] = line;
        emit CreditLineUpdated(tokenId, line.limit, line.used, line.active);
    }
}
