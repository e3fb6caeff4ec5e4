"""The driver's loop step by step, in a world where time passes only while it sleeps."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from chain.rpc.clients import ChainUnavailable, RpcError
from chain.settlement import driver
from chain.settlement.driver import DriveReport
from chain.signals import operations_final
from chain.wallet.lease import LeaseLost
from tests.support.signals import heard_by

STARTED = 1_000.0


class World:
    """What surrounds a driver. `did` is what it did, in order; `plan` maps such a step to what happens in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = STARTED
        self.did: list[str] = []
        self.plan: dict[str, Callable[[], Any]] = {}
        self.live: list[bool] = []  # each answer to whether there is work left; then, none
        self.head = 5
        self.free = True
        self.engine = SimpleNamespace(
            wallet=self,
            lease=SimpleNamespace(renew_if_due=self.step("renew"), release=self.step("release")),
            client=SimpleNamespace(block_number=lambda: self.head),
            head=None,
            require_head=self._require_head,
            settled_keys=[],
            last_bundle_at=0.0,
        )
        monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep("pause")))
        monkeypatch.setattr(driver, "_take_lease", lambda _: self.engine if self.free else None)
        monkeypatch.setattr(driver, "_drive_retired", self.step("retired"))
        for function, name in (("recover", "recover"), ("track_transactions", "track"), ("send_queued", "bundle")):
            monkeypatch.setattr(driver, function, self.step(name, 0 if name == "bundle" else None))
        monkeypatch.setattr(
            driver,
            "wakeup",
            SimpleNamespace(
                listen=self.step("listen"),
                stop_listening=self.step("deaf"),
                wait=lambda _, seconds: self._sleep("sleep")(seconds),
            ),
        )
        monkeypatch.setattr("chain.selectors.has_live_work", lambda _: self.live.pop(0) if self.live else False)
        heard_by(monkeypatch, operations_final, lambda keys, **_: self.did.append(f"announce {' '.join(keys)}"))
        monkeypatch.setattr("chain.settlement.silence.note_head", lambda number: self.did.append(f"head {number}"))
        monkeypatch.setattr("chain.settlement.silence.note_failure", lambda error: self.did.append(f"failure {error}"))
        monkeypatch.setattr("chain.settlement.overdue.report_overdue_if_due", self.step("overdue"))

    def step(self, name: str, answer: Any = None) -> Callable[..., Any]:
        """A stand-in that writes its name down; the plan's answer for it, once."""

        def act(*_: Any) -> Any:
            self.did.append(name)
            return self.plan.pop(name)() if name in self.plan else answer

        return act

    def done(self) -> list[str]:
        """What was done since this was last asked."""
        did, self.did = self.did, []
        return did

    def _sleep(self, name: str) -> Callable[[float], None]:
        def sleep(seconds: float) -> None:
            assert seconds > 0
            self.now += seconds
            self.step(f"{name} {seconds:.2f}")()

        return sleep

    def _require_head(self) -> Any:
        self.engine.head = SimpleNamespace(number=self.head)
        return self.engine.head


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def fail(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


FIRST_PASS = ["renew", "listen", "recover", "bundle", "track", "head 5", "overdue", "bundle"]


def test_a_look_around_takes_no_time(world: World) -> None:
    assert driver.drive_wallet(max_seconds=20) == DriveReport(
        busy=False, live=False, bundles=0, tracked_blocks=1, settled=0
    )
    assert world.done() == ["retired", *FIRST_PASS, "deaf", "deaf", "release"]
    assert world.now == STARTED


def test_where_another_driver_works_nothing_is_done(world: World) -> None:
    world.free = False
    assert driver.drive_wallet(max_seconds=20) == driver.drive_once() == DriveReport(busy=True)
    assert world.done() == ["retired", "retired"]


def test_a_step_is_one_of_everything(world: World) -> None:
    world.plan["bundle"] = lambda: 3
    world.plan["track"] = lambda: world.engine.settled_keys.extend(["a", "b"])
    world.live = [True]
    assert driver.drive_once() == DriveReport(busy=False, live=True, bundles=3, tracked_blocks=1, settled=2)
    assert world.done() == [
        *("retired", "recover", "track", "head 5", "overdue", "bundle", "announce a b", "release"),
    ]
    assert world.engine.settled_keys == []


def test_a_step_of_a_named_wallet_follows_no_other_and_gives_its_lease_back_whatever_happens(world: World) -> None:
    world.plan["recover"] = fail(ChainUnavailable("gone"))
    with pytest.raises(ChainUnavailable):
        driver.drive_once(wallet=SimpleNamespace())  # type: ignore[arg-type]
    assert world.done() == ["recover", "release"]


def test_what_is_live_is_ticked_at_each_new_block_and_a_second_after_its_end_the_driver_leaves(world: World) -> None:
    """Bundles count from before the first block is tracked: what recovery freed goes out at once."""
    world.plan["bundle"] = lambda: 2
    world.live = [True, True]

    def new_block() -> None:
        world.head = 6
        world.plan["track"] = lambda: world.engine.settled_keys.extend(["a", "b"])

    world.plan["sleep 0.05"] = new_block
    report = driver.drive_wallet(max_seconds=20)
    assert report == DriveReport(busy=False, live=False, bundles=2, tracked_blocks=2, settled=2)
    assert world.did[: len(FIRST_PASS) + 1] == ["retired", *FIRST_PASS]
    after = world.did[len(FIRST_PASS) + 1 :]
    assert after[:8] == ["sleep 0.05", "renew", "track", "head 6", "overdue", "announce a b", "bundle", "sleep 0.15"]
    assert after.count("announce a b") == after.count("track") == 1
    assert after[-3:] == ["deaf", "deaf", "release"]
    assert after.count("listen") == 1  # once a second it says again that it listens
    assert 1.0 < world.now - STARTED < 1.3


@pytest.mark.parametrize(
    ("did", "waited"),
    [({}, 0.0), ({"bundle": lambda: 2}, 1.0), ({"track": "settles"}, 1.0)],
    ids=["did nothing", "sent", "settled"],
)
def test_whoever_sent_or_settled_anything_waits_a_second_for_more(
    world: World, did: dict[str, Any], waited: float
) -> None:
    if "track" in did:
        world.plan["track"] = lambda: world.engine.settled_keys.append("a")
    else:
        world.plan |= did
    driver.drive_wallet(max_seconds=20)
    assert waited <= world.now - STARTED <= waited * 1.2


def test_the_newest_block_is_asked_for_a_few_times_a_second(world: World) -> None:
    world.live = [True] * 100
    driver.drive_wallet(max_seconds=1.5)
    assert world.did.count("track") == 1
    assert world.did.count("sleep 0.15") == 10
    assert world.did.count("renew") == 12
    assert world.did.count("listen") == 2


def test_a_bell_that_rings_on_after_a_bundle_makes_no_spinning(world: World) -> None:
    world.live = [True, True]
    world.engine.last_bundle_at = STARTED
    driver.drive_wallet(max_seconds=0.05)
    assert [act for act in world.did if act.startswith(("pause", "sleep"))] == ["pause 0.05"]


def test_what_is_live_at_the_deadline_is_left_to_the_next(world: World) -> None:
    world.live = [True] * 100
    assert driver.drive_wallet(max_seconds=0.3) == DriveReport(
        busy=False, live=True, bundles=0, tracked_blocks=1, settled=0
    )
    slept = [act for act in world.did if act.startswith(("pause", "sleep"))]
    assert slept == ["sleep 0.05", "sleep 0.15", "sleep 0.15"]
    assert world.did[-2:] == ["deaf", "release"]


def test_what_came_just_before_it_left_is_done_by_this_driver(world: World) -> None:
    world.live = [False, True, True, True]
    assert driver.drive_wallet(max_seconds=0.1).live is True
    assert world.did[len(FIRST_PASS) + 1 :][:4] == ["deaf", "sleep 0.05", "renew", "listen"]


def test_a_lost_lease_ends_it_as_busy(world: World) -> None:
    world.plan["track"] = fail(LeaseLost("another has it"))
    world.plan["bundle"] = lambda: 1
    assert driver.drive_wallet(max_seconds=20) == DriveReport(
        busy=True, live=False, bundles=1, tracked_blocks=0, settled=0
    )
    assert world.done() == ["retired", *FIRST_PASS[:5], "deaf", "release"]
    assert world.now == STARTED


@pytest.mark.parametrize("error", [ChainUnavailable("gone"), RpcError(-32000, "gone")])
def test_a_chain_that_does_not_answer_is_asked_again_after_a_second(world: World, error: Exception) -> None:
    """What was settled meanwhile is told, and what was not recovered is recovered then."""

    def trouble() -> None:
        world.engine.settled_keys.append("a")
        raise error

    world.plan["recover"] = trouble
    report = driver.drive_wallet(max_seconds=20)
    assert report == DriveReport(busy=False, live=False, bundles=0, tracked_blocks=1, settled=1)
    assert world.did[:8] == [
        *("retired", "renew", "listen", "recover", f"failure {error}", "announce a", "renew", "pause 1.00"),
    ]
    assert world.did[8:16] == FIRST_PASS


def test_a_chain_that_answers_nobody_until_the_deadline_leaves_the_work_to_the_next(world: World) -> None:
    def again() -> None:
        world.plan["recover"] = again
        raise ChainUnavailable("gone")

    world.plan["recover"] = again
    assert driver.drive_wallet(max_seconds=3) == DriveReport(
        busy=False, live=True, bundles=0, tracked_blocks=0, settled=0
    )
    assert world.did.count("recover") == 4
    assert world.now == STARTED + 3
    assert world.did[-3:] == ["failure gone", "deaf", "release"]
