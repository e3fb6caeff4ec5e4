"""Reading partners."""

import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Q, QuerySet

from partner_platform.core import clock
from partner_platform.core.errors import ErrorCode, NotFound
from partner_platform.core.web.pagination import NEWEST_FIRST, Page, paginate
from partners import keys
from partners.models import ApiKey, BorrowingPause, Partner, PartnerStatus, SuspensionScope

PAUSE_ID = uuid.UUID("b0220000-0000-4000-8000-000000000001")  # of the one row of the platform
# Partners whose calls are not all refused.
HEARD = Q(status=PartnerStatus.ACTIVE) | Q(status=PartnerStatus.SUSPENDED, suspension_scope=SuspensionScope.BORROWING)

MOST_KEYS = 100


def partner_count() -> int:
    """How many partners there are; they are few, so counting them is cheap."""
    return Partner.objects.count()


def by_partner_id(partner_id: str, *columns: str) -> Partner | None:
    """The partner with the public id `partner_xyz_lending_001`, None where there is none; `columns`: only these."""
    found = Partner.objects.filter(partner_id=partner_id)
    return (found.only(*columns) if columns else found).first()


def partners_in(*, status: str | None, tier: str | None) -> list[Partner]:
    """The partners in this status and of this tier, by their public id; None: of any. They are few."""
    wanted = {"status": status, "tier": tier}
    given = {column: value for column, value in wanted.items() if value is not None}
    return list(Partner.objects.filter(**given).order_by("partner_id"))


def get_partner(partner_id: str) -> Partner:
    """The partner with this public id, or 404 `partner_not_found`."""
    found = by_partner_id(partner_id)
    if found is None:
        raise NotFound(ErrorCode.PARTNER_NOT_FOUND, "Partner not found")
    return found


@dataclass(frozen=True, kw_only=True)
class PartnerSelection:
    """Which partners: equal in what is not None."""

    status: str | None = None
    tier: str | None = None

    @property
    def scope(self) -> str:
        """What a cursor of this selection belongs to."""
        return f"partners:{self.status}:{self.tier}"


def list_partners(selection: PartnerSelection, *, limit: int, offset: int, cursor: str | None) -> Page:
    """A page of the selected partners, newest first."""
    return paginate(
        streams=[partners_query(selection)], scope=selection.scope, limit=limit, offset=offset, cursor=cursor
    )


def partners_query(selection: PartnerSelection) -> "QuerySet[Partner]":
    """The list's query, for the index tests too; an index has the rows of each selection in the list's order."""
    wanted = {"status": selection.status, "tier": selection.tier}
    given = {column: value for column, value in wanted.items() if value is not None}
    return Partner.objects.filter(**given).order_by(*NEWEST_FIRST)


class Named(NamedTuple):
    """What a partner is called."""

    partner_id: str
    partner_name: str


def names_of(partner_keys: Iterable[uuid.UUID]) -> dict[uuid.UUID, Named]:
    """What the partners with these primary keys are called. One query."""
    rows = Partner.objects.filter(pk__in=set(partner_keys)).values_list("pk", "partner_id", "partner_name")
    return {pk: Named(partner_id, name) for pk, partner_id, name in rows}


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


def newest_keys_of(partner: Partner) -> list[ApiKey]:
    """The newest `MOST_KEYS` of a partner's keys, newest first, revoked and expired ones included."""
    return list(ApiKey.objects.filter(partner_id=partner.pk).order_by("-created_at")[:MOST_KEYS])


def get_key(*, partner: Partner, key_id: str) -> ApiKey:
    """The partner's key with this id, live or not, or 404 `api_key_not_found`."""
    try:
        return ApiKey.objects.select_related("partner").get(pk=uuid.UUID(key_id), partner_id=partner.pk)
    except (ValueError, ApiKey.DoesNotExist):
        raise NotFound(ErrorCode.API_KEY_NOT_FOUND, "API key not found") from None


def row_of_key(key: str) -> ApiKey:
    """The row of a key."""
    return ApiKey.objects.get(key_hash=keys.hash_key(key))


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
