#!/usr/bin/env python
"""Django's command line for Partner Platform; operators start here (`manage.py help`).

`manage.py sandbox` and `demo` do not wait for Django: the first writes the environment that the settings are then read
from, the second calls a sandbox that runs. So both are listed where there is no environment yet, too.
"""

import os
import sys

if __name__ == "__main__":
    asked = sys.argv[2:] if sys.argv[1:2] == ["help"] else sys.argv[1:]
    if asked[:1] == ["sandbox"]:
        from sandbox.cli import main as run_sandbox

        sys.exit(run_sandbox(["--help"] if sys.argv[1] == "help" else asked[1:]))
    if asked[:1] == ["demo"]:
        from sandbox.demo import main as run_demo

        sys.exit(run_demo(["--help"] if sys.argv[1] == "help" else asked[1:]))
    from django.core.management import ManagementUtility

    class Utility(ManagementUtility):
        """Names the sandbox's where Django can list its own commands only."""

        def main_help_text(self, commands_only: bool = False) -> str:
            text: str = super().main_help_text(commands_only)
            if self.settings_exception is None:
                return text
            return f"{text}\ndemo\nsandbox" if commands_only else f"{text}\n\n[sandbox]\n    demo\n    sandbox"

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")
    Utility(sys.argv).execute()
