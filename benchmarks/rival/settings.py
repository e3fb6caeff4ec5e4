"""`startproject`'s settings, with PostgreSQL, Redis and the packages' apps; `CONN_MAX_AGE` is Django's default of 0
unless the environment says otherwise.
"""

import os

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
DEBUG = False
ROOT_URLCONF = "benchmarks.rival.urls"
WSGI_APPLICATION = "benchmarks.rival.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "rest_framework_api_key",
    "rest_framework_tracking",
    "benchmarks.rival",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["RIVAL_DATABASE_PORT"],
        "NAME": os.environ["RIVAL_DATABASE"],
        "USER": os.environ["RIVAL_DATABASE_USER"],
        "CONN_MAX_AGE": int(os.environ.get("RIVAL_CONN_MAX_AGE", "0")),
    }
}
CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]}}
