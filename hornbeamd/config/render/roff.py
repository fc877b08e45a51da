"""The macros of man(7): what all man pages are made of."""

from __future__ import annotations

from collections.abc import Iterable


def page(template: str, **parts: list[str]) -> str:
    """Put each part in the place of the line that is its name."""
    lines: list[str] = []
    for line in template.strip().split("\n"):
        lines += parts.get(line) or [line]
    return "\n".join(lines) + "\n"


def example(title: str, text: str) -> list[str]:
    """Show *text* as it is, under a title."""
    return [".PP", title, ".PP", ".RS 4", ".nf", *map(escaped_line, text.rstrip().split("\n")), ".fi", ".RE"]


def definitions(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """A list of terms, each with its meaning."""
    return [line for term, text in pairs for line in (".TP", f".B {escaped(term)}", escaped_line(text))]


def escaped(text: str) -> str:
    """Escape for roff: a backslash, and hyphens that must stay ASCII, so that what is copied works."""
    return text.replace("\\", "\\e").replace("-", "\\-")


def escaped_line(text: str) -> str:
    """Escape a whole line, which as a request would begin with a dot or a quote."""
    safe = escaped(text)
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe
