"""Cursors of lists: one that was handed out is understood by every later version."""

import datetime as dt
import uuid

from pytest_django.fixtures import Settings

from partner_platform.core.web import pagination
from partner_platform.core.web.pagination import Place

PLACE = Place(dt.datetime(2026, 1, 5, 12, 0, tzinfo=dt.UTC), uuid.UUID(int=7), 3)


def test_a_cursor_that_was_handed_out_before_a_deployment_is_understood_after_it(settings: Settings) -> None:
    settings.SECRET_KEY = "a key that does not change"
    handed_out = (
        "WyIyMDI2LTAxLTA1VDEyOjAwOjAwWiIsIjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA3IiwzLCJiZTlhYTc0OTRkODIiXQ"
        ".S20ATcODgZ0hY0I5YnnjhW-TxzpppRXvBCQWIPX4t-s"
    )
    assert pagination._encode(PLACE, "loans") == handed_out
    assert pagination._decode(handed_out, "loans") == PLACE
