"""A hub on this machine's loopback that answers as hubs do on bad days, and on good ones."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY = "timm/test_resnet.r160_in1k"
FILE = "model.safetensors"

# How a hub can answer that has nothing to give.
BAD_DAYS = ("silent", "trickling", "broken", "without it", "a page to log in")


@dataclass
class Hub:
    """What an answering hub has, and what it was asked for.

    Attributes:
        day: ``good``, or one of ``BAD_DAYS``.
        content: of the weights of ``REPOSITORY``.
        asked: method and path of each request.
        agents: what each said of the program that asks.
        over: set when the test is done, so that no answer hangs.
    """

    day: str
    content: bytes = b""
    endpoint: str = ""
    asked: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def count(self, start: str) -> int:
        return sum(request.startswith(start) for request in self.asked)


@contextlib.contextmanager
def answering_hub(day: str, content: bytes = b"") -> Iterator[Hub]:
    """Start a hub for as long as the block lasts."""
    hub = Hub(day, content)

    class Answer(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            hub.agents.append(self.headers.get("User-Agent", ""))
            with contextlib.suppress(OSError):  # whoever asked has left
                self.answer()

        def answer(self) -> None:
            if hub.day == "silent":
                hub.over.wait(30)
            elif hub.day == "trickling":
                self.start(200, 10_000)
                while not hub.over.wait(0.05):
                    self.wfile.write(b" ")
                    self.wfile.flush()
            elif hub.day == "broken":
                self.give(500, b"Internal Error")
            elif hub.day == "a page to log in":
                self.give(200, b"<html><body>Please log in</body></html>", "text/html")
            elif hub.day == "without it" or REPOSITORY not in self.path:
                self.give(404, b'{"error": "Repository not found"}')
            elif self.path.startswith("/api/models/"):
                files = [{"rfilename": FILE, "size": len(hub.content)}, {"rfilename": "README.md", "size": 3}]
                facts = {"id": REPOSITORY, "siblings": files, "cardData": {"license": "apache-2.0"}}
                self.give(200, json.dumps(facts).encode())
            else:
                self.give(200, hub.content, "application/octet-stream")

        def start(self, status: int, length: int, kind: str = "application/json") -> None:
            self.send_response(status)
            headers = {"Content-Type": kind, "Content-Length": length, "ETag": '"abc"', "X-Repo-Commit": "0" * 40}
            for name, value in headers.items():
                self.send_header(name, str(value))
            self.end_headers()

        def give(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.start(status, len(body), kind)
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        server.server_close()
