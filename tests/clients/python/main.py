"""stomp.py against the shipped binary: main.py BINARY [CHECK…] runs all checks, or those whose names contain one of the words.

A check is a function `def promise(broker)` in a module of checks/; its name is what it shows, and the destinations that it uses begin with that name, so that the checks may share a broker. Each has
CHECK_SECONDS_MAX. A check that breaks the broker takes `own_broker` instead and starts one. The broker must have logged neither warning nor error at the end.
"""

import inspect
import os
import pathlib
import signal
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ.setdefault("STOMP_SKIP_HOSTNAME_SCAN", "1")  # stomp.py would ask the name service about this machine

from broker import Broker  # noqa: E402
from checks import acknowledgements, connections, messages, queues, readme, restarts, topics, transactions  # noqa: E402

CHECK_SECONDS_MAX = 30

MODULES = [readme, connections, messages, acknowledgements, transactions, queues, topics, restarts]


def checks(words):
    for module in MODULES:
        for name, check in vars(module).items():
            if not inspect.isfunction(check) or check.__module__ != module.__name__ or name.startswith("_"):
                continue
            if not words or any(word in name for word in words):
                yield name, check


def out_of_time(*_):
    raise TimeoutError(f"the check took longer than {CHECK_SECONDS_MAX} s")


def run(check, broker):
    """Whether the check passed."""
    signal.alarm(CHECK_SECONDS_MAX)
    begun = time.monotonic()
    verdict, problem = "ok    ", None
    try:
        if "own_broker" in inspect.signature(check).parameters:
            with Broker(broker.binary) as own:
                check(own)
        else:
            check(broker)
    except Exception:
        verdict, problem = "FAILED", traceback.format_exc()
    finally:
        signal.alarm(0)
    print(f"{verdict} {int((time.monotonic() - begun) * 1000):6} ms  {check.__name__.replace('_', ' ')}", flush=True)
    if problem:
        print(problem, flush=True)
    return problem is None


def main():
    signal.signal(signal.SIGALRM, out_of_time)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    passed = failed = 0
    with Broker(sys.argv[1]) as broker:
        for _, check in checks(sys.argv[2:]):
            if run(check, broker):
                passed += 1
            else:
                failed += 1
        broker.stop()
        for line in broker.complaints():
            print(f"FAILED: the broker logged: {line}")
            failed += 1
    print(f"python: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
