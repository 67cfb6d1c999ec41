//! Shapes as SVG.

use std::fmt::Write;

use super::{Anchor, Plot, SIZE, Shape};

/// The plot as an SVG document.
pub fn svg(plot: &Plot) -> String {
    let (width, height) = SIZE;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
font-family=\"sans-serif\" font-size=\"12\"><title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escape(&plot.title)
    );
    for shape in &plot.shapes {
        draw(&mut text, shape);
    }
    text.push_str("</svg>\n");
    text
}

fn draw(out: &mut String, shape: &Shape) {
    // Writing to a String does not fail.
    let _ = match shape {
        Shape::Line {
            points,
            colour,
            width,
        } => {
            let mut path = String::new();
            for (x, y) in points {
                let _ = write!(path, "{} {} ", tenth(*x), tenth(*y));
            }
            writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"#{colour:06x}\" stroke-width=\"{width}\"/>",
                path.trim_end()
            )
        }
        Shape::Rectangle { at, size, colour } => writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"#{colour:06x}\"/>",
            tenth(at.0),
            tenth(at.1),
            tenth(size.0),
            tenth(size.1)
        ),
        Shape::Text { at, text, anchor } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let (x, y) = (tenth(at.0), tenth(at.1));
            writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
                escape(text)
            )
        }
    };
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Text that is safe in SVG and HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_become_elements_and_texts_are_escaped() {
        let shapes = vec![
            Shape::Line {
                points: vec![(0.0, 1.04), (2.0, 3.0)],
                colour: 0x0072B2,
                width: 1.5,
            },
            Shape::Text {
                at: (5.0, 6.0),
                text: "<role & \"name\">".to_owned(),
                anchor: Anchor::End,
            },
        ];
        let text = svg(&Plot {
            name: "p",
            title: "a < b".to_owned(),
            shapes,
        });
        assert!(text.contains("<polyline points=\"0 1 2 3\" fill=\"none\" stroke=\"#0072b2\""));
        assert!(text.contains("text-anchor=\"end\">&lt;role &amp; &quot;name&quot;&gt;</text>"));
        assert!(
            text.starts_with("<svg ") && text.ends_with("</svg>\n") && text.contains("a &lt; b")
        );
    }
}
