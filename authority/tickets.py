"""The approval that an actor carries while an approved change is made."""

import uuid
from dataclasses import dataclass


@dataclass
class Ticket:
    """Lets exactly the change of this digest pass, once (`authority.approvals.requiring`)."""

    digest: str
    approval_id: uuid.UUID
    checker: str  # who approves
    is_used: bool = False
