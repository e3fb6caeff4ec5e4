"""Which funds pay a repayment, judged in one place (M3): a transfer that it names, a pull, or the platform account.

1. `repaymentTxHash`: a mined, confirmed USDC transfer from an address of the partner's, with enough of it left.
2. Without one, the settlement address pays where its balance and its allowance cover the amount (PULLED).
3. Where neither does, the platform account pays for a partner that is TRUSTED, with what is not another's to claim.

Where a transfer may be spent on trust already, the platform account is judged for it as well (`funding.trusted`).
"""

from dataclasses import dataclass

from django.conf import settings

from chain.lending import funding, readings
from chain.lending.encoding import Call
from chain.models import FundingTransfer
from loans.funding import early_deposits, trusted
from loans.funding.trusted import Judgement
from loans.models import FundingSource
from partner_platform.core.errors import BadRequest, ErrorCode
from partner_platform.core.money import format_dollars
from partners import settlement_addresses
from partners.models import Partner, RepaymentFunding


@dataclass(frozen=True)
class Funds:
    """What pays a repayment; `judgement` where the platform account does, perhaps without a transfer of the partner."""

    source: FundingSource
    transfer: FundingTransfer | None = None
    judgement: Judgement | None = None

    def limit(self, amount: int) -> int:
        """The amount, or what the platform account may spend where that is less."""
        return amount if self.judgement is None else min(amount, self.judgement.left)

    def claim(self, amount: int, payoff: int) -> int:
        """Take the funds in the transaction that accepts the repayment; returns how much is claimed.

        Of a transfer a payoff claims what may be owed when it is mined, where so much is left, else the amount.
        Raises 400 where less is left.
        """
        if self.transfer is None:
            return amount
        return funding.claim(self.transfer, *sorted({amount, payoff}, reverse=True))

    def spend(self, partner: Partner) -> None:
        """Count the acceptance where the platform account was judged, in the same transaction, as its last step.

        Raises `JudgementOutdated` where another was accepted by the same judgement: find the funds again.
        """
        if self.judgement is not None:
            trusted.accept(self.judgement, partner, on_trust=self.source == FundingSource.TRUSTED)

    def guards(self) -> list[Call]:
        """The call that lets the operation run only on a chain that has the block by which its funds were found."""
        blocks = [(found.block_number, found.block_hash) for found in (self.transfer, self.judgement) if found]
        return [funding.guard(*max(blocks))] if blocks else []


def find_funds(partner: Partner, amount: int, tx_hash: str | None) -> Funds:
    """What pays `amount` base units; 400 where nothing does, `ChainUnavailable` where the chain cannot tell."""
    if tx_hash is not None:
        return _find_transfer(partner, tx_hash, amount)
    balance, allowance = readings.read_usdc_funding(partner.settlement_address)
    if min(balance, allowance) >= amount:
        return Funds(FundingSource.PULLED)
    if partner.repayment_funding == RepaymentFunding.TRUSTED:
        trusted.spending_of(partner.pk)
        judgement = trusted.judge_account(partner)
        if judgement.left >= amount:
            return Funds(FundingSource.TRUSTED, judgement=judgement)
    raise _not_funded(partner, amount, balance, allowance)


def _find_transfer(partner: Partner, tx_hash: str, amount: int) -> Funds:
    """By a transfer from any address that is or was the partner's: the one with enough left, else the first."""
    senders = settlement_addresses.addresses_of(partner)
    rows = [funding.record(proven) for proven in funding.prove_transfers(tx_hash=tx_hash, senders=senders)]
    transfer = next((row for row in rows if row.value - row.used >= amount), rows[0])
    judgement = None
    are_noted = early_deposits.are_noted(senders, partner.pk)
    if not are_noted or trusted.must_be_judged(partner, trusted.spending_of(partner.pk)):
        judgement = trusted.judge_account(partner)
        if judgement.left < amount:
            raise funding.spent_already(judgement.left)
    return Funds(FundingSource.TRANSFER, transfer, judgement)


def _not_funded(partner: Partner, amount: int, balance: int, allowance: int) -> BadRequest:
    account = settings.PLATFORM_EXECUTOR_ADDRESS
    return BadRequest(
        ErrorCode.REPAYMENT_NOT_FUNDED,
        f"Repayment is not funded. Send {format_dollars(amount)} USDC from {partner.settlement_address} to {account}"
        " and pass its repaymentTxHash, or approve that account to pull it",
        details={
            "amount": str(amount),
            "token": settings.USDC_ADDRESS,
            "settlementAddress": partner.settlement_address,
            "platformAccount": account,
            "settlementBalance": str(balance),
            "settlementAllowance": str(allowance),
        },
    )
