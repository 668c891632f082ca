//! What is counted and timed in the measured part of a run.
//!
//! Latencies go into histograms of three significant digits. Invariant: an event counts if and only if it lies in the window, whatever the warm-up and the end of the run bring.
//! Tests: below.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that is told apart from longer ones, in nanoseconds: an hour.
const NANOSECONDS_MAX: u64 = 3_600_000_000_000;

/// Times of one kind.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    histogram: Histogram<u64>,
}

/// What is shown of them, in nanoseconds; nothing if there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct LatencySummary {
    /// How many.
    pub(super) count: u64,
    /// Half took at most this.
    pub(super) p50_ns: Option<u64>,
    /// 99 of 100 took at most this.
    pub(super) p99_ns: Option<u64>,
    /// 999 of 1000 took at most this.
    pub(super) p999_ns: Option<u64>,
    /// The longest.
    pub(super) max_ns: Option<u64>,
}

impl Latencies {
    pub(super) fn new() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, NANOSECONDS_MAX, 3);
        Latencies {
            histogram: histogram.expect("1 ns to an hour at three digits is a range that a histogram can have"),
        }
    }

    /// Takes one time in.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.histogram.saturating_record(nanoseconds.max(1));
    }

    pub(super) fn summary(&self) -> LatencySummary {
        let histogram = &self.histogram;
        let some = |value| (!histogram.is_empty()).then_some(value);
        LatencySummary {
            count: histogram.len(),
            p50_ns: some(histogram.value_at_quantile(0.5)),
            p99_ns: some(histogram.value_at_quantile(0.99)),
            p999_ns: some(histogram.value_at_quantile(0.999)),
            max_ns: some(histogram.max()),
        }
    }

    pub(super) fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }
}

/// When the measured part begins and ends, in nanoseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// The warm-up.
    NotYet,
    /// Until a moment.
    Until { start: u64, end: u64 },
    /// Until the last event.
    Open { start: u64 },
    /// Over.
    Closed { start: u64, end: u64 },
}

/// Counts and times of a run.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    window: Window,
    /// When the last counted event was.
    last: u64,
    /// Messages sent.
    pub(super) sent: u64,
    /// Messages confirmed.
    pub(super) confirmed: u64,
    /// Deliveries.
    pub(super) received: u64,
    /// From sending to the receipt.
    pub(super) confirmation: Latencies,
    /// From sending to the delivery.
    pub(super) end_to_end: Latencies,
}

impl Measurement {
    pub(super) fn new() -> Measurement {
        Measurement {
            window: Window::NotYet,
            last: 0,
            sent: 0,
            confirmed: 0,
            received: 0,
            confirmation: Latencies::new(),
            end_to_end: Latencies::new(),
        }
    }

    /// Counting begins; `end`: until then, or until [`Measurement::close`].
    pub(super) fn begin(&mut self, start: u64, end: Option<u64>) {
        self.last = start;
        self.window = match end {
            Some(end) => Window::Until { start, end },
            None => Window::Open { start },
        };
    }

    /// Counting ends: at the end that was fixed, or with the last event, if none was. `now` cuts a fixed end short.
    pub(super) fn close(&mut self, now: u64) {
        self.window = match self.window {
            Window::NotYet => Window::Closed { start: now, end: now },
            Window::Until { start, end } => Window::Closed {
                start,
                end: end.min(now).max(start),
            },
            Window::Open { start } => Window::Closed { start, end: self.last },
            Window::Closed { start, end } => Window::Closed { start, end },
        };
    }

    /// The length of the measured part, in nanoseconds; 0 until it is closed.
    pub(super) fn nanoseconds(&self) -> u64 {
        match self.window {
            Window::NotYet | Window::Until { .. } | Window::Open { .. } => 0,
            Window::Closed { start, end } => end - start,
        }
    }

    fn counts(&mut self, now: u64) -> bool {
        let counts = match self.window {
            Window::NotYet | Window::Closed { .. } => false,
            Window::Until { start, end } => (start..end).contains(&now),
            Window::Open { start } => now >= start,
        };
        if counts {
            self.last = self.last.max(now);
        }
        counts
    }

    /// A message was sent.
    pub(super) fn sending(&mut self, now: u64) {
        self.sent += u64::from(self.counts(now));
    }

    /// A message was confirmed.
    pub(super) fn confirmed(&mut self, now: u64, sent_at: u64) {
        if self.counts(now) {
            self.confirmed += 1;
            self.confirmation.record(now.saturating_sub(sent_at));
        }
    }

    /// A message was delivered.
    pub(super) fn received(&mut self, now: u64, sent_at: u64) {
        if self.counts(now) {
            self.received += 1;
            self.end_to_end.record(now.saturating_sub(sent_at));
        }
    }
}

/// So many in so many nanoseconds, as a rate per second.
pub(super) fn per_second(count: u64, nanoseconds: u64) -> f64 {
    match nanoseconds {
        0 => 0.0,
        nanoseconds => count as f64 * 1e9 / nanoseconds as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.summary(), LatencySummary::default());
        (1..=10_000u64).for_each(|value| latencies.record(value * 1000));
        latencies.record(0);
        let summary = latencies.summary();
        let close = |found: Option<u64>, expected: f64| {
            let found = found.unwrap() as f64;
            assert!(
                (found - expected).abs() <= expected * 0.001,
                "{found} is not about {expected}"
            );
        };
        assert_eq!(summary.count, 10_001);
        close(summary.p50_ns, 5_000e3);
        close(summary.p99_ns, 9_900e3);
        close(summary.p999_ns, 9_990e3);
        close(summary.max_ns, 10_000e3);
    }

    #[test]
    fn only_what_lies_in_the_window_counts() {
        let mut measurement = Measurement::new();
        measurement.sending(50);
        measurement.begin(100, Some(200));
        for now in [99, 100, 150, 199, 200, 250] {
            measurement.sending(now);
            measurement.confirmed(now, 90);
            measurement.received(now, 90);
        }
        measurement.close(300);
        measurement.received(150, 90);
        assert_eq!(
            (measurement.sent, measurement.confirmed, measurement.received),
            (3, 3, 3)
        );
        assert_eq!(measurement.nanoseconds(), 100);
        assert_eq!(measurement.confirmation.summary().max_ns, Some(109));
        assert_eq!(per_second(measurement.sent, measurement.nanoseconds()), 3e7);
    }

    #[test]
    fn a_window_without_a_fixed_end_ends_with_the_last_event() {
        let mut measurement = Measurement::new();
        measurement.begin(100, None);
        measurement.confirmed(500, 200);
        measurement.close(900);
        assert_eq!((measurement.nanoseconds(), measurement.confirmed), (400, 1));
    }

    #[test]
    fn a_run_that_is_cut_short_is_measured_to_where_it_was_cut() {
        let mut measurement = Measurement::new();
        measurement.begin(100, Some(1000));
        measurement.sending(300);
        measurement.close(400);
        assert_eq!(measurement.nanoseconds(), 300);
        let mut never = Measurement::new();
        never.close(5);
        assert_eq!(per_second(never.sent, never.nanoseconds()), 0.0);
    }
}
