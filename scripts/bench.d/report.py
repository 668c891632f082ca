"""Makes docs/performance.md, or a brief table, from the samples that scripts/bench wrote.

The samples are the rows of `holdfast bench --csv` behind comments that say what they depend on. Everything shown is a median over the repetitions.
"""

import csv
import json
import pathlib
import re
import statistics
import sys

TITLES = {
    "one": "1 producer that waits for each confirmation",
    "hundred": "100 producers, one message outstanding each",
    "hundred-consumed": "the same with 4 consumers, individual acknowledgement",
    "flight-consumed": "8 producers × 200 in flight, 4 consumers",
    "flight-volatile": "the same, non-persistent",
    "topic-4": "topic, 1 producer → 4 consumers, non-persistent",
    "topic-100": "topic, 1 producer → 100 consumers, non-persistent",
}


class Samples:
    """What one CSV file holds."""

    def __init__(self, path):
        self.facts, self.brokers, self.scenarios = {}, {}, {}
        self.skipped, self.failed, self.measured = [], [], {}
        rows = []
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("# "):
                    self.comment(line[2:].rstrip("\n"))
                else:
                    rows.append(line)
        self.rows = list(csv.DictReader(rows))

    def comment(self, text):
        key, _, value = text.partition(": ")
        kind, _, name = key.partition(" ")
        if kind == "broker":
            syncs, _, about = value.partition("; ")
            self.brokers[name] = (syncs == "yes", about)
        elif kind == "scenario":
            self.scenarios[name] = value
        elif kind == "skipped":
            self.skipped.append(value)
        elif kind == "failed":
            self.failed.append(value)
        elif kind == "measured":
            self.measured.setdefault(name.split()[0], []).append(json.loads(value))
        else:
            self.facts[key] = value

    def median(self, broker, scenario, column):
        """The median of a column, or None."""
        values = [
            float(row[column])
            for row in self.rows
            if row["broker"] == broker and row["scenario"] == scenario and row.get(column)
        ]
        return statistics.median(values) if values else None

    def has_failed(self, broker, scenario):
        return any(failed.startswith((f"{broker} {scenario} ", f"{broker} start ")) for failed in self.failed)

    def repetitions(self):
        return len({row["repetition"] for row in self.rows})

    def limit(self, name, quantile):
        values = [found["latency"][quantile] for found in self.measured.get(name, [])]
        return statistics.median(values) if values else None


def rate(value):
    return "–" if value is None else f"{value:,.0f}/s".replace(",", " ")


def time(nanoseconds):
    if nanoseconds is None:
        return "–"
    for factor, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= factor:
            return f"{nanoseconds / factor:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def mebibytes(value):
    return "–" if value is None else f"{value / 1048576:.1f} MiB"


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def per_message(samples, broker, scenario):
    """Processor time, bytes written and waits of the broker for each message sent."""
    sent = samples.median(broker, scenario, "sent")
    columns = ("process.cpu_seconds", "process.written_bytes", "process.sleeps")
    values = [samples.median(broker, scenario, column) for column in columns]
    if not sent:
        return ["–"] * 3
    cpu, written, sleeps = (None if value is None else value / sent for value in values)
    return [
        "–" if cpu is None else f"{cpu * 1e6:.1f} µs",
        "–" if written is None else f"{written:,.0f}".replace(",", " "),
        "–" if sleeps is None else f"{sleeps:.2f}",
    ]


def scenario_table(samples, scenario):
    rows = []
    for broker, (syncs, _) in samples.brokers.items():
        confirmed = samples.median(broker, scenario, "confirmed_per_second")
        if confirmed is None:
            if samples.has_failed(broker, scenario):
                rows.append([broker, "failed", *["–"] * 9])
            continue
        latency = [samples.median(broker, scenario, f"confirmation.{quantile}_ns") for quantile in ("p50", "p99", "p999", "max")]
        end_to_end = samples.median(broker, scenario, "end_to_end.p50_ns")
        rows.append(
            [
                broker + ("" if syncs else " (does not sync)"),
                rate(confirmed),
                rate(samples.median(broker, scenario, "received_per_second") or None),
                *[time(value) for value in latency],
                time(end_to_end),
                *per_message(samples, broker, scenario),
            ]
        )
    headings = ["broker", "confirmed", "received", "p50", "p99", "p99.9", "max", "end to end p50", "CPU/message", "bytes written/message", "waits/message"]
    return table(headings, rows)


def size_table(samples):
    rows = []
    for broker in samples.brokers:
        at_rest = samples.median(broker, "at-rest", "process.rss_before_bytes")
        last = [row for row in samples.rows if row["broker"] == broker]
        after = samples.median(broker, last[-1]["scenario"], "process.rss_after_bytes") if last else None
        peak = samples.median(broker, last[-1]["scenario"], "process.rss_peak_bytes") if last else None
        rows.append([broker, mebibytes(at_rest), mebibytes(after), mebibytes(peak)])
    return table(["broker", "at rest", "after all of the above", "at most"], rows)


def limits(samples):
    rows = []
    for name, title in (("disk", "direct, synchronous overwrite of 4 KiB on the same disk"), ("loopback", "round trip of 1 KiB between two threads over loopback")):
        rows.append([title, *[time(samples.limit(name, quantile)) for quantile in ("p50_ns", "p99_ns")]])
    return table(["limit", "p50", "p99"], rows)


def document(path):
    samples = Samples(path)
    facts = samples.facts
    parts = [
        "# Performance",
        f"<!-- Made by `scripts/bench report {path} > docs/performance.md`; the samples by `scripts/bench`. -->",
        "Every figure is the median of the repetitions. All brokers ran on the same machine, in turn, each in a fresh process on an empty directory, with the same client "
        "(`holdfast bench`) beside them on the same processors. The client checks every body; how it measures stands in [benchmarking.md](benchmarking.md).",
        table(["what", "value"], [[key, value] for key, value in facts.items()]),
        "## Brokers",
        table(
            ["broker", "on the disk before it confirms", "version and settings"],
            [[broker, "yes" if syncs else "no", about] for broker, (syncs, about) in samples.brokers.items()],
        ),
    ]
    if samples.skipped:
        parts.append("Not measured, because it could not be had or benched here: " + ", ".join(samples.skipped) + ".")
    parts += ["## What the machine can do", limits(samples)]
    client = [found["confirmed_per_second"] for found in samples.measured.get("client", [])]
    if client:
        parts.append(f"The client alone, 100 producers against a thread that only answers: {rate(statistics.median(client))}.")
    parts.append("## Speed")
    for scenario, flags in samples.scenarios.items():
        if any(row["scenario"] == scenario for row in samples.rows):
            parts += [f"### {TITLES.get(scenario, scenario)}", f"`holdfast bench {flags}`", scenario_table(samples, scenario)]
    profiled = pathlib.Path(path).with_name("profile.csv")
    if profiled.exists():
        parts += ["## Where the time goes", profile_table(profiled)]
    parts += ["## Memory", size_table(samples)]
    if samples.failed:
        parts += ["## Failed runs", "\n".join(f"- {failed}" for failed in samples.failed)]
    return "\n\n".join(parts) + "\n"


def profile_table(path):
    """Where Holdfast's processor time went, scenario by scenario, as `scripts/bench profile` found it."""
    samples = Samples(path)
    shares = {(row["part"], row["scenario"]): float(row["percent"]) for row in samples.rows}
    scenarios = [scenario for scenario in samples.scenarios if any(key[1] == scenario for key in shares)]
    parts = sorted({part for part, _ in shares}, key=lambda part: -max(shares.get((part, scenario), 0) for scenario in scenarios))
    lines = [
        "Percent of the processor time of the process `holdfast`, from `perf`, in a run of its own "
        f"({samples.facts['at']}, commit {samples.facts['commit']}): `scripts/bench profile {path}`. The kernel's time is that of the system calls that it was made for. "
        "How often the process waited for each message, and how much it wrote, stands in the tables above; what it writes includes segments that are filled with zeros ahead of time.",
        "",
        "| part | " + " | ".join(scenarios) + " |",
        "|---|" + "---|" * len(scenarios),
    ]
    for part in parts:
        found = [shares.get((part, scenario), 0) for scenario in scenarios]
        if max(found) >= 0.5:
            lines.append(f"| {part} | " + " | ".join(f"{share:.1f}" for share in found) + " |")
    return "\n".join(lines)


def brief(path):
    """One line for each scenario and broker, for a terminal."""
    samples = Samples(path)
    lines = [f"Medians of {samples.repetitions()}:"]
    for scenario in samples.scenarios:
        for broker in samples.brokers:
            confirmed = samples.median(broker, scenario, "confirmed_per_second")
            if confirmed is None:
                continue
            received = samples.median(broker, scenario, "received_per_second") or None
            p50, p99 = (samples.median(broker, scenario, f"confirmation.{quantile}_ns") for quantile in ("p50", "p99"))
            lines.append(f"  {scenario:<17} {broker:<9} {rate(confirmed):>12} in {rate(received):>12} out  p50 {time(p50):>8}  p99 {time(p99):>8}")
    for name in ("disk", "loopback"):
        lines.append(f"  {name:<17} p50 {time(samples.limit(name, 'p50_ns'))}, p99 {time(samples.limit(name, 'p99_ns'))}")
    lines.append(re.sub(r"(?m)^", "  ", size_table(samples)))
    return "\n".join(lines) + "\n"


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--brief":
        sys.stdout.write(brief(arguments[1]))
    elif len(arguments) == 1:
        sys.stdout.write(document(arguments[0]))
    else:
        sys.exit("usage: report.py [--brief] CSV")


if __name__ == "__main__":
    main(sys.argv[1:])
