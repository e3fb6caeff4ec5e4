"""The console's form of a partner: dollars for people, the rules of `partners.terms` behind every field."""

from decimal import Decimal
from typing import Any

from django import forms

from partner_platform.core.errors import BadRequest
from partner_platform.core.money import BASE_UNITS_PER_DOLLAR, MAX_BASE_UNITS, USDC_DECIMALS
from partner_platform.core.web import api_versions
from partners import selectors, settlement_addresses, terms
from partners.console.one_time_forms import MAX_REASON, OneTimeFormMixin
from partners.models import ApiKey, Partner, Scope, all_scopes


class DollarField(forms.DecimalField):
    """Dollars in the form, base units (`int`) in Python."""

    def __init__(self, **kwargs: Any) -> None:
        smallest = Decimal(1) / BASE_UNITS_PER_DOLLAR
        largest = Decimal(MAX_BASE_UNITS) / BASE_UNITS_PER_DOLLAR
        super().__init__(decimal_places=USDC_DECIMALS, min_value=smallest, max_value=largest, **kwargs)

    def prepare_value(self, value: object) -> object:
        return f"{Decimal(value) / BASE_UNITS_PER_DOLLAR:f}" if isinstance(value, int) else value

    def clean(self, value: object) -> Any:
        dollars = super().clean(value)
        return None if dollars is None else int(dollars * BASE_UNITS_PER_DOLLAR)

    def has_changed(self, initial: object, data: object) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


class LinesField(forms.CharField):
    """A list of strings, one a line in the form."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={"rows": 4, "cols": 40}), required=False, **kwargs)

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: object) -> Any:
        return str(super().clean(value) or "").replace(",", "\n").split()

    def has_changed(self, initial: object, data: object) -> bool:
        return bool(self.clean(data) != (initial or []))


class PartnerForm(OneTimeFormMixin, forms.ModelForm):
    """The terms that staff set; status, sums and keys are changed elsewhere."""

    daily_borrow_limit = DollarField(label="Daily borrow limit ($)", help_text="A UTC day")
    total_borrow_limit = DollarField(label="Total borrow limit ($)", help_text="Outstanding at once")
    api_version = forms.ChoiceField(
        label="API version", choices=lambda: [(name, name) for name in api_versions.names()], required=False
    )
    webhook_url = forms.URLField(required=False, max_length=500, assume_scheme="https", help_text="https only")

    same_name = forms.BooleanField(required=False, widget=forms.HiddenInput, label="Another partner of this name")
    reason = forms.CharField(
        label="Reason for the change", max_length=MAX_REASON, required=False, help_text="For who approves it"
    )
    ip_allow_list = LinesField(label="IP allow list", help_text="Addresses or CIDRs, one a line; empty: from anywhere")

    class Meta:
        model = Partner
        fields = ["partner_id", *terms.FIELDS]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "partner_id" in self.fields:
            self.fields["partner_id"].required = False
            self.fields["partner_id"].help_text = "Left empty: partner_{label}_{number}"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        values = self.terms(cleaned)
        try:
            cleaned.update(terms.clean_terms(values, partial=True))
        except BadRequest as error:
            for api_name, problems in error.details.items():
                self.add_error(terms.FIELD_NAMES[api_name], problems)
        self._check_name(cleaned.get("partner_name"), confirmed=cleaned.get("same_name", False))
        self._check_partner_id(cleaned.get("partner_id"))
        self._check_settlement_address(cleaned.get("settlement_address"))
        return cleaned

    def terms(self, cleaned: dict[str, object]) -> dict[str, Any]:
        """The cleaned terms as the services take them: amounts as strings."""
        values = {name: value for name, value in cleaned.items() if name in terms.FIELDS}
        if not values.get("api_version"):
            values.pop("api_version", None)  # not asked for: as it is
        return {name: str(value) if name in terms.AMOUNTS else value for name, value in values.items()}

    def _check_name(self, name: str | None, *, confirmed: bool) -> None:
        """Two partners may have the same name, but staff must confirm it."""
        if not name or confirmed or "partner_name" not in self.changed_data:
            return
        others = selectors.partner_ids_named(name, but=self.instance.pk)
        if others:
            self.fields["same_name"].widget = forms.CheckboxInput()
            self.add_error("partner_name", f"{', '.join(others)} has this name already. Is this another partner?")

    def _check_partner_id(self, partner_id: str | None) -> None:
        if not partner_id:
            return
        try:
            terms.read_partner_id(partner_id)
        except ValueError as error:
            self.add_error("partner_id", str(error))
            return
        if self._is_new() and selectors.by_partner_id(partner_id) is not None:
            self.add_error("partner_id", "Is taken.")

    def _check_settlement_address(self, address: str | None) -> None:
        if not address or "settlement_address" in self.errors:
            return
        owner = None if self._is_new() else self.instance.pk
        problem = settlement_addresses.problem_with(address, partner_id=owner)
        if problem is not None:
            self.add_error("settlement_address", problem)

    def _is_new(self) -> bool:
        return not Partner.objects.filter(pk=self.instance.pk).exists()


class NewKeyForm(OneTimeFormMixin, forms.ModelForm):
    """A further key: its partner, scopes and expiry."""

    reason = forms.CharField(max_length=MAX_REASON, required=False, help_text="For who approves it")
    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple, initial=all_scopes)

    class Meta:
        model = ApiKey
        fields = ["partner", "scopes", "expires_at"]
