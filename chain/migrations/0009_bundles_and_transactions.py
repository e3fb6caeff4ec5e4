from django.db import migrations, models


class Migration(migrations.Migration):
    """One word for one thing: an operation is sent in a bundle, and the bundle is sent by a transaction.

    The index is removed and made anew, for on MongoDB a renamed column leaves an index of several columns as it was.
    """

    dependencies = [
        ('chain', '0008_former_carriers'),
    ]

    operations = [
        migrations.RemoveIndex(model_name='operation', name='operation_carrier'),
        migrations.RenameField(model_name='operation', old_name='carrier', new_name='transaction'),
        migrations.RenameField(model_name='operation', old_name='position_in_carrier', new_name='position_in_bundle'),
        migrations.RenameField(model_name='operation', old_name='former_carriers', new_name='former_transactions'),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['transaction', 'position_in_bundle'], name='operation_transaction'),
        ),
    ]
