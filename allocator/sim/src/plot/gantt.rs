//! Who ran where and when: a row for each slot, a colour for each role.

use super::{
    Anchor, COLOURS, Plot, SIZE, Shape,
    chart::{Scale, axes},
};

/// More bars than this are not drawn: nobody could tell them apart.
const BARS_MAX: usize = 6000;

/// A job on neighbouring slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// When it began, in s.
    pub start: f64,
    /// When it ended, in s.
    pub end: f64,
    /// Its first slot.
    pub first: u32,
    /// Its last slot.
    pub last: u32,
    /// Its role.
    pub role: u32,
}

/// The bars of the earliest jobs; the title says how many were left out.
pub fn gantt(bars: &[Bar], slots: u32) -> Plot {
    let drawn = &bars[..bars.len().min(BARS_MAX)];
    let rest = bars.len() - drawn.len();
    let mut title = "Jobs on slots, coloured by role".to_owned();
    if rest > 0 {
        title += &format!(
            " (the first {} bars; {rest} more are not drawn)",
            drawn.len()
        );
    }
    let from = drawn
        .iter()
        .map(|bar| bar.start)
        .fold(f64::INFINITY, f64::min);
    let to = drawn.iter().map(|bar| bar.end).fold(0.0, f64::max);
    let from = if from.is_finite() { from } else { 0.0 };
    let x = Scale::new(from, to, (70.0, SIZE.0 - 20.0), false);
    let y = Scale::new(0.0, f64::from(slots.max(1)), (SIZE.1 - 50.0, 40.0), false);
    let mut shapes = axes(&title, "time (s)", "slot", &x, &y);
    for bar in drawn {
        let (left, right) = (x.at(bar.start), x.at(bar.end));
        let (upper, lower) = (y.at(f64::from(bar.last) + 1.0), y.at(f64::from(bar.first)));
        let size = ((right - left).max(0.3), (lower - upper).max(0.3));
        let colour = COLOURS[bar.role as usize % COLOURS.len()];
        shapes.push(Shape::Rectangle {
            at: (left, upper),
            size,
            colour,
        });
    }
    if drawn.is_empty() {
        let text = "no job has ended".to_owned();
        shapes.push(Shape::Text {
            at: (SIZE.0 / 2.0, SIZE.1 / 2.0),
            text,
            anchor: Anchor::Middle,
        });
    }
    Plot {
        name: "gantt",
        title,
        shapes,
    }
}
