//! The same moderate load for a long time: what grows that should not.
//!
//! Open loop over small conversations. The server's memory and descriptors are looked at all the while; the slope of
//! the second half, in which caches are full and the allocator has settled, is reported by the hour.

use std::collections::BTreeMap;

use serde_json::json;

use crate::measure::as_f64;
use crate::options::Common;
use crate::pacer::{Seeded, Spread};
use crate::report::{Report, Sample};
use crate::run::{Crew, Order, Run, percent_an_hour};

/// The options of `soak`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// People, each with one socket.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    clients: u32,
    /// Members of each conversation.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=500))]
    members: u32,
    /// Messages a second, over all.
    #[arg(long, value_name = "N", default_value_t = 200.0)]
    rate: f64,
    /// Of a thousand messages, how many are followed by a lost connection of some client.
    #[arg(long, value_name = "N", default_value_t = 1)]
    drops: u32,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let run = Run::new(common).await?;
    let clients = args.clients as usize;
    let (crew, conversations) = Crew::in_rooms(&run, clients, args.members as usize).await?;
    let mut seeded = Seeded::new(common.seed);
    let pick = || {
        if seeded.below(1_000) < args.drops as usize {
            crew.order(seeded.below(clients), Order::Drop);
        }
        (seeded.below(clients), 0)
    };
    crew.conduct(common.warming(), args.rate, Spread::Random, pick).await?;
    let mut report = crew.finish("soak", &conversations).await?;
    let slopes = slopes(&report.series);
    report.extra.extend(slopes);
    Ok(report)
}

/// What the second half of a run says of memory and descriptors.
fn slopes(series: &[Sample]) -> BTreeMap<String, serde_json::Value> {
    let late = series.get(series.len() / 2..).unwrap_or_default();
    let of = |value: fn(&Sample) -> Option<u64>| {
        late.iter().filter_map(|sample| Some((sample.at, as_f64(value(sample)?)))).collect::<Vec<_>>()
    };
    let bounds = |points: &[(f64, f64)]| {
        let values = points.iter().map(|point| point.1);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max))
    };
    let (rss, descriptors) = (of(|sample| sample.rss_kib), of(|sample| sample.descriptors));
    let mut said = BTreeMap::new();
    said.insert("rss_percent_an_hour".to_owned(), json!(percent_an_hour(&rss)));
    if !descriptors.is_empty() {
        let (least, most) = bounds(&descriptors);
        said.insert("descriptors_least_and_most".to_owned(), json!([least, most]));
    }
    said
}
