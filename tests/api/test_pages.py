"""The pages on the schema need nothing from outside and run under their own policy."""

import re
import shutil
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import sync_playwright

PAGES = ["/docs", "/docs/redoc"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_its_scripts_and_styles_from_our_static_files_only(path: str) -> None:
    response = Client().get(path)
    page = response.content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert response.status_code == 200
    assert len([source for source in sources if source.startswith("/static/")]) >= 4
    assert [source for source in sources if not source.startswith("/")] == []
    missing = [source for source in sources if source.startswith("/static/") and not finders.find(source[8:])]
    assert missing == []
    assert "<style" not in page
    assert re.findall(r"<script(?![^>]*src=)", page) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_pages_policy_lets_no_other_host_and_no_inline_script_in(path: str) -> None:
    response = Client().get(path)
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_only_read(path: str) -> None:
    assert Client().head(path).status_code == 200
    assert Client().post(path).status_code == 405


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on the machine")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "drawn"), [("/docs", ".opblock-post"), ("/docs/redoc", "#tag\\/Loans")])
def test_a_browser_draws_the_page_without_an_error_and_asks_no_other_host(
    live_server: Any, path: str, drawn: str
) -> None:
    told: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: told.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(live_server.url + path)
        page.wait_for_selector(drawn)
        page.wait_for_load_state("networkidle")
        browser.close()

    assert told == []
    assert [url for url in asked if not url.removeprefix("blob:").startswith(live_server.url)] == []
    assert f"{live_server.url}/openapi.json" in asked
