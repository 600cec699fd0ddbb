//! What a run comes to: the report's figures out of the ledger, the histograms and the looks at both processes.

use std::time::Duration;

use super::crew::ORDERS_MAX;
use super::{Run, Window, as_f64, counters, per};
use crate::ledger::Findings;
use crate::report::{Generator, Report};

impl Run {
    pub(super) fn report(&self, report: &mut Report, findings: &Findings) {
        report.enter(self.ledger.borrow().counts(), findings);
        let window = *self.window.borrow();
        let seconds = Duration::from_nanos(window.ended_ns.saturating_sub(window.began_ns)).as_secs_f64();
        report.seconds = seconds;
        report.seed = self.common.seed;
        report.urls.clone_from(&self.common.url);
        report.reconnects = self.reconnects.get();
        report.deferred.clone_from(&self.deferred.borrow());
        self.nodes.borrow().report(report);
        if let (Some(before), Some(after)) = &*self.looks.borrow() {
            report.counters = Some(counters::report(before, after, report.acked));
        }
        report.ack_us = self.ack.borrow().percentiles();
        report.deliver_us = self.deliver.borrow().percentiles();
        report.send_rate = (report.sent > 0).then(|| per(window.acked, seconds));
        report.delivery_rate = (report.delivered > 0).then(|| per(window.delivered, seconds));
        report_server(report, &window, seconds);
        self.report_generator(report, &window, seconds);
        for (how, count) in self.endings.borrow().iter() {
            report.notes.push(format!("{count} sockets ended with {how}"));
        }
    }

    fn report_generator(&self, report: &mut Report, window: &Window, seconds: f64) {
        let lag = self.lag.borrow();
        let cpu = match window.own {
            (Some(before), Some(after)) => Some(per(after.cpu_us.saturating_sub(before.cpu_us), seconds) / 10_000.0),
            _ => None,
        };
        let (late_percent, withheld) = (lag.late_percent(), self.withheld.get());
        report.generator = Generator { lag_us: lag.percentiles(), late_percent, withheld, cpu_percent: cpu };
        if late_percent > self.common.max_late {
            report.invalid(format!("the generator lagged: {late_percent:.2} % of its sends were over 5 ms late"));
        }
        if withheld > 0 {
            report.invalid(format!("{withheld} sends were withheld, as their clients had {ORDERS_MAX} waiting"));
        }
    }
}

fn report_server(report: &mut Report, window: &Window, seconds: f64) {
    let (Some(before), Some(after)) = window.server else { return };
    let cpu_us = after.cpu_us.saturating_sub(before.cpu_us);
    let each = |count: u64| (count > 0).then(|| per(cpu_us, as_f64(count)));
    report.server.cpu_us_per_send = each(window.acked);
    report.server.cpu_us_per_delivery = each(window.delivered);
    report.server.cpu_percent = Some(per(cpu_us, seconds) / 10_000.0);
    report.server.rss_kib = Some(after.rss_kib);
    report.server.pss_kib = after.pss_kib;
    report.server.descriptors = after.descriptors;
}
