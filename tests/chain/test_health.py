"""Whom conclusions are drawn without: never an honest endpoint of a living chain, whatever another one claims."""

from types import SimpleNamespace

import pytest

from chain.rpc import health
from chain.rpc.clients import ChainClient, ChainUnavailable
from chain.rpc.health import EndpointHealth, Standing, compare

NONCES = frozenset({"eth_getTransactionCount", "eth_getBlockByNumber"})
RECEIPTS = frozenset({"eth_getTransactionReceipt", "eth_getBlockByNumber"})


class Moment:
    """The time, as `chain.rpc.health` sees it."""

    now = 1_000.0

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    moment = Moment()
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: moment.now))
    return moment


@pytest.fixture
def pair() -> tuple[EndpointHealth, EndpointHealth]:
    return EndpointHealth("honest"), EndpointHealth("other")


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


class TestTheHead:
    def test_that_runs_away_does_not_have_the_other_endpoint_passed_over(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth]
    ) -> None:
        """Heads are compared once a second; the honest one's blocks come every 2 s, the liar's 20 a second."""
        honest, liar = pair
        for second in range(200):
            honest.has_head(1_000 + second // 2, age=second % 2)
            liar.has_head(2_000 + 20 * second)
            compare([honest, liar])
            assert honest.is_heard, second
            assert honest.is_waited_for, second
            moment.passes(1)

    def test_that_is_far_ahead_from_the_beginning_does_not_either(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth]
    ) -> None:
        """It keeps its lead as a real chain would: by their heads the two are a good and a lagging endpoint."""
        honest, liar = pair
        for second in range(200):
            honest.has_head(1_000 + second // 2, age=second % 2)
            liar.has_head(2_000 + second // 2)
            compare([honest, liar])
            moment.passes(1)
        assert honest.standing == Standing.LAGS
        assert honest.is_heard
        assert honest.is_waited_for

    def test_that_has_not_moved_for_long_stands_still_once_the_best_went_on(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth], caplog: pytest.LogCaptureFixture
    ) -> None:
        stuck, good = pair
        standings = []
        for second in range(42):
            stuck.has_head(1_000)
            good.has_head(1_000 + second // 2)
            compare([stuck, good])
            standings.append(stuck.standing)
            moment.passes(1)
        assert standings == [Standing.GOOD] * 8 + [Standing.LAGS] * 24 + [Standing.STANDS_STILL] * 10
        assert not stuck.is_heard
        assert errors(caplog) == [
            "RPC endpoint honest: its head 1000 is 4 blocks behind; the others are asked first until it catches up",
            (
                "RPC endpoint honest: its head 1000 is 16 blocks behind and stands still; conclusions are drawn without"
                " it until it catches up"
            ),
        ]

    def test_that_stands_for_less_than_a_real_time_does_not_stand_still_however_many_blocks_the_best_gains(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth]
    ) -> None:
        honest, liar = pair
        for second, is_heard in ((0, True), (29, True), (30, False)):
            moment.now = 1_000.0 + second
            honest.has_head(1_000)
            liar.has_head(2_000 + 20 * second)
            compare([honest, liar])
            assert honest.is_heard is is_heard

    def test_that_is_not_told_any_more_does_not_stand_still(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth]
    ) -> None:
        """The endpoint does not answer: that is its silence, which is told as such."""
        dead, good = pair
        dead.has_head(1_000)
        for second in range(100):
            good.has_head(1_000 + second)
            compare([dead, good])
            moment.passes(1)
        assert dead.standing == Standing.LAGS

    def test_that_advances_far_behind_is_left_out_where_its_block_is_old_and_told_once(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth], caplog: pytest.LogCaptureFixture
    ) -> None:
        syncing, good = pair
        for second in range(100):
            good.has_head(1_000 + second)
            syncing.has_head(800 + 3 * second, age=2.0 * (200 - 2 * second))
            compare([syncing, good])
            assert syncing.is_heard is (second > 92), second  # 14 blocks, 28 s
            moment.passes(1)
        assert errors(caplog) == [
            (
                "RPC endpoint honest: its head 800 is 200 blocks behind, made 400 s ago; conclusions are drawn without"
                " it until it catches up"
            )
        ]

    @pytest.mark.parametrize("age", [None, -3.0, 29.9])
    def test_that_is_far_behind_is_heard_where_its_block_is_not_known_to_be_old(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth], age: float | None
    ) -> None:
        syncing, good = pair
        good.has_head(1_000)
        syncing.has_head(800, age=age)
        compare([syncing, good])
        assert syncing.standing == Standing.LAGS

    @pytest.mark.parametrize(("blocks", "standing"), [(15, Standing.LAGS), (16, Standing.FAR_BEHIND)])
    def test_that_is_at_most_fifteen_blocks_behind_is_heard_however_old_its_block(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth], blocks: int, standing: Standing
    ) -> None:
        idle, good = pair
        good.has_head(1_000)
        idle.has_head(1_000 - blocks, age=10_000.0)
        compare([idle, good])
        assert idle.standing == standing


class TestTheSilence:
    def ask(self, one: EndpointHealth, question: frozenset[str], *, is_answered: bool) -> Standing:
        one.answered(question) if is_answered else one.failed(question)
        compare([one])
        return one.standing

    def test_is_not_ended_by_the_answer_to_another_question(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth], caplog: pytest.LogCaptureFixture
    ) -> None:
        one, _ = pair
        standings = []
        for _ in range(12):
            self.ask(one, NONCES, is_answered=True)
            standings.append(self.ask(one, RECEIPTS, is_answered=False))
            moment.passes(2)
        assert standings == [Standing.GOOD] * 10 + [Standing.SILENT] * 2
        assert (one.is_waited_for, one.is_heard) == (False, True)
        [told] = errors(caplog)
        assert told == (
            "RPC endpoint honest: no answer for 20 s to eth_getBlockByNumber, eth_getTransactionReceipt; conclusions"
            " are drawn without it until it answers"
        )
        assert self.ask(one, RECEIPTS, is_answered=True) == Standing.GOOD

    def test_is_not_begun_by_one_failure_that_nothing_followed(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth]
    ) -> None:
        one, _ = pair
        assert self.ask(one, RECEIPTS, is_answered=False) == Standing.GOOD
        moment.passes(299)
        assert self.ask(one, NONCES, is_answered=True) == Standing.GOOD
        moment.passes(1)
        assert self.ask(one, RECEIPTS, is_answered=False) == Standing.GOOD  # 300 s later: another story

    def test_about_what_is_not_asked_any_more_is_forgotten(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth], caplog: pytest.LogCaptureFixture
    ) -> None:
        """It was dead while a receipt was asked for; it is back, and there is no receipt to ask for."""
        one, _ = pair
        self.ask(one, RECEIPTS, is_answered=False)
        moment.passes(20)
        assert self.ask(one, RECEIPTS, is_answered=False) == Standing.SILENT
        moment.passes(299)
        assert self.ask(one, NONCES, is_answered=True) == Standing.SILENT
        moment.passes(1)
        assert self.ask(one, NONCES, is_answered=True) == Standing.GOOD
        assert len(errors(caplog)) == 1

    def test_does_not_hide_that_the_head_is_far_behind(
        self, moment: Moment, pair: tuple[EndpointHealth, EndpointHealth]
    ) -> None:
        one, good = pair
        one.failed(RECEIPTS)
        moment.passes(20)
        one.failed(RECEIPTS)
        one.has_head(800, age=400.0)
        good.has_head(1_000)
        compare([one, good])
        assert one.standing == Standing.FAR_BEHIND
        assert not one.is_heard


def test_one_that_is_left_out_for_another_reason_is_told_of_once(
    moment: Moment, pair: tuple[EndpointHealth, EndpointHealth], caplog: pytest.LogCaptureFixture
) -> None:
    behind, best = pair
    standings, told = [], []
    for passed, head in ((1, 100), (2, 101 + health.STALL_BLOCKS)):
        behind.has_head(10, age=passed * health.STALL_SECONDS)
        best.has_head(head)
        compare([behind, best])
        standings.append(behind.standing)
        told.append(len(errors(caplog)))
        moment.passes(health.STALL_SECONDS)
    assert standings == [Standing.FAR_BEHIND, Standing.STANDS_STILL]
    assert told == [1, 1]


def test_a_client_whose_only_endpoint_fails_judges_it(moment: Moment) -> None:
    client = ChainClient(urls=["http://127.0.0.1:9"], chain_id=5003, timeout=0.1)
    for _ in range(2):
        with pytest.raises(ChainUnavailable):
            client.call("eth_blockNumber")
        moment.passes(health.SILENT_SECONDS)
    assert [one.standing for one in client.health] == [Standing.SILENT]
