"""Which system the platform speaks to: the plan's interface, or that of the system as deployed in public.

`CHAIN_SYSTEM=plan|public` chooses. What differs is here and in `chain.system`; nobody else knows.
"""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True)
class Dialect:
    """The artifacts that describe the system's contracts, and what they can do."""

    vault: str
    oaid: str


PLAN = Dialect(vault="SolvencyVault", oaid="OAID")
DIALECTS = {"plan": PLAN}


def dialect() -> Dialect:
    """The system in use."""
    return DIALECTS[settings.CHAIN_SYSTEM]
