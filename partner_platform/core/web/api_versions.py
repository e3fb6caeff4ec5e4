"""Versions of the HTTP contract, by the day each was published. A partner is pinned to the one it came with.

A new version is made only where a response must change in a breaking way; additions need none. Both are then supported
side by side: a view asks `request.api_version` where they differ. `deprecated` and `sunset` announce the end of one on
each answer of it (RFC 9745, RFC 8594); after its sunset it is taken out of `VERSIONS`, whoever is pinned to it gets the
oldest that is left, and who names it is refused. Source: docs/versions.md.
"""

import datetime as dt
from dataclasses import dataclass
from email.utils import format_datetime

from partner_platform.core.errors import BadRequest, ErrorCode

HEADER = "API-Version"
POLICY = "/docs"


@dataclass(frozen=True)
class ApiVersion:
    """A version, and from when it is deprecated and when it ends, in UTC, where that is decided."""

    name: str
    deprecated: dt.datetime | None = None
    sunset: dt.datetime | None = None

    def headers(self) -> dict[str, str]:
        """What each answer of this version carries."""
        found = {HEADER: self.name}
        if self.deprecated is not None:
            found["Deprecation"] = f"@{int(self.deprecated.timestamp())}"
            found["Link"] = f'<{POLICY}>; rel="deprecation"; type="text/html"'
        if self.sunset is not None:
            found["Sunset"] = format_datetime(self.sunset, usegmt=True)
        return found


VERSIONS = (ApiVersion("2026-01-05"),)  # the oldest first


def current() -> str:
    """The version that a new partner is pinned to, and that a call without a key gets."""
    return VERSIONS[-1].name


def names() -> list[str]:
    """Every supported version, the oldest first."""
    return [version.name for version in VERSIONS]


def choose_version(asked: str | None, pinned: str | None) -> ApiVersion:
    """The version of one call: what it asks for, else what its partner is pinned to, else the current one.

    Raises 400 `unsupported_api_version` for one that is asked for and not supported.
    """
    if asked is not None and (version := _find(asked.strip())) is not None:
        return version
    if asked is not None:
        raise BadRequest(
            ErrorCode.UNSUPPORTED_API_VERSION,
            f"This API-Version is not supported. Supported: {', '.join(names())}",
            details={"supported": names()},
        )
    return of_partner(pinned)


def of_partner(pinned: str | None) -> ApiVersion:
    """The version a partner is pinned to; the oldest where its own has ended, the current one without a partner."""
    return VERSIONS[-1] if pinned is None else _find(pinned) or VERSIONS[0]


def _find(name: str) -> ApiVersion | None:
    return next((version for version in VERSIONS if version.name == name), None)
