"""Chromium driven without a library, by its debugging protocol over two pipes; and a server of files."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    """A page of a headless Chromium; every message is a JSON document that ends with a null byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers, self.number, self.rest, self.session = commands, answers, 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a command; what happens meanwhile goes to ``events``."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive(60)
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def receive(self, seconds: float) -> dict[str, Any]:
        while b"\0" not in self.rest:
            assert select.select([self.answers], [], [], seconds)[0], "the browser does not answer"
            self.rest += os.read(self.answers, 2**16)
        document, _, self.rest = self.rest.partition(b"\0")
        return json.loads(document)

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        said = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> Any:
        """Return the value of an expression as soon as it is true; while a page opens, it may fail."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            said = self.send("Runtime.evaluate", expression=script, returnByValue=True)
            if "exceptionDetails" not in said and said["result"].get("value"):
                return said["result"]["value"]
            time.sleep(0.05)
        raise AssertionError(f"{script} does not become true: {self.problems()}")

    def choose(self, selector: str, files: list[Path]) -> None:
        """Choose files in an ``<input type=file>``."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def problems(self) -> list[str]:
        """Return what the page complained about: exceptions, and what its security policy or the network refused."""
        found = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
            elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(str(event["params"]["entry"]))
        return found


@contextlib.contextmanager
def open_browser(profile: Path, *more: str) -> Iterator[Browser]:
    """Start Chromium, and end it."""
    assert CHROMIUM
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    line = f'exec "$0" "$@" 3<&{command_read} 4>&{answer_write}'
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
    process = subprocess.Popen(
        ["bash", "-c", line, CHROMIUM, *options, f"--user-data-dir={profile}", *more],
        pass_fds=(command_read, answer_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_read)
    os.close(answer_write)
    try:
        yield Browser(command_write, answer_read)
    finally:
        process.terminate()
        process.wait(30)
        os.close(command_write)
        os.close(answer_read)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder as any static server does; yields its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
