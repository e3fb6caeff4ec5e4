"""The admin app with the console's site."""

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    default_site = "partner_platform.core.console.site.ConsoleSite"
