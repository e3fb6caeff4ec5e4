"""WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application

from partner_platform.core.interpreter import share_fairly

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "partner_platform.settings")
share_fairly()
application = get_wsgi_application()
