"""A small application for the tests of the server's processes: it tells which process answers."""

import os
from typing import Any

from django.conf import settings

if not settings.configured:
    settings.configure()


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The process id; where `/wait` is asked for, once the file of the query exists."""
    if environ["PATH_INFO"] == "/wait":
        with open(environ["QUERY_STRING"]) as fifo:  # noqa: PTH123 - opening it waits for the test to write
            fifo.read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
