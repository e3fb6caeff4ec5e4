from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0002_partners_urls_are_endpoints'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='by_hand',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='delivery',
            name='step',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='last_failed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
