"""What a partner's terms may be. Pure: from untrusted values to clean ones, or 400 naming every bad field.

`FIELDS` is the one list of what staff, the import file and the API may set. Errors use the contract's camelCase names.
Source: plan, Partner schema and Input Validation.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from authority.rights import Right
from partner_platform.core.errors import invalid_fields
from partner_platform.core.ethereum import ZERO_ADDRESS, parse_address
from partner_platform.core.money import BASIS_POINTS, MAX_BASE_UNITS
from partner_platform.core.outside import check_url
from partner_platform.core.web import api_versions
from partners import keys
from partners.models import Partner, PartnerStatus, PartnerTier, RepaymentFunding

MAX_NETWORKS = 100
_AMOUNT = re.compile(r"[0-9]{1,19}", re.ASCII)
_PARTNER_ID = re.compile(r"[a-z0-9][a-z0-9_-]{2,63}", re.ASCII)
_KEY_PREFIX = re.compile(rf"(?:pk_)?({keys.LABEL_PATTERN})(?:_(?:live|sandbox)_?)?", re.ASCII)


@dataclass(frozen=True)
class Field:
    """A field: its name in the contract, how it is read (`ValueError` says what is wrong), whether it must be given,
    and the right that staff need to change it.
    """

    api_name: str
    read: Callable[[object], Any]
    required: bool = False
    right: Right = Right.CHANGE_PARTNERS


def clean_terms(values: Mapping[str, object], *, partial: bool) -> dict[str, Any]:
    """The values, checked and normalized; `values` is by model field name. `partial`: only what is given must be right.

    Raises `BadRequest` `invalid_request` with `details` per camelCase field.
    """
    problems: dict[str, list[str]] = {name: ["Unknown field."] for name in values if name not in FIELDS}
    cleaned: dict[str, Any] = {}
    for name, field in FIELDS.items():
        if name in values:
            try:
                cleaned[name] = field.read(values[name])
            except ValueError as error:
                problems[field.api_name] = [str(error)]
        elif field.required and not partial:
            problems[field.api_name] = ["This field is required."]
    if problems:
        raise invalid_fields(problems)
    return cleaned


def from_api(entry: Mapping[str, object]) -> dict[str, object]:
    """Contract names to field names; unknown names are kept, and `clean_terms` refuses them."""
    return {FIELD_NAMES.get(name, name): value for name, value in entry.items()}


def as_audited(partner: Partner, names: Mapping[str, object] | None = None) -> dict[str, Any]:
    """A partner's terms as an audit entry shows them: contract names, amounts as strings, no secret among them."""
    shown = FIELDS if names is None else {name: FIELDS[name] for name in names}
    audited = {}
    for name, field in shown.items():
        value = getattr(partner, name)
        audited[field.api_name] = str(value) if name in AMOUNTS else value
    return audited


def read_partner_id(value: object) -> str:
    """A partner's public id: 3 to 64 lower-case letters, digits, `_` and `-`."""
    if not isinstance(value, str) or not _PARTNER_ID.fullmatch(value):
        raise ValueError("Must be 3 to 64 lower-case letters, digits, _ or -.")
    return value


def read_status(value: object) -> str:
    return _choice(PartnerStatus.values)(value)


def _name(value: object) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise ValueError("Must be 1 to 200 printable characters.")
    return name


def _label(value: object) -> str:
    """`nlp` as the API gives it, `pk_nlp_live_` as the config file does."""
    match = _KEY_PREFIX.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("Must be 2 to 12 lower-case letters and digits.")
    return match[1]


def _amount(value: object) -> int:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise ValueError("Must be a string of USDC base units, 1 to 19 digits.")
    amount = int(value)
    if not 1 <= amount <= MAX_BASE_UNITS:
        raise ValueError(f"Must be from 1 to {MAX_BASE_UNITS} base units.")
    return amount


def _fee(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < BASIS_POINTS:
        raise ValueError(f"Must be a whole number of basis points, 0 to {BASIS_POINTS - 1}.")
    return value


def _settlement_address(value: object) -> str:
    address = parse_address(value)
    if address == ZERO_ADDRESS:
        raise ValueError("Must not be the zero address.")
    return address


def _optional_address(value: object) -> str:
    return "" if value in ("", None) else parse_address(value)


def _email(value: object) -> str:
    text = value if isinstance(value, str) and len(value) <= 254 else ""
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError("Must be an e-mail address.") from None
    return text.lower()


def _webhook_url(value: object) -> str:
    """A URL that events may be sent to; what it resolves to is checked when they are."""
    if value in ("", None):
        return ""
    if not isinstance(value, str):
        raise ValueError("Must be an https:// URL of at most 500 characters.")  # noqa: TRY004 - every reader raises ValueError
    check_url(value)
    return value


def _cidrs(value: object) -> list[str]:
    """`["203.0.113.0/24", "198.51.100.5"]`; an address alone is a network of one."""
    if not isinstance(value, list) or len(value) > MAX_NETWORKS or not all(isinstance(item, str) for item in value):
        raise ValueError(f"Must be a list of at most {MAX_NETWORKS} addresses or CIDRs.")
    networks: list[str] = []
    for item in value:
        try:
            networks.append(str(ipaddress.ip_network(item)))
        except ValueError:
            raise ValueError(f"{item[:50]!r} is not an address or CIDR (with no bits set behind its prefix).") from None
    return list(dict.fromkeys(networks))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("Must be true or false.")  # noqa: TRY004 - every reader raises ValueError
    return value


def _choice(values: list[str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"Must be one of {', '.join(values)}.")
        return value

    return read


FIELDS: dict[str, Field] = {
    "partner_name": Field("partnerName", _name, required=True),
    "key_label": Field("apiKeyPrefix", _label, required=True),
    "public_key": Field("publicKey", _optional_address),
    "tier": Field("tier", _choice(PartnerTier.values), right=Right.CHANGE_LIMITS),
    "daily_borrow_limit": Field("dailyBorrowLimit", _amount, required=True, right=Right.CHANGE_LIMITS),
    "total_borrow_limit": Field("totalBorrowLimit", _amount, required=True, right=Right.CHANGE_LIMITS),
    "platform_fee_percentage": Field("platformFeePercentage", _fee, right=Right.CHANGE_LIMITS),
    "settlement_address": Field(
        "settlementAddress", _settlement_address, required=True, right=Right.CHANGE_SETTLEMENT_ADDRESS
    ),
    "repayment_funding": Field("repaymentFunding", _choice(RepaymentFunding.values), right=Right.CHANGE_LIMITS),
    "api_version": Field("apiVersion", _choice(api_versions.names())),
    "webhook_url": Field("webhookUrl", _webhook_url),
    "ip_allow_list": Field("ipWhitelist", _cidrs),
    "contact_email": Field("contactEmail", _email, required=True),
    "contact_wallet": Field("contactWallet", _optional_address),
    "kyc_verified": Field("kycVerified", _flag, right=Right.MANAGE_ONBOARDING),
    "contract_signed": Field("contractSigned", _flag, right=Right.MANAGE_ONBOARDING),
}
# The console asks again who it is before one of these is changed: money depends on it, or a secret is made.
DANGEROUS = frozenset(name for name, field in FIELDS.items() if field.right is not Right.CHANGE_PARTNERS) | {
    "webhook_url"
}
AMOUNTS = frozenset({"daily_borrow_limit", "total_borrow_limit"})
FIELD_NAMES = {field.api_name: name for name, field in FIELDS.items()}
