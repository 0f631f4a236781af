//! Pictures as plain shapes, which SVG and PDF draw alike. Lengths are points (1/72 inch).

use std::fmt::Write as _;

/// A picture; the origin is above on the left.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Width in points.
    pub width: f32,
    /// Height in points.
    pub height: f32,
    /// What is on it, the lowest first.
    pub shapes: Vec<Shape>,
}

/// One thing on a picture or page.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A filled rectangle.
    Rect {
        /// Left edge.
        x: f32,
        /// Upper edge.
        y: f32,
        /// Width.
        w: f32,
        /// Height.
        h: f32,
        /// Inside.
        fill: Colour,
        /// Edge, where it has one.
        edge: Option<Colour>,
    },
    /// A line through these points.
    Line {
        /// The points.
        points: Vec<(f32, f32)>,
        /// Width of the line.
        width: f32,
        /// Its colour.
        colour: Colour,
    },
    /// A word or line of words on its base line.
    Text {
        /// Where it is held.
        x: f32,
        /// Its base line.
        y: f32,
        /// Where `x` is in it.
        anchor: Anchor,
        /// Size of the letters.
        size: f32,
        /// Whether it is bold.
        bold: bool,
        /// Its colour.
        colour: Colour,
        /// The words.
        text: String,
    },
}

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// Which point of a text its position names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// Headings and frames.
pub(super) const INK: Colour = Colour(0x1a, 0x20, 0x2c);
/// The house colour.
pub(super) const BLUE: Colour = Colour(0x1f, 0x4e, 0x79);
/// The second series.
pub(super) const SKY: Colour = Colour(0x63, 0x9c, 0xcd);
/// In time, whole.
pub(super) const GREEN: Colour = Colour(0x2f, 0x7d, 0x4f);
/// Late.
pub(super) const AMBER: Colour = Colour(0xb9, 0x77, 0x0e);
/// Refused, missing.
pub(super) const RED: Colour = Colour(0xb0, 0x2a, 0x2a);
/// Small print.
pub(super) const GREY: Colour = Colour(0x55, 0x5f, 0x6d);
/// Rules and grids.
pub(super) const RULE: Colour = Colour(0xcf, 0xd6, 0xde);
/// Behind heads of tables.
pub(super) const PALE: Colour = Colour(0xee, 0xf2, 0xf6);
/// Paper.
pub(super) const WHITE: Colour = Colour(0xff, 0xff, 0xff);

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

impl Shape {
    /// A text in ink.
    pub fn text(x: f32, y: f32, size: f32, text: impl Into<String>) -> Self {
        let (anchor, colour) = (Anchor::Start, INK);
        Self::Text { x, y, anchor, size, bold: false, colour, text: text.into() }
    }

    /// The same held elsewhere; other shapes stay as they are.
    pub fn anchored(mut self, to: Anchor) -> Self {
        if let Self::Text { anchor, .. } = &mut self {
            *anchor = to;
        }
        self
    }

    /// The same bold.
    pub fn bold(mut self) -> Self {
        if let Self::Text { bold, .. } = &mut self {
            *bold = true;
        }
        self
    }

    /// The same in another colour.
    pub fn coloured(mut self, new: Colour) -> Self {
        match &mut self {
            Self::Text { colour, .. } | Self::Line { colour, .. } => *colour = new,
            Self::Rect { fill, .. } => *fill = new,
        }
        self
    }

    /// A filled rectangle.
    pub fn rect(x: f32, y: f32, w: f32, h: f32, fill: Colour) -> Self {
        Self::Rect { x, y, w, h, fill, edge: None }
    }

    /// A straight line.
    pub fn line(from: (f32, f32), to: (f32, f32), width: f32, colour: Colour) -> Self {
        Self::Line { points: vec![from, to], width, colour }
    }

    /// The same, moved.
    pub fn moved(mut self, dx: f32, dy: f32) -> Self {
        match &mut self {
            Self::Rect { x, y, .. } | Self::Text { x, y, .. } => {
                *x += dx;
                *y += dy;
            }
            Self::Line { points, .. } => points.iter_mut().for_each(|(x, y)| {
                *x += dx;
                *y += dy;
            }),
        }
        self
    }
}

impl Drawing {
    /// As an SVG element that stands in an HTML page; `title` is its name.
    pub fn svg(&self, title: &str) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-label=\"{}\" \
             font-family=\"Liberation Sans, Arial, Helvetica, sans-serif\">\n",
            self.width,
            self.height,
            escape(title)
        );
        for shape in &self.shapes {
            draw(&mut svg, shape);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn draw(svg: &mut String, shape: &Shape) {
    let _ = match shape {
        Shape::Rect { x, y, w, h, fill, edge } => {
            let edge = edge.map_or_else(String::new, |c| format!(" stroke=\"{c}\" stroke-width=\"0.8\""));
            writeln!(
                svg,
                "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" fill=\"{fill}\"{edge}/>"
            )
        }
        Shape::Line { points, width, colour } => {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
            let points = points.join(" ");
            writeln!(
                svg,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width:.2}\"/>"
            )
        }
        Shape::Text { x, y, anchor, size, bold, colour, text } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let weight = if *bold { " font-weight=\"bold\"" } else { "" };
            let text = escape(text);
            writeln!(
                svg,
                "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\"{weight}>{text}</text>"
            )
        }
    };
}

/// Text that stands in HTML or XML, in an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What XML 1.0 has no place for.
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_picture() {
        let shapes = vec![Shape::text(0.0, 0.0, 8.0, "</text><script>\u{1b}")];
        let svg = Drawing { width: 10.0, height: 10.0, shapes }.svg("\" onload=\"x");
        assert!(!svg.contains("<script>") && !svg.contains("\" onload") && !svg.contains('\u{1b}'), "{svg}");
    }
}
