//! A report as one page that needs nothing from elsewhere: a table, plots, the text and the JSON.

use super::plot::{Plot, Scale};
use super::{Report, Sample};
use crate::measure::as_f64;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2330; --dim: #68707d; --line: #e1e4ea; --paper: #fff; --card: #f6f7f9;
  --c0: #2563c9; --c1: #c2410c; --c2: #15803d; --c3: #8b3fc2; --good: #15803d; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a1b0; --line: #333a46; --paper: #14171c;
  --card: #1c2027; --c0: #6ea8ff; --c1: #ff9a5c; --c2: #5fd38a; --c3: #c99bf2; --good: #5fd38a; --bad: #ff8080; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; max-width: 1080px;
  padding: 0 1rem; }
h1 { font-size: 1.4rem; } .good { color: var(--good); } .bad { color: var(--bad); } .dim { color: var(--dim); }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: .6rem; }
.figures div, figure { background: var(--card); border-radius: 8px; padding: .6rem .8rem; margin: 0; }
.figures b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); gap: .8rem; margin: 1rem 0; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
svg .title { font-weight: 600; font-size: 12px; fill: var(--ink); } .end { text-anchor: end; } .mid { text-anchor: middle; }
.grid { stroke: var(--line); fill: none; } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
svg .t0 { fill: var(--c0); } svg .t1 { fill: var(--c1); } svg .t2 { fill: var(--c2); } svg .t3 { fill: var(--c3); }
pre { background: var(--card); border-radius: 8px; padding: .8rem; overflow-x: auto; font-size: 12px; }
";

/// Kibibytes in a mebibyte.
const KIB: f64 = 1_024.0;

impl Report {
    /// The whole page.
    pub fn page(&self) -> String {
        let (class, verdict) = if self.passed() { ("good", "passed") } else { ("bad", "FAILED") };
        let figures: Vec<String> = self.figures().into_iter().map(|(name, value)| figure(name, &value)).collect();
        let plots: Vec<String> = self.plots().iter().filter_map(Plot::draw).collect();
        let (figures, plots) = (figures.concat(), plots.join("</figure><figure>"));
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        let (name, text, json) = (escaped(&self.scenario), escaped(&self.to_string()), escaped(&json));
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{name}: {verdict}</title><style>{STYLE}</style>\
             <h1>{name} <span class=\"{class}\">{verdict}</span></h1>\
             <p class=\"dim\">{} sockets, {:.1} s measured, seed {}</p>\
             <div class=\"figures\">{figures}</div><div class=\"plots\"><figure>{plots}</figure></div>\
             <pre>{text}</pre><details><summary>JSON</summary><pre>{json}</pre></details></html>\n",
            self.clients, self.seconds, self.seed
        )
    }

    fn figures(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<f64>, unit: &str| value.map(|value| format!("{value:.2} {unit}"));
        let ms = |us: Option<u64>| us.map(|us| format!("{:.2} ms", as_f64(us) / 1_000.0));
        let figures = [
            ("sends a second", number(self.send_rate, "")),
            ("deliveries a second", number(self.delivery_rate, "")),
            ("ack p99", ms(self.ack_us.map(|found| found.p99))),
            ("delivery p99", ms(self.deliver_us.map(|found| found.p99))),
            ("server CPU a send", number(self.server.cpu_us_per_send, "µs")),
            ("server CPU a delivery", number(self.server.cpu_us_per_delivery, "µs")),
            ("server memory", self.server.rss_kib.map(|kib| format!("{:.1} MiB", as_f64(kib) / KIB))),
            ("memory a connection", number(self.server.rss_kib_per_connection, "KiB")),
            (self.beside().0, self.ratio_interval.map(|interval| interval.to_string())),
        ];
        let ledger = ("ledger", Some(if self.is_clean() { "clean".to_owned() } else { "broken".to_owned() }));
        let all = std::iter::once(ledger).chain(figures);
        all.filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// What the rounds are compared with, in a figure and in a plot.
    const fn beside(&self) -> (&'static str, &'static str) {
        if self.floor.is_some() { ("times the floor", "floor") } else { ("times the same without", "without") }
    }

    fn plots(&self) -> [Plot; 5] {
        let over_time = |value: fn(&Sample) -> Option<f64>| {
            self.series.iter().filter_map(|sample| Some((sample.at, value(sample)?))).collect::<Vec<_>>()
        };
        let time = ("seconds", Scale::Linear);
        let mib = |kib: u64| as_f64(kib) / KIB;
        let round = |value: fn(&super::Round) -> f64| {
            let rounds = self.rounds.iter().zip(1_u32..);
            rounds.map(|(round, number)| (f64::from(number), value(round))).collect::<Vec<_>>()
        };
        [
            Plot {
                title: "Latency by percentile, ms",
                across: ("percentile", Scale::Nines),
                up: Scale::Log,
                lines: vec![("ack", shares(&self.ack_distribution)), ("delivery", shares(&self.deliver_distribution))],
            },
            Plot {
                title: "A second",
                across: time,
                up: Scale::Linear,
                lines: vec![
                    ("sends", over_time(|sample| Some(sample.sends))),
                    ("deliveries", over_time(|sample| Some(sample.deliveries))),
                ],
            },
            Plot {
                title: "Memory, MiB",
                across: time,
                up: Scale::Linear,
                lines: vec![
                    ("server", self.series.iter().filter_map(|s| Some((s.at, mib(s.rss_kib?)))).collect()),
                    ("sockets", self.series.iter().filter_map(|s| Some((s.at, mib(s.socket_memory_kib?)))).collect()),
                ],
            },
            Plot {
                title: "CPU, % of a core",
                across: time,
                up: Scale::Linear,
                lines: vec![
                    ("server", over_time(|sample| sample.cpu_percent)),
                    ("generator", over_time(|sample| sample.generator_percent)),
                ],
            },
            Plot {
                title: "Each round, µs",
                across: ("round", Scale::Linear),
                up: Scale::Linear,
                lines: vec![("scenario", round(|round| round.figure)), (self.beside().1, round(|round| round.floor))],
            },
        ]
    }
}

/// A distribution as the milliseconds below which a share of all lies.
fn shares(distribution: &[(u64, u64)]) -> Vec<(f64, f64)> {
    let all: u64 = distribution.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    let steps = distribution.iter().map(|(us, count)| {
        let point = (as_f64(below) / as_f64(all), as_f64((*us).max(1)) / 1_000.0);
        below += count;
        point
    });
    steps.collect()
}

fn figure(name: &str, value: &str) -> String {
    format!("<div><span class=\"dim\">{name}</span><b>{}</b></div>", escaped(value))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
