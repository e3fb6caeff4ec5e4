"""Who anchors the trail answers a signal; a receiver that cannot read its anchors stops the verification."""

from typing import Any

import pytest

from audit.signals import anchors_asked_for
from audit.trail.anchors import Anchor, AnchorsUnreadable, known_anchors
from audit.trail.verification import verify_trail
from tests.support.signals import heard_by

FIRST, SECOND = Anchor(3, "aa", 100), Anchor(5, "bb", 200)


def fail(**_: Any) -> None:
    raise AnchorsUnreadable("the chain does not answer")


def test_the_anchors_of_all_who_answer_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    heard_by(monkeypatch, anchors_asked_for, lambda **_: [FIRST], lambda **_: None, lambda **_: [SECOND])
    assert known_anchors() == [FIRST, SECOND]


def test_one_who_has_anchored_nothing_yet_is_not_one_who_does_not_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    heard_by(monkeypatch, anchors_asked_for)
    assert known_anchors() is None
    heard_by(monkeypatch, anchors_asked_for, lambda **_: None)
    assert known_anchors() is None
    heard_by(monkeypatch, anchors_asked_for, lambda **_: [])
    assert known_anchors() == []


@pytest.mark.django_db
def test_a_receiver_that_raises_stops_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    heard_by(monkeypatch, anchors_asked_for, lambda **_: [FIRST], fail)
    with pytest.raises(AnchorsUnreadable, match="the chain does not answer"):
        verify_trail()
    assert verify_trail(with_anchors=False).findings == []
