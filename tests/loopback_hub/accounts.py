"""Users of the loopback hub, their tokens, and who may do what."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

Role = Literal["write", "read"]


@dataclass(frozen=True)
class User:
    """Somebody with a namespace of their own and, perhaps, organisations they write to."""

    name: str
    organisations: tuple[str, ...] = ()
    pays: bool = True

    def may_write(self, namespace: str) -> bool:
        """Whether repositories under `namespace` are this user's to change."""
        return namespace in (self.name, *self.organisations)


@dataclass(frozen=True)
class Caller:
    """Who sends a request, and with which rights; `user` is None without a token."""

    user: User | None = None
    role: Role = "read"

    def may_write(self, namespace: str) -> bool:
        """Whether this request may change repositories under `namespace`."""
        return self.user is not None and self.role == "write" and self.user.may_write(namespace)

    def may_read(self, namespace: str, private: bool) -> bool:
        """Whether this request may see a repository."""
        return not private or (self.user is not None and self.user.may_write(namespace))


class Accounts:
    """All users and tokens."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self._callers: dict[str, Caller] = {}

    def add_user(
        self, name: str, *, organisations: tuple[str, ...] = (), pays: bool = True
    ) -> User:
        """Add a user, or replace the one of that name."""
        self.users[name] = User(name, organisations, pays)
        return self.users[name]

    def add_token(self, user: str, role: Role = "write") -> str:
        """Return a new token of `user`."""
        token = f"hf_{secrets.token_hex(17)}"
        self._callers[token] = Caller(self.users[user], role)
        return token

    def find_caller(self, authorization: str | None) -> Caller | None:
        """Return who sent this `Authorization` header; None: the token is not known."""
        if authorization is None:
            return Caller()
        return self._callers.get(authorization.removeprefix("Bearer "))


def describe(caller: Caller) -> dict[str, object]:
    """Return the answer to `/api/whoami-v2`."""
    if caller.user is None:
        raise ValueError("only somebody with a token can be described")
    return {
        "type": "user",
        "id": caller.user.name,
        "name": caller.user.name,
        "fullname": caller.user.name.title(),
        "isPro": caller.user.pays,
        "orgs": [
            {"type": "org", "name": name, "roleInOrg": "write"}
            for name in caller.user.organisations
        ],
        "auth": {
            "type": "access_token",
            "accessToken": {"displayName": "test", "role": caller.role},
        },
    }
