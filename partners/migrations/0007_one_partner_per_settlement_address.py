from django.core.management import CommandError
from django.db import migrations, models
from eth_utils.address import to_checksum_address

ADVICE = """
A settlement address is one partner's, for ever. Nothing was changed by this migration. Give all but one of the partners of
each address another one, in the console of the version that runs or with

  manage.py set_settlement_address PARTNER_ID ADDRESS --as USER

(this version's command works already), tell them, and migrate again."""


def claim_present_addresses(apps, schema_editor):
    """Each partner's address becomes its own; where partners share one, nothing does, and the conflicts are listed.

    May run again after it was stopped anywhere: on MongoDB a migration is no transaction.
    """
    partners = apps.get_model("partners", "Partner").objects
    claimed = apps.get_model("partners", "SettlementAddress").objects
    owners = dict(claimed.values_list("address", "partner_id"))
    found = {}
    for partner in partners.order_by("partner_id").only("partner_id", "settlement_address", "created_at"):
        found.setdefault(to_checksum_address(partner.settlement_address.lower()), []).append(partner)
    conflicts = {
        address: sharing
        for address, sharing in found.items()
        if len({partner.pk for partner in sharing} | ({owners[address]} if address in owners else set())) > 1
    }
    if conflicts:
        names = {partner.pk: partner.partner_id for partner in partners.only("partner_id")}
        raise CommandError("\n".join([*_lines(conflicts, owners, names), ADVICE]))
    for address, (partner,) in sorted(found.items()):
        partners.filter(pk=partner.pk).exclude(settlement_address=address).update(settlement_address=address)
        if address not in owners:
            claimed.create(address=address, partner_id=partner.pk, since=partner.created_at)


def _lines(conflicts, owners, names):
    yield "Partners share a settlement address:"
    for address, sharing in sorted(conflicts.items()):
        sharers = {partner.partner_id for partner in sharing}
        former = {names[owners[address]]} - sharers if address in owners else set()
        yield f"  {address}: {', '.join(sorted(sharers))}" + "".join(f" (formerly {name})" for name in former)


class Migration(migrations.Migration):
    dependencies = [
        ("partners", "0006_settlement_addresses"),
    ]

    operations = [
        migrations.RunPython(claim_present_addresses, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="partner",
            constraint=models.UniqueConstraint(
                fields=("settlement_address",), name="partner_settlement_address_once"
            ),
        ),
    ]
