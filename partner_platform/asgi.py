"""ASGI entry point."""

import os

from django.core.asgi import get_asgi_application

from partner_platform.core.live import Process

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")
Process.serves_the_web = True
application = get_asgi_application()
