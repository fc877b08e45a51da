"""What shells need to complete ``hornbeamctl``, from the table of commands.

Each script knows, for every way in which a command line may begin, the words that may come next.
"""

from __future__ import annotations

from hornbeamd.control.arguments import Switch
from hornbeamd.control.commands import TABLE
from hornbeamd.control.usage import GENERAL, PROGRAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hornbeamd.control.command import Command

FILES = {"bash": "hornbeamctl.bash", "zsh": "_hornbeamctl", "fish": "hornbeamctl.fish"}
"""The names under which shells look for them."""

_GENERAL = [flag for flags, _, _ in GENERAL for flag in flags.split(", ")]
_PATHS = ("-c", "--config", "--socket")


def script(shell: str) -> str:
    """The script of a shell: "bash", "zsh" or "fish"."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def following() -> dict[str, list[tuple[str, str]]]:
    """For the words so far, without flags, those that may come next, each with what it means."""
    found: dict[str, dict[str, str]] = {"": {}}
    for command in TABLE:
        first, _, second = command.name.partition(" ")
        if second:
            group = ", ".join(each.name.partition(" ")[2] for each in TABLE if each.name.startswith(first + " "))
            found[""].setdefault(first, group)
            found.setdefault(first, {})[second] = command.summary
        else:
            found[""][first] = command.summary
        found.setdefault(command.name, {}).update(_arguments(command))
    return {words: list(after.items()) for words, after in found.items() if after}


def _arguments(command: Command) -> Iterator[tuple[str, str]]:
    for argument in command.arguments:
        if argument.flag:
            yield argument.flag, argument.help
    for argument in command.positional[:1]:
        for word in argument.kind.words:
            yield word, argument.help


def _values() -> list[str]:
    """The flags that a value follows."""
    return [
        argument.flag
        for command in TABLE
        for argument in command.arguments
        if argument.flag and not isinstance(argument.kind, Switch)
    ]


def _bash() -> str:
    cases = (
        f'        "{words}") words="{" ".join(word for word, _ in after)}" ;;' for words, after in following().items()
    )
    paths, values = "|".join(_PATHS), "|".join((*_PATHS, *_values()))
    return f"""\
# Completion of {PROGRAM} for bash; written by scripts/render from its table of commands.
_{PROGRAM}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} words="" given="" i
    case ${{COMP_WORDS[COMP_CWORD - 1]}} in
        {paths}) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            {values}) ((i++)) ;;
            -*) ;;
            *) given+="${{given:+ }}${{COMP_WORDS[i]}}" ;;
        esac
    done
    case $given in
{chr(10).join(cases)}
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words {" ".join(_GENERAL)}" -- "$current")
}}
complete -F _{PROGRAM} {PROGRAM}
"""


def _zsh() -> str:
    cases = []
    for words, after in following().items():
        described = " ".join(_quoted(f"{word}:{text}".rstrip(".")) for word, text in after)
        cases.append(f"        {_quoted(words)}) found=({described}) ;;")
    paths, values = "|".join(_PATHS), "|".join((*_PATHS, *_values()))
    return f"""\
#compdef {PROGRAM}
# Completion of {PROGRAM} for zsh; written by scripts/render from its table of commands.
_{PROGRAM}() {{
    local -a found given
    local i
    case ${{words[CURRENT-1]}} in
        {paths}) _files; return ;;
    esac
    for ((i = 2; i < CURRENT; i++)); do
        case ${{words[i]}} in
            {values}) ((i++)) ;;
            -*) ;;
            *) given+=("${{words[i]}}") ;;
        esac
    done
    case "${{given[*]}}" in
{chr(10).join(cases)}
    esac
    [[ ${{words[CURRENT]}} == -* ]] && found+=({" ".join(_GENERAL)})
    _describe command found
}}
if [[ $funcstack[1] == _{PROGRAM} ]]; then _{PROGRAM} "$@"; else compdef _{PROGRAM} {PROGRAM}; fi
"""


def _fish() -> str:
    lines = [
        f"# Completion of {PROGRAM} for fish; written by scripts/render from its table of commands.",
        f"function __{PROGRAM}_given",
        "    set -l words (commandline -opc)[2..]",
        "    set -l given",
        "    while set -q words[1]",
        "        switch $words[1]",
        f"            case {' '.join((*_PATHS, *_values()))}",
        "                set -e words[1]",
        "            case '-*'",
        "            case '*'",
        "                set -a given $words[1]",
        "        end",
        "        set -e words[1]",
        "    end",
        '    test "$given" = "$argv"',
        "end",
        f"complete -c {PROGRAM} -f",
    ]
    for flags, value, text in GENERAL:
        spelled = (f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in flags.split(", "))
        lines.append(f"complete -c {PROGRAM} {' '.join(spelled)}{' -r -F' if value else ''} -d {_quoted(text)}")
    for words, after in following().items():
        for word, text in after:
            what = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            lines.append(
                f"complete -c {PROGRAM} -n {_quoted(f'__{PROGRAM}_given {words}'.rstrip())} {what} -d {_quoted(text)}"
            )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """For a shell, in single quotes; the texts of the table have none themselves."""
    assert "'" not in text, text
    return f"'{text}'"
