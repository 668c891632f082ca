"""Says where a broker's processor time went, from the samples of `perf script -F ip,sym` on standard input.

Usage: profile.py SCENARIO. Prints rows of CSV: scenario,part,percent. A sample in the kernel belongs to the system call that it was made for; one outside of it to the crate of the innermost function that has one.
"""

import collections
import csv
import re
import sys

CALLS = [
    ("kernel: sockets", r"send|recv|accept|shutdown|setsockopt"),
    ("kernel: disk", r"pwrite|pread|fsync|fdatasync|fallocate|openat|link|ftruncate|fstat|write$|read$"),
    ("kernel: waking threads and waiting", r"futex|epoll|poll|nanosleep|sched|eventfd"),
]
CRATES = {
    "wire": "protocol (wire)",
    "message": "messages, selectors (message)",
    "record": "records (record)",
    "engine": "engine",
    "journal": "journal",
    "leadership": "leadership",
    "node": "node",
    "platform": "disk threads (platform)",
    "holdfast": "sockets and event loop (broker)",
    "tokio": "event loop (tokio, mio)",
    "mio": "event loop (tokio, mio)",
    "crc32fast": "checksums (crc32fast)",
}
CRATE = re.compile(r"\b(" + "|".join(CRATES) + r")::")
CALL = re.compile(r"__x64_sys_(\w+)|__arm64_sys_(\w+)")
ALLOCATION = re.compile(r"^_?mi_|^(malloc|free|calloc|realloc|__rust_\w*alloc\w*)$")
COPY = re.compile(r"mem(cpy|move|set|cmp|chr)")


def samples(lines):
    """The stacks, innermost function first: (address, symbol)."""
    stack = []
    for line in lines:
        found = re.match(r"\s+([0-9a-f]+) (.*)", line)
        if found:
            stack.append((int(found[1], 16), found[2]))
        elif stack:
            yield stack
            stack = []
    if stack:
        yield stack


def part(stack):
    """What the innermost function of a stack works for."""
    in_kernel = stack[0][0] >= 1 << 63
    if in_kernel:
        for _, symbol in stack:
            call = CALL.search(symbol)
            if call:
                name = call[1] or call[2]
                return next((title for title, pattern in CALLS if re.search(pattern, name)), "kernel: other calls")
        return "kernel: interrupts, page faults"
    if ALLOCATION.search(stack[0][1]):
        return "memory (mimalloc)"
    if COPY.search(stack[0][1]):
        return "copying and comparing bytes"
    for _, symbol in stack:
        crate = CRATE.search(symbol)
        if crate:
            return CRATES[crate[1]]
    return "other libraries"


def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: profile.py SCENARIO")
    counts = collections.Counter(part(stack) for stack in samples(sys.stdin))
    total = sum(counts.values())
    if total < 100:
        sys.exit(f"profile.py: {total} samples are too few")
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerows((arguments[0], name, f"{100 * count / total:.1f}") for name, count in counts.most_common())


if __name__ == "__main__":
    main(sys.argv[1:])
