// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {PublicOAID} from "./PublicOAID.sol";
import {SeniorPool} from "./SeniorPool.sol";
import {ICreditLines, VaultBase} from "./VaultBase.sol";

/// @title The vault with the interface of the system as deployed in public
/// @notice A borrow is a repayment plan with a duration and instalments, one at a time for a position. Paying more than is
/// owed reverts.
contract PublicSolvencyVault is VaultBase {
    struct Plan {
        uint40 start;
        uint40 duration;
        uint16 installments;
        bool active;
    }

    PublicOAID public immutable oaid;
    /// @notice The plan of a position; not active where nothing is owed.
    mapping(uint256 positionId => Plan) public plans;

    event USDCBorrowed(
        uint256 indexed positionId,
        address indexed borrower,
        uint256 amount,
        uint256 loanDuration,
        uint256 numberOfInstallments
    );

    error PlanActive(uint256 positionId);
    error InvalidPlan(uint256 loanDuration, uint256 numberOfInstallments);

    constructor(address owner_, IERC20 usdc_, PublicOAID oaid_, SeniorPool pool_)
        VaultBase(owner_, usdc_, ICreditLines(address(oaid_)), pool_)
    {
        oaid = oaid_;
    }

    /// @notice Borrows `amount` against a position without a plan, to be repaid over `loanDuration` seconds in instalments.
    function borrowUSDC(uint256 positionId, uint256 amount, uint256 loanDuration, uint256 numberOfInstallments) external {
        if (plans[positionId].active) revert PlanActive(positionId);
        bool isValid = loanDuration != 0 && numberOfInstallments != 0;
        if (!isValid || loanDuration > type(uint40).max || numberOfInstallments > type(uint16).max) {
            revert InvalidPlan(loanDuration, numberOfInstallments);
        }
        plans[positionId] = Plan(uint40(block.timestamp), uint40(loanDuration), uint16(numberOfInstallments), true);
        _borrow(positionId, amount);
        emit USDCBorrowed(positionId, msg.sender, amount, loanDuration, numberOfInstallments);
    }

    /// @inheritdoc VaultBase
    function repayLoan(uint256 positionId, uint256 amount) public override {
        super.repayLoan(positionId, amount);
        if (pool.debtOf(positionId) == 0) delete plans[positionId];
    }

    /// @inheritdoc VaultBase
    function liquidate(uint256 positionId) public override {
        super.liquidate(positionId);
        delete plans[positionId];
    }

    function _issue(address user, uint256 limit, uint256 positionId) internal override returns (uint256) {
        return oaid.issue(user, limit, positionId);
    }
}
