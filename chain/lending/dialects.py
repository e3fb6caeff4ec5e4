"""Which of the two systems of contracts is in use: the plan's interface, or that of the publicly deployed system.

`CHAIN_SYSTEM=plan|public` chooses. What differs is here: how a credit line is read, how a borrow is called and which
event proves it. All else (positions, repayments, the pool) is the same in both (`chain.lending.readings`,
`chain.lending.operations`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from chain.lending.encoding import topic_of, uint_topic
from chain.lending.fast_codec import checksummed, function
from chain.lending.revert_data import error_selector
from chain.lending.views import View, view
from chain.rpc.errors import RpcError

NO_TOKEN = error_selector("OAID", "ERC721NonexistentToken")
DEFAULT_DURATION_SECONDS = 365 * 86_400


@dataclass(frozen=True)
class DecodedOaid:
    """An OAID as both systems have it; `position_id` is 0 where no position backs it."""

    owner: str
    limit: int
    used: int
    active: bool
    position_id: int


@dataclass(frozen=True)
class Borrow:
    """A draw on a position: `duration` in seconds, where the loan has due dates."""

    position_id: int
    amount: int
    duration: int | None = None
    installments: int | None = None


class Dialect(ABC):
    """What differs between the systems."""

    vault: str  # artifacts of its contracts
    oaid: str
    one_loan_per_position = False

    @property
    def borrowed_topic(self) -> str:
        """The first topic of the vault's event of a borrow."""
        return topic_of(self.vault, "USDCBorrowed")

    @abstractmethod
    def oaid_views(self, token_id: int) -> list[View]:
        """The calls that read an OAID."""

    @abstractmethod
    def is_unknown(self, answers: Sequence[object]) -> bool:
        """True where the answers (refusals included) say that there is no such OAID."""

    @abstractmethod
    def decode_oaid(self, answers: Sequence[str]) -> DecodedOaid:
        """The credit line out of the answers, none of which is a refusal; `Undecodable`."""

    @abstractmethod
    def borrow_call(self, borrow: Borrow) -> str:
        """Calldata of the borrow."""

    @abstractmethod
    def borrowed_data(self, borrow: Borrow) -> str:
        """The data of the event that proves it."""


class PlanDialect(Dialect):
    """The plan's: OAIDs are ERC-721 tokens, `borrowUSDC(positionId, amount)`, any number of loans on a position."""

    vault, oaid = "SolvencyVault", "OAID"

    def oaid_views(self, token_id: int) -> list[View]:
        oaid, vault = settings.OAID_ADDRESS, settings.SOLVENCY_VAULT_ADDRESS
        return [
            view(self.oaid, oaid, "ownerOf", token_id),
            view(self.oaid, oaid, "getCreditLine", token_id),
            view(self.vault, vault, "positionOf", token_id),
        ]

    def is_unknown(self, answers: Sequence[object]) -> bool:
        return isinstance(answers[0], RpcError) and str(answers[0].data).startswith(NO_TOKEN)

    def decode_oaid(self, answers: Sequence[str]) -> DecodedOaid:
        owner, line, position = answers
        [holder] = function(self.oaid, "ownerOf").decode(owner)
        limit, used, active = function(self.oaid, "getCreditLine").decode(line)
        [position_id] = function(self.vault, "positionOf").decode(position)
        return DecodedOaid(checksummed(holder), limit, used, active, position_id)

    def borrow_call(self, borrow: Borrow) -> str:
        return function(self.vault, "borrowUSDC").encode(borrow.position_id, borrow.amount)

    def borrowed_data(self, borrow: Borrow) -> str:
        return uint_topic(borrow.amount)


class PublicDialect(Dialect):
    """The deployed system's: a credit line is a struct that names its user and position, and there is no `ownerOf`; a
    borrow is a plan with a duration and instalments, one at a time for a position; paying too much reverts.
    """

    vault, oaid = "PublicSolvencyVault", "PublicOAID"
    one_loan_per_position = True

    def oaid_views(self, token_id: int) -> list[View]:
        return [view(self.oaid, settings.OAID_ADDRESS, "getCreditLine", token_id)]

    def is_unknown(self, answers: Sequence[object]) -> bool:
        return isinstance(answers[0], str) and len(answers[0]) > len("0x") and not int(answers[0][2:66], 16)

    def decode_oaid(self, answers: Sequence[str]) -> DecodedOaid:
        [(user, limit, used, position, active)] = function(self.oaid, "getCreditLine").decode(answers[0])
        return DecodedOaid(checksummed(user), limit, used, active, position)

    def borrow_call(self, borrow: Borrow) -> str:
        return function(self.vault, "borrowUSDC").encode(*self._terms(borrow))

    def borrowed_data(self, borrow: Borrow) -> str:
        return "0x" + "".join(uint_topic(value)[2:] for value in self._terms(borrow)[1:])

    def _terms(self, borrow: Borrow) -> list[int]:
        """Without due dates of its own a loan is one instalment, due in a year."""
        duration = borrow.duration or DEFAULT_DURATION_SECONDS
        return [borrow.position_id, borrow.amount, duration, borrow.installments or 1]


DIALECTS: dict[str, Dialect] = {"plan": PlanDialect(), "public": PublicDialect()}


def dialect() -> Dialect:
    """The system in use."""
    return DIALECTS[settings.CHAIN_SYSTEM]
