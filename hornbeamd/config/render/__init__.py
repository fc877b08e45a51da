"""Everything that is written from the table of options: samples, man pages, JSON schema, the table in the docs."""

from __future__ import annotations

from pathlib import Path

from hornbeamd.config.declare import Option
from hornbeamd.config.options import TABLE
from hornbeamd.config.render import docs, manpages, samples, schema


def generated(root: Path, table: tuple[Option, ...] = TABLE) -> dict[str, str]:
    """Give the text of every generated file, by its path below ``root``, the top of the repository.

    ``docs/configuration.md`` is only partly generated, so its present text is read.
    """
    files = {f"conf/sys.{suffix}": text for suffix, text in samples.full(table).items()}
    files |= {f"conf/minimal.{suffix}": text for suffix, text in samples.minimal().items()}
    files["conf/schema.json"] = schema.render(table)
    files["man/sys.toml.5"] = manpages.sys_toml(table)
    files["man/hornbeamd.8"] = manpages.hornbeamd(table)
    files["docs/configuration.md"] = docs.render((root / "docs/configuration.md").read_text(), table)
    return files
