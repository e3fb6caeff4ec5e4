// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice The part of the vault that a repayment needs.
interface IRepayable {
    function debtOf(uint256 positionId) external view returns (uint256);
    function repayLoan(uint256 positionId, uint256 amount) external;
}

/// @title The platform account: runs each operation at most once, ever
/// @notice Operators send carriers of operations. An operation is atomic (all its calls, or none) and isolated (its failure
/// leaves the others alone); its `uid` runs once, and may be tried again only where it failed.
/// @dev What must hold under EIP-7702, where the storage is the delegating account's, is immutable. There the account sends
/// to itself, and the owner's functions, which only a deployed executor needs, answer nobody.
contract PlatformExecutor is Ownable2Step, Pausable, ERC721Holder {
    using SafeERC20 for IERC20;

    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    struct Operation {
        bytes32 uid;
        Call[] calls;
    }

    enum Status {
        EXECUTED,
        FAILED,
        SKIPPED
    }

    struct Outcome {
        Status status;
        bytes reason;
    }

    /// @notice What one loan of a position owed at `since`, as the books know it; it grows by the pool's own formula. A
    /// position is one debt to the pool, whose interest is rounded up once: `prior*` are the sums of the position's loans that
    /// are rounded before this one, so that the loans' debts add up to the position's. `accrued` is the pool's exact interest.
    struct LoanDebt {
        uint256 principal;
        uint256 accrued;
        uint256 priorPrincipal;
        uint256 priorAccrued;
        uint256 rateBps;
        uint256 since;
    }

    /// @dev What `execute` itself needs to go on after an operation failed: its event, and the reason in memory.
    uint256 private constant CARRIER_OVERHEAD = 20_000;
    uint256 private constant REASON_BYTES = 512;
    /// @dev The pool's INTEREST_SCALE.
    uint256 private constant INTEREST_SCALE = 10_000 * 365 days;
    /// @dev Beside ERC-20's own three: OpenZeppelin's changes of an allowance, old and new, and ERC-1363.
    bytes4 private constant INCREASE_ALLOWANCE = bytes4(keccak256("increaseAllowance(address,uint256)"));
    bytes4 private constant DECREASE_ALLOWANCE = bytes4(keccak256("decreaseAllowance(address,uint256)"));
    bytes4 private constant INCREASE_APPROVAL = bytes4(keccak256("increaseApproval(address,uint256)"));
    bytes4 private constant DECREASE_APPROVAL = bytes4(keccak256("decreaseApproval(address,uint256)"));
    bytes4 private constant TRANSFER_AND_CALL = bytes4(keccak256("transferAndCall(address,uint256)"));
    bytes4 private constant TRANSFER_AND_CALL_DATA = bytes4(keccak256("transferAndCall(address,uint256,bytes)"));
    bytes4 private constant TRANSFER_FROM_AND_CALL = bytes4(keccak256("transferFromAndCall(address,address,uint256)"));
    bytes4 private constant TRANSFER_FROM_AND_CALL_DATA =
        bytes4(keccak256("transferFromAndCall(address,address,uint256,bytes)"));
    bytes4 private constant APPROVE_AND_CALL = bytes4(keccak256("approveAndCall(address,uint256)"));
    bytes4 private constant APPROVE_AND_CALL_DATA = bytes4(keccak256("approveAndCall(address,uint256,bytes)"));
    IERC20 public immutable usdc;
    /// @notice The gas every operation gets: never less, so that a shortage cannot look like a failed loan, and never more, so
    /// that none can use up what the others need.
    uint256 public immutable operationGasFloor;

    /// @notice Where fees are withdrawn to.
    address public treasury;
    mapping(address account => bool) public isOperator;
    /// @notice Which uids ran.
    mapping(bytes32 uid => bool) public executed;

    event OperationExecuted(bytes32 indexed uid);
    event OperationFailed(bytes32 indexed uid, bytes reason);
    event OperationSkipped(bytes32 indexed uid);
    event Repaid(uint256 indexed positionId, uint256 paid, uint256 debtAfter);
    event OperatorSet(address indexed account, bool allowed);
    event TreasurySet(address indexed treasury);
    event FeesWithdrawn(address indexed treasury, uint256 amount);

    error BlockReplaced(uint256 number, bytes32 expected);
    error NotOperator(address caller);
    error OnlySelf(address caller);
    error CarrierOutOfGas();
    error NotAContract(address to);
    error NothingOwed(uint256 positionId);
    error TokenRefused(address token);
    error ZeroAddress();

    constructor(address owner_, address operator, IERC20 usdc_, address treasury_, uint256 operationGasFloor_)
        Ownable(owner_)
    {
        usdc = usdc_;
        operationGasFloor = operationGasFloor_;
        _setTreasury(treasury_);
        _setOperator(operator, true);
    }

    /// @dev Without it an account that delegates here could no longer be sent its gas money.
    receive() external payable {}

    modifier onlySelf() {
        if (msg.sender != address(this)) revert OnlySelf(msg.sender);
        _;
    }

    /// @notice Runs a carrier. Reverts as a whole only where the caller may not, it is paused, or gas runs short.
    /// @return outcomes one per operation, so that one `eth_call` shows what the whole carrier would do, in order.
    function execute(Operation[] calldata operations) external payable whenNotPaused returns (Outcome[] memory outcomes) {
        if (msg.sender != address(this) && !isOperator[msg.sender]) revert NotOperator(msg.sender);
        outcomes = new Outcome[](operations.length);
        for (uint256 i; i < operations.length; ++i) {
            Operation calldata operation = operations[i];
            if (executed[operation.uid]) {
                outcomes[i].status = Status.SKIPPED;
                emit OperationSkipped(operation.uid);
                continue;
            }
            (bool ok, bytes memory reason) = _isolate(operation);
            if (ok) {
                emit OperationExecuted(operation.uid);
            } else {
                outcomes[i] = Outcome(Status.FAILED, reason);
                emit OperationFailed(operation.uid, reason);
            }
        }
    }

    /// @notice One operation, all or nothing. Only `execute` calls it. A token that answers false has failed.
    function run(Operation calldata operation) external onlySelf {
        executed[operation.uid] = true; // first, so that no call can run the uid again
        for (uint256 i; i < operation.calls.length; ++i) {
            Call calldata item = operation.calls[i];
            address to = item.to;
            if (to.code.length == 0 && item.data.length != 0) revert NotAContract(to);
            (bool ok, bytes memory answer) = to.call{value: item.value}(item.data);
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
            if (answer.length != 0 && !_isTrue(answer) && _movesTokens(bytes4(item.data))) revert TokenRefused(to);
        }
    }

    /// @notice Repays a position from this account, as a call of an operation: exactly `amount`, or with `close` no more than
    /// the debt in the block it runs in. Where nothing is owed it reverts, and what the operation pulled goes back.
    function repay(IRepayable vault, uint256 positionId, uint256 amount, bool close) external onlySelf {
        uint256 debt = vault.debtOf(positionId);
        uint256 paid = close && debt < amount ? debt : amount;
        if (paid == 0) revert NothingOwed(positionId);
        usdc.forceApprove(address(vault), paid);
        vault.repayLoan(positionId, paid); // reverts above the debt
        emit Repaid(positionId, paid, debt - paid);
    }

    /// @notice Repays what one loan owes in the block it runs in, no more than `most` and than the position's debt. It is pulled
    /// from `payer` to the base unit; the zero address is this account itself.
    function payoff(IRepayable vault, uint256 positionId, LoanDebt calldata loan, uint256 most, address payer)
        external
        onlySelf
    {
        uint256 debt = vault.debtOf(positionId);
        uint256 paid = Math.min(_owed(loan), Math.min(most, debt));
        if (paid == 0) revert NothingOwed(positionId);
        if (payer != address(0)) usdc.safeTransferFrom(payer, address(this), paid);
        usdc.forceApprove(address(vault), paid);
        vault.repayLoan(positionId, paid);
        emit Repaid(positionId, paid, debt - paid);
    }

    /// @notice Goes before a repayment whose funds came in by a transfer in block `number`: reverts where another block than
    /// `expected` stands there, for then a reorg may have taken the transfer, and nothing may be paid on its strength.
    /// @dev A block that is out of `blockhash`'s reach is 256 blocks deep. A simulation on the newest block, which costs
    /// nothing, cannot see that block's own hash; a mined carrier never stands in the block that it depends on.
    function requireBlock(uint256 number, bytes32 expected) external view {
        if (number == block.number && tx.gasprice == 0) return;
        bytes32 found = blockhash(number);
        if (number >= block.number || (found != 0 && found != expected)) revert BlockReplaced(number, expected);
    }

    /// @notice Lets `account` send carriers, or no longer. Owner only.
    function setOperator(address account, bool allowed) external onlyOwner {
        _setOperator(account, allowed);
    }

    /// @notice Sets where fees go. Owner only.
    function setTreasury(address treasury_) external onlyOwner {
        _setTreasury(treasury_);
    }

    /// @notice Sends `amount` of USDC to the treasury. Owner only.
    function withdrawFees(uint256 amount) external onlyOwner {
        address to = treasury;
        usdc.safeTransfer(to, amount);
        emit FeesWithdrawn(to, amount);
    }

    /// @notice Stops all carriers. Owner only.
    function pause() external onlyOwner {
        _pause();
    }

    /// @notice Lets carriers run again. Owner only.
    function unpause() external onlyOwner {
        _unpause();
    }

    /// @dev A call of its own, whose failure undoes exactly this operation. At most 63/64 of the gas left can be passed on.
    /// Of what it answers `REASON_BYTES` are kept, so that a long answer costs the others nothing.
    function _isolate(Operation calldata operation) private returns (bool ok, bytes memory reason) {
        bytes memory data = abi.encodeCall(this.run, (operation));
        uint256 gasForOperation = operationGasFloor;
        if (gasleft() * 63 / 64 < gasForOperation + CARRIER_OVERHEAD) revert CarrierOutOfGas();
        assembly ("memory-safe") {
            ok := call(gasForOperation, address(), 0, add(data, 32), mload(data), 0, 0)
        }
        if (ok) return (ok, reason);
        reason = new bytes(REASON_BYTES);
        assembly ("memory-safe") {
            let size := returndatasize()
            if gt(size, mload(reason)) { size := mload(reason) }
            mstore(reason, size)
            returndatacopy(add(reason, 32), 0, size)
        }
    }

    function _isTrue(bytes memory answer) private pure returns (bool yes) {
        assembly ("memory-safe") {
            yes := and(gt(mload(answer), 31), eq(mload(add(answer, 32)), 1))
        }
    }

    /// @dev The functions whose answer SafeERC20 reads: true, or nothing. What others answer means what they say it means.
    function _movesTokens(bytes4 selector) private pure returns (bool) {
        return selector == IERC20.transfer.selector || selector == IERC20.transferFrom.selector
            || selector == IERC20.approve.selector || selector == INCREASE_ALLOWANCE || selector == DECREASE_ALLOWANCE
            || selector == INCREASE_APPROVAL || selector == DECREASE_APPROVAL || selector == TRANSFER_AND_CALL
            || selector == TRANSFER_AND_CALL_DATA || selector == TRANSFER_FROM_AND_CALL
            || selector == TRANSFER_FROM_AND_CALL_DATA || selector == APPROVE_AND_CALL
            || selector == APPROVE_AND_CALL_DATA;
    }

    function _owed(LoanDebt calldata loan) private view returns (uint256) {
        // A reorg can put the carrier into an earlier block than the one its terms are of: then nothing has grown since.
        uint256 growth = loan.rateBps * Math.saturatingSub(block.timestamp, loan.since);
        uint256 prior = loan.priorAccrued + loan.priorPrincipal * growth;
        uint256 withLoan = prior + loan.accrued + loan.principal * growth;
        return loan.principal + Math.ceilDiv(withLoan, INTEREST_SCALE) - Math.ceilDiv(prior, INTEREST_SCALE);
    }

    function _setOperator(address account, bool allowed) private {
        if (account == address(0)) revert ZeroAddress();
        isOperator[account] = allowed;
        emit OperatorSet(account, allowed);
    }

    function _setTreasury(address treasury_) private {
        if (treasury_ == address(0)) revert ZeroAddress();
        treasury = treasury_;
        emit TreasurySet(treasury_);
    }
}
