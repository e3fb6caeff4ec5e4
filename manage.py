#!/usr/bin/env python
"""Django's command line for Partner Platform; operators start here (`manage.py help`).

`manage.py sandbox` is not a Django command: it writes the environment that the settings are then read from.
"""

import os
import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["sandbox"]:
        from sandbox.cli import main

        sys.exit(main(sys.argv[2:]))
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")
    execute_from_command_line(sys.argv)
