"""Wallets and API sessions of staff in the console: who may sign in with what, and who is signed in."""

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from authority.acting import staff_of
from authority.rights import Right
from partner_platform.core.console.model_admin import ConsoleAdmin, ReadOnlyAdmin
from partner_platform.core.ethereum import parse_address
from staff.access.api_sessions import revoke_api_session
from staff.access.wallets import link_wallet, unlink_wallet
from staff.models import ApiSession, StaffWallet


class WalletForm(forms.ModelForm):
    """A user and an address in any case; a wrong checksum is refused."""

    class Meta:
        model = StaffWallet
        fields = ("user", "address")

    def clean_address(self) -> str:
        try:
            return parse_address(self.cleaned_data["address"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


@admin.register(StaffWallet)
class WalletAdmin(ConsoleAdmin):
    """Wallets: a superuser links and unlinks them, others look."""

    list_display = ("address", "user", "linked_by", "linked_at")
    list_select_related = ("user",)
    search_fields = ("address",)
    ordering = ("-linked_at",)
    form = WalletForm
    is_adding_dangerous = True  # a wallet is a way in

    def get_fields(self, request: HttpRequest, obj: StaffWallet | None = None) -> tuple[str, ...]:
        return ("user", "address") if obj is None else self.list_display

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self.has_add_permission(request)

    def save_model(self, request: HttpRequest, obj: StaffWallet, form: object, change: bool) -> None:
        linked = link_wallet(user=obj.user, address=obj.address, actor=staff_of(request.user))
        obj.__dict__.update(linked.__dict__)

    def delete_model(self, request: HttpRequest, obj: StaffWallet) -> None:
        unlink_wallet(wallet=obj, actor=staff_of(request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[StaffWallet]) -> None:
        for wallet in queryset.select_related("user").order_by("pk"):
            unlink_wallet(wallet=wallet, actor=staff_of(request.user))


@admin.register(ApiSession)
class ApiSessionAdmin(ReadOnlyAdmin):
    """Sessions of the API; none is changed, but whoever manages staff ends them."""

    list_display = ("user", "means", "with_factor", "address", "opened_at", "last_refreshed_at", "ends_at", "ended_at")
    list_select_related = ("user",)
    fields = (*list_display, "ended_because", "user_agent")
    ordering = ("-ends_at",)
    actions = ("end_these",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.MANAGE_STAFF)

    @admin.action(description="End: refuse their tokens", permissions=["end"])
    def end_these(self, request: HttpRequest, queryset: QuerySet[ApiSession]) -> None:
        for session in queryset.select_related("user").order_by("pk"):
            revoke_api_session(session=session, actor=staff_of(request.user))
        self.message_user(request, "They are ended.", messages.SUCCESS)
