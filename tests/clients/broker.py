"""A broker for clients to talk to: the shipped binary, in a directory and on ports of its own.

Owns the process from its start to its end; whoever uses it as a context manager leaves no process and no file behind. A broker that starts again has the ports that it had.
Needs nothing but Python's own library, so that rounds in other languages can use it (with_broker.py).
"""

import ctypes
import json
import os
import pathlib
import signal
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Serving is promised within a second; a busy machine gets more.
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30

PR_SET_PDEATHSIG = 1


def die_with_parent():
    """Runs in the child before the broker does: should this test be killed, the broker is too."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def environment():
    """This process's, without the settings of a broker that somebody may have put there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}


class Broker:
    """A running broker. `port` is that of STOMP."""

    def __init__(self, binary):
        self.binary = str(pathlib.Path(binary).resolve())
        self.directory = tempfile.TemporaryDirectory(prefix="holdfast-clients-")
        self.data = os.path.join(self.directory.name, "data")
        self.log = os.path.join(self.directory.name, "log")
        self.port = self.admin_port = 0
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()

    def start(self):
        """Returns when the broker serves. The first start takes any free ports, the next ones take the same again."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "run", "--data", self.data]
                + ["--listen", f"stomp://127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin_port}"]
                # Expired messages should not keep a test waiting for the half minute of the default.
                + ["--expiry-interval", "100ms", "--log-format", "json"],
                env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        # The claim of an earlier broker still stands in the directory, so the answer has to be this one's.
        status = {}
        for _ in range(100):
            answer = self.command("status", "--json", "--wait", f"{START_SECONDS_MAX}s", check=False)
            status = json.loads(answer.stdout) if answer.returncode == 0 else {}
            if status.get("pid") == self.process.pid or self.process.poll() is not None:
                break
        if status.get("pid") != self.process.pid:
            raise RuntimeError(f"the broker does not serve; its log says:\n{self.log_text()}")
        self.port = int(status["listeners"][0].rsplit(":", 1)[1])
        self.admin_port = int(status["admin"].rsplit(":", 1)[1])

    def stop(self):
        """As an operator ends it."""
        self.process.terminate()
        code = self.process.wait(STOP_SECONDS_MAX)
        if code != 0:
            raise RuntimeError(f"the broker ended with {code} after SIGTERM; its log says:\n{self.log_text()}")

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def command(self, *arguments, check=True):
        """Runs the command line against this broker; the completed process, with its output as text."""
        return subprocess.run(
            [self.binary, *arguments, "--data", self.data],
            env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=check, timeout=2 * START_SECONDS_MAX)

    def waiting(self, queue):
        """How many messages wait in the queue, those included that a consumer holds."""
        listed = json.loads(self.command("destinations", "list", "--json").stdout)
        return sum(row["messages"] for row in listed["destinations"] if row["name"] == f"queue://{queue}")

    def log_text(self):
        return pathlib.Path(self.log).read_text(errors="replace")

    def complaints(self):
        """The lines of the log that ask for attention. A test in which nothing was broken expects none."""
        complaints = []
        for line in self.log_text().splitlines():
            try:
                level = json.loads(line).get("level")
            except ValueError:
                level = None  # not one of the broker's own: a panic, say
            if level not in ("INFO", "DEBUG", "TRACE"):
                complaints.append(line)
        return complaints
