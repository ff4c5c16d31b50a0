"""A hub on the loopback: folders served by the part of the Hugging Face hub's protocol that readers use.

The official clients talk to it when ``HF_ENDPOINT`` names it; they read that variable once, so in a process
of their own.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_API = re.compile(
    r"/api/(models|datasets)/([\w.-]+/[\w.-]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?"
)
_FILE = re.compile(r"/(datasets/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")


@contextmanager
def hub(root: Path, licence: str = "mit") -> Iterator[str]:
    """Serve ``root/models/OWNER/NAME`` and ``root/datasets/OWNER/NAME`` at one commit; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if found := _API.fullmatch(path):
                self._api(*found.groups())
            elif found := _FILE.fullmatch(path):
                self._file(root / ("datasets" if found[1] else "models") / found[2], found[3], found[4])
            else:
                self._error("RepoNotFound")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def _api(
            self, kind: str, repo: str, what: str | None, revision: str | None, below: str | None
        ) -> None:
            folder = root / kind / repo
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            if not folder.is_dir():
                self._error("RepoNotFound")
            elif revision not in (None, "main", COMMIT):
                self._error("RevisionNotFound")
            elif what == "tree":
                self._answer(_entries(folder, below or ""))
            elif what == "paths-info":
                form = json.loads(body) if body.startswith("{") else parse_qs(body)
                self._answer([entry for entry in _entries(folder, "") if entry["path"] in form["paths"]])
            else:
                files = [
                    {"rfilename": entry["path"]} for entry in _entries(folder, "") if entry["type"] == "file"
                ]
                about = {"id": repo, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0}
                self._answer(about | {"siblings": files, "cardData": {"license": licence}})

        def _file(self, folder: Path, revision: str, name: str) -> None:
            file = folder / name
            if revision not in ("main", COMMIT):
                self._error("RevisionNotFound")
            elif not file.is_file():
                self._error("EntryNotFound")
            else:
                self._send(file.read_bytes(), {"ETag": f'"{_oid(file)}"', "X-Repo-Commit": COMMIT})

        def _answer(self, value: Any) -> None:
            self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _send(self, content: bytes, headers: dict[str, str]) -> None:
            part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            self.send_response(206 if part else 200)
            if part:
                first, last = int(part[1]), min(int(part[2] or len(content) - 1), len(content) - 1)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
                content = content[first : last + 1]
            for name, value in {
                **headers,
                "Accept-Ranges": "bytes",
                "Content-Length": str(len(content)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _error(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _entries(folder: Path, below: str) -> list[dict[str, Any]]:
    """Everything under a folder, as the hub lists it."""
    return [
        {
            "type": "directory" if path.is_dir() else "file",
            "path": path.relative_to(folder).as_posix(),
            "size": 0 if path.is_dir() else path.stat().st_size,
            "oid": _oid(path),
        }
        for path in sorted((folder / below).rglob("*"))
    ]


def _oid(path: Path) -> str:
    return sha1(path.read_bytes() if path.is_file() else path.name.encode()).hexdigest()
