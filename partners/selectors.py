"""Reading partners."""

import unicodedata
import uuid

from django.db.models import Q

from partner_platform.core import clock
from partners.models import ApiKey, BorrowingPause, Partner, PartnerStatus, SuspensionScope

PAUSE_ID = uuid.UUID("b0220000-0000-4000-8000-000000000001")  # of the one row of the platform
# Partners whose calls are not all refused.
HEARD = Q(status=PartnerStatus.ACTIVE) | Q(status=PartnerStatus.SUSPENDED, suspension_scope=SuspensionScope.BORROWING)


def partner_count() -> int:
    """How many partners there are; they are few, so counting them is cheap."""
    return Partner.objects.count()


def by_partner_id(partner_id: str, *columns: str) -> Partner | None:
    """The partner with the public id `partner_xyz_lending_001`, None where there is none; `columns`: only these."""
    found = Partner.objects.filter(partner_id=partner_id)
    return (found.only(*columns) if columns else found).first()


def active_partners() -> list[Partner]:
    """The partners that may act, those that may only read and repay included, by their public id."""
    return list(Partner.objects.filter(HEARD).order_by("partner_id"))


def active_partner_ids() -> list[str]:
    """The public ids of the partners that may act, sorted."""
    active = Partner.objects.filter(status=PartnerStatus.ACTIVE)
    return list(active.order_by("partner_id").values_list("partner_id", flat=True))


def partner_ids_created_by(actor: str) -> set[str]:
    """The public ids of the partners that `actor` opened."""
    return set(Partner.objects.filter(created_by=actor).values_list("partner_id", flat=True))


def partner_ids_named(name: str, *, but: uuid.UUID) -> list[str]:
    """The public ids of partners other than `but` with the same name, ignoring case, character width and spaces."""
    named = Partner.objects.exclude(pk=but).order_by("partner_id").values_list("partner_id", "partner_name")
    return [partner_id for partner_id, other in named if _as_read(other) == _as_read(name)]


def _as_read(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def keys_of(partner: Partner) -> list[ApiKey]:
    """A partner's keys, newest first, revoked and expired ones included."""
    return list(ApiKey.objects.filter(partner_id=partner.pk).order_by("-created_at"))


def live_key_hashes() -> frozenset[str]:
    """The hashes of the keys that are valid now, of partners that may act. Two queries."""
    active = set(Partner.objects.filter(HEARD).values_list("pk", flat=True))
    now = clock.now()
    found = ApiKey.objects.filter(revoked_at=None).values_list("key_hash", "partner_id", "expires_at")
    return frozenset(
        key_hash for key_hash, partner, expires in found if partner in active and (expires is None or expires > now)
    )


def borrowing_pause() -> BorrowingPause:
    """Whether new borrows are paused, since when, by whom and why. One read by key."""
    return BorrowingPause.objects.filter(pk=PAUSE_ID).first() or BorrowingPause(id=PAUSE_ID)


def is_borrowing_paused() -> int:
    """1 while new borrows are paused, else 0."""
    return int(borrowing_pause().is_paused)
