"""Users and groups: whom the application runs as, and to whom its files belong."""

from __future__ import annotations

import grp
import os
import pwd


def drop_privileges(user: str | None, group: str | None) -> None:
    """Become ``user`` (name or number) and ``group`` (the user's own when None) for good, with their other
    groups.

    ``HOME``, ``USER`` and ``LOGNAME`` follow, so that the application does not look into the folders of root.
    Raises LookupError for names that are not known, PermissionError when this process may not change.
    """
    if user is None and group is None:
        return
    who = _user(user) if user is not None else pwd.getpwuid(os.getuid())
    gid = _group(group) if group is not None else who.pw_gid
    if os.geteuid() == 0:
        os.initgroups(who.pw_name, gid)
    os.setgid(gid)
    if user is not None:
        os.setuid(who.pw_uid)
        os.environ.update(HOME=who.pw_dir, USER=who.pw_name, LOGNAME=who.pw_name)
        if not os.access(os.__file__, os.R_OK):
            # As where Python lives in the home of root. Without this the first import would fail, and mislead.
            raise PermissionError(f"the user {who.pw_name} may not read Python itself: {os.__file__}")


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise LookupError(f"there is no user {name!r}") from None


def _group(name: str) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise LookupError(f"there is no group {name!r}") from None


def owner_ids(user: str | None, group: str | None) -> tuple[int, int]:
    """The numbers of a user and a group; -1, as ``chown`` has it, for what is not given."""
    if user is None:
        return -1, _group(group) if group is not None else -1
    who = _user(user)
    return who.pw_uid, _group(group) if group is not None else who.pw_gid
