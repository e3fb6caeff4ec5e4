"""A name other apps' migrations depend on; the stock migration's change is in our 0001 already."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("auth", "0001_initial")]
    operations = []
