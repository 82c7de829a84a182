import pytest
from django.contrib.auth.models import Group, User

pytestmark = pytest.mark.django_db


def person(role: str) -> User:
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("Administrators", ["providers.delete_backend", "core.change_systemconfig", "auth.add_user"], []),
        (
            "Operators",
            ["providers.add_backend", "proxy.delete_clientkey", "core.view_systemconfig", "auditlog.view_logentry"],
            ["core.change_systemconfig", "auth.change_user", "auth.view_user"],
        ),
        (
            "Viewers",
            ["providers.view_backend", "proxy.view_clientkey", "core.view_systemconfig"],
            ["providers.change_backend", "providers.add_backend", "proxy.delete_clientkey", "auth.view_user"],
        ),
    ],
)
def test_roles_have_their_permissions(role: str, may: list[str], may_not: list[str]) -> None:
    user = person(role)
    assert user.has_perms(may)
    assert [permission for permission in may_not if user.has_perm(permission)] == []
