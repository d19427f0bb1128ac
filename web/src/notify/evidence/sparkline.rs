//! A small picture of an alert's curve, for channels that show pictures: the line, the threshold, and the moment it began, drawn
//! without text and without a library for drawing, since two lines and a rectangle need none.
//!
//! ```text
//! PNG = signature, IHDR (width, height, 8 bit, RGB), IDAT (zlib of rows, each with filter byte 0), IEND
//! chunk = length u32 BE, name, data, CRC-32 of name and data                     (W3C PNG, third edition, §5)
//! ```

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// The picture's size.
const WIDTH: usize = 480;
const HEIGHT: usize = 120;
const MARGIN: usize = 8;

type Colour = [u8; 3];
const PAPER: Colour = [255, 255, 255];
const FIRING: Colour = [253, 232, 230];
const INK: Colour = [31, 87, 160];
const LIMIT: Colour = [190, 40, 35];
const FRAME: Colour = [220, 220, 220];

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Milliseconds since the epoch and values, finite and in order.
    pub points: Vec<(i64, f64)>,
    /// The number that the rule compares with.
    pub threshold: Option<f64>,
    /// When the alert began.
    pub began_ms: i64,
    /// The left edge.
    pub from_ms: i64,
    /// The right edge.
    pub to_ms: i64,
}

/// The picture as PNG.
pub fn draw(curve: &Curve) -> Vec<u8> {
    let mut canvas = Canvas { pixels: vec![PAPER; WIDTH * HEIGHT] };
    let values = curve.points.iter().map(|(_, value)| *value).chain(curve.threshold.filter(|limit| limit.is_finite()));
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    // A flat line runs through the middle; zero is shown when it is near.
    let low = if low > 0.0 && low < (high - low) { 0.0 } else { low };
    let span = if high > low { high - low } else { 1.0 };
    let low = if high > low { low } else { low - 0.5 };
    let time = (curve.to_ms - curve.from_ms).max(1) as f64;
    let x_of = |at: i64| {
        let share = (at - curve.from_ms) as f64 / time;
        (MARGIN as f64 + share.clamp(0.0, 1.0) * (WIDTH - 2 * MARGIN) as f64) as i64
    };
    let y_of = |value: f64| {
        let share = (value - low) / span;
        ((HEIGHT - MARGIN) as f64 - share.clamp(0.0, 1.0) * (HEIGHT - 2 * MARGIN) as f64) as i64
    };
    let (left, right) = (MARGIN as i64, (WIDTH - MARGIN) as i64);
    for x in x_of(curve.began_ms)..=right {
        canvas.line((x, MARGIN as i64), (x, (HEIGHT - MARGIN) as i64), FIRING, 1);
    }
    canvas.line((left, (HEIGHT - MARGIN) as i64), (right, (HEIGHT - MARGIN) as i64), FRAME, 1);
    if let Some(limit) = curve.threshold.filter(|limit| limit.is_finite()) {
        let y = y_of(limit);
        for x in (left..right).step_by(8) {
            canvas.line((x, y), ((x + 4).min(right), y), LIMIT, 1);
        }
    }
    for pair in curve.points.windows(2) {
        canvas.line((x_of(pair[0].0), y_of(pair[0].1)), (x_of(pair[1].0), y_of(pair[1].1)), INK, 2);
    }
    canvas.png()
}

struct Canvas {
    pixels: Vec<Colour>,
}

impl Canvas {
    /// A line by Bresenham's algorithm (J. E. Bresenham, 1965), `thick` pixels high and wide.
    fn line(&mut self, from: (i64, i64), to: (i64, i64), colour: Colour, thick: i64) {
        let (mut x, mut y) = from;
        let (dx, dy) = ((to.0 - x).abs(), -(to.1 - y).abs());
        let (step_x, step_y) = ((to.0 - x).signum(), (to.1 - y).signum());
        let mut error = dx + dy;
        loop {
            for (more_x, more_y) in (0..thick).flat_map(|a| (0..thick).map(move |b| (a, b))) {
                self.dot(x + more_x, y + more_y, colour);
            }
            if (x, y) == to {
                return;
            }
            let twice = 2 * error;
            if twice >= dy {
                error += dy;
                x += step_x;
            }
            if twice <= dx {
                error += dx;
                y += step_y;
            }
        }
    }

    fn dot(&mut self, x: i64, y: i64, colour: Colour) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x < WIDTH && y < HEIGHT {
            self.pixels[y * WIDTH + x] = colour;
        }
    }

    fn png(&self) -> Vec<u8> {
        let mut png = vec![0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
        let mut header = Vec::new();
        header.extend((WIDTH as u32).to_be_bytes());
        header.extend((HEIGHT as u32).to_be_bytes());
        // 8 bit, RGB, deflate, no filters, not interlaced.
        header.extend([8, 2, 0, 0, 0]);
        chunk(&mut png, b"IHDR", &header);
        let mut data = ZlibEncoder::new(Vec::new(), Compression::default());
        for row in self.pixels.chunks(WIDTH) {
            let bytes: Vec<u8> = std::iter::once(0).chain(row.iter().flatten().copied()).collect();
            data.write_all(&bytes).expect("memory takes everything");
        }
        chunk(&mut png, b"IDAT", &data.finish().expect("memory takes everything"));
        chunk(&mut png, b"IEND", &[]);
        png
    }
}

fn chunk(png: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    png.extend(name);
    png.extend(data);
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    png.extend(crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// The pixels of a picture that [`draw`] made.
    fn pixels(png: &[u8]) -> Vec<Colour> {
        assert_eq!(&png[1..4], b"PNG");
        let at = png.windows(4).position(|window| window == b"IDAT").unwrap();
        let length = u32::from_be_bytes(png[at - 4..at].try_into().unwrap()) as usize;
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&png[at + 4..at + 4 + length]).read_to_end(&mut rows).unwrap();
        assert_eq!(rows.len(), HEIGHT * (1 + WIDTH * 3));
        rows.chunks(1 + WIDTH * 3).flat_map(|row| row[1..].chunks(3).map(|rgb| [rgb[0], rgb[1], rgb[2]])).collect()
    }

    fn curve(points: &[(i64, f64)], threshold: Option<f64>) -> Curve {
        Curve { points: points.to_vec(), threshold, began_ms: 50, from_ms: 0, to_ms: 100 }
    }

    #[test]
    fn the_line_rises_where_values_do_and_the_band_starts_where_it_fires() {
        let found = pixels(&draw(&curve(&[(0, 0.0), (50, 1.0), (100, 10.0)], Some(5.0))));
        let column = |x: usize, colour: Colour| (0..HEIGHT).find(|y| found[y * WIDTH + x] == colour);
        assert_eq!(column(MARGIN, INK), Some(HEIGHT - MARGIN), "it starts at the bottom");
        assert!(column(WIDTH - MARGIN, INK).unwrap() <= MARGIN, "and ends at the top");
        assert_eq!(column(WIDTH / 4, FIRING), None);
        assert!(column(WIDTH * 3 / 4, FIRING).is_some());
        assert_eq!(column(MARGIN + 1, LIMIT), Some(HEIGHT / 2));
    }

    #[test]
    fn odd_curves_are_drawn_too() {
        for points in [&[(0, 3.0), (100, 3.0)][..], &[(0, -1e300), (100, 1e300)], &[(0, 0.0)], &[]] {
            for threshold in [None, Some(f64::NAN), Some(f64::INFINITY), Some(3.0)] {
                pixels(&draw(&curve(points, threshold)));
            }
        }
        pixels(&draw(&Curve { from_ms: 7, to_ms: 7, began_ms: -9, ..curve(&[(0, 1.0), (1, 2.0)], None) }));
    }
}
