"""Storing what came of tries: many results in one transaction, the endpoints before their deliveries."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from uuid import UUID

from django.db.models import F, QuerySet

from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from webhooks import metrics
from webhooks.delivery import disabling, schedule
from webhooks.delivery.lanes import Lane, ReceiverHealth, TryOutcome
from webhooks.models import Attempt, Delivery, DeliveryStatus, Endpoint

GIVEN_UP = "The delivery was given up: the result of its try could not be stored"


@dataclass(frozen=True)
class _Result:
    """An outcome, its row of a try, and when the delivery is tried again; None where it is not."""

    outcome: TryOutcome
    attempt: Attempt
    due_at: dt.datetime | None
    step: int = 0  # of the delivery, where it failed

    @property
    def is_final(self) -> bool:
        return self.outcome.is_delivered or self.due_at is None


def store(
    outcomes: Sequence[TryOutcome], lane_of: Callable[[UUID], Lane | None], *, token: str
) -> list[tuple[TryOutcome, bool]]:
    """Write these results in one transaction; returns each with whether its delivery is finished."""
    results = sorted((_result(outcome) for outcome in outcomes), key=lambda result: result.attempt.delivery_id)
    lanes = {key: lane_of(key) for key in sorted({outcome.job.lane for outcome in outcomes})}
    healths = {key: (lane.endpoint, lane.health) for key, lane in lanes.items() if lane is not None}
    run_in_transaction(lambda: _write(results, healths, token))
    _count(results)
    return [(result.outcome, result.is_final) for result in results]


def give_up(outcome: TryOutcome) -> None:
    """The delivery fails, without the try: its result cannot be stored."""
    pending = _pending([outcome.job.delivery.pk])
    pending.update(
        status=DeliveryStatus.FAILED, attempts=F("attempts") + 1, last_error=GIVEN_UP, finished_at=outcome.at
    )
    metrics.deliveries.labels(outcome="failed").inc()


def _result(outcome: TryOutcome) -> _Result:
    delivery = outcome.job.delivery
    attempt = Attempt(
        delivery_id=delivery.pk,
        number=delivery.attempts + 1,
        url=outcome.url,
        request_headers=outcome.request_headers,
        status_code=outcome.status,
        response_headers=outcome.response_headers,
        response_body=outcome.response_body,
        error=outcome.error,
        duration_ms=outcome.duration_ms,
        created_at=outcome.began_at,
    )
    if outcome.is_delivered:
        return _Result(outcome, attempt, None)
    step = schedule.step_after(delivery.step, by_hand=delivery.by_hand)
    due_at = schedule.retry_at(step=step, now=outcome.at, retry_after=outcome.retry_after)
    return _Result(outcome, attempt, due_at, step)


def _write(results: Sequence[_Result], healths: Mapping[UUID, tuple[Endpoint, ReceiverHealth]], token: str) -> None:
    now = clock.now()
    written = [found for found in healths.values() if _write_health(*found, token)]
    Attempt.objects.bulk_create([result.attempt for result in results])
    _write_delivered([result.outcome for result in results if result.outcome.is_delivered])
    for result in results:
        if not result.outcome.is_delivered:
            _write_failed(result)
    _release_followers(results, now)
    for endpoint, health in written:
        reason = _reason_to_disable(endpoint, health, results, now)
        if reason is not None:
            disabling.disable(endpoint, reason=reason, now=now)


def _write_health(endpoint: Endpoint, health: ReceiverHealth, token: str) -> bool:
    """False where somebody changed the endpoint since it was read (its URL, say): tries of before do not count."""
    as_read = Endpoint.objects.filter(pk=endpoint.pk, claimed_by=token, updated_at=endpoint.updated_at)
    return as_read.update(**asdict(health)) == 1


def _reason_to_disable(
    endpoint: Endpoint, health: ReceiverHealth, results: Sequence[_Result], now: dt.datetime
) -> str | None:
    jobs = ((result.outcome, result.outcome.job) for result in results if not result.outcome.is_delivered)
    failed = [outcome for outcome, job in jobs if (job.lane, job.version) == (endpoint.pk, endpoint.updated_at)]
    if any(outcome.status == HTTPStatus.GONE for outcome in failed):
        return disabling.GONE
    if failed and schedule.has_failed_for_long(health.failing_since, now=now):
        return disabling.FAILED_FOR_LONG
    return None


def _write_delivered(outcomes: Sequence[TryOutcome]) -> None:
    """One update for each status code."""
    by_status: Mapping[int | None, list[TryOutcome]] = defaultdict(list)
    for outcome in outcomes:
        by_status[outcome.status].append(outcome)
    for status, some in by_status.items():
        _pending([outcome.job.delivery.pk for outcome in some]).update(
            status=DeliveryStatus.DELIVERED,
            attempts=F("attempts") + 1,
            last_status_code=status,
            last_error="",
            finished_at=max(outcome.at for outcome in some),
        )


def _write_failed(result: _Result) -> None:
    outcome = result.outcome
    again = {"due_at": result.due_at} if result.due_at else {"status": DeliveryStatus.FAILED, "finished_at": outcome.at}
    _pending([outcome.job.delivery.pk]).update(
        attempts=F("attempts") + 1,
        step=result.step,
        by_hand=False,
        last_status_code=outcome.status,
        last_error=outcome.error,
        **again,
    )


def _pending(keys: Sequence[UUID]) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk__in=keys, status=DeliveryStatus.PENDING)


def _release_followers(results: Sequence[_Result], now: dt.datetime) -> None:
    """Make due what was put off behind deliveries that are finished now; those were not at their first due time."""
    loans: Mapping[UUID, set[UUID]] = defaultdict(set)
    for result in results:
        delivery = result.outcome.job.delivery
        if result.is_final and delivery.loan_id is not None and delivery.due_at > delivery.created_at:
            loans[result.outcome.job.lane].add(delivery.loan_id)
    for endpoint, of_loans in loans.items():
        put_off = Delivery.objects.filter(endpoint_id=endpoint, status=DeliveryStatus.PENDING, attempts=0)
        put_off.filter(loan_id__in=sorted(of_loans), due_at__gt=now).update(due_at=now)


def _count(results: Sequence[_Result]) -> None:
    metrics.attempts.inc(len(results))
    for result in results:
        if result.is_final:
            metrics.deliveries.labels(outcome="delivered" if result.outcome.is_delivered else "failed").inc()
