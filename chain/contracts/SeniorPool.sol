// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title The pool that lends USDC against the vault's positions
/// @notice Simple interest, never on interest:
///
///     accrued += principal * rateBps * (block.timestamp - since)      exact, not rounded
///     debt     = principal + ceil(accrued / (10_000 * 365 days))      rounded up, for the pool, only when read or paid
///
/// A payment covers interest first. Paying all the interest owed clears `accrued`, the rounded-up fraction included.
/// The rate of a position is the pool's at its first draw and holds until its debt is zero.
contract SeniorPool is Ownable {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @dev One storage slot. `accrued` is in base units * basis points * seconds.
    struct Debt {
        uint88 principal;
        uint40 since;
        uint16 rateBps;
        uint112 accrued;
    }

    /// @notice What one base unit of interest is worth in `accrued`.
    uint256 public constant INTEREST_SCALE = 10_000 * 365 days;
    IERC20 public immutable usdc;
    /// @notice The only contract that draws and repays.
    address public vault;
    /// @notice Yearly rate in basis points for positions that draw from now on.
    uint16 public interestRateBps;
    mapping(uint256 positionId => Debt) private _debts;

    event VaultSet(address indexed vault);
    event InterestRateSet(uint256 rateBps);
    event LiquidityProvided(address indexed from, uint256 amount);
    event LiquidityWithdrawn(address indexed to, uint256 amount);
    event DebtWrittenOff(uint256 indexed positionId, uint256 amount);
    event DebtUpdated(uint256 indexed positionId, uint256 principal, uint256 accrued, uint256 rateBps);

    error OnlyVault(address caller);
    error VaultAlreadySet();
    error RepaymentExceedsDebt(uint256 positionId, uint256 debt, uint256 amount);

    modifier onlyVault() {
        if (msg.sender != vault) revert OnlyVault(msg.sender);
        _;
    }

    constructor(address owner_, IERC20 usdc_) Ownable(owner_) {
        usdc = usdc_;
    }

    /// @notice Names the vault, once. Owner only.
    function setVault(address vault_) external onlyOwner {
        if (vault != address(0)) revert VaultAlreadySet();
        vault = vault_;
        emit VaultSet(vault_);
    }

    /// @notice Sets the rate for positions that draw from now on. Owner only.
    function setInterestRateBps(uint16 rateBps) external onlyOwner {
        interestRateBps = rateBps;
        emit InterestRateSet(rateBps);
    }

    /// @notice Adds `amount` of the caller's USDC to what can be lent.
    function provideLiquidity(uint256 amount) external {
        usdc.safeTransferFrom(msg.sender, address(this), amount);
        emit LiquidityProvided(msg.sender, amount);
    }

    /// @notice Takes `amount` of what is not lent. Owner only.
    function withdrawLiquidity(uint256 amount) external onlyOwner {
        usdc.safeTransfer(msg.sender, amount);
        emit LiquidityWithdrawn(msg.sender, amount);
    }

    /// @notice Lends `amount` to a position and pays it to `to`. Answers the debt after it.
    function draw(uint256 positionId, uint256 amount, address to) external onlyVault returns (uint256 debtAfter) {
        Debt memory debt = _accrued(positionId);
        if (debt.principal == 0 && debt.accrued == 0) debt.rateBps = interestRateBps;
        debt.principal = (debt.principal + amount).toUint88();
        debtAfter = debt.principal + _interest(debt);
        _store(positionId, debt);
        usdc.safeTransfer(to, amount);
    }

    /// @notice Books `amount` that the vault has sent here: interest first. Answers the principal it paid.
    function repay(uint256 positionId, uint256 amount) external onlyVault returns (uint256 principalPaid) {
        Debt memory debt = _accrued(positionId);
        uint256 interest = _interest(debt);
        if (amount > debt.principal + interest) revert RepaymentExceedsDebt(positionId, debt.principal + interest, amount);
        unchecked {
            if (amount < interest) {
                debt.accrued -= uint112(amount * INTEREST_SCALE); // amount <= interest - 1 <= accrued / scale
            } else {
                debt.accrued = 0;
                principalPaid = amount - interest;
                debt.principal -= uint88(principalPaid); // checked above
            }
        }
        _store(positionId, debt);
    }

    /// @notice Ends a debt that nothing backs any more, after a liquidation. Answers what was lost.
    function writeOff(uint256 positionId) external onlyVault returns (uint256 amount) {
        Debt memory debt = _accrued(positionId);
        amount = debt.principal + _interest(debt);
        debt.principal = 0;
        debt.accrued = 0;
        _store(positionId, debt);
        emit DebtWrittenOff(positionId, amount);
    }

    /// @notice What a position owes in this block, interest included, in base units.
    function debtOf(uint256 positionId) external view returns (uint256) {
        Debt memory debt = _accrued(positionId);
        return debt.principal + _interest(debt);
    }

    /// @notice The parts of a position's debt as of this block; `accrued` over `INTEREST_SCALE` is the interest.
    function debts(uint256 positionId)
        external
        view
        returns (uint256 principal, uint256 interest, uint256 accrued, uint256 rateBps)
    {
        Debt memory debt = _accrued(positionId);
        return (debt.principal, _interest(debt), debt.accrued, debt.rateBps);
    }

    function _accrued(uint256 positionId) private view returns (Debt memory debt) {
        debt = _debts[positionId];
        uint256 grown = uint256(debt.principal) * debt.rateBps * (block.timestamp - debt.since);
        if (grown != 0) debt.accrued = (debt.accrued + grown).toUint112();
        debt.since = uint40(block.timestamp);
    }

    function _interest(Debt memory debt) private pure returns (uint256) {
        return debt.accrued == 0 ? 0 : Math.ceilDiv(debt.accrued, INTEREST_SCALE);
    }

    function _store(uint256 positionId, Debt memory debt) private {
        _debts[positionId] = debt;
        emit DebtUpdated(positionId, debt.principal, debt.accrued, debt.rateBps);
    }
}
