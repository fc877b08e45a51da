"""Whether the files of TLS are still those that the workers have read."""

from __future__ import annotations

from hashlib import blake2b

from hornbeamd.config.options import Options

Stamp = tuple[tuple[str, bytes], ...]
"""Path and digest of each file."""


def stamp(options: Options) -> Stamp:
    """What stands in the files that *options* name; what cannot be read counts as empty.

    By content, since neither time nor inode tell: renewed files may be links that lead elsewhere now, or be put there
    with the times they were made at.
    """
    if not options.ssl:
        return ()
    pairs = [(options.certfile, options.keyfile), *((each.certfile, each.keyfile) for each in options.certificates)]
    paths = {path for pair in pairs for path in pair} | {options.cacertfile}
    return tuple((path, _digest(path)) for path in sorted(path for path in paths if path is not None))


def _digest(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return blake2b(file.read(), digest_size=32).digest()
    except OSError:
        return b""
