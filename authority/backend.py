"""Django's authentication backend, with the rights of roles (`authority.roles`) beside its own permissions."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model

from authority.rights import Right
from authority.roles import permissions_of, rights_of


class RoleBackend(ModelBackend):
    """A group that has a role's name gives the role's rights. Django keeps the answer as long as the user's object."""

    def get_group_permissions(self, user_obj: User | AnonymousUser, obj: Model | None = None) -> set[str]:
        permissions = super().get_group_permissions(user_obj, obj)
        if not isinstance(user_obj, User) or not user_obj.is_active or obj is not None:
            return permissions
        if user_obj.is_superuser:
            return permissions | permissions_of(Right)
        return permissions | permissions_of(rights_of(user_obj.groups.values_list("name", flat=True)))
