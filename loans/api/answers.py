"""The shapes of the partner API's answers, for the OpenAPI schema; `loans.api.presenters` and `loans.stats` write them.

Tests hold both against each other: every answer has these fields and no others.
"""

from rest_framework import serializers

from loans.consent.message import VERSIONS
from loans.debt.schedules import DUE, MISSED, PAID
from loans.models import LoanStatus, RepaymentSource
from loans.transactions import TransactionStatus, TransactionType
from partner_platform.core.openapi.fields import Address, AnyObject, BaseUnits, Count, Hash, IdText, Moment, Success
from partners.models import PartnerStatus, PartnerTier

# ruff: noqa: N815 - the contract's names
_Text = serializers.CharField


class CreditLine(serializers.Serializer):
    """An OAID's credit line, in base units of USDC."""

    oaidTokenId = Count()
    oaidTokenIdString = IdText()
    creditLimit = BaseUnits()
    creditUsed = BaseUnits()
    availableCredit = BaseUnits()
    active = serializers.BooleanField()
    owner = Address()


class Position(serializers.Serializer):
    """A collateral position."""

    positionId = Count()
    positionIdString = IdText()
    user = Address()
    collateralToken = Address()
    collateralAmount = BaseUnits(help_text="In the collateral token's own units.")
    collateralValueUSD = BaseUnits(help_text="6 decimals, as USDC.")
    usdcBorrowed = BaseUnits()
    healthFactor = serializers.FloatField(allow_null=True, help_text="Collateral value over debt; null without debt.")
    active = serializers.BooleanField()
    tokenType = _Text()


class _Borrow(serializers.Serializer):
    success = Success()
    internalLoanId = serializers.UUIDField()
    borrowedAmount = BaseUnits()
    netAmountTransferred = BaseUnits(help_text="What the settlement address gets: the amount less the fee.")
    platformFee = BaseUnits()
    remainingCredit = BaseUnits()
    message = _Text()


class Borrowed(_Borrow):
    """A loan that was drawn."""

    txHash = Hash()


class BorrowPending(_Borrow):
    """A loan that is accepted and being settled."""

    status = serializers.ChoiceField(choices=["PENDING"])


class _Repayment(serializers.Serializer):
    success = Success()
    repaymentId = serializers.UUIDField(help_text="For `GET /partners/repayments/{repaymentId}`.")
    remainingDebt = BaseUnits()
    loanStatus = serializers.ChoiceField(choices=LoanStatus.values)
    message = _Text()


class Repaid(_Repayment):
    """A repayment that is settled."""

    txHash = Hash()


class RepaymentPending(_Repayment):
    """A repayment that is accepted and being settled."""

    status = serializers.ChoiceField(choices=["PENDING"])


class RepaymentState(serializers.Serializer):
    """A repayment and what became of it."""

    repaymentId = serializers.UUIDField()
    partnerLoanId = _Text()
    amount = BaseUnits()
    status = serializers.ChoiceField(choices=TransactionStatus.values)
    failureReason = _Text(allow_null=True, help_text="Why it failed: the debt is as it was, and nothing was taken.")
    txHash = Hash(allow_null=True)
    repaidBy = serializers.ChoiceField(choices=RepaymentSource.values)
    principalPaid = BaseUnits(help_text="0 until it is settled.")
    interestPaid = BaseUnits(help_text="0 until it is settled.")
    createdAt = Moment()
    finishedAt = Moment(allow_null=True, help_text="When it was settled or failed.")
    loanStatus = serializers.ChoiceField(choices=LoanStatus.values)


class HistoryRow(serializers.Serializer):
    """A settled repayment, whoever paid it."""

    amount = BaseUnits()
    timestamp = Moment()
    txHash = Hash()
    repaidBy = serializers.ChoiceField(choices=RepaymentSource.values)


class Instalment(serializers.Serializer):
    """A part of the principal and when it is due."""

    number = Count()
    dueAt = Moment()
    amount = BaseUnits()
    status = serializers.ChoiceField(choices=[DUE, PAID, MISSED])


class LoanRow(serializers.Serializer):
    """A loan in a list."""

    partnerLoanId = _Text()
    principalAmount = BaseUnits()
    remainingDebt = BaseUnits(help_text="Interest included.")
    status = serializers.ChoiceField(choices=LoanStatus.values)
    borrowedAt = Moment(allow_null=True)


class Loan(LoanRow):
    """A loan and all that became of it."""

    internalLoanId = serializers.UUIDField()
    userWallet = Address()
    oaidTokenId = Count()
    oaidTokenIdString = IdText()
    outstandingPrincipal = BaseUnits()
    accruedInterest = BaseUnits()
    totalRepaid = BaseUnits()
    interestPaid = BaseUnits()
    interestRate = Count(help_text="A year's, in basis points.")
    platformFee = BaseUnits()
    netAmountTransferred = BaseUnits()
    borrowTxHash = Hash(allow_null=True)
    repayTxHash = Hash(allow_null=True)
    failureReason = _Text(allow_null=True)
    repaymentInFlight = serializers.BooleanField(help_text="A repayment is accepted and being settled.")
    repaymentHistory = HistoryRow(
        many=True,
        help_text="Oldest first; of more than 100 the newest. All are in `GET /partners/my/transactions?type=REPAY`.",
    )
    loanDuration = Count(allow_null=True, help_text="Seconds.")
    numberOfInstallments = Count(allow_null=True)
    schedule = Instalment(many=True)
    defaultedAt = Moment(allow_null=True)
    defaultReason = _Text(allow_null=True)
    writtenOff = BaseUnits()
    metadata = AnyObject(allow_null=True)


class Payoff(serializers.Serializer):
    """What closes a loan, and until when that holds."""

    partnerLoanId = _Text()
    payoffAmount = BaseUnits()
    remainingDebt = BaseUnits()
    outstandingPrincipal = BaseUnits()
    accruedInterest = BaseUnits()
    interestRate = Count(help_text="A year's, in basis points.")
    validUntil = Moment()


class _Page(serializers.Serializer):
    total = Count(help_text="On a page reached by cursor that of the first page.")
    limit = Count()
    offset = Count()
    hasMore = serializers.BooleanField(help_text="Whether rows follow this page.")
    next = _Text(allow_null=True, help_text="For `?cursor=`; null on the last page.")


class LoanPage(_Page):
    """Loans, newest first."""

    loans = LoanRow(many=True)


class Transaction(serializers.Serializer):
    """A borrow or a repayment."""

    timestamp = Moment()
    type = serializers.ChoiceField(choices=TransactionType.values)
    partnerLoanId = _Text()
    amount = BaseUnits()
    userWallet = Address()
    txHash = Hash(allow_null=True)
    status = serializers.ChoiceField(choices=TransactionStatus.values)
    repaymentId = serializers.UUIDField(allow_null=True, help_text="Of a REPAY.")
    failureReason = _Text(allow_null=True, help_text="Of one that is FAILED.")


class TransactionPage(_Page):
    """Transactions, newest first."""

    transactions = Transaction(many=True)


class Limits(serializers.Serializer):
    """What the partner may borrow."""

    dailyBorrowLimit = BaseUnits()
    totalBorrowLimit = BaseUnits()
    currentOutstanding = BaseUnits()


class Usage(serializers.Serializer):
    """What is left of it; the day is the UTC day."""

    dailyBorrowed = BaseUnits()
    dailyRemaining = BaseUnits()
    totalRemaining = BaseUnits()
    utilizationRate = serializers.RegexField(r"^[0-9]+\.[0-9]%$")


class Lifetime(serializers.Serializer):
    """Sums over all of the partner's loans."""

    totalBorrowed = BaseUnits()
    totalRepaid = BaseUnits()
    activeLoans = Count()
    repaidLoans = Count()


class Stats(serializers.Serializer):
    """A partner's figures."""

    partnerId = _Text()
    partnerName = _Text()
    tier = serializers.ChoiceField(choices=PartnerTier.values)
    status = serializers.ChoiceField(choices=PartnerStatus.values)
    limits = Limits()
    usage = Usage()
    lifetime = Lifetime()


class SignedMessage(serializers.Serializer):
    """The message of version 2, for the borrow to name what changed since."""

    partner = _Text()
    oaidTokenId = BaseUnits()
    amount = BaseUnits()
    partnerLoanId = _Text()
    loanDuration = BaseUnits(help_text="Seconds; 0: none.")
    numberOfInstallments = BaseUnits(help_text="0: none.")
    platformFee = BaseUnits()
    settlementAddress = Address()
    nonce = BaseUnits()
    deadline = BaseUnits()


class Unsigned(serializers.Serializer):
    """`userAuthorization`, but for the signature."""

    version = serializers.ChoiceField(choices=VERSIONS, help_text="Of the message.")
    deadline = Count(help_text="Seconds since the epoch.")
    nonce = BaseUnits()
    message = SignedMessage(required=False, help_text="Of version 2; what the typed data has.")


class TypedData(serializers.Serializer):
    """What the user signs."""

    typedData = AnyObject(help_text="The EIP-712 message, as `eth_signTypedData_v4` takes it.")
    userAuthorization = Unsigned()
