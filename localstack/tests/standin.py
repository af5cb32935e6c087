"""A program that passes for LocalStack as far as an `Instance` looks, and a stranger on a port."""

from __future__ import annotations

import contextlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Iterator

SERVES = """
import http.server, json, pathlib
root = pathlib.Path(os.environ["FILESYSTEM_ROOT"])
name = json.loads((root / "var/lib/localstack/cache/machine.json").read_text())
answers = {
    "/_localstack/info": {**name, "version": "4.9.2"},
    "/_localstack/health": {"services": {"sqs": "available"}},
}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answers[self.path]).encode())
host, port = os.environ["GATEWAY_LISTEN"].split(":")
try:
    server = http.server.HTTPServer((host, int(port)), Handler)
except OSError:
    server = None  # like the real one, it says nothing and stays
print("\\nReady.\\n", flush=True)
server.serve_forever() if server else signal.pause()
"""


def program(folder: Path, body: str) -> Path:
    """An executable to be started in place of the environment's Python."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport os, signal, sys\n{body}")
    path.chmod(0o755)
    return path


@contextlib.contextmanager
def stranger() -> Iterator[int]:
    """A port on which something else answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"machine_id": "somebody else", "version": "4.9.2"}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
