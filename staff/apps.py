"""The app's entry in Django."""

from django.apps import AppConfig


class StaffConfig(AppConfig):
    name = "staff"
    verbose_name = "Staff"

    def ready(self) -> None:
        from partners.refusals import known_callers
        from staff import approved
        from staff.access import tokens

        approved.register_staff_kinds()
        known_callers.recognized_by(tokens.is_ours)
