"""Importing `configs/partner_platforms.json`: all of it, or nothing with every problem by partner and field.

A new entry opens a partner with a key; a known `partnerId` gets the entry's terms. A second import creates no new key
and changes no status: a partner that was suspended in the meantime stays suspended. Source: plan, Partner Config File.
"""

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import IntegrityError
from rest_framework.exceptions import ParseError

from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest
from partner_platform.core.ethereum import parse_address
from partner_platform.core.web.parsers import StrictJSONParser
from partners import selectors, services, settlement_addresses, terms
from partners.models import Partner, PartnerStatus

IDENTITY = ("partnerId", "status")


class BadConfigFile(Exception):
    """The file cannot be imported; `problems` says why, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass
class Imported:
    """What an import did; `created` holds each new partner with the secrets that are shown now and never again.

    `webhook_secrets` are those of known partners that had no `webhookUrl` before, by `partnerId`; shown once, too.
    """

    created: list[services.Opened] = field(default_factory=list)
    updated: list[Partner] = field(default_factory=list)
    unchanged: list[Partner] = field(default_factory=list)
    webhook_secrets: dict[str, str] = field(default_factory=dict)


def read_entries(path: Path) -> list[dict[str, Any]]:
    """The file's entries, each of them valid; `BadConfigFile` lists what is not."""
    entries = load(path)
    check_entries(entries)
    return entries


def load(path: Path) -> list[Any]:
    """The file's entries, not validated."""
    try:
        content = StrictJSONParser().parse(io.BytesIO(path.read_bytes()))
    except OSError as error:
        raise BadConfigFile([f"{path}: {error.strerror}"]) from error
    except ParseError as error:
        raise BadConfigFile([f"{path}: {error.detail}"]) from error
    entries = content.get("partners")
    if set(content) != {"partners"} or not isinstance(entries, list) or not entries:
        raise BadConfigFile([f'{path}: must be {{"partners": [...]}} with at least one partner'])
    return entries


def check_entries(entries: list[object]) -> None:
    """Raise `BadConfigFile` with all that is wrong with the entries, if anything is."""
    problems = [problem for number, entry in enumerate(entries, 1) for problem in _problems(number, entry)]
    ids = [entry["partnerId"] for entry in entries if isinstance(entry, dict) and "partnerId" in entry]
    repeated = sorted({str(partner_id) for partner_id in ids if ids.count(partner_id) > 1})
    problems += [f"{partner_id}: partnerId: Appears more than once." for partner_id in repeated]
    problems += _repeated_addresses(entries)
    if problems:
        raise BadConfigFile(problems)


@dataclass(frozen=True)
class Planned:
    """What an import would do to a partner: `changes` are (field, before, after) by the contract's names."""

    partner_id: str
    is_new: bool
    changes: tuple[tuple[str, object, object], ...]


def plan(entries: list[dict[str, object]]) -> list[Planned]:
    """What `import_entries` would do, by partner; nothing is done."""
    return [_plan_entry(entry) for entry in sorted(entries, key=lambda entry: str(entry["partnerId"]))]


def _plan_entry(entry: dict[str, Any]) -> Planned:
    values = terms.clean_terms(_terms_of(entry), partial=True)
    known = selectors.by_partner_id(entry["partnerId"])
    after = terms.as_audited(Partner(**values), values)
    before = {} if known is None else terms.as_audited(known, values)
    changes = [(name, before.get(name), after[name]) for name in after if known is None or before[name] != after[name]]
    return Planned(entry["partnerId"], known is None, tuple(changes))


def import_entries(
    entries: list[dict[str, object]],
    *,
    actor: str,
    agreed: list[Planned] | None = None,
    scopes: Iterable[str] | None = None,
) -> Imported:
    """Open the new partners and bring the known ones to the entries' terms, in one transaction.

    `scopes` are those of the new partners' keys, by default those of `partners.models.all_scopes`.
    Raises `BadConfigFile` where a settlement address is another partner's, or where `agreed`, the plan that a person
    confirmed, is no longer what would be done.
    """

    def run() -> Imported:
        if agreed is not None and plan(entries) != agreed:
            raise BadConfigFile(["The partners changed since this was shown. Run it again."])
        if problems := _taken_addresses(entries):
            raise BadConfigFile(problems)
        imported = Imported()
        for entry in sorted(entries, key=lambda entry: str(entry["partnerId"])):
            _import_entry(entry, imported, actor, scopes)
        return imported

    try:
        return run_in_transaction(run)
    except IntegrityError:
        if problems := _taken_addresses(entries):  # somebody claimed one at the same moment
            raise BadConfigFile(problems) from None
        raise


def _import_entry(entry: dict[str, Any], imported: Imported, actor: str, scopes: Iterable[str] | None) -> None:
    values = _terms_of(entry)
    known = selectors.by_partner_id(entry["partnerId"])
    if known is None:
        status = entry.get("status", PartnerStatus.ACTIVE)
        created = services.create_partner(
            actor=actor, partner_id=entry["partnerId"], status=status, scopes=scopes, **values
        )
        imported.created.append(created)
        return
    webhook_secret = services.change_terms(partner=known, actor=actor, **values)
    if webhook_secret is not None:
        imported.webhook_secrets[known.partner_id] = webhook_secret
    updated = Partner.objects.get(pk=known.pk)
    was_changed = terms.as_audited(known) != terms.as_audited(updated)
    (imported.updated if was_changed else imported.unchanged).append(updated)


def _terms_of(entry: Mapping[str, object]) -> dict[str, object]:
    return terms.from_api({name: value for name, value in entry.items() if name not in IDENTITY})


def _repeated_addresses(entries: list[Any]) -> list[str]:
    """A settlement address that several entries name, in whatever case, is reported at each of them."""
    named: dict[str, list[str]] = {}
    for entry in entries:
        with suppress(ValueError, TypeError, KeyError):
            address = parse_address(entry[settlement_addresses.API_NAME])
            named.setdefault(address, []).append(str(entry["partnerId"]))
    shared = [names for names in named.values() if len(set(names)) > 1]
    return [f"{name}: {settlement_addresses.API_NAME}: Appears more than once." for names in shared for name in names]


def _taken_addresses(entries: list[dict[str, Any]]) -> list[str]:
    problems = []
    for entry in entries:
        known = selectors.by_partner_id(entry["partnerId"])
        address = parse_address(entry[settlement_addresses.API_NAME])
        problem = settlement_addresses.problem_with(address, partner_id=None if known is None else known.pk)
        if problem is not None:
            problems.append(f"{entry['partnerId']}: {settlement_addresses.API_NAME}: {problem}")
    return problems


def _problems(number: int, entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return [f"partner number {number}: Must be an object."]
    name = entry.get("partnerId") or f"partner number {number}"
    problems: dict[str, Any] = {}
    for identity, read in (("partnerId", terms.read_partner_id), ("status", terms.read_status)):
        try:
            if identity in entry or identity == "partnerId":
                read(entry.get(identity))
        except ValueError as error:
            problems[identity] = [str(error)]
    try:
        terms.clean_terms(_terms_of(entry), partial=False)
    except BadRequest as error:
        problems |= error.details
    return [f"{name}: {field_name}: {texts[0]}" for field_name, texts in problems.items()]
