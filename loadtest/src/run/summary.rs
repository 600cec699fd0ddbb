//! What a run comes to: the report's figures out of the ledger, the histograms and the looks at both processes.

use std::time::Duration;

use super::crew::ORDERS_MAX;
use super::{Run, Window, counters};
use crate::host::cpu::Cpu;
use crate::ledger::Findings;
use crate::measure::{as_f64, per};
use crate::report::{self, Generator, Report};

/// A core that is used more than this is full.
const BUSY_PERCENT: f64 = 95.0;

impl Run {
    pub(super) fn report(&self, report: &mut Report, findings: &Findings) {
        report.enter(self.ledger.borrow().counts(), findings);
        let window = self.window.borrow().clone();
        let seconds = Duration::from_nanos(window.spent_ns).as_secs_f64();
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
        report.ack_distribution = self.ack.borrow().distribution();
        report.deliver_distribution = self.deliver.borrow().distribution();
        report.series = self.series.borrow_mut().take();
        report.send_rate = (report.sent > 0).then(|| per(window.acked, seconds));
        report.delivery_rate = (report.delivered > 0).then(|| per(window.delivered, seconds));
        report_server(report, &window, seconds);
        self.report_generator(report, &window, seconds);
        let (server, generator) = self.cores.words().unzip();
        report.cores = report::Cores { server, generator };
        if let Some(turns) = &*self.turns.borrow() {
            turns.report(report);
        }
        for (how, count) in self.endings.borrow().iter() {
            report.notes.push(format!("{count} sockets ended with {how}"));
        }
    }

    fn report_generator(&self, report: &mut Report, window: &Window, seconds: f64) {
        let lag = self.lag.borrow();
        let (late_percent, withheld) = (lag.late_percent(), self.withheld.get());
        let percent = |of: fn(Cpu) -> u64| window.own.map(|own| per(of(own), seconds) / 1e7);
        report.generator = Generator {
            lag_us: lag.percentiles(),
            late_percent,
            withheld,
            cpu_percent: percent(|cpu| cpu.used_ns),
            run_queue_percent: percent(|cpu| cpu.waited_ns),
        };
        let (busy, server) = (report.generator.cpu_percent, report.server.cpu_percent);
        if busy.is_some_and(|own| own > BUSY_PERCENT) && server.is_some_and(|server| server < BUSY_PERCENT) {
            report.notes.push("the rate is the generator's: its core was full, and the server's was not".to_owned());
        }
        if late_percent > self.common.max_late {
            report.invalid(format!("the generator lagged: {late_percent:.2} % of its sends were over 5 ms late"));
        }
        if withheld > 0 {
            report.invalid(format!("{withheld} sends were withheld, as their clients had {ORDERS_MAX} waiting"));
        }
    }
}

fn report_server(report: &mut Report, window: &Window, seconds: f64) {
    let Some(cpu) = window.server else { return };
    let each = |count: u64| (count > 0).then(|| per(cpu.used_ns, as_f64(count)) / 1_000.0);
    report.server.cpu_us_per_send = each(window.acked);
    report.server.cpu_us_per_delivery = each(window.delivered);
    report.server.cpu_percent = Some(per(cpu.used_ns, seconds) / 1e7);
    report.server.run_queue_percent = Some(per(cpu.waited_ns, seconds) / 1e7);
    if let Some(process) = window.at_end.0 {
        report.server.rss_kib = Some(process.rss_kib);
        report.server.pss_kib = process.pss_kib;
        report.server.descriptors = process.descriptors;
    }
    report.server.socket_memory_kib = window.at_end.1.map(|memory| memory.total_kib());
}
