"""Ending a server with all that it started."""

import os
import signal

from sandbox.servers.process import Server


def kill_group(server: Server) -> None:
    """End it and whatever it started at once; it leads a process group."""
    if server.popen is not None and server.alive:
        os.killpg(server.popen.pid, signal.SIGKILL)
        server.popen.wait()
