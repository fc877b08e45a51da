"""``hornbeamctl top``: the server's figures, again and again, on a terminal or on a pipe.

On a terminal the screen is drawn over in place; nothing but a few sequences that every terminal knows (ECMA-48) is
used. On a pipe, or with ``--once``, the same lines are written one screen after the other.
"""

from __future__ import annotations

import json as encoding
import select
import shutil
import signal
import sys
import time

from hornbeamd.control import codes, screens
from hornbeamd.control.client import Client, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Plain = dict[str, Any]

HOME, CLEAR_LINE, CLEAR_REST, BOLD, PLAIN = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[1m", "\x1b[m"
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Another screen, without a cursor; and back."""


class Figures:
    """What is made of two looks at the processes: rates."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], Plain] = {}
        self._when = 0.0

    def since(self, processes: list[Plain], now: float) -> list[tuple[float, float]]:
        """For each process its requests a second, and its share of a CPU in percent, since the last call.

        The first time: since the process was started.
        """
        seen = {(each["id"], each["pid"]): each for each in processes}
        rates = []
        for key, each in seen.items():
            before = self._before.get(key)
            seconds = now - self._when if before else each["uptime_s"]
            past = before or {"requests": 0, "cpu_s": 0.0}
            rates.append(
                (
                    _rate((each["requests"] or 0) - (past["requests"] or 0), seconds),
                    100 * _rate((each["cpu_s"] or 0.0) - (past["cpu_s"] or 0.0), seconds),
                )
            )
        self._before, self._when = seen, now
        return rates


def _rate(amount: float, seconds: float) -> float:
    return max(0.0, amount) / seconds if seconds > 0 else 0.0


def screen(status: Plain, processes: list[Plain], rates: list[tuple[float, float]]) -> list[str]:
    """The lines of one screen."""
    total = sum(rate for rate, _ in rates)
    memory = sum(each["memory"] or 0 for each in processes)
    lines = [
        f"hornbeamd {status['version']}  {status['app']}  up {screens.duration(status['uptime_s'])}  {status['state']}"
        f"  generation {status['generation']}",
        f"{total:.1f} requests/s  {status['in_flight']} in hand  {screens.plural(status['connections'], 'connection')}"
        f"  {screens.size(memory)} memory  {sum(cpu for _, cpu in rates):.0f}% CPU",
    ]
    last = status["last_reload"]
    if last and last["road"] == "refused":
        lines.append(f"last reload FAILED: {last['why']}")
    head = ("ID", "PID", "GEN", "STATE", "REQ/S", "BUSY", "CONN", "CPU%", "MEMORY", "UP", "NOTE")
    rows = (
        (
            each["id"],
            "-" if each["pid"] is None else each["pid"],
            each["generation"],
            each["state"],
            "-" if each["requests"] is None else f"{rate:.1f}",
            "-" if each["in_flight"] is None else each["in_flight"],
            "-" if each["connections"] is None else each["connections"],
            f"{cpu:.0f}",
            "-" if each["memory"] is None else screens.size(each["memory"]),
            screens.duration(each["uptime_s"]).replace(" ", ""),
            each["note"],
        )
        for each, (rate, cpu) in zip(processes, rates, strict=True)
    )
    return [*lines, "", *screens.table(head, rows, "lrrlrrrrrrl")]


class Top:
    """The view; *connect* reaches the daemon."""

    def __init__(self, connect: Callable[[], Client], *, json: bool) -> None:
        self._connect = connect
        self._json = json
        self._figures = Figures()

    def run(self, once: bool, interval: float) -> int:
        """Show it until told to end; gives the exit code."""
        if once or self._json or not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
            return self._on_a_pipe(once, interval)
        with _Terminal() as terminal:
            while True:
                try:
                    lines = self._look()
                except Failure as failure:  # it may be about to start anew
                    lines = str(failure).split("\n")
                terminal.draw(lines)
                if terminal.told_to_end(interval):
                    return codes.OK

    def _on_a_pipe(self, once: bool, interval: float) -> int:
        while True:
            for line in self._look():
                sys.stdout.write("".join(char for char in line if char.isprintable()) + "\n")
            sys.stdout.flush()
            if once:
                return codes.OK
            time.sleep(interval)
            if not self._json:
                sys.stdout.write("\n")

    def _look(self) -> list[str]:
        with self._connect() as client:
            status = client.ask("status", {})
            processes = client.ask("workers", {})["processes"]
        if self._json:
            return [encoding.dumps({"status": status, "processes": processes})]
        return screen(status, processes, self._figures.since(processes, time.monotonic()))


class _Terminal:
    """The terminal, as it has to be while something is drawn on it; and as it was, afterwards."""

    def __enter__(self) -> _Terminal:
        import termios

        self._before = termios.tcgetattr(sys.stdin)
        quiet = termios.tcgetattr(sys.stdin)
        quiet[3] &= ~(termios.ICANON | termios.ECHO)
        # It ends as by Ctrl-C, and leaves the terminal in order.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
        sys.stdout.write(ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        import termios

        sys.stdout.write(LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def draw(self, lines: list[str]) -> None:
        """Write *lines* over what is there, cut to the size of the terminal."""
        width, height = shutil.get_terminal_size()
        shown = ["".join(char for char in line if char.isprintable())[:width] for line in lines[:height]]
        shown[0] = f"{BOLD}{shown[0]}{PLAIN}"
        sys.stdout.write(HOME + f"{CLEAR_LINE}\n".join(shown) + CLEAR_LINE + CLEAR_REST)
        sys.stdout.flush()

    def told_to_end(self, seconds: float) -> bool:
        """Wait so long for a key; whether it was one that ends the view."""
        readable, _, _ = select.select([sys.stdin], [], [], seconds)
        return bool(readable) and sys.stdin.read(1) in ("q", "Q", "\x03", "")
