//! What a person sees while a run goes on: a bar at a terminal, else a line a second, if lines are wanted.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the rates are renewed.
pub(crate) const EVERY: Duration = Duration::from_millis(250);

/// The bar of one phase; gone when dropped.
pub(crate) struct Phase {
    bar: ProgressBar,
    name: &'static str,
}

impl Phase {
    /// A phase of `steps` steps.
    pub(crate) fn begin(name: &'static str, steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        // The template is a constant that the library reads; should it not, its own default is as good.
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {pos}/{len} {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name);
        Self { bar, name }
    }

    /// One step is done.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// This many are done.
    pub(crate) fn at(&self, steps: u64) {
        self.bar.set_position(steps);
    }

    /// Something worth reading beside the bar; where no bar is drawn a line of its own, if lines are wanted.
    pub(crate) fn say(&self, text: String, lines: bool) {
        if lines && self.bar.is_hidden() {
            eprintln!("{:>12} {}/{}  {text}", self.name, self.bar.position(), self.bar.length().unwrap_or_default());
        }
        self.bar.set_message(text);
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
