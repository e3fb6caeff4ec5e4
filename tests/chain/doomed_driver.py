"""A driver in a process of its own that is killed (SIGKILL) at one point: `python -m tests.chain.doomed_driver POINT`.

The points are put into the process from here; the production code knows nothing of them.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    def call_and_die(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)
        die()

    return call_and_die


def main(point: str) -> None:
    django.setup()
    from chain.rpc import clients
    from chain.settlement import bundling, driver

    if point == "before-commit":  # all rows are written, the transaction is not committed
        bundling._store = after(bundling._store)
    elif point == "before-send":
        clients.ChainClient.send_raw = die  # type: ignore[method-assign,assignment]
    elif point == "after-send":  # the node has it, nobody noted that
        clients.ChainClient.send_raw = after(clients.ChainClient.send_raw)  # type: ignore[method-assign]
    driver.drive_wallet(max_seconds=10)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    main(sys.argv[1])
