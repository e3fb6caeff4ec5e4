"""The console in a real browser: what a person clicks twice, reloads and goes back to."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, sync_playwright

from partners.models import ApiKey, Partner
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.support.console import NEW_PARTNER

pytestmark = [
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on the machine"),
    pytest.mark.django_db(transaction=True),
]

PASSWORD = "a long password indeed"
KEY = re.compile(r"pk_[a-z0-9]+_sandbox_[a-z0-9]{32}")
LEFT_AS_DRAWN = ("tier", "platform_fee_percentage", "repayment_funding")
FORM = {name: value for name, value in NEW_PARTNER.items() if name not in LEFT_AS_DRAWN}


@pytest.fixture
def page(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A superuser's browser, logged in; what its scripts complain of fails the test."""
    # The browser's own event loop runs in this thread; Django would take the test for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    User.objects.create_superuser("ann", "ann@platform.example", PASSWORD)
    told: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto(f"{live_server.url}/console/")
        page.fill("#id_username", "ann")
        page.fill("#id_password", PASSWORD)
        page.click("input[type=submit]")
        page.wait_for_selector("#user-tools")  # logged in: a page asked for before that would be the login again
        yield page
        browser.close()
    assert told == []


def shown_key(page: Page) -> str:
    return page.input_value("#secret")


def look(page: Page, name: str) -> None:
    """Keep a picture of the page where somebody asks for pictures."""
    if folder := os.environ.get("CONSOLE_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def open_partner(page: Page, url: str) -> None:
    page.goto(f"{url}/console/partners/partner/add/")
    for name, value in FORM.items():
        page.fill(f"#id_{name}", value)
    look(page, "add")


def test_a_partner_is_added_once_whatever_is_reloaded_or_clicked_twice(page: Page, live_server: Any) -> None:
    open_partner(page, live_server.url)
    page.dblclick("input[name=_save]")
    page.wait_for_selector("#secret")
    key = shown_key(page)
    look(page, "key")
    assert KEY.fullmatch(key)

    page.reload()
    assert "was shown already" in page.inner_text("#content")
    look(page, "shown")
    page.go_back()
    page.wait_for_load_state()
    page.click("input[name=_save]")  # as it was filled in: the browser remembers that
    assert "partner_nlp_001 has this name already" in page.inner_text("#content")

    assert Partner.objects.count() == 1
    assert ApiKey.objects.get().prefix == key[:16]
    assert key not in page.content()


def test_a_key_that_was_rotated_and_copied_stays_the_one_that_works(page: Page, live_server: Any) -> None:
    partner = ApiKeyFactory.create().partner
    page.goto(f"{live_server.url}/console/partners/partner/")
    page.check(f"input[name=_selected_action][value='{partner.pk}']")
    page.select_option("select[name=action]", "rotate_key_now")
    look(page, "list")
    page.click("button[name=index]")
    page.wait_for_selector("#secret")
    key = shown_key(page)

    page.reload()
    assert "was shown already" in page.inner_text("#content")
    page.reload()

    assert [row.prefix for row in ApiKey.objects.filter(revoked_at=None)] == [key[:16]]
    assert key not in page.content()


def test_a_name_that_another_partner_has_is_asked_about_beside_it(page: Page, live_server: Any) -> None:
    PartnerFactory.create(partner_id="partner_old", partner_name="New lending platform")
    open_partner(page, live_server.url)
    assert not page.is_visible("#id_same_name")
    page.click("input[name=_save]")
    assert "partner_old has this name already. Is this another partner?" in page.inner_text(".field-partner_name")
    look(page, "same-name")
    page.check("#id_same_name")
    page.click("input[name=_save]")
    assert KEY.fullmatch(shown_key(page))
    assert Partner.objects.count() == 2
