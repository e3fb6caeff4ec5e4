// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SeniorPool} from "./SeniorPool.sol";

/// @notice What a vault asks of the contract that keeps the credit lines.
interface ICreditLines {
    function draw(uint256 tokenId, uint256 amount) external;
    function restore(uint256 tokenId, uint256 amount) external;
    function setLimit(uint256 tokenId, uint256 limit) external;
    function close(uint256 tokenId) external;
}

/// @title Collateral positions, and borrowing against them: what both sandbox systems share
/// @notice A position holds collateral, gets an OAID whose credit limit is value * LTV, and owes the pool. USDC amounts and
/// values are base units (6 decimals). Sandbox: the value is what the user states, and the owner stands in for an oracle.
abstract contract VaultBase is Ownable {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    enum TokenType {
        RWA,
        PRIVATE_ASSET
    }

    /// @dev Two storage slots and one; a borrow reads the first two.
    struct Position {
        address user;
        uint80 collateralValueUSD;
        TokenType tokenType;
        bool active;
        uint64 oaidTokenId;
        uint128 collateralAmount;
        address collateralToken;
    }

    uint256 private constant BPS = 10_000;
    IERC20 public immutable usdc;
    ICreditLines private immutable _lines;
    SeniorPool public immutable pool;

    /// @notice The position opened last; the first is 1.
    uint256 public lastPositionId;
    mapping(uint256 positionId => Position) internal _positions;
    /// @notice The position behind an OAID; 0 if there is none.
    mapping(uint256 oaidTokenId => uint256 positionId) public positionOf;
    /// @notice Who may borrow against a user's positions, by the user's own word.
    mapping(address user => mapping(address operator => bool)) public isOperator;

    event PositionOpened(
        uint256 indexed positionId,
        address indexed user,
        uint256 indexed oaidTokenId,
        address collateralToken,
        uint256 collateralAmount,
        uint256 collateralValueUSD,
        TokenType tokenType
    );
    event OperatorSet(address indexed user, address indexed operator, bool approved);
    event LoanRepaid(uint256 indexed positionId, address indexed payer, uint256 amount);
    event PositionRevalued(uint256 indexed positionId, uint256 collateralValueUSD);
    event PositionLiquidated(
        uint256 indexed positionId, address indexed liquidator, uint256 debtPaid, uint256 collateralAmount
    );
    event PositionClosed(uint256 indexed positionId);

    error ZeroAmount();
    error PositionNotActive(uint256 positionId);
    error NotPositionOperator(uint256 positionId, address caller);
    error LtvExceeded(uint256 positionId, uint256 debt, uint256 maxDebt);
    error PositionHealthy(uint256 positionId, uint256 debt, uint256 threshold);
    error DebtOutstanding(uint256 positionId, uint256 debt);

    constructor(address owner_, IERC20 usdc_, ICreditLines lines, SeniorPool pool_) Ownable(owner_) {
        usdc = usdc_;
        _lines = lines;
        pool = pool_;
    }

    /// @notice Locks `amount` of `token`, worth `value` base units of USDC, and issues the OAID to the caller.
    function openPosition(IERC20 token, uint256 amount, uint256 value, TokenType tokenType)
        external
        returns (uint256 positionId, uint256 oaidTokenId)
    {
        if (amount == 0 || value == 0) revert ZeroAmount();
        positionId = ++lastPositionId;
        oaidTokenId = _issue(msg.sender, value * ltvBps(tokenType) / BPS, positionId);
        positionOf[oaidTokenId] = positionId;
        _positions[positionId] = Position({
            user: msg.sender,
            collateralValueUSD: value.toUint80(),
            tokenType: tokenType,
            active: true,
            oaidTokenId: oaidTokenId.toUint64(),
            collateralAmount: amount.toUint128(),
            collateralToken: address(token)
        });
        emit PositionOpened(positionId, msg.sender, oaidTokenId, address(token), amount, value, tokenType);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Lets `operator` borrow against all positions of the caller, or no longer.
    function setOperator(address operator, bool approved) external {
        isOperator[msg.sender][operator] = approved;
        emit OperatorSet(msg.sender, operator, approved);
    }

    /// @dev Borrows `amount` against a position; the USDC goes to the caller, its user or their operator.
    function _borrow(uint256 positionId, uint256 amount) internal {
        Position storage position = _positions[positionId];
        address user = position.user;
        if (!position.active) revert PositionNotActive(positionId);
        if (msg.sender != user && !isOperator[user][msg.sender]) revert NotPositionOperator(positionId, msg.sender);
        if (amount == 0) revert ZeroAmount();
        uint256 maxDebt = position.collateralValueUSD * ltvBps(position.tokenType) / BPS;
        _lines.draw(position.oaidTokenId, amount);
        uint256 debt = pool.draw(positionId, amount, msg.sender);
        if (debt > maxDebt) revert LtvExceeded(positionId, debt, maxDebt);
    }

    /// @notice Pays `amount` of a position's debt from the caller's USDC; more than the debt reverts.
    function repayLoan(uint256 positionId, uint256 amount) public virtual {
        if (amount == 0) revert ZeroAmount();
        usdc.safeTransferFrom(msg.sender, address(pool), amount);
        uint256 principalPaid = pool.repay(positionId, amount);
        if (principalPaid != 0) _lines.restore(_positions[positionId].oaidTokenId, principalPaid);
        emit LoanRepaid(positionId, msg.sender, amount);
    }

    /// @notice Pays the debt of a position above its threshold from the caller's USDC and takes its collateral. Where the debt
    /// is more than the collateral is worth, that much is paid and the pool writes off the rest.
    function liquidate(uint256 positionId) public virtual {
        Position storage position = _requireActive(positionId);
        uint256 debt = pool.debtOf(positionId);
        uint256 threshold = position.collateralValueUSD * liquidationBps(position.tokenType) / BPS;
        if (debt <= threshold) revert PositionHealthy(positionId, debt, threshold);
        uint256 amount = _end(position);
        uint256 paid = Math.min(debt, position.collateralValueUSD);
        usdc.safeTransferFrom(msg.sender, address(pool), paid);
        if (paid != 0) pool.repay(positionId, paid);
        if (paid < debt) pool.writeOff(positionId);
        IERC20(position.collateralToken).safeTransfer(msg.sender, amount);
        emit PositionLiquidated(positionId, msg.sender, paid, amount);
    }

    /// @notice Gives the collateral of a position without debt back to its user, who calls this.
    function closePosition(uint256 positionId) external {
        Position storage position = _requireActive(positionId);
        if (msg.sender != position.user) revert NotPositionOperator(positionId, msg.sender);
        uint256 debt = pool.debtOf(positionId);
        if (debt != 0) revert DebtOutstanding(positionId, debt);
        uint256 amount = _end(position);
        IERC20(position.collateralToken).safeTransfer(msg.sender, amount);
        emit PositionClosed(positionId);
    }

    /// @notice Sets what the collateral is worth, and with it the credit limit. Owner only, in place of an oracle.
    function setCollateralValue(uint256 positionId, uint256 value) external onlyOwner {
        Position storage position = _requireActive(positionId);
        position.collateralValueUSD = value.toUint80();
        _lines.setLimit(position.oaidTokenId, value * ltvBps(position.tokenType) / BPS);
        emit PositionRevalued(positionId, value);
    }

    /// @notice A position as of this block; `usdcBorrowed` is its debt with interest. All zero where there is none.
    function positions(uint256 positionId)
        external
        view
        returns (
            address user,
            address collateralToken,
            uint256 collateralAmount,
            uint256 collateralValueUSD,
            uint256 usdcBorrowed,
            uint256 oaidTokenId,
            TokenType tokenType,
            bool active
        )
    {
        Position storage position = _positions[positionId];
        user = position.user;
        collateralToken = position.collateralToken;
        collateralAmount = position.collateralAmount;
        collateralValueUSD = position.collateralValueUSD;
        usdcBorrowed = pool.debtOf(positionId);
        oaidTokenId = position.oaidTokenId;
        tokenType = position.tokenType;
        active = position.active;
    }

    /// @notice What a position owes in this block, interest included.
    function debtOf(uint256 positionId) external view returns (uint256) {
        return pool.debtOf(positionId);
    }

    /// @notice Value over debt in basis points (20,000 is 2.0), rounded down; the highest number where there is no debt.
    function healthFactor(uint256 positionId) external view returns (uint256) {
        uint256 debt = pool.debtOf(positionId);
        return debt == 0 ? type(uint256).max : _positions[positionId].collateralValueUSD * BPS / debt;
    }

    /// @notice How much of the value may be borrowed, in basis points: 70 % of real-world, 60 % of private assets.
    function ltvBps(TokenType tokenType) public pure returns (uint256) {
        return tokenType == TokenType.RWA ? 7_000 : 6_000;
    }

    /// @notice Above how much of the value a debt is liquidated, in basis points: 80 % and 70 %.
    function liquidationBps(TokenType tokenType) public pure returns (uint256) {
        return tokenType == TokenType.RWA ? 8_000 : 7_000;
    }

    /// @dev Issues the credit line of a new position.
    function _issue(address user, uint256 limit, uint256 positionId) internal virtual returns (uint256 oaidTokenId);

    function _requireActive(uint256 positionId) private view returns (Position storage position) {
        position = _positions[positionId];
        if (!position.active) revert PositionNotActive(positionId);
    }

    /// @dev Marks a position and its credit line as ended, before anything is paid out; answers its collateral.
    function _end(Position storage position) private returns (uint256 amount) {
        amount = position.collateralAmount;
        position.active = false;
        position.collateralAmount = 0;
        _lines.close(position.oaidTokenId);
    }
}
