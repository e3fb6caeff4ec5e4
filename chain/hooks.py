"""Who wants to hear that operations became final. `chain` knows no loans; they register themselves."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

SettledCallback = Callable[[list[str]], object]
_callbacks: list[SettledCallback] = []


def on_settled(callback: SettledCallback) -> None:
    """Call `callback(keys)` after each commit that made operations final; its owner's sweep heals a lost call."""
    if callback not in _callbacks:
        _callbacks.append(callback)


def announce_settled(keys: list[str]) -> None:
    """Tell everybody; what one of them raises is logged and reaches neither the others nor the driver."""
    for callback in _callbacks:
        try:
            callback(keys)
        except Exception:  # the truth is committed; this is only a message about it
            logger.exception("a listener failed on %d settled operations", len(keys))


RollbackCallback = Callable[[int], object]
_rollback_callbacks: list[RollbackCallback] = []


def on_rollback(callback: RollbackCallback) -> None:
    """Call `callback(block)` before the events of `block` and everything after it are forgotten; it may come twice."""
    if callback not in _rollback_callbacks:
        _rollback_callbacks.append(callback)


def announce_rollback(block: int) -> None:
    """Have everybody undo; what one of them raises stops the rollback, which is tried again."""
    for callback in _rollback_callbacks:
        callback(block)
