//! Charts drawn by hand: bars over time, with an axis, a grid and a legend.

use super::drawing::{Anchor, Colour, Drawing, GREY, INK, RULE, Shape};

/// Width of the text on an A4 page, which every chart fills.
pub(super) const WIDTH: f32 = 493.0;
const HEIGHT: f32 = 175.0;
const LEFT: f32 = 46.0;
const RIGHT: f32 = 6.0;
const TOP: f32 = 20.0;
const BOTTOM: f32 = 30.0;
/// Room for one label below the axis.
const LABEL: f32 = 34.0;
/// Room for one bar at most: few bars are no wall.
const SLOT_MAX: f32 = 40.0;
/// Grid lines at most.
const GRID: f64 = 5.0;

/// One bar: what stands below it, and its parts from the axis up.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// Below it; shown where there is room.
    pub(super) label: String,
    /// Heights and colours.
    pub(super) parts: Vec<(f64, Colour)>,
}

impl Bar {
    /// A bar of one part.
    pub(super) fn new(label: impl Into<String>, value: f64, colour: Colour) -> Self {
        Self { label: label.into(), parts: vec![(value, colour)] }
    }

    fn total(&self) -> f64 {
        self.parts.iter().map(|(value, _)| value.max(0.0)).sum()
    }
}

/// A line across the chart: a bound that the call sets.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// Its height.
    pub(super) value: f64,
    /// What it is.
    pub(super) label: String,
    /// Its colour.
    pub(super) colour: Colour,
}

/// Bars side by side. `unit` stands above the axis, `legend` names the colours; a bound far
/// above every bar is named without a line, so that the bars stay readable.
pub(super) fn bars(unit: &str, bars: &[Bar], legend: &[(&str, Colour)], bounds: &[Bound]) -> Drawing {
    if bars.is_empty() {
        let nothing = Shape::text(0.0, 12.0, 7.5, format!("{unit}: –")).coloured(GREY);
        return Drawing { width: WIDTH, height: 16.0, shapes: vec![nothing] };
    }
    let highest = bars.iter().map(Bar::total).fold(0.0, f64::max);
    let near = bounds.iter().filter(|b| b.value <= highest * 4.0);
    let top = near.map(|b| b.value).fold(highest, f64::max);
    let step = step(top);
    let top = (top / step).ceil().max(1.0) * step;
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let y = |value: f64| TOP + height - narrow(value / top) * height;
    let mut shapes = vec![Shape::text(0.0, 9.0, 7.5, unit).coloured(GREY)];
    grid(&mut shapes, step, top, &y);
    let slot = (width / narrow(bars.len() as f64)).min(SLOT_MAX);
    let every = (LABEL / slot).ceil().max(1.0);
    for (at, bar) in bars.iter().enumerate() {
        let x = LEFT + narrow(at as f64) * slot;
        let gap = if slot > 12.0 { slot * 0.3 } else { slot * 0.15 };
        let mut below = 0.0;
        for (value, colour) in &bar.parts {
            let value = value.max(0.0);
            let (from, to) = (y(below), y(below + value));
            if value > 0.0 {
                shapes.push(Shape::rect(x + gap / 2.0, to, slot - gap, (from - to).max(0.4), *colour));
            }
            below += value;
        }
        if narrow(at as f64) % every == 0.0 {
            let label = Shape::text(x + slot / 2.0, HEIGHT - BOTTOM + 10.0, 6.5, &bar.label);
            shapes.push(label.anchored(Anchor::Middle).coloured(GREY));
        }
    }
    shapes.push(Shape::line((LEFT, y(0.0)), (WIDTH - RIGHT, y(0.0)), 0.8, INK));
    let mut right = WIDTH - RIGHT;
    for bound in bounds {
        let is_near = bound.value <= highest * 4.0;
        if is_near {
            let (from, to) = ((LEFT, y(bound.value)), (WIDTH - RIGHT, y(bound.value)));
            shapes.push(Shape::line(from, to, 0.9, bound.colour));
        }
        // Above the picture, where no bar is in its way.
        let label = format!("{} {}", if is_near { "—" } else { "↑" }, bound.label);
        let width = narrow(label.chars().count() as f64) * 3.6;
        shapes.push(Shape::text(right, 9.0, 6.5, label).anchored(Anchor::End).coloured(bound.colour));
        right -= width + 8.0;
    }
    keys(&mut shapes, legend);
    Drawing { width: WIDTH, height: HEIGHT, shapes }
}

fn grid(shapes: &mut Vec<Shape>, step: f64, top: f64, y: &dyn Fn(f64) -> f32) {
    let lines = (top / step).round().max(1.0);
    let mut at = 0.0;
    while at <= lines {
        let value = at * step;
        shapes.push(Shape::line((LEFT, y(value)), (WIDTH - RIGHT, y(value)), 0.4, RULE));
        let text = Shape::text(LEFT - 4.0, y(value) + 2.3, 6.5, tick(value, step));
        shapes.push(text.anchored(Anchor::End).coloured(GREY));
        at += 1.0;
    }
}

fn keys(shapes: &mut Vec<Shape>, legend: &[(&str, Colour)]) {
    let mut x = LEFT;
    for (name, colour) in legend {
        shapes.push(Shape::rect(x, HEIGHT - 10.0, 7.0, 7.0, *colour));
        shapes.push(Shape::text(x + 10.0, HEIGHT - 4.0, 7.0, *name).coloured(GREY));
        x += 22.0 + narrow(name.chars().count() as f64) * 3.7;
    }
}

/// A step of 1, 2 or 5 times a power of ten that gives at most [`GRID`] lines.
fn step(top: f64) -> f64 {
    let raw = (top / GRID).max(1e-9);
    let power = 10_f64.powi(narrow_exponent(raw.log10().floor()));
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw).unwrap_or(raw)
}

fn tick(value: f64, step: f64) -> String {
    if step >= 1000.0 {
        let (scaled, suffix) = if step >= 1e6 { (value / 1e6, " M") } else { (value / 1e3, " k") };
        return format!("{scaled}{suffix}");
    }
    let decimals = if step >= 1.0 { 0 } else { 1 + usize::from(step < 0.1) };
    format!("{value:.decimals$}")
}

#[expect(clippy::cast_possible_truncation, reason = "places on a page have few digits")]
pub(super) fn narrow(x: f64) -> f32 {
    x as f32
}

#[expect(clippy::cast_possible_truncation, reason = "the exponent of a double has three digits")]
fn narrow_exponent(x: f64) -> i32 {
    x as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        for (top, expected) in [(4.0, 1.0), (9.0, 2.0), (97.0, 20.0), (48_120.0, 10_000.0), (0.4, 0.1)] {
            assert!((step(top) - expected).abs() < 1e-9, "{top}: {}", step(top));
        }
    }

    #[test]
    fn nothing_is_drawn_outside_the_picture() {
        let many: Vec<Bar> = (0..300).map(|n| Bar::new("20:00", f64::from(n), INK)).collect();
        for chart in [bars("s", &many, &[], &[]), bars("s", &[], &[], &[])] {
            for shape in chart.shapes {
                if let Shape::Rect { x, y, w, h, .. } = shape {
                    assert!(x >= 0.0 && y >= 0.0 && x + w <= WIDTH && y + h <= HEIGHT);
                }
            }
        }
    }
}
