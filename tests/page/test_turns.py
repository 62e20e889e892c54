"""Uploads wait for their turn, and what waits is not read."""

import asyncio
import threading
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import httpx  # or httpx2, whichever Starlette tests with

from page import turns
from page.turns import Turns


def upload(bodies, work=len, held=2, most_bytes=1000, headers=None, at_once=True):
    """The (status, text) of each body, sent at once or in turn; bytes or an async iterator each."""

    async def send():
        queue = Turns(held, most_bytes)

        async def take(request):
            return PlainTextResponse(str(await queue.take(request, work)))

        transport = httpx.ASGITransport(Starlette(routes=[Route("/", take, methods=["POST"])]))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            requests = (client.post("/", content=body, headers=headers) for body in bodies)
            if at_once:
                return await asyncio.gather(*requests)
            return [await request for request in requests]

    return [(answer.status_code, answer.text) for answer in asyncio.run(send())]


async def in_parts(*parts, wait=0.0):
    for part in parts:
        await asyncio.sleep(wait)
        yield part


def test_of_fifty_uploads_at_once_no_more_than_those_held_are_read():
    reading = most = 0

    async def body():
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        yield bytes(1000)

    def work(content):
        nonlocal reading
        time.sleep(0.001)
        reading -= 1
        return len(content)

    assert upload([body() for _ in range(50)], work) == [(200, "1000")] * 50
    assert most == 2


def test_the_work_is_done_by_one_thread_in_the_order_in_which_uploads_come():
    done, threads = [], set()

    def work(content):
        threads.add(threading.get_ident())
        done.append(int(content))

    upload([str(k).encode() for k in range(20)], work)
    assert done == list(range(20))
    assert len(threads) == 1


@pytest.mark.parametrize(
    ("body", "status"), [((bytes(600), bytes(400)), 200), ((bytes(600), bytes(401)), 413)]
)
def test_a_body_that_does_not_say_its_size_is_read_as_far_as_is_allowed(body, status):
    ((found, text),) = upload([in_parts(*body)])
    assert found == status
    assert "more than 1,000 bytes" in text or status == 200


def test_of_a_body_that_says_it_is_too_large_nothing_is_read():
    read = []

    async def body():
        read.append(True)
        yield b"x"

    ((status, _),) = upload([body()], headers={"content-length": "2000000000"})
    assert (status, read) == (413, [])


def test_more_uploads_than_may_wait_are_told_to_come_again(monkeypatch):
    monkeypatch.setattr(turns, "WAITING", 5)
    found = upload([b"film"] * 8)
    assert [status for status, _ in found].count(503) == 3
    assert [status for status, _ in found].count(200) == 5


def test_an_upload_that_does_not_arrive_gives_its_turn_to_the_next(monkeypatch):
    monkeypatch.setattr(turns, "SECONDS", 0.05)
    found = upload([in_parts(b"never", wait=60), b"film"], held=1)
    assert [status for status, _ in found] == [408, 200]


def test_work_that_fails_gives_its_turn_to_the_next(monkeypatch):
    monkeypatch.setattr(turns, "WAITING", 1)

    def work(content):
        if content == b"bad":
            raise turns.HTTPException(422, "no film")
        return "film"

    found = upload([b"bad", b"good", b"bad", b"good"], work, held=1, at_once=False)
    assert found == [(422, "no film"), (200, "film")] * 2
