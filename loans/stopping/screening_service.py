"""A screening service behind HTTP: `WALLET_SCREENING=loans.stopping.screening_service.ask_service`.

    POST {WALLET_SCREENING_URL}
    Authorization: Bearer {WALLET_SCREENING_TOKEN}      (where one is set)
    {"wallet": "0x…"}

    200 {"refused": false, "reference": "…"}            (`reference` is optional)

Any other response is a failure, and so is one that does not come within `WALLET_SCREENING_TIMEOUT_SECONDS`. The URL
obeys the rules of every outside one (`partner_platform.core.outside`): https, a public address, no redirects.
"""

import json
from functools import cache
from http import HTTPStatus

from django.conf import settings

from loans.stopping.screening import Screening
from partner_platform.core.outside import OutsideClient
from partner_platform.core.text import json_text


class ScreeningFailed(Exception):
    """The service did not say whether the wallet is refused."""


def ask_service(wallet: str) -> Screening:
    """What the service at `WALLET_SCREENING_URL` says of the wallet. `OutsideError` or `ScreeningFailed` where it
    cannot be reached or understood.
    """
    headers = {"Content-Type": "application/json"}
    if settings.WALLET_SCREENING_TOKEN:
        headers["Authorization"] = f"Bearer {settings.WALLET_SCREENING_TOKEN}"
    body = json.dumps({"wallet": wallet}).encode()
    response = _client().post(settings.WALLET_SCREENING_URL, body=body, headers=headers)
    if response.status != HTTPStatus.OK:
        raise ScreeningFailed(f"status {response.status}")
    try:
        said = json_text.loads(response.body)
    except ValueError as error:
        raise ScreeningFailed("no JSON") from error
    if not isinstance(said, dict) or not isinstance(said.get("refused"), bool):
        raise ScreeningFailed("no field refused that is true or false")
    return Screening(said["refused"], str(said.get("reference", "")))


@cache
def _client() -> OutsideClient:
    return OutsideClient(timeout_seconds=settings.WALLET_SCREENING_TIMEOUT_SECONDS)
