//! The rows of the lab's table: what is run against which server, and which figures of its report are held to what.

use super::child::Told;
use super::stand::Store;

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Budget {
    AtMost(f64),
    AtLeast(f64),
    /// It is told, and nothing is asked of it.
    Told,
}

impl Budget {
    pub(super) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::Told => true,
        }
    }

    pub(super) fn words(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most}"),
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::Told => String::new(),
        }
    }
}

/// How a figure follows from the number at a place of the report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// As it is, divided by so much.
    By(f64),
    /// It is microseconds of CPU for one: so many a second fill one core.
    PerCore,
}

/// One figure of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pointer: &'static str,
    form: Form,
    pub(super) unit: &'static str,
    pub(super) budget: Budget,
}

impl Figure {
    pub(super) fn of(&self, told: &Told) -> Option<f64> {
        let number = told.number(self.pointer)?;
        Some(match self.form {
            Form::By(by) => number / by,
            Form::PerCore => 1e6 / number,
        })
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// By which it is chosen.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) what: &'static str,
    pub(super) store: Store,
    /// Servers that share its sockets.
    pub(super) servers: usize,
    /// As they stand after `loadtest`.
    pub(super) words: &'static [&'static str],
    pub(super) figures: &'static [Figure],
    /// It is run only if it is named.
    pub(super) is_long: bool,
}

const fn figure(name: &'static str, pointer: &'static str, form: Form, unit: &'static str, budget: Budget) -> Figure {
    Figure { name, pointer, form, unit, budget }
}

const fn row(
    name: &'static str,
    what: &'static str,
    store: Store,
    words: &'static [&'static str],
    figures: &'static [Figure],
) -> Row {
    Row { name, what, store, servers: 1, words, figures, is_long: false }
}

const AS_IS: Form = Form::By(1.0);
const IN_MS: Form = Form::By(1_000.0);

/// All rows, in the order in which they are run.
pub(super) const ROWS: &[Row] = &[
    row(
        "fan_out_1",
        "CPU a delivery, room of 1,000, 128 B, one message out",
        Store::Sqlite,
        &["fan_out", "--members", "1000", "--people", "20", "--payload", "128", "--window", "1", "--seconds", "14"],
        &[
            figure("times a bare send()", "/ratio", AS_IS, "", Budget::AtMost(1.25)),
            figure("CPU a delivery", "/server/cpu_us_per_delivery", AS_IS, "µs", Budget::Told),
        ],
    ),
    row(
        "fan_out_16",
        "the same with 16 messages out",
        Store::Sqlite,
        &["fan_out", "--members", "1000", "--people", "20", "--payload", "128", "--window", "16", "--seconds", "14"],
        &[
            figure("times a joined send()", "/ratio", AS_IS, "", Budget::AtMost(1.5)),
            figure("CPU a delivery", "/server/cpu_us_per_delivery", AS_IS, "µs", Budget::Told),
        ],
    ),
    row(
        "ack_memory",
        "acks from memory, 64 senders, 8 deep",
        Store::Memory,
        &["ack", "--people", "8", "--payload", "64", "--seconds", "7"],
        &[
            figure("acks per core", "/server/cpu_us_per_send", Form::PerCore, "/s", Budget::AtLeast(500_000.0)),
            figure("acks", "/send_rate", AS_IS, "/s", Budget::Told),
        ],
    ),
    row(
        "connect",
        "logins (EdDSA), server on one core",
        Store::Sqlite,
        &["connect", "--seconds", "14"],
        &[
            figure("logins per core", "/extra/cpu_us_per_connect", Form::PerCore, "/s", Budget::AtLeast(14_000.0)),
            figure("logins", "/extra/connect_rate", AS_IS, "/s", Budget::Told),
        ],
    ),
    row(
        "ack",
        "synced acks over sockets, embedded store, 64 senders, 8 deep",
        Store::Sqlite,
        &["ack", "--people", "8", "--seconds", "14"],
        &[
            figure("acks", "/send_rate", AS_IS, "/s", Budget::AtLeast(50_000.0)),
            figure("CPU an ack", "/server/cpu_us_per_send", AS_IS, "µs", Budget::AtMost(18.0)),
            figure("p99", "/ack_us/p99", IN_MS, "ms", Budget::Told),
        ],
    ),
    row(
        "ack_one",
        "one sender, each ack awaited",
        Store::Sqlite,
        &["ack_one", "--seconds", "14"],
        &[
            figure("times fdatasync and a round trip", "/ratio", AS_IS, "", Budget::AtMost(1.5)),
            figure("median", "/ack_us/p50", IN_MS, "ms", Budget::Told),
        ],
    ),
    row(
        "knee",
        "send to delivery, rooms of 10, at half of the knee",
        Store::Sqlite,
        &["knee", "--seconds", "10"],
        &[
            figure("p99", "/deliver_us/p99", IN_MS, "ms", Budget::AtMost(10.0)),
            figure("knee", "/extra/knee_sends_per_second", AS_IS, "sends/s", Budget::Told),
        ],
    ),
    row(
        "reconnect_storm",
        "20 % of 19,000 clients at once",
        Store::Sqlite,
        &["reconnect_storm", "--clients", "19000", "--per-person", "500", "--shares", "20", "--max-late", "100"],
        &[
            figure("longest shut door", "/extra/storms/0/longest_door_ms", AS_IS, "ms", Budget::AtMost(250.0)),
            figure("all live again", "/extra/storms/0/all_live_ms", IN_MS, "s", Budget::AtMost(10.0)),
            figure("lost", "/lost", AS_IS, "", Budget::AtMost(0.0)),
        ],
    ),
    row(
        "reconnect_all",
        "all of 19,000 clients at once",
        Store::Sqlite,
        &["reconnect_storm", "--clients", "19000", "--per-person", "500", "--shares", "100", "--max-late", "100"],
        &[
            figure("longest shut door", "/extra/storms/0/longest_door_ms", AS_IS, "ms", Budget::Told),
            figure("all live again", "/extra/storms/0/all_live_ms", IN_MS, "s", Budget::Told),
            figure("lost", "/lost", AS_IS, "", Budget::AtMost(0.0)),
        ],
    ),
    row(
        "slow_reader",
        "10 % of a room stop reading",
        Store::Sqlite,
        &["slow_reader", "--readers", "45", "--slow", "5"],
        &[figure("p99 of the others moves", "/extra/p99_moved_percent", AS_IS, "%", Budget::AtMost(20.0))],
    ),
    row(
        "typing_storm",
        "1,000 people type in a room of 1,000",
        Store::Sqlite,
        &["typing_storm", "--rate", "40", "--seconds", "210"],
        &[figure("p99 of messages moves", "/extra/p99_moved_percent", AS_IS, "%", Budget::AtMost(20.0))],
    ),
    Row {
        servers: 3,
        ..row(
            "idle_50k",
            "50,000 idle sockets, one conversation each",
            Store::Sqlite,
            &["idle_crowd", "--clients", "50000", "--per-person", "100", "--seconds", "5"],
            &[
                figure("memory a socket", "/server/rss_kib_per_connection", AS_IS, "KiB", Budget::AtMost(4.0)),
                figure("kernel a socket", "/server/kernel_kib_per_connection", AS_IS, "KiB", Budget::Told),
            ],
        )
    },
    Row {
        servers: 6,
        ..row(
            "idle_100k",
            "100,000 idle sockets with heartbeats, then 50 messages a second from 10,000 of them, each to some 400 sockets",
            Store::Sqlite,
            &[
                "idle_crowd",
                "--clients",
                "100000",
                "--per-person",
                "200",
                "--seconds",
                "30",
                "--chatting",
                "10000",
                "--rate",
                "50",
            ],
            &[
                figure("memory", "/extra/rss_kib_idle", Form::By(1_000.0), "MB", Budget::AtMost(450.0)),
                figure("CPU while idle", "/extra/idle_cpu_percent", AS_IS, "% of a core", Budget::AtMost(5.0)),
                figure("p99 of the chat", "/deliver_us/p99", IN_MS, "ms", Budget::Told),
            ],
        )
    },
    Row {
        is_long: true,
        ..row(
            "soak",
            "half an hour of the same",
            Store::Sqlite,
            &["soak", "--seconds", "1800"],
            &[figure("memory grows", "/extra/rss_percent_an_hour", AS_IS, "%/h", Budget::AtMost(1.0))],
        )
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn every_row_is_a_scenario_that_there_is() {
        for row in ROWS {
            assert!(cli::scenario(row.words).is_ok(), "{}", row.name);
        }
    }

    #[test]
    fn a_budget_is_met_from_the_right_side() {
        assert!(Budget::AtMost(4.0).is_met(4.0) && !Budget::AtMost(4.0).is_met(4.1));
        assert!(Budget::AtLeast(4.0).is_met(4.0) && !Budget::AtLeast(4.0).is_met(3.9));
    }
}
