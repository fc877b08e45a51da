"""What no single value can tell: options that contradict each other, and names the system does not know.

Each check is a generator of findings, and the list at the end is all of them.
"""

from __future__ import annotations

import grp
import importlib.util
import os
import pwd
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hornbeamd.config import certificates
from hornbeamd.config.address import Address
from hornbeamd.config.kind import Place
from hornbeamd.config.mounts import Mount, mounted
from hornbeamd.config.options import Options
from hornbeamd.config.websockets import NAMES


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the option ``keys[0]``, seen in the light of the others in ``keys``.

    ``place`` says where in its value, where that is a list of tables.
    """

    keys: tuple[str, ...]
    text: str
    place: Place = ()


def findings(options: Options) -> list[Finding]:
    """Run all checks. Only looks; resolves no host names and opens no files but those of TLS."""
    return [finding for check in CHECKS for finding in check(options)]


def _app(options: Options) -> Iterator[Finding]:
    if not options.app and not options.mounts:
        yield Finding(("app", "mounts"), 'is missing; expected the application, as in "myapp:application"')


def _mounts(options: Options) -> Iterator[Finding]:
    taken = {"/"} if options.app else set()
    for number, mount in enumerate(options.mounts):
        if mount.prefix in taken:
            whose = " as the place of app" if options.app and mount.prefix == "/" else ""
            text = f'"{mount.prefix}" is taken{whose}; expected each prefix once'
            yield Finding(("mounts", "app"), text, (number, "prefix"))
        taken.add(mount.prefix)
        for key, text in _mount(mount):
            yield Finding(("mounts",), text, (number, key) if key else (number,))


def _mount(mount: Mount) -> Iterator[tuple[str, str]]:
    """What is wrong within one mount, and at which key, "" for the whole."""
    if bool(mount.app) == (mount.directory is not None):
        which = "both an app and a directory" if mount.app else "neither an app nor a directory"
        yield "", f'"{mount.prefix}" has {which}; expected one of them'
    elif mount.directory is not None:
        if not os.path.isdir(mount.directory):
            yield "directory", f'"{mount.directory}" is no folder; expected one that exists'
        for name in ("worker_class", "timeout", "lifespan"):
            if getattr(mount, name) is not None:
                yield name, "has no effect on a directory; expected it with an app only"


def _websocket_topics(options: Options) -> Iterator[Finding]:
    for number, table in enumerate(options.websocket_topics):
        names = Counter(NAMES.findall(table.path))
        for name, count in names.items():
            if count > 1:
                yield Finding(("websocket_topics",), f'"{name}" stands there twice; expected it once', (number, "path"))
        for name in sorted(set(NAMES.findall(table.topic)) - set(names)):
            text = f'"{name}" is not in the path; expected one of: {", ".join(names) or "none"}'
            yield Finding(("websocket_topics",), text, (number, "topic"))


def _recycling(options: Options) -> Iterator[Finding]:
    if options.max_requests_jitter and not options.max_requests:
        yield Finding(
            ("max_requests_jitter", "max_requests"),
            "has no effect while max_requests is 0; expected max_requests to be set as well",
        )


def _pools(options: Options) -> Iterator[Finding]:
    for pool in options.pools:
        if pool.max_requests_jitter and not pool.max_requests:
            text = "has no effect while max_requests is 0; expected max_requests to be set as well"
            yield Finding(("pools",), text, (pool.name, "max_requests_jitter"))


def _lifespan(options: Options) -> Iterator[Finding]:
    if options.lifespan == "on" and not any(mount.worker_class == "asgi" for mount in mounted(options) if mount.app):
        yield Finding(
            ("lifespan", "worker_class", "mounts"),
            'got "on", but WSGI knows no lifespan; expected worker_class "asgi"',
        )
    for number, mount in enumerate(options.mounts):
        if mount.lifespan == "on" and (mount.worker_class or options.worker_class) == "wsgi":
            yield Finding(
                ("mounts", "worker_class"),
                'got "on", but WSGI knows no lifespan; expected worker_class "asgi"',
                (number, "lifespan"),
            )


def _addresses(options: Options) -> Iterator[Finding]:
    for key, addresses in (("bind", options.bind), ("admin.bind", options.admin.bind)):
        for address, count in Counter(addresses).items():
            if count > 1 and not _any_port(address):
                yield Finding((key,), f'"{address}" stands there {count} times; expected each address once')
            if address.kind == "unix":
                yield from _folder_of(key, address.path)
    for address in options.admin.bind:
        if address in options.bind and not _any_port(address):
            yield Finding(("admin.bind", "bind"), f'"{address}" is taken by bind; expected an address of its own')


def _any_port(address: Address) -> bool:
    return address.kind == "tcp" and address.port == 0


def _files(options: Options) -> Iterator[Finding]:
    for key, path in (("log.file", options.log.file), ("pidfile", options.pidfile)):
        if path is not None:
            yield from _folder_of(key, path)
    if options.log.access not in ("off", "-"):
        yield from _folder_of("log.access", options.log.access)


def _folder_of(key: str, path: str) -> Iterator[Finding]:
    folder = os.path.dirname(path)
    if missing := _missing(os.path.join(folder, "")):
        yield Finding((key,), f'the folder "{folder}" {missing}; expected it to be there already')
    elif os.path.isdir(path):
        yield Finding((key,), f'"{path}" is a folder; expected the path of a file in a folder')


def _pythonpath(options: Options) -> Iterator[Finding]:
    for folder in options.pythonpath:
        if missing := _missing(folder):
            yield Finding(("pythonpath",), f'"{folder}" {missing}; expected a folder')


def _venv(options: Options) -> Iterator[Finding]:
    if options.venv is None:
        return
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = os.path.join(options.venv, "lib")
    packages = os.path.join(library, version, "site-packages")
    missing = _missing(packages)
    if not missing:
        return
    others = sorted(name for name in _listing(library) if os.path.isdir(os.path.join(library, name, "site-packages")))
    if missing != _ABSENT:
        wrong = f'"{packages}" {missing}'
    elif not os.path.isdir(options.venv):
        wrong = f'"{options.venv}" {missing}'
    elif others:
        wrong = f'"{options.venv}" is for {" and ".join(others)}, and hornbeamd runs under {version}'
    else:
        wrong = f'"{options.venv}" is no virtual environment'
    yield Finding(("venv",), f"{wrong}; expected a virtual environment made by {version}")


_ABSENT = "does not exist"


def _missing(path: str) -> str:
    """Why nothing is found at the path; "" where something is."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return _ABSENT
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    return ""


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _tls(options: Options) -> Iterator[Finding]:
    if not options.ssl:
        if options.certificates:
            yield Finding(("certificates", "ssl"), "have no effect while ssl is false; expected ssl = true as well")
    elif options.certfile is None:
        yield Finding(("certfile", "ssl"), "is missing; expected the PEM file of a certificate, as ssl is true")
    elif wrong := certificates.wrong_with_pair(options.certfile, options.keyfile):
        yield Finding((wrong.key, "certfile", "keyfile", "ssl"), wrong.text)
    for each in options.certificates:
        if wrong := certificates.wrong_with_pair(each.certfile, each.keyfile):
            yield Finding(("certificates",), f'"{each.names[0]}": {wrong.key}: {wrong.text}')
    names = Counter(name.lower() for each in options.certificates for name in each.names)
    for name, count in names.items():
        if count > 1:
            yield Finding(("certificates",), f'the name "{name}" stands there {count} times; expected each name once')


def _client_certificates(options: Options) -> Iterator[Finding]:
    if options.verify != "none":
        if not options.ssl:
            yield Finding(("verify", "ssl"), "has no effect while ssl is false; expected ssl = true as well")
        if options.cacertfile is None:
            yield Finding(("cacertfile", "verify"), f'is missing; expected it, as verify is "{options.verify}"')
    if options.cacertfile is not None and (wrong := certificates.wrong_with_authorities(options.cacertfile)):
        yield Finding(("cacertfile",), wrong)


def _identity(options: Options) -> Iterator[Finding]:
    """User and group of the workers: they must exist, and only root may take those of others."""
    root = os.geteuid() == 0
    uid = _uid(options.user)
    if options.user is not None and uid is None:
        yield Finding(("user",), f'there is no user "{options.user}"; expected one this system knows')
    elif uid is not None and not root and uid != os.geteuid():
        yield Finding(("user",), f'only root can run workers as "{options.user}"; start hornbeamd as root, or drop it')
    gid = _gid(options.group)
    if options.group is not None and gid is None:
        yield Finding(("group",), f'there is no group "{options.group}"; expected one this system knows')
    elif gid is not None and not root and gid != os.getegid():
        yield Finding(
            ("group",),
            f'only root can run workers as group "{options.group}"; start hornbeamd as root, or drop it',
        )


def _socket_owner(options: Options) -> Iterator[Finding]:
    if options.unix_socket_owner is None:
        return
    key = "unix_socket_owner"
    user, _, group = options.unix_socket_owner.partition(":")
    uid, gid = _uid(user or None), _gid(group or None)
    if user and uid is None:
        yield Finding((key,), f'there is no user "{user}"; expected one this system knows')
    if group and gid is None:
        yield Finding((key,), f'there is no group "{group}"; expected one this system knows')
    if os.geteuid() != 0 and uid not in (None, os.geteuid()):
        yield Finding((key,), f'only root can give a socket to "{user}"; start hornbeamd as root, or drop it')
    if os.geteuid() != 0 and gid not in (None, os.getegid(), *os.getgroups()):
        yield Finding((key,), f'only root or a member can give a socket to group "{group}"')


def _control(options: Options) -> Iterator[Finding]:
    """Who may control the daemon: a group that exists, and to which the socket can be given."""
    key, group = "control.group", options.control.group
    gid = _gid(group)
    if group is not None and gid is None:
        yield Finding((key,), f'there is no group "{group}"; expected one this system knows')
    elif os.geteuid() != 0 and gid not in (None, os.getegid(), *os.getgroups()):
        yield Finding((key,), f'only root or a member can give a socket to group "{group}"')


def _uid(user: str | None) -> int | None:
    """The number of a user, given by name or number; None when there is none such."""
    if user is None:
        return None
    try:
        return (pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)).pw_uid
    except (KeyError, OverflowError):
        return None


def _gid(group: str | None) -> int | None:
    """The number of a group; a number need not have a name."""
    if group is None:
        return None
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _installed(options: Options) -> Iterator[Finding]:
    chosen = (
        ("http_parser", options.http_parser, "auto"),
        ("http2_engine", options.http2_engine, "native"),
        ("loop", options.loop, "auto"),
    )
    for key, name, default in chosen:
        if name not in (default, "asyncio") and importlib.util.find_spec(name) is None:
            text = f'"{name}" is not installed beside hornbeamd; expected "{default}" or an installed one'
            yield Finding((key,), text)


CHECKS: tuple[Callable[[Options], Iterable[Finding]], ...] = (
    _app,
    _mounts,
    _websocket_topics,
    _recycling,
    _pools,
    _lifespan,
    _addresses,
    _files,
    _pythonpath,
    _venv,
    _tls,
    _client_certificates,
    _identity,
    _socket_owner,
    _control,
    _installed,
)
