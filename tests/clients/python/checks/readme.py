"""The README's Python, as it stands there."""

import os
import re
import subprocess
import sys

from broker import ROOT

PORT = 61613  # the README's

# Runs the text unchanged, in a process of its own, as `python FILE` does; only the port leads to this test's broker.
REDIRECTED = """
import socket, sys
connect = socket.socket.connect
def redirected(self, address):
    return connect(self, (address[0], int(sys.argv[1])) if address[1] == %d else address)
socket.socket.connect = redirected
exec(compile(sys.stdin.read(), "README.md", "exec"), {"__name__": "__main__"})
""" % PORT


def _snippet():
    section = (ROOT / "README.md").read_text().split("## From another language\n")[1].split("\n## ")[0]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1], re.search(r"It prints:\n\n```\n(.*?)```", section, re.DOTALL)[1]


def the_python_of_the_readme_does_what_it_says(broker):
    snippet, printed = _snippet()
    assert f'"127.0.0.1", {PORT}' in snippet
    result = subprocess.run(
        [sys.executable, "-c", REDIRECTED, str(broker.port)],
        input=snippet, env=dict(os.environ), capture_output=True, text=True, timeout=20)
    assert result.returncode == 0, result.stderr
    assert (result.stdout, result.stderr) == (printed, ""), (result.stdout, result.stderr)
    assert broker.waiting("hello") == 0
