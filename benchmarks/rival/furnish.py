"""Makes the tables, a partner with a key and the loan that stands on standard input, as the platform answers it;
prints the key. `count` prints how many calls were logged.

    python -m benchmarks.rival.furnish < loan.json
    python -m benchmarks.rival.furnish count
"""

import json
import re
import sys

import django


def main() -> None:
    django.setup()
    if sys.argv[1:] == ["count"]:
        from rest_framework_tracking.models import APIRequestLog

        print(APIRequestLog.objects.filter(status_code=200).count())
        return
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    print(_furnish(json.load(sys.stdin)))


def _furnish(loan: dict[str, object]) -> str:
    from benchmarks.rival.models import PartnerAPIKey, RivalLoan, RivalPartner

    partner = RivalPartner._default_manager.create(name="Bench")
    RivalLoan._default_manager.create(partner=partner, **{_snake(name): value for name, value in loan.items()})
    _, key = PartnerAPIKey.objects.create_key(name="bench", partner=partner)
    return str(key)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda match: f"_{match[1].lower()}", name)


if __name__ == "__main__":
    main()
