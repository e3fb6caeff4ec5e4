"""The web server hands on a request's target as the client wrote it, so that its signature can be checked."""

import json
import os
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings

from partners import credentials
from sandbox import programs
from sandbox.folder import Folder
from sandbox.servers.ports import LOOPBACK, free_port
from tests.factories import partner_with_key
from tests.journeys.conftest import running
from tests.support import request_signing
from tests.support.chain import Chain

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


def test_a_target_is_verified_as_it_was_sent_to_the_web_server(chain: Chain):
    partner, key = partner_with_key()
    secret = credentials.rotate_signing_secret(partner=partner, actor="test")
    credentials.set_signing_required(partner=partner, actor="test", required=True)
    folder, port = Folder(Path(tempfile.mkdtemp(prefix="platform-", dir=settings.TEST_FOLDER))), free_port()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "partner_platform.settings"}

    def get(sent: str, signed: str) -> int:
        timestamp = str(time.time_ns() // 1_000_000)
        signature = request_signing.sign_v2(secret=secret, timestamp=timestamp, method="GET", target=signed.encode())
        headers = {"Authorization": f"Bearer {key}", "X-Timestamp": timestamp, "X-Signature": signature}
        request = urllib.request.Request(f"http://{LOOPBACK}:{port}{sent}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def as_the_page_says() -> str:
        """The page's shell function and its call with curl, which repays a loan that there is not."""
        page = (settings.BASE_DIR / "docs" / "signatures.md").read_text()
        (function,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
        (call,) = re.findall(r"^    T=.*?(?=\n\n)", page, re.MULTILINE | re.DOTALL)
        told = {"API": f"http://{LOOPBACK}:{port}", "KEY": key, "SECRET": secret, "PATH": os.environ["PATH"]}
        return subprocess.run(
            ["/bin/bash", "-c", f"{function}\n{call}"], env=told, check=True, capture_output=True, text=True
        ).stdout

    raw, decoded = "/partners/loan/lo%61n%2D1", "/partners/loan/loan-1"
    query, other = "/partners/my/transactions?limit=2&type=%52EPAY", "/partners/my/transactions?limit=2&type=REPAY"
    with running({"web": programs.web(folder, environment, port, processes=1)}):
        answers = [get(raw, raw), get(raw, decoded), get(query, query), get(query, other)]
        said = as_the_page_says()

    assert answers == [404, 401, 200, 401]
    assert json.loads(said)["code"] == "loan_not_found"  # past the signature
