//! The keys of a report are a contract.

use hubbub_loadtest::measure::Latencies;
use hubbub_loadtest::report::{Report, Sample};
use serde_json::{Value, json};

const KEYS: [&str; 20] = [
    "scenario",
    "valid",
    "seconds",
    "clients",
    "sent",
    "acked",
    "unknown",
    "refused",
    "delivered",
    "lost",
    "doubled",
    "reordered",
    "gaps",
    "send_rate",
    "delivery_rate",
    "ack_us",
    "deliver_us",
    "server",
    "floor",
    "ratio",
];

#[test]
fn every_promised_key_is_there_and_what_was_not_measured_is_null() {
    let report = serde_json::to_value(Report::default()).expect("a report is JSON");
    for key in KEYS {
        assert!(report.get(key).is_some(), "{key} is missing");
    }
    for key in ["send_rate", "delivery_rate", "ack_us", "deliver_us", "floor", "ratio"] {
        assert_eq!(report[key], Value::Null, "{key}");
    }
    for key in
        ["cpu_us_per_send", "cpu_us_per_delivery", "rss_kib", "rss_kib_per_connection", "kernel_kib_per_connection"]
    {
        assert_eq!(report["server"].get(key), Some(&Value::Null), "server.{key}");
    }
}

#[test]
fn the_keys_of_many_nodes_are_there_and_what_was_not_measured_is_null() {
    let report = serde_json::to_value(Report::default()).expect("a report is JSON");
    for key in ["gap_us", "deliver_cross_us", "deliver_same_us", "presence", "counters"] {
        assert_eq!(report.get(key), Some(&Value::Null), "{key}");
    }
    for key in ["clients_cut", "reconnects_in_100_ms", "nodes", "deferred"] {
        assert!(report.get(key).is_some(), "{key} is missing");
    }
}

#[test]
fn latencies_have_the_promised_percentiles() {
    let mut latencies = Latencies::default();
    for ms in 1..=1_000 {
        latencies.record(5, 5 + ms * 1_000_000);
    }
    let report = Report { ack_us: latencies.percentiles(), ..Report::default() };
    let report = serde_json::to_value(report).expect("a report is JSON");
    let near = |key: &str, us: u64| {
        let found = report["ack_us"][key].as_u64().expect("a number");
        assert!(found.abs_diff(us) <= us / 500, "{key} is {found}, not about {us}");
    };
    near("p50", 500_000);
    near("p90", 900_000);
    near("p99", 990_000);
    near("p999", 999_000);
    near("max", 1_000_000);
    assert_eq!(Latencies::default().percentiles().map(|_| ()), None);
}

#[test]
fn only_a_clean_ledger_and_a_generator_that_kept_up_pass() {
    let good = Report { valid: true, ..Report::default() };
    assert!(good.passed());
    let bad: [fn(&mut Report); 7] = [
        |report| report.valid = false,
        |report| report.lost = 1,
        |report| report.doubled = 1,
        |report| report.reordered = 1,
        |report| report.gaps = 1,
        |report| report.false_ = 1,
        |report| report.unknown = 1,
    ];
    for spoil in bad {
        let mut report = good.clone();
        spoil(&mut report);
        assert!(!report.passed(), "{:?}", json!(report));
    }
}

#[test]
fn the_text_names_the_verdict_and_the_findings() {
    let mut report = Report { scenario: "chatter".to_owned(), valid: true, ..Report::default() };
    assert!(report.to_string().starts_with("chatter: passed"));
    report.invalid("the generator lagged");
    let text = report.to_string();
    assert!(text.starts_with("chatter: FAILED") && text.contains("note: the generator lagged"), "{text}");
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_shows_what_was_said_without_obeying_it() {
    let mut report = Report { scenario: "chatter".to_owned(), valid: true, ..Report::default() };
    report.deliver_distribution = vec![(100, 90), (1_000, 9), (20_000, 1)];
    report.series = (1..=3_u32)
        .map(|second| Sample { at: f64::from(second), deliveries: 1e5, rss_kib: Some(50_000), ..Sample::default() })
        .collect();
    report.notes.push("<script>alert(1)</script>".to_owned());
    let page = report.page();
    assert_eq!(page.matches("<svg").count(), 3, "latency, rates and memory; of CPU and rounds nothing is known");
    for foreign in ["<script", "src=", "href=", "http://", "https://", "NaN", "inf "] {
        assert!(!page.contains(foreign), "{foreign} is in the page");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}
