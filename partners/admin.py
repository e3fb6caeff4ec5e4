"""Partners in the console. Every change goes through `partners.services`; a form is sent once, its key shown once."""

import uuid
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path

from authority.acting import staff_of
from authority.rights import Right
from partner_platform.core.console.model_admin import ReadOnlyInline
from partner_platform.core.errors import BadRequest
from partner_platform.core.money import format_dollars
from partners import credentials, services, settlement_addresses
from partners.console import sent_forms
from partners.console.forms import PartnerForm
from partners.console.key_admin import ApiKeyAdmin
from partners.console.mail_admin import OutgoingMailAdmin
from partners.console.one_time_forms import TOKEN, OneTimeAdmin, to_outcome
from partners.console.shown_once import ask_to_activate, show_outcome
from partners.console.stopping_admin import BorrowingPauseAdmin, SuspensionActions
from partners.models import ApiKey, Partner

__all__ = ["ApiKeyAdmin", "BorrowingPauseAdmin", "OutgoingMailAdmin", "PartnerAdmin"]

SUMS = ("current_outstanding_dollars", "total_borrowed_dollars", "total_repaid_dollars", "utilisation")


class ApiKeyInline(ReadOnlyInline):
    """A partner's keys, without the keys themselves."""

    model = ApiKey
    fields = readonly_fields = ("prefix", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    ordering = ("-created_at",)


@admin.register(Partner)
class PartnerAdmin(SuspensionActions, OneTimeAdmin):
    form = PartnerForm
    asks_first = ("activate", "narrow_suspension")
    only_to_send = (TOKEN, "same_name")
    inlines = [ApiKeyInline]
    list_display = (
        "partner_id",
        "partner_name",
        "status",
        "suspended_for",
        "status_reason",
        "tier",
        "daily_limit",
        "total_limit",
        "current_outstanding_dollars",
        "utilisation",
        "last_used_at",
    )
    list_filter = ("status", "tier")
    search_fields = ("partner_id", "partner_name", "contact_email")
    ordering = ("partner_id",)
    actions = (
        "suspend",
        "suspend_borrowing",
        "narrow_suspension",
        "activate",
        "rotate_key_now",
        "rotate_key_with_grace",
        "rotate_signing_secret",
        "rotate_signing_secret_with_grace",
        "require_signing",
        "stop_requiring_signing",
        "allow_signature_v1",
        "refuse_signature_v1",
    )

    def get_fields(self, request: HttpRequest, obj: Partner | None = None) -> Any:
        fields = list(super().get_fields(request, obj))
        if "same_name" in fields:  # beside the name that it is about
            fields.remove("same_name")
            fields.insert(fields.index("partner_name") + 1, "same_name")
        return fields

    def get_readonly_fields(self, request: HttpRequest, obj: Partner | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        fixed = ("partner_id", "status", "suspended_for", "status_reason", "former_settlement_addresses")
        return (*fixed, "signing_required", "signature_v1_allowed", *SUMS, "created_by", "created_at", "last_used_at")

    def get_inlines(self, request: HttpRequest, obj: Partner | None) -> list[Any]:
        return self.inlines if obj is not None else []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.CREATE_PARTNERS)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Some terms need a further right, for which the service asks."""
        return request.user.has_perm(Right.CHANGE_PARTNERS)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False  # loans and audit entries refer to partners for ever: suspend them instead

    def has_activate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.ACTIVATE_PARTNERS)

    def has_key_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.CREATE_API_KEYS)

    def has_secret_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.ROTATE_SECRETS)

    def get_urls(self) -> list[Any]:
        sent = path("sent/<uuid:token>/", self.admin_site.admin_view(self.sent_view), name="partners_partner_sent")
        return [sent, *super().get_urls()]

    def sent_view(self, request: HttpRequest, token: uuid.UUID) -> HttpResponse:
        """Shows once, to the user who sent the form, the secret that it created."""
        return show_outcome(self.admin_site, request, token)

    def save_model(self, request: HttpRequest, obj: Partner, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        values = form.terms(form.cleaned_data)
        if change:
            changed = {name: values[name] for name in form.changed_data if name in values}
            self._change(request, obj, form.cleaned_data[TOKEN], changed)
            return
        partner_id = form.cleaned_data.get("partner_id") or None
        opened = services.create_partner(actor=staff_of(request.user), partner_id=partner_id, **values)
        obj.__dict__.update(opened.partner.__dict__)
        made = {"API key": opened.api_key, "webhook secret": opened.webhook_secret}
        secrets = {kind: secret for kind, secret in made.items() if secret is not None}
        sent_forms.keep_secret(
            form.cleaned_data[TOKEN],
            partner=obj,
            secret=" ".join(secrets.values()),
            what=f"{obj} was opened.",
            kind=" and ".join(secrets),
        )

    def _change(self, request: HttpRequest, partner: Partner, token: uuid.UUID, changed: dict[str, object]) -> None:
        """Write the terms; the secret of a first `webhook_url` is kept until it is shown."""
        secret = services.change_terms(partner=partner, actor=staff_of(request.user), **changed)
        if secret is not None:
            what = f"{partner} has a webhookUrl; this signs what is sent there."
            sent_forms.keep_secret(token, partner=partner, secret=secret, what=what, kind="webhook secret")

    def response_change(self, request: HttpRequest, obj: Partner) -> HttpResponse:
        token = uuid.UUID(request.POST[TOKEN])
        form = sent_forms.sent_form(token, sent_by=request.user.get_username())
        return to_outcome(token) if form is not None and form.kind else super().response_change(request, obj)

    def response_add(self, request: HttpRequest, obj: Partner, post_url_continue: str | None = None) -> HttpResponse:
        return to_outcome(uuid.UUID(request.POST[TOKEN]))

    @admin.action(description="Activate", permissions=["activate"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Partner]) -> HttpResponse | None:
        """Shows first why each was suspended, then activates exactly the partners that were shown."""
        partners = list(queryset.order_by("pk"))
        if "confirmed" not in request.POST:
            return ask_to_activate(self.admin_site, request, partners)
        for partner in partners:
            seen = request.POST.get(f"seen_{partner.pk}", "")
            try:
                services.activate_partner(
                    partner=partner, actor=staff_of(request.user), seen=int(seen) if seen.isdecimal() else -1
                )
            except BadRequest as error:
                self.message_user(request, f"{partner}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{partner} is active.", messages.SUCCESS)
        return None

    @admin.action(description="Rotate API key: the old one dies at once", permissions=["key"])
    def rotate_key_now(self, request: HttpRequest, queryset: QuerySet[Partner]) -> HttpResponse | None:
        return self._rotate(request, queryset, grace_hours=0)

    @admin.action(description="Rotate API key: the old one works 24 hours more", permissions=["key"])
    def rotate_key_with_grace(self, request: HttpRequest, queryset: QuerySet[Partner]) -> HttpResponse | None:
        return self._rotate(request, queryset, grace_hours=24)

    def _rotate(self, request: HttpRequest, queryset: QuerySet[Partner], *, grace_hours: int) -> HttpResponse | None:
        partner = self._only_one(request, queryset)
        if partner is None:
            return None
        rotate = partial(
            services.rotate_api_key, partner=partner, actor=staff_of(request.user), grace_hours=grace_hours
        )
        old = f"works for {grace_hours} more hours" if grace_hours else "no longer works"
        what = f"{partner} has a new key; the old one {old}."
        return self.make_secret(request, partner, rotate, what=what, kind="API key")

    @admin.action(description="New signing secret: the old one dies at once", permissions=["secret"])
    def rotate_signing_secret(self, request: HttpRequest, queryset: QuerySet[Partner]) -> HttpResponse | None:
        return self._rotate_signing_secret(request, queryset, grace_hours=0)

    @admin.action(description="New signing secret: the old one signs 24 hours more", permissions=["secret"])
    def rotate_signing_secret_with_grace(
        self, request: HttpRequest, queryset: QuerySet[Partner]
    ) -> HttpResponse | None:
        return self._rotate_signing_secret(request, queryset, grace_hours=24)

    @admin.action(description="Require signed requests", permissions=["secret"])
    def require_signing(self, request: HttpRequest, queryset: QuerySet[Partner]) -> None:
        self._set_signing(request, queryset, required=True)

    @admin.action(description="Take unsigned requests", permissions=["secret"])
    def stop_requiring_signing(self, request: HttpRequest, queryset: QuerySet[Partner]) -> None:
        self._set_signing(request, queryset, required=False)

    @admin.action(description="Take signatures of version 1, which sign the body alone", permissions=["secret"])
    def allow_signature_v1(self, request: HttpRequest, queryset: QuerySet[Partner]) -> None:
        self._allow_signature_v1(request, queryset, allowed=True)

    @admin.action(description="Take signatures of version 2 only", permissions=["secret"])
    def refuse_signature_v1(self, request: HttpRequest, queryset: QuerySet[Partner]) -> None:
        self._allow_signature_v1(request, queryset, allowed=False)

    def _rotate_signing_secret(
        self, request: HttpRequest, queryset: QuerySet[Partner], *, grace_hours: int
    ) -> HttpResponse | None:
        partner = self._only_one(request, queryset)
        if partner is None:
            return None
        rotate = partial(
            credentials.rotate_signing_secret, partner=partner, actor=staff_of(request.user), grace_hours=grace_hours
        )
        what = f"{partner} has a new signing secret."
        return self.make_secret(request, partner, rotate, what=what, kind="signing secret")

    def _set_signing(self, request: HttpRequest, queryset: QuerySet[Partner], *, required: bool) -> None:
        for partner in queryset.order_by("pk"):
            try:
                credentials.set_signing_required(partner=partner, actor=staff_of(request.user), required=required)
            except BadRequest as error:
                self.message_user(request, f"{partner}: {error.message}", messages.ERROR)
            else:
                state = "must be signed" if required else "may be unsigned"
                self.message_user(request, f"Requests of {partner} {state}.", messages.SUCCESS)

    def _allow_signature_v1(self, request: HttpRequest, queryset: QuerySet[Partner], *, allowed: bool) -> None:
        for partner in queryset.order_by("pk"):
            credentials.allow_signature_v1(partner=partner, actor=staff_of(request.user), allowed=allowed)
            taken = "1 and 2" if allowed else "2 only"
            self.message_user(request, f"Signatures of {partner}: version {taken}.", messages.SUCCESS)

    def _only_one(self, request: HttpRequest, queryset: QuerySet[Partner]) -> Partner | None:
        chosen = list(queryset[:2])
        if len(chosen) == 1:
            return chosen[0]
        self.message_user(request, "Choose one partner: a secret is shown on a page of its own.", messages.ERROR)
        return None

    @admin.display(description="former settlement addresses")
    def former_settlement_addresses(self, partner: Partner) -> str:
        """Former addresses stay reserved for this partner."""
        return ", ".join(settlement_addresses.addresses_of(partner)[1:]) or "-"

    @admin.display(description="daily limit", ordering="daily_borrow_limit")
    def daily_limit(self, partner: Partner) -> str:
        return format_dollars(partner.daily_borrow_limit)

    @admin.display(description="total limit", ordering="total_borrow_limit")
    def total_limit(self, partner: Partner) -> str:
        return format_dollars(partner.total_borrow_limit)

    @admin.display(description="outstanding", ordering="current_outstanding")
    def current_outstanding_dollars(self, partner: Partner) -> str:
        return format_dollars(partner.current_outstanding)

    @admin.display(description="total borrowed")
    def total_borrowed_dollars(self, partner: Partner) -> str:
        return format_dollars(partner.total_borrowed)

    @admin.display(description="total repaid")
    def total_repaid_dollars(self, partner: Partner) -> str:
        return format_dollars(partner.total_repaid)

    @admin.display(description="utilisation")
    def utilisation(self, partner: Partner) -> str:
        """Outstanding by total limit, rounded down: 100 % only where nothing is left."""
        tenths = partner.current_outstanding * 1000 // max(partner.total_borrow_limit, 1)
        return f"{tenths // 10}.{tenths % 10} %"
