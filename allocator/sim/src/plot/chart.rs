//! Lines over two axes, with a legend.

use super::{Anchor, COLOURS, Plot, SIZE, Shape};

/// Space around the plotted area: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (70.0, 40.0, 170.0, 50.0);
const GREY: u32 = 0xDDDDDD;
const BLACK: u32 = 0x222222;

/// A line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in order of x.
    pub points: Vec<(f64, f64)>,
}

/// Lines over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// The plot's name in file names.
    pub name: &'static str,
    /// Its heading.
    pub title: String,
    /// What x is, with its unit.
    pub x: &'static str,
    /// What y is, with its unit.
    pub y: &'static str,
    /// Whether x is drawn by its logarithm; values below 1 are drawn at 1.
    pub is_log: bool,
    /// The least upper end of the y axis.
    pub y_least: f64,
    /// The lines; beyond eight, colours repeat.
    pub lines: Vec<Line>,
}

/// A way from values to pixels.
pub(super) struct Scale {
    from: f64,
    to: f64,
    pixels: (f64, f64),
    is_log: bool,
}

impl Scale {
    pub(super) fn new(from: f64, to: f64, pixels: (f64, f64), is_log: bool) -> Self {
        let bend = |value: f64| {
            if is_log {
                value.max(1.0).log10()
            } else {
                value
            }
        };
        let (from, mut to) = (bend(from), bend(to));
        if to <= from {
            to = from + 1.0;
        }
        Self {
            from,
            to,
            pixels,
            is_log,
        }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.is_log {
            value.max(1.0).log10()
        } else {
            value
        };
        let part = (value - self.from) / (self.to - self.from);
        self.pixels.0 + part * (self.pixels.1 - self.pixels.0)
    }

    /// Round values to be marked.
    fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            let (first, last) = (self.from.ceil() as i32, self.to.floor() as i32);
            return (first..=last).map(|power| 10_f64.powi(power)).collect();
        }
        let rough = (self.to - self.from) / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|n| n * power)
            .find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let first = (self.from / step).ceil() as i64;
        let last = (self.to / step + 1e-9).floor() as i64;
        (first..=last).map(|n| n as f64 * step).collect()
    }
}

impl Chart {
    /// The chart's shapes.
    pub fn plot(&self) -> Plot {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (mut low, mut high, mut top) = (f64::INFINITY, f64::NEG_INFINITY, self.y_least);
        for &(x, y) in points() {
            (low, high, top) = (low.min(x), high.max(x), top.max(y));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let (left, upper, right, lower) = MARGIN;
        let x = Scale::new(low, high, (left, SIZE.0 - right), self.is_log);
        let y = Scale::new(0.0, top, (SIZE.1 - lower, upper), false);
        let mut shapes = axes(&self.title, self.x, self.y, &x, &y);
        for (line, nth) in self.lines.iter().zip(0..) {
            let colour = COLOURS[nth % COLOURS.len()];
            let points = line
                .points
                .iter()
                .map(|&(a, b)| (x.at(a), y.at(b)))
                .collect();
            shapes.push(Shape::Line {
                points,
                colour,
                width: 1.5,
            });
            let row = upper + 16.0 * nth as f64;
            let at = SIZE.0 - right + 12.0;
            shapes.push(Shape::Rectangle {
                at: (at, row),
                size: (10.0, 10.0),
                colour,
            });
            let name: String = line.name.chars().take(22).collect();
            shapes.push(Shape::Text {
                at: (at + 16.0, row + 9.0),
                text: name,
                anchor: Anchor::Start,
            });
        }
        Plot {
            name: self.name,
            title: self.title.clone(),
            shapes,
        }
    }
}

/// Heading, grid and numbers.
pub(super) fn axes(title: &str, x_name: &str, y_name: &str, x: &Scale, y: &Scale) -> Vec<Shape> {
    let text = |at, text: String, anchor| Shape::Text { at, text, anchor };
    let (left, right, upper, lower) = (x.pixels.0, x.pixels.1, y.pixels.1, y.pixels.0);
    let mut shapes = vec![
        text((left, 20.0), title.to_owned(), Anchor::Start),
        text(
            ((left + right) / 2.0, SIZE.1 - 12.0),
            x_name.to_owned(),
            Anchor::Middle,
        ),
        text((8.0, 34.0), y_name.to_owned(), Anchor::Start),
    ];
    for tick in x.ticks() {
        let at = x.at(tick);
        shapes.push(Shape::Line {
            points: vec![(at, upper), (at, lower)],
            colour: GREY,
            width: 1.0,
        });
        shapes.push(text((at, lower + 16.0), short(tick), Anchor::Middle));
    }
    for tick in y.ticks() {
        let at = y.at(tick);
        shapes.push(Shape::Line {
            points: vec![(left, at), (right, at)],
            colour: GREY,
            width: 1.0,
        });
        shapes.push(text((left - 6.0, at + 4.0), short(tick), Anchor::End));
    }
    let frame = vec![(left, upper), (left, lower), (right, lower)];
    shapes.push(Shape::Line {
        points: frame,
        colour: BLACK,
        width: 1.0,
    });
    shapes
}

/// A number for an axis.
fn short(value: f64) -> String {
    let size = value.abs();
    let (scaled, unit) = match size {
        _ if size >= 1e9 => (value / 1e9, "G"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    format!("{}{unit}", (scaled * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers_within_them() {
        let scale = Scale::new(0.0, 123.0, (0.0, 600.0), false);
        assert_eq!(scale.ticks(), [0.0, 50.0, 100.0]);
        assert_eq!((scale.at(0.0), scale.at(123.0)), (0.0, 600.0));
        let log = Scale::new(0.0, 5000.0, (0.0, 600.0), true);
        assert_eq!(log.ticks(), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(log.at(0.0), 0.0);
        assert_eq!(
            (short(1_500_000.0), short(0.25), short(20_000.0)),
            ("1.5M".to_owned(), "0.25".to_owned(), "20k".to_owned())
        );
    }

    #[test]
    fn a_chart_without_points_is_drawn_too() {
        let chart = Chart {
            name: "c",
            title: "t".to_owned(),
            x: "x",
            y: "y",
            is_log: false,
            y_least: 1.0,
            lines: vec![],
        };
        assert!(chart.plot().shapes.len() > 4);
    }
}
