"""The `Prefer` header of RFC 7240: how long a caller will wait for the outcome."""

import re

_WAIT = re.compile(r"^wait\s*=\s*\"?(\d{1,6})\"?$")


def wait_seconds(header: str, *, maximum: float) -> float:
    """Seconds to wait: 0 for `respond-async`, `wait=N` where it is shorter than `maximum`, else `maximum`."""
    seconds = maximum
    for preference in header.split(","):
        name = preference.partition(";")[0].strip().lower()
        if name == "respond-async":
            return 0.0
        if match := _WAIT.match(name):
            seconds = min(seconds, float(match.group(1)))
    return seconds
