"""Opens a page that names the class of chest radiographs: PNG, JPEG, DICOM ...

python3 webpage.py                                                 with the network in pretrained/
python3 webpage.py --checkpoint experiments/NAME/best.pth          with your own

Drop films or a folder on it. It listens to this computer only, and keeps nothing: no film is
written to a disk. Its rows are those of minimal_prediction.py --batch-size 1, to the last digit; it
starts with --coverage 0.9.
A research tool, not a medical device: not for diagnosis.
"""

import argparse
import logging
import os
import socket
import sys
import webbrowser

from util.flags import Parser, demand
from util.script import NOTICE, leave_at_once, run, while_importing

log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
CONNECTIONS = 200  # at once; a browser opens six


def arguments() -> argparse.Namespace:
    parser = Parser(prog="webpage.py", description=__doc__)
    add = parser.add_argument
    origin = "best.pth of train.py, the folder of a run with folds, an ONNX file of export.py, or"
    origin += " the original's of 2020"
    add("--checkpoint", metavar="FILE", default="pretrained", help=origin)
    add("--port", type=int, default=8000, help="on which the page is served; 0 takes a free one")
    others = "name or address to listen to; 0.0.0.0 lets other machines in, without a password"
    add("--host", default=LOOPBACK, help=others)
    add("--max-megabytes", type=int, default=100, help="of one film; three are held at once")
    opened = "show the page in the browser, if there is a screen"
    add("--browser", action=argparse.BooleanOptionalAction, default=True, help=opened)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    args = parser.parse_args()
    demand(parser, args, ("port",), 0, 65535)
    demand(parser, args, ("max_megabytes",), 1, 400)
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    while_importing("webpage.py", "requirements-predict.txt")

import uvicorn

from model.prediction import NO_GATE
from model.predictor import Predictor
from page.app import make_app


def main(args: argparse.Namespace) -> None:
    with listen(args.host, args.port) as listening:
        predictor = Predictor.load(args.checkpoint, args.device)
        app = make_app(predictor, {args.host, socket.gethostname()}, args.max_megabytes * 10**6)
        settings = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("%s: %s", predictor.name, ", ".join(predictor.classes))
        if not predictor.gate.learned:
            log.warning("%s: %s", predictor.name, NO_GATE)
        log.info("%s  (Ctrl-C ends it)", address)
        if not host.startswith("127.") and host != "::1":
            log.warning("Other machines can reach it, without a password or encryption")
        log.info(NOTICE)
        if args.browser and sys.stderr.isatty() and has_screen():
            webbrowser.open(address)
        uvicorn.Server(settings).run([listening])


def listen(host: str, port: int) -> socket.socket:
    """OSError, which names the address, if it is taken or not this machine's."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=CONNECTIONS)
    except OSError as error:
        reason = error.strerror or str(error)
        text = f"{host}:{port}: {reason}; give another --port, or a --host of this machine"
        raise OSError(text) from None


def has_screen() -> bool:
    """Without one, a browser in text mode would take over the terminal."""
    on_desktop = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return os.name == "nt" or sys.platform == "darwin" or on_desktop


if __name__ == "__main__":
    try:
        run(lambda: main(args), "webpage.py")
    except SystemExit as stop:
        leave_at_once(stop.code)
