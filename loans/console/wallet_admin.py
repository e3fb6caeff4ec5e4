"""Wallets in the console: the block list, and the last outcome of each wallet's screening."""

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from authority.acting import staff_of
from authority.rights import Right
from loans.models import UserWallet
from loans.stopping.wallets import block_wallet, unblock_wallet
from partner_platform.core.errors import BadRequest, NotFound
from partner_platform.core.ethereum import parse_address
from partners.console.one_time_forms import TOKEN, OneTimeAdmin, OneTimeFormMixin, ReasonForm


class BlockForm(OneTimeFormMixin, forms.ModelForm):
    """A wallet to be blocked, known to the platform or not."""

    wallet = forms.CharField(max_length=42, help_text="0x and 40 hex digits")
    reason = forms.CharField(max_length=300)

    class Meta:
        model = UserWallet
        fields: list[str] = []

    def clean_wallet(self) -> str:
        """The checksummed address."""
        try:
            return parse_address(self.cleaned_data["wallet"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(UserWallet)
class UserWalletAdmin(OneTimeAdmin):
    form = BlockForm
    action_form = ReasonForm
    list_display = (
        "address",
        "is_blocked",
        "blocked_at",
        "blocked_by",
        "block_reason",
        "screened_at",
        "screening_refused",
        "screening_reference",
    )
    list_filter = ("is_blocked",)
    search_fields = ("address",)
    ordering = ("-is_blocked", "-blocked_at", "-id")
    actions = ("unblock",)

    def get_fields(self, request: HttpRequest, obj: UserWallet | None = None) -> tuple[str, ...]:
        return ("wallet", "reason", TOKEN) if obj is None else self.list_display

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.BLOCK_WALLETS)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_unblock_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Right.UNBLOCK_WALLETS)

    def save_model(self, request: HttpRequest, obj: UserWallet, form: BlockForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        values = form.cleaned_data
        row = block_wallet(wallet=values["wallet"], actor=staff_of(request.user), reason=values["reason"])
        obj.__dict__.update(row.__dict__)

    def log_addition(self, request: HttpRequest, obj: object, message: object) -> None:  # type: ignore[override]
        """Write nothing: the audit trail has the entry."""

    def response_add(self, request: HttpRequest, obj: UserWallet, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, f"{obj} is blocked.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:loans_userwallet_changelist"))

    @admin.action(description="Take off the block list (with a reason)", permissions=["unblock"])
    def unblock(self, request: HttpRequest, queryset: QuerySet[UserWallet]) -> None:
        for row in queryset.order_by("pk"):
            try:
                unblock_wallet(wallet=row.address, actor=staff_of(request.user), reason=request.POST.get("reason", ""))
            except (BadRequest, NotFound) as error:
                self.message_user(request, f"{row}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{row} is not blocked any more.", messages.SUCCESS)
