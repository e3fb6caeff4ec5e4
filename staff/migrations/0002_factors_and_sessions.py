"""Second factors and sessions of staff, and the groups of the roles."""
import django.db.models.deletion
import partner_platform.core.clock
import partner_platform.core.fields
import uuid
from django.conf import settings
from django.db import migrations, models


ROLES = ("viewer", "support", "credit", "operator", "auditor", "admin")  # of authority.roles, as they were then


def make_groups(apps, schema_editor):
    """A group of each role; one that somebody made before stays as it is."""
    Group = apps.get_model("auth", "Group")
    for name in ROLES:
        if not Group.objects.filter(name=name).exists():
            Group.objects.create(name=name)


class Migration(migrations.Migration):

    dependencies = [
        ("staff", "0001_api_sessions"),
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Passkey',
            fields=[
                ('id', partner_platform.core.fields.UUIDPrimaryKey(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('credential_id', models.CharField(editable=False, max_length=1368, unique=True)),
                ('public_key', models.TextField(editable=False)),
                ('sign_count', models.BigIntegerField(default=0, editable=False)),
                ('label', models.CharField(max_length=60)),
                ('created_at', models.DateTimeField(default=partner_platform.core.clock.now, editable=False)),
                ('last_used_at', models.DateTimeField(editable=False, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='passkeys', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='PasskeyChallenge',
            fields=[
                ('id', partner_platform.core.fields.UUIDPrimaryKey(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('challenge', models.CharField(editable=False, max_length=100, unique=True)),
                ('is_registration', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(default=partner_platform.core.clock.now, editable=False)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='passkey_challenges', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='TotpDevice',
            fields=[
                ('id', partner_platform.core.fields.UUIDPrimaryKey(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('secret', partner_platform.core.fields.EncryptedField(blank=True, default='', editable=False)),
                ('last_step', models.BigIntegerField(default=0)),
                ('created_at', models.DateTimeField(default=partner_platform.core.clock.now, editable=False)),
                ('last_used_at', models.DateTimeField(editable=False, null=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='totp_device', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ConsoleSession',
            fields=[
                ('id', partner_platform.core.fields.UUIDPrimaryKey(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('address', models.CharField(blank=True, editable=False, max_length=64)),
                ('user_agent', models.CharField(blank=True, editable=False, max_length=300)),
                ('with_factor', models.BooleanField(default=False, editable=False)),
                ('opened_at', models.DateTimeField(default=partner_platform.core.clock.now, editable=False)),
                ('last_seen_at', models.DateTimeField(default=partner_platform.core.clock.now, editable=False)),
                ('proved_at', models.DateTimeField(default=partner_platform.core.clock.now, editable=False)),
                ('ended_at', models.DateTimeField(editable=False, null=True)),
                ('ended_because', models.CharField(blank=True, editable=False, max_length=40)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='console_sessions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['user', 'ended_at', 'last_seen_at'], name='console_session_open'), models.Index(fields=['-opened_at'], name='console_session_opened')],
            },
        ),
        migrations.CreateModel(
            name='RecoveryCode',
            fields=[
                ('id', partner_platform.core.fields.UUIDPrimaryKey(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('code_hash', models.CharField(editable=False, max_length=64)),
                ('used_at', models.DateTimeField(editable=False, null=True)),
                ('created_at', models.DateTimeField(default=partner_platform.core.clock.now, editable=False)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='recovery_codes', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'code_hash'), name='recovery_code_once')],
            },
        ),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
