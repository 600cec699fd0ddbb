//! Plots as inline SVG: lines over a linear, a logarithmic or a percentile axis. Colours come from the page's style.

use std::fmt::Write as _;

/// The plot's size and the space for its axes, in the units of its view box.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;
/// About so many marks on a linear axis.
const MARKS: f64 = 5.0;
/// Colours that the page's style knows.
const COLOURS: usize = 4;

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0.
    Linear,
    /// By powers of ten.
    Log,
    /// Shares below 1, each nine as long as the one before.
    Nines,
}

impl Scale {
    /// Where a value is, before it is fitted into the plot.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(1e-9).log10(),
            Self::Nines => -(1.0 - value).max(1e-9).log10(),
        }
    }

    /// The marks between two places, with their words.
    fn marks(self, low: f64, high: f64) -> Vec<(f64, String)> {
        match self {
            Self::Linear => {
                let step = nice((high - low) / MARKS);
                let count = ((high - low) / step).floor();
                every(count).map(|number| number * step + low).map(|value| (value, short(value))).collect()
            }
            Self::Log => {
                every((high - low).floor()).map(|n| n + low.ceil()).map(|p| (p, short(10_f64.powf(p)))).collect()
            }
            Self::Nines => [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999]
                .into_iter()
                .map(|share| (self.place(share), format!("{}", share * 100.0)))
                .filter(|(place, _)| *place <= high + 1e-9)
                .collect(),
        }
    }
}

/// 0, 1, 2 … up to a count.
fn every(count: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(0.0), |number| Some(number + 1.0)).take_while(move |number| *number <= count + 1e-9)
}

/// The next of 1, 2 and 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|nice| *nice >= step).unwrap_or(power)
}

/// A number in few characters.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        size if size >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A plot.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) across: (&'static str, Scale),
    pub(super) up: Scale,
    pub(super) lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

impl Plot {
    /// The SVG; `None` if there is nothing to be seen.
    pub(super) fn draw(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let bounds = |places: &mut dyn Iterator<Item = f64>| {
            places.fold(None, |bounds: Option<(f64, f64)>, place| match bounds {
                Some((low, high)) => Some((low.min(place), high.max(place))),
                None => Some((place, place)),
            })
        };
        let (left, right) = bounds(&mut points().map(|point| self.across.1.place(point.0)))?;
        let (mut low, mut high) = bounds(&mut points().map(|point| self.up.place(point.1)))?;
        if self.up == Scale::Linear {
            (low, high) = (0.0, if high > 0.0 { high * 1.05 } else { 1.0 });
        } else {
            (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
        }
        let right = if right > left { right } else { left + 1.0 };
        let x = |place: f64| LEFT + (place - left) / (right - left) * (WIDTH - LEFT - RIGHT);
        let y = |place: f64| HEIGHT - BOTTOM - (place - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", self.title);
        // Writing to a string cannot fail.
        let mut put = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).ok();
        put(format_args!("<text class=\"title\" x=\"{LEFT}\" y=\"16\">{}</text>", self.title));
        for (place, word) in self.up.marks(low, high) {
            let y = y(place);
            put(format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIGHT));
            put(format_args!("<text class=\"end\" x=\"{}\" y=\"{:.1}\">{word}</text>", LEFT - 6.0, y + 4.0));
        }
        for (place, word) in self.across.1.marks(left, right) {
            put(format_args!(
                "<text class=\"mid\" x=\"{:.1}\" y=\"{}\">{word}</text>",
                x(place),
                HEIGHT - BOTTOM + 16.0
            ));
        }
        put(format_args!(
            "<text class=\"end\" x=\"{}\" y=\"{}\">{}</text>",
            WIDTH - RIGHT,
            HEIGHT - 6.0,
            self.across.0
        ));
        let mut beside = WIDTH - RIGHT;
        for (number, (name, points)) in self.lines.iter().filter(|(_, points)| !points.is_empty()).enumerate() {
            let colour = number % COLOURS;
            let path: Vec<String> = points
                .iter()
                .map(|(across, up)| format!("{:.1} {:.1}", x(self.across.1.place(*across)), y(self.up.place(*up))))
                .collect();
            put(format_args!("<path class=\"line c{colour}\" d=\"M{}\"/>", path.join("L")));
            put(format_args!("<text class=\"end t{colour}\" x=\"{beside:.0}\" y=\"16\">{name}</text>"));
            beside -= 12.0 + 7.0 * f64::from(u32::try_from(name.len()).unwrap_or(0));
        }
        svg.push_str("</svg>");
        Some(svg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers_and_few() {
        let words = |scale: Scale, low, high| {
            scale.marks(low, high).into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(Scale::Linear, 0.0, 23.0), "0 5 10 15 20");
        assert_eq!(words(Scale::Linear, 0.0, 120_000.0), "0 50k 100k");
        assert_eq!(words(Scale::Log, -1.0, 2.0), "0.1 1 10 100");
        assert_eq!(words(Scale::Nines, 0.0, 3.0), "0 50 90 99 99.9");
    }

    #[test]
    fn a_plot_of_nothing_is_not_drawn_and_one_of_a_single_point_is() {
        let plot = |points| Plot {
            title: "time",
            across: ("s", Scale::Linear),
            up: Scale::Linear,
            lines: vec![("all", points)],
        };
        assert_eq!(plot(vec![]).draw(), None);
        let svg = plot(vec![(1.0, 0.0)]).draw().expect("a point");
        assert!(svg.starts_with("<svg") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
