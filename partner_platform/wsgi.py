"""WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application

from partner_platform.core.interpreter import share_fairly
from partner_platform.core.live import Process

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")
Process.serves_the_web = True
share_fairly()
application = get_wsgi_application()
