"""Starts a broker, runs a command beside it, ends the broker: with_broker.py BINARY COMMAND…

The command finds the STOMP port in HOLDFAST_PORT. It has SECONDS_MAX; its exit code is passed on. A broker that logged a warning or an error fails it.
"""

import os
import signal
import subprocess
import sys

from broker import Broker

SECONDS_MAX = 60


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Broker(sys.argv[1]) as broker:
        client = subprocess.Popen(
            sys.argv[2:], stdin=subprocess.DEVNULL, env={**os.environ, "HOLDFAST_PORT": str(broker.port)}
        )
        try:
            code = client.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            print(f"ended after {SECONDS_MAX} s: {' '.join(sys.argv[2:])}")
            code = 1
        finally:
            if client.poll() is None:
                client.kill()
                client.wait()
        broker.stop()
        for line in broker.complaints():
            print(f"the broker logged: {line}")
            code = code or 1
    return code


if __name__ == "__main__":
    sys.exit(main())
