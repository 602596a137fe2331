"""Chromium without a window, driven by chromedriver in the words of W3C WebDriver."""

from __future__ import annotations

import base64
import json
from contextlib import closing, contextmanager
from http.client import HTTPConnection

from programs import HOST, Program
from servers import reserved_port
from tools import require_tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

TIMEOUT = 60.0


class Browser:
    def __init__(self, port: int, session: str) -> None:
        self._port = port
        self._session = session

    def open(self, address: str) -> None:
        """Until the page is loaded."""
        self._ask("POST", "url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns."""
        return self._ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        """What is to be read in the first such element."""
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def complaints(self) -> list[str]:
        """What the console says, of the Content-Security-Policy above all."""
        return [entry["message"] for entry in self._ask("POST", "se/log", {"type": "browser"})]

    def resize(self, width: int, height: int) -> None:
        """The page as a screen of that size shows it."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800}
        self.command("Emulation.setDeviceMetricsOverride", metrics)

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """One of Chromium's own."""
        return self._ask("POST", "goog/cdp/execute", {"cmd": name, "params": parameters})

    def screenshot(self) -> bytes:
        """As PNG."""
        return base64.b64decode(self._ask("GET", "screenshot"))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return ask(self._port, method, f"/session/{self._session}/{path}", body)


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    with closing(HTTPConnection(HOST, port, timeout=TIMEOUT)) as http:
        http.request(method, path, None if body is None else json.dumps(body))
        answer = http.getresponse()
        value = json.loads(answer.read())["value"]
    assert answer.status == 200, value
    return value


@contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    # Root has no sandbox, and containers have little shared memory.
    options = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
               f"--user-data-dir={directory / 'profile'}"]  # fmt: skip
    wanted = {
        "goog:chromeOptions": {"args": options, "binary": require_tool("chromium")},
        "goog:loggingPrefs": {"browser": "ALL"},
    }
    with reserved_port() as port:
        command = [require_tool("chromedriver"), f"--port={port}"]
        with closing(Program(command, directory / "chromedriver.log", port)) as driver:
            driver.connect().close()
            body = {"capabilities": {"alwaysMatch": wanted}}
            session = ask(port, "POST", "/session", body)["sessionId"]
            try:
                yield Browser(port, session)
            finally:
                ask(port, "DELETE", f"/session/{session}")
