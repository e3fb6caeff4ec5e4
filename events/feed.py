"""A partner's feed, page by page: every event once, in the order of the numbers, for a reader that goes on from `next`.

What breaks if the reads change their order: `newest_number` is read before the rows, because an event may be numbered
between the two; `pruned_until` is read after them, because events may be deleted between the two, and the reader would
pass over them without knowing.
"""

import logging
from dataclasses import dataclass
from uuid import UUID

from events import selectors
from events.models import Event
from events.numbering import EVENTS_A_PASS, number_events
from partner_platform.core.database.transactions import is_unavailable
from partner_platform.core.errors import ErrorCode, Gone

logger = logging.getLogger(__name__)

PASSES_A_READ = 2  # of numbering; what is left is numbered by the next read, or by the delivery
RETRY_SECONDS = 1.0  # for a pass that conflicts with another one, which numbers the same events


@dataclass(frozen=True)
class FeedPage:
    """Events of one page, and the number after which the next one starts."""

    events: list[Event]
    next: int


def read_feed(
    partner_key: UUID, *, after: int | None, limit: int, event_type: str | None = None, loan_id: str | None = None
) -> FeedPage:
    """The partner's events above the number `after`, at most `limit`, oldest first; without it from the oldest kept on.

    `event_type` and `loan_id` (the partner's own loan id) choose among them. Numbers what is committed first. Raises
    410 `cursor_expired` where events above `after` were deleted by age.
    """
    _number_committed()
    newest = selectors.newest_number()
    events = selectors.feed_of(
        partner_key, after=after or 0, limit=limit, event_type=event_type, partner_loan_id=loan_id
    )
    pruned = selectors.pruned_until()
    if after is not None and after < pruned:
        raise Gone(
            ErrorCode.CURSOR_EXPIRED,
            "Events after this cursor were deleted by their age: begin again without after, and read the loans",
        )
    # Without `after` the page begins at the oldest kept, and that may have changed while it was read.
    kept = [event for event in events if _number(event) > pruned]
    reached = _number(events[-1]) if len(events) == limit else newest
    return FeedPage(kept, next=max(reached, pruned, after or 0, *(_number(event) for event in kept[-1:])))


def _number(event: Event) -> int:
    return event.number or 0


def _number_committed() -> None:
    try:
        for _ in range(PASSES_A_READ):
            if number_events(retry_seconds=RETRY_SECONDS) < EVENTS_A_PASS:
                return
    except Exception as error:  # what has its number can be read
        level = logging.WARNING if is_unavailable(error) else logging.ERROR
        logger.log(level, "events are numbered later: %s", error, exc_info=level == logging.ERROR)
