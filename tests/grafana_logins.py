"""A stand-in for Grafana's interface for logins: the three calls that we make of it."""

import json
import re
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.brokers import HOST

ADMIN_PASSWORD = "the administrator's password"
Json = dict[str, Any]


class Grafana:
    """Answers the three calls as Grafana 11 does."""

    def __init__(self, admin_password: str = ADMIN_PASSWORD) -> None:
        self.admin_password = admin_password
        self.users: dict[str, Json] = {
            "root": {"id": 1, "login": "root", "isGrafanaAdmin": True, "role": "Admin"}
        }
        self.asked: list[str] = []
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*grafana.answer("GET", self.path, {}, self._authorization()))

            def do_POST(self) -> None:
                self._with_body("POST")

            def do_PATCH(self) -> None:
                self._with_body("PATCH")

            def _with_body(self, method: str) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(*grafana.answer(method, self.path, body, self._authorization()))

            def _authorization(self) -> str:
                return self.headers.get("Authorization", "")

            def _answer(self, status: int, said: Json) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(
        self, method: str, path: str, body: Json, authorization: str
    ) -> tuple[int, Json]:
        self.asked.append(f"{method} {path}")
        admin = b64encode(f"admin:{self.admin_password}".encode()).decode()
        if authorization != f"Basic {admin}":
            return 401, {"message": "Invalid username or password"}
        if path.startswith("/api/users/lookup?loginOrEmail="):
            user = self.users.get(unquote(path.partition("=")[2]))
            return (200, user) if user else (404, {"message": "user not found"})
        if (method, path) == ("POST", "/api/admin/users"):
            number = len(self.users) + 1
            self.users[body["login"]] = {"id": number, "isGrafanaAdmin": False, **body}
            return 200, {"id": number, "message": "User created"}
        if method == "PATCH" and (found := re.fullmatch(r"/api/orgs/1/users/(\d+)", path)):
            for user in self.users.values():
                if user["id"] == int(found[1]):
                    user["role"] = body["role"]
            return 200, {"message": "Organization user updated"}
        return 500, {"message": f"not expected: {method} {path}"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
