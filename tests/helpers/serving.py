"""A server on a free port, in a thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


@contextmanager
def serving(make_app) -> Iterator[str]:
    """The address of an ASGI application for the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = uvicorn.Config(
            make_app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
