"""Headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.sync.client import connect

from tests.support.waiting import wait_until

DEADLINE = 15.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's is too small for it
    "--no-sandbox",  # which root cannot have; it meets nothing but our own pages
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # it asks its maker for things
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--remote-debugging-port=0",
)

Message = dict[str, Any]


class Chromium:
    """A browser with an empty profile in *folder*; it trusts the certificates whose keys *trusted* names.

        with Chromium(tmp_path, trusted=[pin]) as browser:
            page = browser.open("https://127.0.0.1:8443/")

    A pin is the SHA-256 of a SubjectPublicKeyInfo in base64. On leaving, all its processes are ended; when the test
    failed, what it wrote is shown.
    """

    def __init__(self, folder: Path, trusted: list[str]) -> None:
        self._profile = folder / "profile"
        self._log = folder / "chromium.log"
        self._trusted = ",".join(trusted)
        self._stack = ExitStack()

    def __enter__(self) -> Chromium:
        try:
            self._start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _start(self) -> None:
        program = next(filter(None, map(shutil.which, _NAMES)), None)
        assert program, "Chromium is not installed: scripts/clients does that"
        where = [f"--user-data-dir={self._profile}", f"--ignore-certificate-errors-spki-list={self._trusted}"]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [program, *_FLAGS, *where, "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._stack.callback(_end, process)
        told = self._profile / "DevToolsActivePort"

        def address() -> str | None:
            assert process.poll() is None, f"Chromium ended with {process.returncode}"
            lines = told.read_text().split("\n") if told.exists() else []
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}" if len(lines) == 2 else None

        url = wait_until(address, deadline=DEADLINE, explain="Chromium does not say where it listens")
        self.devtools = DevTools(self._stack.enter_context(connect(url, proxy=None, max_size=None)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if kind is not None:
            print(f"--- Chromium\n{self._log.read_text(errors='replace')}\n---", file=sys.stderr)  # noqa: T201

    def open(self, url: str) -> Page:
        """A new tab with *url*, loaded. Raises AssertionError when it cannot be."""
        target = self.devtools.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.devtools.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self.devtools, target, session)
        page.call("Page.enable")
        page.call("Network.enable")
        went = page.call("Page.navigate", url=url)
        assert "errorText" not in went, f"{url}: {went['errorText']}"
        page.wait_event("Page.loadEventFired")
        return page


class Page:
    """One tab."""

    def __init__(self, devtools: DevTools, target: str, session: str) -> None:
        self._devtools = devtools
        self._target = target
        self._session = session

    def call(self, method: str, **parameters: Any) -> Message:
        """A DevTools command for this tab."""
        return self._devtools.call(method, self._session, **parameters)

    def events(self, method: str) -> list[Message]:
        """The parameters of the events *method* of this tab so far."""
        return self._devtools.events(method, self._session)

    def wait_event(self, method: str) -> Message:
        """The parameters of the first of them, once there is one."""
        while not (found := self.events(method)):
            self._devtools.receive()
        return found[0]

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; of what a promise comes to. An exception fails the test."""
        said = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait(self, script: str) -> Any:
        """Ask *script* again until its value is true in JavaScript; gives that."""
        return wait_until(lambda: self.run(script), deadline=DEADLINE, explain=lambda: f"{script}: {self.text}")

    def wait_text(self, text: str) -> None:
        """Wait until the page shows *text*."""
        wait_until(lambda: text in self.text, deadline=DEADLINE, explain=lambda: f"{text!r} is not in {self.text!r}")

    def focus(self, selector: str) -> None:
        """Put the cursor into the field that a CSS selector finds."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")

    def type(self, text: str) -> None:
        """Put *text* in where the cursor is."""
        self.call("Input.insertText", text=text)

    def press_enter(self) -> None:
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        self.call("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def close(self) -> None:
        """Close the tab."""
        self._devtools.call("Target.closeTarget", targetId=self._target)

    @property
    def text(self) -> str:
        """What the page shows."""
        shown: str = self.run("document.body.innerText")
        return shown

    @property
    def buttons(self) -> list[str]:
        """What stands on the buttons that can be seen."""
        seen = "[...document.querySelectorAll('button')].filter(button => button.checkVisibility())"
        names: list[str] = self.run(f"{seen}.map(button => button.innerText)")
        return names

    @property
    def protocol(self) -> str:
        """By what the page came, as ALPN names it: "http/1.1", "h2"."""
        name: str = self.run("performance.getEntriesByType('navigation')[0].nextHopProtocol")
        return name


class DevTools:
    """The connection to the browser: commands, their answers, and the events that came meanwhile."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._last = 0
        self._events: list[Message] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Message:
        """The result of a command to the browser, or to the tab that *session* is attached to."""
        self._last += 1
        message: Message = {"id": self._last, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._connection.send(json.dumps(message))
        while (answer := self.receive()) is None:
            pass
        assert "error" not in answer, f"{method}: {answer['error']['message']}"
        result: Message = answer["result"]
        return result

    def events(self, method: str, session: str) -> list[Message]:
        """The parameters of the events *method* of a tab so far."""
        return [
            event["params"] for event in self._events if (event["method"], event.get("sessionId")) == (method, session)
        ]

    def receive(self) -> Message | None:
        """The answer to the last command, or None when what came was an event."""
        message: Message = json.loads(self._connection.recv(timeout=DEADLINE))
        if message.get("id") == self._last:
            return message
        self._events.append(message)
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its processes share nothing that has to be kept."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(5)
