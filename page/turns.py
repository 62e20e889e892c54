"""Bodies of requests, read and worked on one after another, so that memory is bounded."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

Result = TypeVar("Result")
WAITING = 100  # requests that may wait for their turn; each costs its socket and no body
SECONDS = 60  # in which a body whose turn has come must be here


class Turns:
    """One thread for the work, and room for `held` bodies of `most_bytes` each.

    A request beyond these waits, and of its body nothing is read but what a socket buffers.
    """

    def __init__(self, held: int, most_bytes: int):
        self.most_bytes = most_bytes
        self._room = asyncio.Semaphore(held)
        self._thread = ThreadPoolExecutor(1)
        self._waiting = 0

    async def take(self, request: Request, work: Callable[[bytes], Result]) -> Result:
        """`work` of the request's body, when its turn has come.

        HTTPException 413 for a larger body, 408 for one that does not arrive, and 503 where too
        many wait already.
        """
        self._refuse_beyond(int(request.headers.get("content-length", 0)))
        if self._waiting >= WAITING:
            text = f"{self._waiting} uploads are waiting; try again in a second"
            raise HTTPException(503, text, {"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._room:
                body = await self._body(request)
                return await asyncio.get_running_loop().run_in_executor(self._thread, work, body)
        finally:
            self._waiting -= 1

    async def _body(self, request: Request) -> bytes:
        try:
            return await asyncio.wait_for(self._read(request), SECONDS)
        except asyncio.TimeoutError:
            text = f"not here after {SECONDS} s; expected a faster upload"
            raise HTTPException(408, text) from None

    async def _read(self, request: Request) -> bytes:
        body = BytesIO()
        async for part in request.stream():
            self._refuse_beyond(body.tell() + len(part))
            body.write(part)
        return body.getvalue()

    def _refuse_beyond(self, size: int) -> None:
        if size > self.most_bytes:
            text = f"more than {self.most_bytes:,} bytes; give webpage.py a larger --max-megabytes"
            raise HTTPException(413, text)
