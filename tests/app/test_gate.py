"""Nobody reaches the API without the token, from another page, or under another name; nothing leads out of a root."""

import json
import socket
from pathlib import Path
from urllib.parse import quote

import pytest
from page_client import Page
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


def raw(page: Page, text: str) -> bytes:
    """What the server answers to exactly these bytes."""
    host, port = page.host.split(":")
    with socket.create_connection((host, int(port)), 10) as line:
        line.sendall(text.replace("\n", "\r\n").encode())
        line.shutdown(socket.SHUT_WR)
        found = b""
        while part := line.recv(65536):
            found += part
    return found


def test_the_token_becomes_a_cookie_and_leaves_the_address(page: Page) -> None:
    answer = page.send("GET", page.address.split(page.host)[1] + "&view=latent", bare=True)
    assert answer.status == 303
    assert answer.headers["location"] == "/?view=latent"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"seglens-{page.host.split(':')[1]}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert page.address.split("token=")[1] not in cookie


@pytest.mark.parametrize("query", ["?token=wrong", "?token=", "?token=a&token=b"])
def test_a_wrong_token_opens_nothing(page: Page, query: str) -> None:
    answer = page.send("GET", f"/{query}", bare=True)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers
    assert answer.json["kind"] == "TokenError"


def test_the_page_itself_is_for_everybody_and_the_api_is_not(page: Page) -> None:
    assert page.send("GET", "/", bare=True).status == 200
    for path in ("/api/session", "/api/jobs", "/api/images/streets-0/picture", "/api/nothing"):
        answer = page.send("GET", path, bare=True)
        assert answer.status == 401, path
        assert "token" in answer.json["message"]
    assert page.send("GET", "/api/jobs", headers={"Cookie": f"{page.cookie.split('=')[0]}=guess"}).status == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "evil.example:{port}", "127.0.0.1:1", "localhost.evil:{port}"]
)
def test_another_host_is_not_answered(page: Page, host: str) -> None:
    host = host.format(port=page.host.split(":")[1])
    for path in ("/", "/api/session"):
        assert page.send("GET", path, headers={"Host": host}).status == 421


def test_localhost_is_another_name_of_it(page: Page) -> None:
    name = f"localhost:{page.host.split(':')[1]}"
    assert page.send("GET", "/api/jobs", headers={"Host": name}).status == 200


@pytest.mark.parametrize("hosts", ["", "Host: {own}\nHost: {own}\n", "Host: {own}\nHost: evil.example\n"])
def test_no_host_and_two_hosts_are_refused(page: Page, hosts: str) -> None:
    found = raw(page, f"GET / HTTP/1.1\n{hosts.format(own=page.host)}Connection: close\n\n")
    status = int(found.split()[1])
    assert status in (400, 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"X-Seglens": ""},
        {"X-Seglens": "2"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_page_can_change_nothing(page: Page, headers: dict[str, str]) -> None:
    before = len(page.get("/api/jobs"))
    for method, path in (("POST", "/api/jobs"), ("PUT", "/api/masks?height=1&width=1"), ("DELETE", "/api/jobs/x")):
        answer = page.send(method, path, b"\1", headers)
        assert answer.status == 403, (method, headers)
        assert answer.json["kind"] == "OriginError"
    assert len(page.get("/api/jobs")) == before


def test_another_page_can_read_nothing(page: Page) -> None:
    assert page.send("GET", "/api/jobs", headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert page.send("GET", "/api/jobs", headers={"Origin": "http://evil.example"}).status == 403
    answer = page.send("GET", "/api/jobs", headers={"Origin": page.origin})
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert page.send("OPTIONS", "/api/jobs", headers={"Origin": "http://evil.example", "X-Seglens": ""}).status == 403


def test_the_socket_asks_for_the_same(page: Page) -> None:
    good = {"Cookie": page.cookie}
    address = f"ws://{page.host}/api/live"
    for origin, headers in ((page.origin, {}), ("http://evil.example", good), (None, good)):
        with pytest.raises(InvalidStatus) as refused, connect(address, origin=origin, additional_headers=headers):  # pyright: ignore
            pass
        assert refused.value.response.status_code == 403
    with connect(address, origin=page.origin, additional_headers=good):  # pyright: ignore
        pass


def test_every_answer_carries_what_binds_the_browser(page: Page) -> None:
    for path in ("/", "/api/jobs", "/api/jobs/none", "/nothing"):
        headers = page.send("GET", path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/api/openapi.json", "/api/docs"])
def test_there_is_no_manual_for_strangers(page: Page, path: str) -> None:
    assert page.send("GET", path).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/..%2f..%2fserver.py",
        "/%2e%2e/%2e%2e/server.py",
        "/assets/../../server.py",
        "/assets/%2e%2e%2f%2e%2e%2fserver.py",
        "//etc/passwd",
        "/....//server.py",
        "/BUILD.json",
        "/server.py",
    ],
)
def test_only_the_page_s_own_files_exist(page: Page, path: str) -> None:
    found = raw(page, f"GET {path} HTTP/1.1\nHost: {page.host}\nConnection: close\n\n")
    assert b" 404 " in found.split(b"\r\n")[0]
    assert b"import" not in found


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "images/../../secret",
        "out",
        "out/secret.png",
        "/etc",
        "..\\secret",
        "C:/",
        "images/%2e%2e/..",
        "a\0b",
        "..",
    ],
)
def test_nothing_outside_a_root_is_seen(page: Page, given: Path, path: str) -> None:
    root = page.get("/api/session")["roots"][0]["id"]
    answer = page.send("GET", f"/api/files?root={root}&path={quote(path, safe='')}")
    assert answer.status in (403, 404), answer.body
    assert set(answer.json) == {"kind", "message"}
    answer = page.send("POST", "/api/sets", json.dumps({"root": root, "path": path}))
    assert answer.status in (403, 404)
    job = page.send("POST", "/api/jobs", json.dumps({"task": "open", "args": {"source": f"{root}:{path}"}}))
    assert job.status in (403, 404)


def test_a_link_out_of_the_root_is_not_listed(page: Page) -> None:
    root = page.get("/api/session")["roots"][0]["id"]
    assert {e["name"] for e in page.get(f"/api/files?root={root}&path=")} == {"images", "labels"}
    names = {e["name"] for e in page.get(f"/api/files?root={root}&path=images")}
    assert names == {"street0.png", "street1.png", "street2.png"}


def test_an_absolute_path_is_no_network(page: Page, given: Path) -> None:
    for source in (str(given / "secret" / "secret.png"), "/etc/passwd", "nowhere:x", "timm:resnet18"):
        answer = page.send("POST", "/api/jobs", json.dumps({"task": "open", "args": {"source": source}}))
        assert answer.status in (403, 404), source
