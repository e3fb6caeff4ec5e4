"""The app has no models: it brings `manage.py sandbox`, and commands for its chain."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    name = "sandbox"
    verbose_name = "Sandbox"
