"""Second factors: a person adds and removes their own; `reset_factors` is for who has lost them."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User

from audit.services import record_change
from authority.acting import Staff, needs
from authority.rights import Right
from partner_platform.core.database.transactions import again_if_taken, run_in_transaction
from partner_platform.core.errors import BadRequest, ErrorCode
from partner_platform.core.secrets import crypto
from staff.models import Passkey, RecoveryCode, TotpDevice
from staff.second_factor import checking, passkeys, recovery, totp
from staff.services.sessions import end_sessions_of
from staff.services.whom import require_other, require_own, user_target

APP = "authenticator app"


@dataclass(frozen=True)
class Factors:
    """What a user can prove themselves with, in figures."""

    has_app: bool
    passkeys: int
    recovery_codes: int

    def as_record(self) -> dict[str, bool | int]:
        """For the audit trail."""
        return {"authenticatorApp": self.has_app, "passkeys": self.passkeys, "recoveryCodes": self.recovery_codes}


def factors_of(user: User) -> Factors:
    """The user's factors, recovery codes without the used ones."""
    return Factors(
        has_app=TotpDevice.objects.filter(user=user).exists(),
        passkeys=Passkey.objects.filter(user=user).count(),
        recovery_codes=RecoveryCode.objects.filter(user=user, used_at=None).count(),
    )


def add_app(*, actor: Staff, user: User, secret: str, code: str) -> list[str]:
    """Add the authenticator app that makes this code of the secret.

    Returns the recovery codes that come with a first factor, to be shown once; none with a further one. Raises 400
    where the code is wrong, or the user has an app already.
    """
    require_own(actor, user)
    step = totp.matching_step(secret, "".join(code.split()))
    if step is None:
        raise BadRequest(ErrorCode.INVALID_REQUEST, "This is not the code that the app shows now")

    def write() -> list[str]:
        if TotpDevice.objects.filter(user=user).exists():
            raise BadRequest(ErrorCode.INVALID_REQUEST, "An authenticator app is there already: remove it first")
        return _add(actor, user, TotpDevice(user=user, secret=crypto.encrypt(secret), last_step=step), APP)

    return run_in_transaction(write)


def add_passkey(*, actor: Staff, user: User, credential: str, label: str) -> list[str]:
    """Add the passkey that the browser made; as `add_app`."""
    require_own(actor, user)
    passkey = passkeys.read_registration(user, credential, label=label)
    if passkey is None:
        raise BadRequest(ErrorCode.INVALID_REQUEST, "The passkey was not accepted: try again")

    def write() -> list[str]:
        if Passkey.objects.filter(credential_id=passkey.credential_id).exists():
            raise BadRequest(ErrorCode.INVALID_REQUEST, "This passkey is known already")
        return _add(actor, user, passkey, str(passkey))

    return run_in_transaction(write)


def _add(actor: Staff, user: User, factor: TotpDevice | Passkey, name: str) -> list[str]:
    is_first = not checking.has_second_factor(user)
    with again_if_taken():
        factor.save(force_insert=True)
    codes = recovery.replace_codes(user) if is_first else []
    after = {"factor": name, **factors_of(user).as_record()}
    record_change(actor=actor, action="staff.factor_added", target=user_target(user), after=after)
    return codes


def remove_app(*, actor: Staff, user: User, keep: UUID | None = None) -> None:
    """Remove the authenticator app and end the user's other sessions; `keep` is the session that this is done in."""
    require_own(actor, user)
    run_in_transaction(lambda: _remove(actor, user, TotpDevice.objects.filter(user=user).first(), keep))


def remove_passkey(*, actor: Staff, user: User, passkey_id: UUID, keep: UUID | None = None) -> None:
    """Remove a passkey of the user; as `remove_app`."""
    require_own(actor, user)
    run_in_transaction(lambda: _remove(actor, user, Passkey.objects.filter(user=user, pk=passkey_id).first(), keep))


def _remove(actor: Staff, user: User, factor: TotpDevice | Passkey | None, keep: UUID | None) -> None:
    if factor is None:
        raise BadRequest(ErrorCode.INVALID_REQUEST, "It was removed already")
    before = factors_of(user)
    is_last = before.has_app + before.passkeys == 1
    if is_last and checking.is_required():
        raise BadRequest(ErrorCode.INVALID_REQUEST, "A second factor is required: add another one first")
    factor.delete()
    if is_last:
        RecoveryCode.objects.filter(user=user).delete()
    record_change(
        actor=actor,
        action="staff.factor_removed",
        target=user_target(user),
        before={"factor": str(factor), **before.as_record()},
        after=factors_of(user).as_record(),
    )
    end_sessions_of(user=user, actor=actor, because="a second factor was removed", keep=keep)


def renew_recovery_codes(*, actor: Staff, user: User) -> list[str]:
    """Ten new recovery codes, to be shown once; the old ones are no longer taken."""
    require_own(actor, user)

    def write() -> list[str]:
        before = factors_of(user)
        if not before.has_app and not before.passkeys:
            raise BadRequest(ErrorCode.INVALID_REQUEST, "Recovery codes come with a second factor: add one first")
        codes = recovery.replace_codes(user)
        record_change(
            actor=actor,
            action="staff.recovery_codes_renewed",
            target=user_target(user),
            before={"left": before.recovery_codes},
            after={"left": len(codes)},
        )
        return codes

    return run_in_transaction(write)


@needs(Right.MANAGE_STAFF)
def reset_factors(*, actor: str, user: User) -> None:
    """Remove all factors of somebody who has lost them, and end their sessions. Never of a superuser or oneself."""

    def write() -> None:
        require_other(actor, User.objects.get(pk=user.pk))
        before = factors_of(user)
        TotpDevice.objects.filter(user=user).delete()
        Passkey.objects.filter(user=user).delete()
        RecoveryCode.objects.filter(user=user).delete()
        record_change(
            actor=actor,
            action="staff.factors_reset",
            target=user_target(user),
            before=before.as_record(),
            after=factors_of(user).as_record(),
        )
        end_sessions_of(user=user, actor=actor, because="second factors were reset")

    run_in_transaction(write)
