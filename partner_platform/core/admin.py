"""Users and groups, by our pages in place of Django's, which are registered when their module is first imported."""

from django.contrib import admin
from django.contrib.auth.models import Group, User

from partner_platform.core.console.staff import GroupAdmin, StaffAdmin

admin.site.unregister([User, Group])
admin.site.register(User, StaffAdmin)
admin.site.register(Group, GroupAdmin)
