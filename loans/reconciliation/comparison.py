"""One comparison of everything, or of all that moved since the last run, at one moment.

A full comparison reads every row. A quick one reads the positions that moved (with their loans, repayments and events),
the days, OAIDs and transfers of the loans that moved, each partner's sums, the platform accounts and the wallets; what
it does not read agreed in the last run and was not written since. It needs a last run that found nothing, on a block
that is still on the chain; otherwise the comparison is full.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from audit import selectors as audit_selectors
from chain import reconciling
from chain import selectors as chain_selectors
from chain.models import ChainEvent
from chain.reconciling import ReferenceBlock
from loans.reconciliation import days, holdings, positions, records, reservations, transfers
from loans.reconciliation.activity import (
    NO_FIGURES,
    Activity,
    activity_of,
    check_activity,
    figures_by_partner,
    figures_of,
)
from loans.reconciliation.days import Corrections, Days
from loans.reconciliation.findings import Findings
from loans.reconciliation.loans import check_loans
from loans.reconciliation.moved import Moved, TooMany, moved_since, transfers_of
from loans.reconciliation.own_events import EventMatcher
from loans.reconciliation.records import PositionGroup, PositionGroups, PositionRecord
from partner_platform.core.database.batches import batched
from partner_platform.core.database.snapshot import snapshot
from partners.models import Partner

UNAPPLIED_AT_ONCE = 20_000


@dataclass(frozen=True)
class Baseline:
    """What a quick comparison starts from: how far the last run had read trail and chain, and its sums as of then."""

    block_number: int
    block_hash: str
    audit_block: int
    flows: Mapping[str, int]  # by platform account, base units
    in_motion: Collection[str] = ()


@dataclass
class Comparison:
    """What was compared as of the moment, and every figure that disagrees; `days` are those that were summed again."""

    moment: ReferenceBlock
    is_full: bool
    baseline: Baseline
    days: Days
    findings: Findings
    motions: dict[str, int | None]  # what is under way, since which block
    checked: Counter[str]
    behind: int = 0  # blocks that the chain was ahead when the comparison began


def compare_books(last: Baseline | None) -> Comparison:
    """Compare everything, or quickly what moved since `last` where that can be told. Raises `ChainUnavailable`."""
    with snapshot():
        number, block_hash, watched = reconciling.last_watched_block()
        moment = reconciling.reference_block(number, block_hash, watched)
        behind = reconciling.head_distance(moment)  # now: the chain goes on while everything is read
        newest = audit_selectors.newest_block()
        found = Comparing(moment, 0 if newest is None else newest.number)
        try:
            moved = None if last is None else _moved(last, moment)
        except TooMany:
            moved = None
        if last is None or moved is None:
            found.compare_all()
        else:
            found.compare_moved(last, moved)
        return found.result(is_full=moved is None, behind=behind)


def _moved(last: Baseline, moment: ReferenceBlock) -> Moved | None:
    """What moved since the last run; None where a quick comparison cannot start from it."""
    if last.block_number > moment.block_number or not reconciling.is_on_chain(
        last.block_number, last.block_hash, moment
    ):
        return None
    if set(last.flows) != set(chain_selectors.executor_addresses()):
        return None
    return moved_since(audit_block=last.audit_block, block_number=last.block_number, in_motion=last.in_motion)


@dataclass
class Comparing:
    """The comparison under way; without a moment the books are compared with themselves alone."""

    moment: ReferenceBlock | None
    audit_block: int
    findings: Findings = field(default_factory=Findings)
    motions: dict[str, int | None] = field(default_factory=dict)
    checked: Counter[str] = field(default_factory=Counter)
    flows: Counter[str] = field(default_factory=Counter)
    days: Days = field(default_factory=Days)

    def compare_all(self) -> None:
        """Every row."""
        activity = Activity()
        self._compare_positions(None, self.days, since=-1, activity=activity)
        partners = list(Partner.objects.order_by("partner_id"))
        sums = days.by_partner(self.days.items())
        for partner in partners:
            self.findings.add(days.check_partner(partner, sums.get(partner.pk, days.no_sums())))
        self.findings.add(days.check_usage(self.days, partners, every=True))
        self.findings.add(check_activity(activity, partners))
        for found in reservations.check_reservations():
            self.findings.add(found)
        if self.moment is None:
            for found in transfers.all_used():
                self.findings.add(found)
            return
        outside = transfers.OutsideTransfers(self.moment, since=-1)
        for found in outside.check(sorted(chain_selectors.executor_addresses())):
            self.findings.add(found)
        for found, motions in outside.check_rest():
            self.findings.add(found)
            self.motions |= motions
        self.checked["transfer"] = outside.checked
        self._check_holdings(outside.flows)

    def compare_moved(self, last: Baseline, moved: Moved) -> None:
        """What moved since the last run, and the sums of everything."""
        moment = self._require_moment()
        corrections = Corrections()
        self._compare_positions(moved.positions, corrections, since=last.block_number)
        self._check_partners({(loan.partner_id, loan.daily_usage_day) for loan in moved.loans}, corrections)
        for found in reservations.check_reservations({loan.oaid_token_id for loan in moved.loans}):
            self.findings.add(found)
        for chosen in batched(sorted(transfers_of(moved.loans))):
            some = transfers.read_transfers(pk__in=chosen)
            found, motions = transfers.check_each(some, moment)
            self.findings.add(found)
            self.motions |= motions
            self.checked["transfer"] += len(some)
        outside = transfers.OutsideTransfers(moment, since=last.block_number)
        for _ in outside.movements(last.flows.keys()):
            pass
        self.flows.update(last.flows)
        self._check_holdings(outside.flows)

    def _check_partners(self, keys: Collection[tuple[UUID, Any]], corrections: Corrections) -> None:
        """Each partner's figures against its stored sums, the days of `keys` (all, where they differ) summed again."""
        self.days = days.recomputed(keys)
        self.days.correct(corrections)
        sums = days.stored_by_partner()
        before = days.stored_sums(keys)
        for key, values in self.days.items():
            total = sums.setdefault(key[0], days.no_sums())
            known = before.get(key, days.no_sums())
            total[:] = [a + b - c for a, b, c in zip(total, values, known, strict=True)]
        partners = list(Partner.objects.order_by("partner_id"))
        booked, agreeing = figures_by_partner(), []
        for partner in partners:
            if days.check_partner(partner, sums.get(partner.pk, days.no_sums())):
                summed = days.recomputed_of_partner(partner.pk)
                summed.correct(corrections)
                self.days.replace(summed)
                total = days.by_partner(summed.items()).get(partner.pk, days.no_sums())
                self.findings.add(days.check_partner(partner, total))
                sums[partner.pk] = total
            if booked.get(partner.pk, NO_FIGURES) == figures_of(sums.get(partner.pk, days.no_sums())):
                agreeing.append(partner)
            else:
                self._check_figures(partner)
        self.findings.add(days.check_usage(self.days, agreeing, every=False))

    def _check_figures(self, partner: Partner) -> None:
        """The partner's figures by day do not add up: all of its days are summed again."""
        self.findings.add(days.check_usage(days.recomputed_of_partner(partner.pk), [partner], every=True))
        self.findings.add(check_activity(activity_of(partner.pk), [partner]))

    def _compare_positions(
        self, chosen: Collection[int] | None, sums: Days, *, since: int, activity: Activity | None = None
    ) -> None:
        """The positions (all without `chosen`) with their loans, repayments and events, in bounded numbers."""
        groups = PositionGroups(chosen)
        unapplied = _Unapplied(self.moment)
        accounts = sorted(chain_selectors.executor_addresses()) if self.moment is not None else []
        account = accounts[0] if len(accounts) == 1 else ""
        self.flows.update(dict.fromkeys(accounts, 0))
        for group in groups:
            rows, loans = records.positions(group), records.loans(group)
            repayments = records.repayments([loan.pk for loan in loans])
            found, by_position = check_loans(loans, repayments, sums, activity)
            self.findings.add(found)
            self.findings.add(positions.check_books(rows, by_position))
            seen = len(loans) + sum(map(len, repayments.values()))
            if self.moment is not None:
                events = records.events(group, until=self.moment.block_number, account=account)
                seen += sum(map(len, events.values()))
                matcher = EventMatcher(self.moment, since=since, fresh=self._fresh(since))
                self._match_events(matcher, loans, repayments, events)
                self._check_vault(rows, by_position, unapplied.of(group))
            self.checked["position"] += len(rows)
            groups.adapt_width(seen)

    def _check_vault(
        self, rows: dict[int, PositionRecord], by_position: Any, waiting: Mapping[int, Sequence[ChainEvent]]
    ) -> None:
        """Against one endpoint; where that makes a finding, against all of them."""
        moment = self._require_moment()
        for by_all in (False, True):
            vault = reconciling.read_positions(sorted(rows), moment, by_all=by_all)
            wrong, motions = positions.check_chain(rows, by_position, vault, waiting, moment)
            if not wrong:
                break
        self.findings.add(wrong)
        self.motions |= motions

    def _match_events(self, matcher: EventMatcher, loans: Any, repayments: Any, events: Any) -> None:
        matched = matcher.compare(loans, repayments, events)
        self.findings.add(matched.findings)
        self.motions |= matched.motions
        self.flows.update(matched.flows)
        self.checked.update(loan=matched.draws, repayment=matched.payments)

    def _fresh(self, since: int) -> int:
        """Above this block, the last that was final, an event must have its operation's uid, not only its place."""
        final = self._require_moment().final_block
        return final if since < 0 else min(since, final)

    def _check_holdings(self, outside: Mapping[str, int]) -> None:
        moment = self._require_moment()
        self.flows.update(outside)
        self.findings.add(holdings.check_accounts(self.flows, moment))
        wrong, motions, self.checked["wallet"] = holdings.check_wallets(moment)
        self.findings.add(wrong)
        self.motions |= motions
        self.checked["account"] = len(self.flows)

    def result(self, *, is_full: bool, behind: int) -> Comparison:
        """What was found, with what the next run may begin from."""
        moment = self._require_moment()
        return Comparison(
            moment=moment,
            is_full=is_full,
            baseline=Baseline(
                moment.block_number, moment.block_hash, self.audit_block, dict(self.flows), tuple(self.motions)
            ),
            days=self.days,
            findings=self.findings,
            motions=self.motions,
            checked=self.checked,
            behind=behind,
        )

    def _require_moment(self) -> ReferenceBlock:
        if self.moment is None:
            raise ValueError("the chain was left out")
        return self.moment


class _Unapplied:
    """Events up to the moment that nobody acted on yet: read once where they are few, else group by group."""

    def __init__(self, moment: ReferenceBlock | None) -> None:
        self._moment = moment
        self._all: dict[int, list[ChainEvent]] | None = None
        if moment is not None:
            found = list(self._query()[: UNAPPLIED_AT_ONCE + 1])
            self._all = _grouped(found) if len(found) <= UNAPPLIED_AT_ONCE else None

    def of(self, group: PositionGroup) -> dict[int, list[ChainEvent]]:
        """By position, in the order of the chain; maybe others' too."""
        return _grouped(self._query().filter(group.where("position_id"))) if self._all is None else self._all

    def _query(self) -> Any:
        until = -1 if self._moment is None else self._moment.block_number
        events = ChainEvent.objects.filter(applied__in=[False], block_number__lte=until, position_id__isnull=False)
        return events.order_by("block_number", "log_index")


def _grouped(events: Iterable[ChainEvent]) -> dict[int, list[ChainEvent]]:
    found: dict[int, list[ChainEvent]] = {}
    for event in events:
        if event.position_id is not None:
            found.setdefault(event.position_id, []).append(event)
    return found
