#!/usr/bin/env python
"""Django's command line for Partner Platform; operators start here (`manage.py help`).

`manage.py sandbox` and `demo` are no Django commands: the first writes the environment that the settings are then read
from, the second calls a sandbox that runs.
"""

import os
import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["sandbox"]:
        from sandbox.cli import main

        sys.exit(main(sys.argv[2:]))
    if sys.argv[1:2] == ["demo"]:
        from sandbox.demo import main

        sys.exit(main(sys.argv[2:]))
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")
    execute_from_command_line(sys.argv)
