import uuid

from django.db import migrations, models

BATCH = 500
MAX_LABEL = 128
FIRST = uuid.UUID(int=0)


def fill_labels(apps, schema_editor):
    """`partner_user_id` and `loan_purpose` of loans of before, from their metadata (as `loans.labels` does).

    In batches in the order of the keys. May run again after it was stopped anywhere: a loan gets the same values.
    """
    loans = apps.get_model("loans", "PartnerLoan").objects
    place = FIRST
    while batch := list(loans.filter(pk__gt=place).order_by("pk").values_list("pk", "metadata")[:BATCH]):
        labels = {}
        for pk, metadata in batch:
            labels.setdefault((_label(metadata, "partnerUserId"), _label(metadata, "loanPurpose")), []).append(pk)
        for (partner_user_id, loan_purpose), keys in labels.items():
            if partner_user_id or loan_purpose:
                loans.filter(pk__in=keys).update(partner_user_id=partner_user_id, loan_purpose=loan_purpose)
        place = batch[-1][0]


def _label(metadata, name):
    value = metadata.get(name) if isinstance(metadata, dict) else None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and len(text) <= MAX_LABEL else ""


class Migration(migrations.Migration):
    """Not one transaction: a batch is committed by itself, so that a large table is not locked until all is done."""

    atomic = False

    dependencies = [
        ("loans", "0013_what_events_and_lists_need"),
    ]

    operations = [
        migrations.RunPython(fill_labels, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="partnerloan",
            index=models.Index(
                fields=["partner", "loan_purpose", "status", "-created_at", "-id"], name="loan_purpose_status"
            ),
        ),
    ]
