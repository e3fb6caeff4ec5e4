"""The contrib apps on MongoDB: their keys are ObjectIds, because it has no sequences."""

from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig

from partner_platform.core.console.apps import ConsoleConfig

AUTO_FIELD = "django_mongodb_backend.fields.ObjectIdAutoField"


class MongoAdminConfig(ConsoleConfig):
    default_auto_field = AUTO_FIELD


class MongoAuthConfig(AuthConfig):
    default_auto_field = AUTO_FIELD


class MongoContentTypesConfig(ContentTypesConfig):
    default_auto_field = AUTO_FIELD
