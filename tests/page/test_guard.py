"""Who may talk to the page's server: the page, and a browser that opens it."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from page.guard import HEADERS, Guard

OURS = "127.0.0.1:8000"
CROSS, MODE = {"host": OURS, "sec-fetch-site": "cross-site"}, "sec-fetch-mode"


def answer(method, headers, names=("127.0.0.1",)):
    client = TestClient(Guard(PlainTextResponse("in"), names), "http://localhost:8000")
    return client.request(method, "/", headers=headers)


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("GET", {"host": OURS}, True),
        ("GET", {"host": "localhost:9"}, True),  # a tunnel has a port of its own
        ("GET", {"host": "[::1]:8000"}, True),
        ("GET", {"host": "LOCALHOST"}, True),
        ("POST", {"host": OURS, "origin": f"http://{OURS}"}, True),
        ("POST", {"host": OURS, "origin": f"http://{OURS}", "sec-fetch-site": "same-origin"}, True),
        ("GET", CROSS | {"sec-fetch-site": "none"}, True),
        ("GET", CROSS | {MODE: "navigate"}, True),
        ("GET", {"host": "evil.example"}, False),
        ("GET", {"host": "evil.example:8000"}, False),
        ("GET", {"host": "localhost.evil.example"}, False),
        ("GET", {"host": "user@evil.example:8000"}, False),
        ("GET", {"host": "192.168.1.9:8000"}, False),
        ("GET", {"host": "[::1"}, False),
        ("GET", {"host": ""}, False),
        ("POST", {"host": OURS, "origin": "http://evil.example"}, False),
        ("POST", {"host": OURS, "origin": "http://localhost:8000"}, False),
        ("POST", {"host": OURS, "origin": "http://127.0.0.1:9"}, False),
        ("POST", {"host": OURS, "origin": "null"}, False),
        ("POST", {"host": OURS, "origin": ""}, False),
        ("POST", CROSS, False),
        ("POST", {"host": OURS, "sec-fetch-site": "same-site"}, False),
        ("GET", CROSS | {MODE: "no-cors"}, False),
        (
            "POST",
            CROSS | {MODE: "navigate"},
            False,
        ),
    ],
)
def test_only_the_page_itself_is_let_in(method, headers, allowed):
    found = answer(method, headers)
    assert found.status_code == (200 if allowed else 403)
    if not allowed:
        assert "; expected" in found.json()["error"]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("192.168.1.9:8000", True),
        ("[fe80::1]:8000", True),
        ("lab:8000", True),
        ("evil.example", False),
    ],
)
def test_on_all_interfaces_every_address_is_its_own_and_no_other_name(host, allowed):
    found = answer("GET", {"host": host}, ("0.0.0.0", "Lab"))
    assert found.status_code == (200 if allowed else 403)


@pytest.mark.parametrize("host", [OURS, "evil.example"])
def test_every_answer_forbids_the_browser_what_the_page_does_not_need(host):
    headers = answer("GET", {"host": host}).headers
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in headers["content-security-policy"]
    assert not any(name.startswith("access-control") for name in headers)
