//! Plots: a list of shapes, made of a chart, drawn as SVG or (feature `png`) as pixels.
//!
//! Coordinates are rounded to 1/10 of a pixel, so that the same run gives the same bytes.

mod chart;
mod gantt;
#[cfg(feature = "png")]
mod png;
mod svg;

#[cfg(feature = "png")]
pub use self::png::png;
pub(crate) use self::svg::escape;
pub use self::{
    chart::{Chart, Line},
    gantt::{Bar, gantt},
    svg::svg,
};

/// Width and height of all plots, in pixels.
pub const SIZE: (f64, f64) = (900.0, 420.0);

/// Colours that the colour-blind can tell apart (Okabe and Ito).
pub const COLOURS: [u32; 8] = [
    0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x000000, 0x8C8C8C,
];

/// Where a text stands from its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// To the right of it.
    Start,
    /// Over it.
    Middle,
    /// To the left of it.
    End,
}

/// Something to draw, in pixels from the upper left corner.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Connected points.
    Line {
        /// Its points.
        points: Vec<(f64, f64)>,
        /// Red, green and blue.
        colour: u32,
        /// Its width.
        width: f64,
    },
    /// A filled rectangle.
    Rectangle {
        /// Its upper left corner.
        at: (f64, f64),
        /// Its width and height.
        size: (f64, f64),
        /// Red, green and blue.
        colour: u32,
    },
    /// A line of text, 12 pixels high.
    Text {
        /// Its point, on the base line.
        at: (f64, f64),
        /// What it says.
        text: String,
        /// Where it stands from the point.
        anchor: Anchor,
    },
}

/// A plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it is called in file names.
    pub name: &'static str,
    /// Its heading.
    pub title: String,
    /// What to draw, in order.
    pub shapes: Vec<Shape>,
}
