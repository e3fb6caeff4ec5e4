"""A signal that only a test hears."""

from collections.abc import Callable
from typing import Any

import pytest
from django.dispatch import Signal


def heard_by(monkeypatch: pytest.MonkeyPatch, signal: Signal, *receivers: Callable[..., Any]) -> None:
    """Until the test's end these are the signal's only receivers, in this order."""
    monkeypatch.setattr(signal, "receivers", [])
    for receiver in receivers:
        signal.connect(receiver, weak=False)
