"""Run a loopback hub until Ctrl-C: its URL goes to stdout, a token for it to stderr.

Commands reach it with HF_ENDPOINT=<the URL>, HF_TOKEN=<the token> and HF_HUB_DISABLE_XET=1.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from tests.loopback_hub.server import LoopbackHub


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.loopback_hub", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where to listen (default: any)")
    parser.add_argument("--user", default="ada", help="name of the user who has a token")
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with LoopbackHub(arguments.port) as hub:
        hub.add_user(arguments.user)
        sys.stderr.write(f"HF_TOKEN={hub.add_token(arguments.user)}\n")
        sys.stdout.write(f"{hub.url}\n")
        sys.stdout.flush()
        ended.wait()


if __name__ == "__main__":
    main()
