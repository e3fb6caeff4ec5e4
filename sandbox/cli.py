"""`manage.py sandbox`: the whole platform on this machine, in the foreground.

manage.py calls it before Django's settings load, because the sandbox writes the environment they load from.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sandbox import databases
from sandbox.folder import DEFAULT_FOLDER, Folder, InUse
from sandbox.servers.process import ServerError
from sandbox.start import CannotStart, Options, Sandbox
from sandbox.terminal import Terminal

DESCRIPTION = "Run the whole platform here: a chain with contracts, a database, Redis, web, workers and beat."
DEFAULT_PORT = 8000
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stop(BaseException):
    """A stop signal was received."""


def main(arguments: Sequence[str]) -> int:
    """Run until stopped; the exit code is 0 after a stop signal, 1 with the reason after a failure."""
    options, folder = _parse(arguments)
    terminal = Terminal()
    for number in STOP_SIGNALS:
        signal.signal(number, _raise_stop)
    try:
        with folder.lock():
            return _run(Sandbox(folder=folder, options=options, terminal=terminal), terminal)
    except _Stop:
        return 0
    except InUse as error:
        terminal.say(f"\nThe sandbox cannot start: {error}")
        return 1


def _run(sandbox: Sandbox, terminal: Terminal) -> int:
    code = 0
    try:
        sandbox.start()
        sandbox.watch()
    except _Stop:
        terminal.say("\nStopping …")
    except (ServerError, CannotStart) as error:
        terminal.say(f"\nThe sandbox stops: {error}")
        code = 1
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        sandbox.stop()
    terminal.say("Stopped.")
    return code


def _raise_stop(number: int, frame: FrameType | None) -> None:
    raise _Stop


def sandbox_options() -> argparse.ArgumentParser:
    """The options, without `--help`: a parent for parsers that have it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--fresh", action="store_true", help="forget everything, after asking, and begin anew")
    parser.add_argument("--yes", action="store_true", help="do not ask before --fresh forgets")
    parser.add_argument("--db", choices=databases.ENGINES, help="the database (as last time, or sqlite)")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="of the API and console; 0 picks one (%(default)s)"
    )
    parser.add_argument("--rpc-port", type=int, help="of the chain's JSON-RPC (as last time, or 8545, or a free one)")
    parser.add_argument(
        "--block-time", type=int, default=1, metavar="SECONDS", help="0: a block per transaction, at once (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="where it keeps its data (%(default)s)")
    parser.add_argument(
        "--approvals",
        action="store_true",
        help="sensitive changes of staff wait for a second person; two of them, maker and checker, are in state.json",
    )
    parser.add_argument("--quiet", action="store_true", help="do not show the processes' logs")
    return parser


def _parse(arguments: Sequence[str]) -> tuple[Options, Folder]:
    parser = argparse.ArgumentParser(prog="manage.py sandbox", description=DESCRIPTION, parents=[sandbox_options()])
    given = parser.parse_args(arguments)
    options = Options(
        fresh=given.fresh,
        yes=given.yes,
        db=given.db,
        port=given.port,
        rpc_port=given.rpc_port,
        block_time=given.block_time,
        quiet=given.quiet,
        approvals=given.approvals,
    )
    return options, Folder(given.folder.resolve())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
