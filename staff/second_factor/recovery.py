"""Recovery codes: ten, each once. A code has 80 random bits, so its plain hash cannot be searched."""

import hashlib
import secrets

from django.contrib.auth.models import User

from audit.services import record_change
from authority.acting import staff_of
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from staff.models import RecoveryCode

CODES = 10
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 letters and digits that are not mistaken for one another
LENGTH = 16


def replace_codes(user: User) -> list[str]:
    """Ten new codes in place of the old ones, in the caller's transaction; the only time that they are readable."""
    RecoveryCode.objects.filter(user=user).delete()
    codes = [_new_code() for _ in range(CODES)]
    RecoveryCode.objects.bulk_create([RecoveryCode(user=user, code_hash=_hash(code)) for code in codes])
    return codes


def use_recovery_code(user: User, code: str) -> bool:
    """Take the code; False where it is none of the user's, or was used. With its audit entry."""
    code_hash = _hash(code)

    def take() -> bool:
        unused = RecoveryCode.objects.filter(user=user, code_hash=code_hash, used_at=None)
        if unused.update(used_at=clock.now()) != 1:
            return False
        left = RecoveryCode.objects.filter(user=user, used_at=None).count()
        record_change(
            actor=staff_of(user),
            action="staff.recovery_code_used",
            target=f"staff:{user.get_username()}"[:120],
            before={"left": left + 1},
            after={"left": left},
        )
        return True

    return run_in_transaction(take)


def _new_code() -> str:
    text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(text[start : start + 4] for start in range(0, LENGTH, 4))


def _hash(code: str) -> str:
    """Hyphens, spaces and capitals of what somebody copies from paper do not matter."""
    plain = "".join(code.split()).replace("-", "").lower()
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()
