"""The three databases side by side: guarded updates and accepted borrows a second, 16 threads in each of 4 processes.

Each engine's server is started fresh, as durable as in production, and ended before the next one's. `one partner`: all
work on one partner and one OAID, the hottest rows there are; `8 partners`: borrows spread over eight of each.
Processes, database, Redis and chain share the machine, so only the ratios mean something. Every limit leaves room for
three quarters: the run fails where one was passed by a base unit or not used up, or a request had no clean answer.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.world import running_servers
from sandbox import databases

if TYPE_CHECKING:
    from benchmarks.crowd import CallerProcesses, Done

AMOUNT = 3 * 10**6 + 1
ENOUGH = 10**15
OAID = 4711
DAY = "2026-01-05"
PROCESSES, THREADS = 4, 16
SPREAD = 8
REFUSED = (403, "total_limit_exceeded")
TITLES = {
    "updates": "guarded updates/s, one partner",
    "hot": "borrows/s, one partner",
    "spread": f"borrows/s, {SPREAD} partners",
}


def main() -> int:
    """Measure the engines, each in a process of its own for its settings; answers 0 where all were exact."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--each", type=int, default=8, help="of each thread (%(default)s)")
    parser.add_argument("--engine", choices=databases.ENGINES, help="only this one, its rates as JSON")
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(_measure(options.engine, options.each)))
        return 0
    found = {engine: _in_a_process(engine, options.each) for engine in databases.ENGINES}
    _print_table(found)
    wrong = [f"{databases.TITLES[engine]}: {text}" for engine, result in found.items() for text in result["wrong"]]
    for text in wrong:
        print(f"MISS  {text}")
    if not wrong:
        print("ok    each limit used up exactly, each request answered")
    return 1 if wrong else 0


def _in_a_process(engine: str, each: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks", "databases", "--engine", engine, "--each", str(each)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {"rates": {}, "again": {}, "wrong": [f"ended with {done.returncode}"]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _print_table(found: dict[str, dict[str, Any]]) -> None:
    """Rates, in brackets the ratio to SQLite's; how many 503 were given on the way."""
    print(
        f"{PROCESSES} processes of {THREADS} threads".ljust(34) + "".join(f"{databases.TITLES[e]:>18}" for e in found)
    )
    for name, title in TITLES.items():
        base = found[databases.SQLITE]["rates"].get(name)
        cells = []
        for result in found.values():
            rate = result["rates"].get(name)
            cells.append(f"{rate:,.0f} ({rate / base:.2f})" if rate and base else "-")
        print(title.ljust(34) + "".join(f"{cell:>18}" for cell in cells))
    print("503, asked again".ljust(34) + "".join(f"{sum(r['again'].values()):>18}" for r in found.values()))


# --- One engine --------------------------------------------------------------------------------------


def _measure(engine: str, each: int) -> dict[str, Any]:
    """`rates` a second by kind, 503 given on the way by kind, and what was `wrong`."""
    with running_servers(engine):
        from django.core.management import call_command

        from benchmarks.crowd import caller_processes
        from benchmarks.furnish import furnish

        call_command("migrate", verbosity=0)
        world = furnish(users=SPREAD)
        _point_at(world.environment())
        result: dict[str, Any] = {"rates": {}, "again": {}, "wrong": []}
        with caller_processes(processes=PROCESSES, threads=THREADS) as everybody:
            wallets = [(user.oaid_token_id, user.wallet) for user in world.users]
            _borrows(everybody, 1, wallets, 1)  # caches and connections warm
            for name, run in {
                "updates": lambda: _updates(everybody, each),
                "hot": lambda: _borrows(everybody, each, wallets[:1], 1),
                "spread": lambda: _borrows(everybody, each, wallets, SPREAD),
            }.items():
                done, wrong = run()
                result["rates"][name] = len(done.asked) / done.seconds
                result["again"][name] = sum(len(asked.answers) - 1 for asked in done.asked)
                result["wrong"] += [f"{TITLES[name]}: {text}" for text in wrong]
        return result


def _point_at(values: dict[str, str]) -> None:
    """Settings of this process, and the environment for those of the crowd."""
    import os

    from django.conf import settings

    for name, value in values.items():
        setattr(settings, name, value)
        os.environ[name] = value


def _updates(everybody: "CallerProcesses", each: int) -> tuple["Done", list[str]]:
    from loans.positions import credit

    room = _room(each, 1)
    partner, _ = _new_partner(room)
    credit.ensure_row(OAID)
    done = everybody.run(
        "reserve",
        each=each,
        partner_id=str(partner.pk),
        oaid_token_id=OAID,
        amount=AMOUNT,
        day=DAY,
        headroom=ENOUGH,
    )
    return done, _wrong(done, [partner], room, accepted=200)


def _borrows(
    everybody: "CallerProcesses", each: int, wallets: list[tuple[int, str]], partners: int
) -> tuple["Done", list[str]]:
    room = _room(each, partners)
    made = [_new_partner(room) for _ in range(partners)]
    done = everybody.run("borrow", each=each, keys=[key for _, key in made], wallets=wallets, amount=AMOUNT)
    return done, _wrong(done, [partner for partner, _ in made], room, accepted=202)


def _room(each: int, partners: int) -> int:
    """How many borrows each partner's limit has room for."""
    return PROCESSES * THREADS * each * 3 // 4 // partners


def _new_partner(room: int) -> tuple[Any, str]:
    """A partner whose total limit lacks a base unit for one borrow more, and its key."""
    import secrets

    from partners.services import create_partner
    from sandbox.keys import key_pair

    name = f"Bench {secrets.token_hex(4)}"
    opened = create_partner(
        actor="system:bench",
        partner_name=name,
        key_label="bench",
        tier="ENTERPRISE",
        daily_borrow_limit=str(ENOUGH),
        total_borrow_limit=str(room * AMOUNT + AMOUNT - 1),
        settlement_address=key_pair(f"settlement:{name}").address,
        contact_email="bench@example.com",
    )
    assert opened.api_key is not None, "the benchmark runs in a sandbox"
    return opened.partner, opened.api_key


def _wrong(done: "Done", partners: list[Any], room: int, *, accepted: int) -> list[str]:
    """What is not exact, in sentences."""
    wrong = []
    last = Counter((asked.answers[-1].status, asked.answers[-1].code) for asked in done.asked)
    fits = room * len(partners)
    if last != {(accepted, ""): fits, REFUSED: len(done.asked) - fits}:
        wrong.append(f"answers {dict(last)} instead of {fits} accepted, the rest refused")
    wrong += [
        f"{answer} does not say when to ask again"
        for asked in done.asked
        for answer in asked.answers[:-1]
        if not answer.retry_after
    ]
    for partner in partners:
        partner.refresh_from_db()
        if partner.current_outstanding != room * AMOUNT:
            wrong.append(f"{partner} has {partner.current_outstanding} outstanding instead of {room * AMOUNT}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
