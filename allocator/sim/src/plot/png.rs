//! Shapes as pixels: drawn by tiny-skia, texts in the letters of `font8x8`.

use font8x8::{BASIC_FONTS, UnicodeFonts};
use tiny_skia::{Color, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Rect, Stroke, Transform};

use super::{Anchor, Plot, SIZE, Shape};

/// Pixels of the picture for one of the plot.
const ZOOM: f32 = 2.0;
/// Width of a letter and height of a line, in pixels of the plot.
const LETTER: f64 = 8.0;

/// The plot as a PNG file.
///
/// # Errors
/// Why it cannot be encoded.
pub fn png(plot: &Plot) -> Result<Vec<u8>, String> {
    let (width, height) = ((SIZE.0 as f32 * ZOOM) as u32, (SIZE.1 as f32 * ZOOM) as u32);
    let mut picture = Pixmap::new(width, height).ok_or("a picture without pixels")?;
    picture.fill(Color::WHITE);
    for shape in &plot.shapes {
        draw(&mut picture, shape);
    }
    picture.encode_png().map_err(|error| error.to_string())
}

fn paint(colour: u32) -> Paint<'static> {
    let [_, red, green, blue] = colour.to_be_bytes();
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}

fn draw(picture: &mut Pixmap, shape: &Shape) {
    let zoom = Transform::from_scale(ZOOM, ZOOM);
    match shape {
        Shape::Line {
            points,
            colour,
            width,
        } => {
            let mut path = PathBuilder::new();
            for (nth, (x, y)) in points.iter().enumerate() {
                let (x, y) = (*x as f32, *y as f32);
                if nth == 0 {
                    path.move_to(x, y)
                } else {
                    path.line_to(x, y)
                }
            }
            let stroke = Stroke {
                width: *width as f32,
                ..Stroke::default()
            };
            // A line of one point has no path, and nothing to be seen.
            if let Some(path) = path.finish() {
                picture.stroke_path(&path, &paint(*colour), &stroke, zoom, None);
            }
        }
        Shape::Rectangle { at, size, colour } => rectangle(picture, *at, *size, *colour),
        Shape::Text { at, text, anchor } => {
            let width = text.chars().count() as f64 * LETTER;
            let left = match anchor {
                Anchor::Start => at.0,
                Anchor::Middle => at.0 - width / 2.0,
                Anchor::End => at.0 - width,
            };
            for (nth, letter) in text.chars().enumerate() {
                glyph(picture, (left + nth as f64 * LETTER, at.1 - LETTER), letter);
            }
        }
    }
}

fn rectangle(picture: &mut Pixmap, at: (f64, f64), size: (f64, f64), colour: u32) {
    let zoom = Transform::from_scale(ZOOM, ZOOM);
    let area = Rect::from_xywh(at.0 as f32, at.1 as f32, size.0 as f32, size.1 as f32);
    if let Some(area) = area {
        picture.fill_rect(area, &paint(colour), zoom, None);
    }
}

/// A letter with its upper left corner at `at`; those without one are a question mark.
fn glyph(picture: &mut Pixmap, at: (f64, f64), letter: char) {
    let Some(rows) = BASIC_FONTS.get(letter).or_else(|| BASIC_FONTS.get('?')) else {
        return;
    };
    let zoom = ZOOM as i64;
    let corner = (at.0.round() as i64 * zoom, at.1.round() as i64 * zoom);
    let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
    let Some(ink) = PremultipliedColorU8::from_rgba(0x22, 0x22, 0x22, 255) else {
        return;
    };
    for y in 0..8 * zoom {
        for x in 0..8 * zoom {
            let is_ink = rows[(y / zoom) as usize] & (1 << (x / zoom)) != 0;
            let (left, top) = (corner.0 + x, corner.1 + y);
            if is_ink && (0..width).contains(&left) && (0..height).contains(&top) {
                picture.pixels_mut()[(top * width + left) as usize] = ink;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_leave_their_colours_in_the_picture() {
        let shapes = vec![
            Shape::Rectangle {
                at: (10.0, 10.0),
                size: (20.0, 20.0),
                colour: 0xD55E00,
            },
            Shape::Line {
                points: vec![(100.0, 100.0), (200.0, 100.0)],
                colour: 0x0072B2,
                width: 4.0,
            },
            Shape::Text {
                at: (300.0, 300.0),
                text: "H".to_owned(),
                anchor: Anchor::Start,
            },
        ];
        let bytes = png(&Plot {
            name: "p",
            title: String::new(),
            shapes,
        })
        .unwrap();
        let picture = Pixmap::decode_png(&bytes).unwrap();
        let colour = |x: u32, y: u32| {
            let pixel = picture.pixel(2 * x, 2 * y).unwrap();
            (pixel.red(), pixel.green(), pixel.blue())
        };
        assert_eq!(colour(20, 20), (0xD5, 0x5E, 0x00));
        assert_eq!(colour(150, 100), (0x00, 0x72, 0xB2));
        assert_eq!(colour(50, 50), (255, 255, 255));
        assert_eq!(colour(301, 295), (0x22, 0x22, 0x22));
    }
}
