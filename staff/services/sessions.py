"""Sessions of the console: a row for each sign-in."""

from collections.abc import Iterable
from uuid import UUID

from django.contrib.auth.models import User

from audit.services import Change, record_change, record_changes
from authority.acting import Staff, needs, staff_of
from authority.rights import Right
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from staff.access.api_sessions import Device, end_api_sessions
from staff.access.recording import record_failed_try, record_sign_in
from staff.models import ConsoleSession
from staff.services.whom import require_own, user_target

SYSTEM = "system:console"
DOOR = "console"  # in the audit trail; the other one is the API
NO_ACCOUNT = "?"  # what was typed as a name may be a password, so an unknown name is not recorded


def open_session(*, user: User, device: Device, with_factor: bool) -> ConsoleSession:
    """A session of the user, who has proved who they are just now."""

    def write() -> ConsoleSession:
        session = ConsoleSession(
            user=user,
            address=device.address,
            user_agent=device.user_agent,
            with_factor=with_factor,
        )
        session.save(force_insert=True)
        how = {"door": DOOR, "withFactor": with_factor, "session": str(session.pk)}
        record_sign_in(user, **how, address=device.address)
        return session

    return run_in_transaction(write)


def record_failed_sign_in(*, user: User | None, device: Device, step: str) -> None:
    """A wrong password (`password`), a wrong factor (`second_factor`), or one of a step-up (`step_up`)."""
    name = NO_ACCOUNT if user is None else user.get_username()
    run_in_transaction(lambda: record_failed_try(name, door=DOOR, step=step, address=device.address))


def note_proved(*, session: ConsoleSession, with_factor: bool) -> None:
    """The session's person has proved again who they are."""

    def write() -> None:
        moment = clock.now()
        proved = {"proved_at": moment, "with_factor": session.with_factor or with_factor}
        if ConsoleSession.objects.filter(pk=session.pk, ended_at=None).update(**proved) == 1:
            after = {"door": DOOR, "session": str(session.pk), "withFactor": with_factor}
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
    """End all of somebody's sessions, and the token with which commands act as them (`authority.command_tokens`)."""

    def end() -> None:
        record_change(actor=actor, action="staff.all_sessions_ended", target=user_target(user))
        end_sessions_of(user=user, actor=actor, because="ended by staff")

    run_in_transaction(end)


def expire_session(*, session: ConsoleSession, because: str) -> None:
    """End a session that is too old, was idle for too long, or lacks what is required."""
    _end([session], actor=SYSTEM, because=because)


def end_sessions_of(*, user: User, actor: str, because: str, keep: UUID | None = None) -> None:
    """End all sessions of the user but `keep`, of the console and of the API; who calls it has asked for the right."""
    end_api_sessions(user=user, actor=actor, because=because)
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
                    after={"door": DOOR, "session": str(session.pk), "because": because},
                )
                for session in ended
            ]
        )

    run_in_transaction(write)
