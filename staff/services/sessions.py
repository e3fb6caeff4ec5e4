"""Sessions of the console: a row for each sign-in."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User

from audit.services import Change, record_change, record_changes
from authority.acting import Staff, needs, staff_of
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from staff.models import ConsoleSession
from staff.services.whom import require_own, user_target

SYSTEM = "system:console"
NO_ACCOUNT = "staff:?"  # what was typed as a name may be a password, so an unknown name is not recorded


@dataclass(frozen=True)
class Origin:
    """Where a request comes from."""

    address: str
    user_agent: str


def open_session(*, user: User, origin: Origin, with_factor: bool) -> ConsoleSession:
    """A session of the user, who has proved who they are just now."""

    def write() -> ConsoleSession:
        session = ConsoleSession(
            user=user,
            address=origin.address[:64],
            user_agent=origin.user_agent[:300],
            with_factor=with_factor,
        )
        session.save(force_insert=True)
        after = {"session": session.pk.hex, "address": origin.address, "secondFactor": with_factor}
        record_change(actor=staff_of(user), action="staff.signed_in", target=user_target(user), after=after)
        return session

    return run_in_transaction(write)


def record_failed_sign_in(*, user: User | None, origin: Origin, step: str) -> None:
    """A wrong password (`password`), a wrong factor (`second_factor`), or one of a step-up (`step_up`)."""
    target = NO_ACCOUNT if user is None else user_target(user)
    after = {"address": origin.address, "step": step}
    run_in_transaction(lambda: record_change(actor=SYSTEM, action="staff.sign_in_failed", target=target, after=after))


def note_proved(*, session: ConsoleSession, with_factor: bool) -> None:
    """The session's person has proved again who they are."""

    def write() -> None:
        moment = clock.now()
        proved = {"proved_at": moment, "with_factor": session.with_factor or with_factor}
        if ConsoleSession.objects.filter(pk=session.pk, ended_at=None).update(**proved) == 1:
            after = {"session": session.pk.hex, "secondFactor": with_factor}
            user = session.user
            record_change(actor=staff_of(user), action="staff.proved_again", target=user_target(user), after=after)
            session.proved_at = moment

    run_in_transaction(write)


def note_seen(*, session: ConsoleSession) -> None:
    """The session is in use; written once a minute at most, so it has no audit entry."""
    ConsoleSession.objects.filter(pk=session.pk, ended_at=None).update(last_seen_at=clock.now())


def end_own_session(*, actor: Staff, session: ConsoleSession, because: str = "ended by its owner") -> None:
    """End a session of the actor's own."""
    require_own(actor, session.user)
    _end([session], actor=actor, because=because)


@needs(Right.MANAGE_STAFF)
def end_session(*, actor: str, session: ConsoleSession) -> None:
    """End somebody's session."""
    _end([session], actor=actor, because="ended by staff")


@needs(Right.MANAGE_STAFF)
def end_all_sessions(*, actor: str, user: User) -> None:
    """End all of somebody's sessions."""
    end_sessions_of(user=user, actor=actor, because="ended by staff")


def expire_session(*, session: ConsoleSession, because: str) -> None:
    """End a session that is too old, was idle for too long, or lacks what is required."""
    _end([session], actor=SYSTEM, because=because)


def end_sessions_of(*, user: User, actor: str, because: str, keep: UUID | None = None) -> None:
    """End all sessions of the user but `keep`, in the caller's transaction, who has asked for the right."""
    open_rows = ConsoleSession.objects.select_related("user").filter(user=user, ended_at=None)
    _end(open_rows.exclude(pk=keep) if keep else open_rows, actor=actor, because=because)


def _end(sessions: Iterable[ConsoleSession], *, actor: str, because: str) -> None:
    rows = list(sessions)

    def write() -> None:
        ended = []
        for session in sorted(rows, key=lambda session: session.pk):
            still_open = ConsoleSession.objects.filter(pk=session.pk, ended_at=None)
            if still_open.update(ended_at=clock.now(), ended_because=because[:40]) == 1:
                ended.append(session)
        record_changes(
            [
                Change(
                    actor=actor,
                    action="staff.session_ended",
                    target=user_target(session.user),
                    after={"session": session.pk.hex, "because": because},
                )
                for session in ended
            ]
        )

    run_in_transaction(write)
