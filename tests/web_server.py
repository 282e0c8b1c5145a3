"""A web server on loopback: files with ranges, as object stores serve them, the core of a STAC API; and faults."""

import contextlib
import datetime
import functools
import http.server
import json
import pathlib
import re
import socket
import struct
import threading
import time
import urllib.parse

import shapely


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder, and below `/api` the STAC items of `items` (collection -> items).

    Attributes:
        faults: path -> what the next requests get: a status, "cut", "reset", or seconds to wait.
        requests: method, path with its query, and body of every request.
        page: items per page of a search.
        etags: whether files have an ETag.
    """

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.items = pathlib.Path(folder), {}
        self.faults, self.requests, self.page, self.etags = {}, [], 2, True
        self.address = f"http://127.0.0.1:{self.server_port}"

    def asked(self, path, method=None):
        """How many requests a path got."""
        return sum(p.partition("?")[0] == path and method in (None, m) for m, p, _ in self.requests)


@contextlib.contextmanager
def serving(folder):
    with Server(folder) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, 0.01), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer("")

    def do_GET(self):
        self._answer("")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def _answer(self, body):
        parts = urllib.parse.urlsplit(self.path)
        self.server.requests.append((self.command, self.path, body))
        left = self.server.faults.get(parts.path, [])
        fault = left.pop(0) if left else None
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif isinstance(fault, int):
            self._send(fault, b"")
        elif parts.path.startswith("/api"):
            self._api(parts.path.removeprefix("/api").rstrip("/"), parts.query, body)
        else:
            time.sleep(fault if isinstance(fault, float) else 0)
            self._file(parts.path, cut=fault == "cut")

    def _file(self, path, cut):
        file = self.server.folder / urllib.parse.unquote(path).lstrip("/")
        if not file.is_file():
            self._send(404, b"")
            return
        content = file.read_bytes()
        status, headers = 200, {"Accept-Ranges": "bytes"}
        if self.server.etags:
            headers["ETag"] = f'"{hash(content):x}"'
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, content = 206, content[first : last + 1]
        self._send(status, content, headers, cut=cut)

    def _send(self, status, content, headers=(), *, cut=False):
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if cut else content)
                if cut:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True

    def _json(self, document, kind="application/json"):
        self._send(200, json.dumps(document).encode(), {"Content-Type": kind})

    def _api(self, path, query, body):
        root = f"{self.server.address}/api"
        links = [
            {"rel": "self", "href": root, "type": "application/json"},
            {"rel": "root", "href": root, "type": "application/json"},
            {"rel": "data", "href": f"{root}/collections", "type": "application/json"},
            {"rel": "search", "href": f"{root}/search", "type": "application/geo+json", "method": "GET"},
            {"rel": "search", "href": f"{root}/search", "type": "application/geo+json", "method": "POST"},
        ]
        if not path:
            classes = [f"https://api.stacspec.org/v1.0.0/{n}" for n in ("core", "item-search", "collections")]
            self._json(
                {
                    "type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "a test",
                    "conformsTo": classes, "links": links,
                }
            )  # fmt: skip
        elif path == "/collections":
            self._json({"collections": [self._collection(name, root) for name in self.server.items], "links": []})
        elif path.removeprefix("/collections/") in self.server.items:
            self._json(self._collection(path.removeprefix("/collections/"), root))
        elif path == "/search":
            self._search(root, query, body)
        else:
            self._send(404, b"")

    def _collection(self, name, root):
        extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
        own = f"{root}/collections/{name}"
        return {
            "type": "Collection", "stac_version": "1.0.0", "id": name, "description": "a test", "license": "CC0-1.0",
            "extent": extent,
            "links": [{"rel": "self", "href": own}, {"rel": "root", "href": root}, {"rel": "parent", "href": root}],
        }  # fmt: skip

    def _search(self, root, query, body):
        if body:
            given = json.loads(body)
        else:
            given = {k: v[0] for k, v in urllib.parse.parse_qs(query).items()}
            for name in ("bbox", "collections"):
                if name in given:
                    given[name] = [float(v) if name == "bbox" else v for v in given[name].split(",")]
        items = [i for name, own in self.server.items.items() if name in given.get("collections", [name]) for i in own]
        if "bbox" in given:
            ground = shapely.box(*given["bbox"])
            items = [i for i in items if shapely.box(*i["bbox"]).intersects(ground)]
        if "datetime" in given:
            first, _, last = given["datetime"].partition("/")
            items = [i for i in items if _time(first) <= _time(i["properties"]["datetime"]) <= _time(last or first)]
        begin, size = int(given.get("token", 0)), min(self.server.page, int(given.get("limit", 100)))
        links = [{"rel": "root", "href": root}]
        if begin + size < len(items):
            token = {**given, "token": str(begin + size)}
            if body:
                links.append({"rel": "next", "method": "POST", "href": f"{root}/search", "body": token})
            else:
                text = urllib.parse.urlencode(
                    {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in token.items()}
                )
                links.append({"rel": "next", "href": f"{root}/search?{text}"})
        page = {"type": "FeatureCollection", "features": items[begin : begin + size], "links": links}
        self._json(page, "application/geo+json")


def _time(text):
    return datetime.datetime.fromisoformat(text)
