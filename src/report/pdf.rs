//! A report as PDF: its pages drawn with krilla, the two faces embedded, no hour but the report's own.

use std::io;

use jiff::tz::TimeZone;
use krilla::color::rgb;
use krilla::destination::XyzDestination;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;
use krilla::text::{Font, TextDirection};

use super::document::Document;
use super::drawing::{Anchor, Colour, Shape};
use super::letters::{BOLD, Letters, REGULAR};
use super::pages::{self, PAGE, Pages};

/// What a page is drawn with.
struct Faces {
    letters: Letters,
    regular: Font,
    bold: Font,
}

/// The whole file.
pub(super) fn render(doc: &Document) -> io::Result<Vec<u8>> {
    let built = || io::Error::other("the faces of this program are broken");
    let faces = Faces {
        letters: Letters::new().ok_or_else(built)?,
        regular: Font::new(REGULAR.to_vec().into(), 0).ok_or_else(built)?,
        bold: Font::new(BOLD.to_vec().into(), 0).ok_or_else(built)?,
    };
    let Pages { pages, outline } = pages::lay_out(doc, &faces.letters);
    let mut pdf = krilla::Document::new();
    for shapes in &pages {
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1).ok_or_else(built)?;
        let mut page = pdf.start_page_with(settings);
        let mut surface = page.surface();
        shapes.iter().for_each(|shape| draw(&mut surface, shape, &faces));
        surface.finish();
        page.finish();
    }
    pdf.set_outline(tree(&outline));
    pdf.set_metadata(metadata(doc));
    pdf.finish().map_err(|e| io::Error::other(format!("{e:?}")))
}

/// Headings of level 1 with those below them.
fn tree(headings: &[(u8, String, usize, f32)]) -> Outline {
    let node = |(_, text, page, y): &(u8, String, usize, f32)| {
        OutlineNode::new(text.clone(), XyzDestination::new(*page, Point::from_xy(0.0, (y - 12.0).max(0.0))))
    };
    let mut outline = Outline::new();
    let mut open: Option<OutlineNode> = None;
    for heading in headings {
        match (heading.0, open.as_mut()) {
            (1, _) | (_, None) => {
                if let Some(done) = open.replace(node(heading)) {
                    outline.push_child(done);
                }
            }
            (_, Some(parent)) => parent.push_child(node(heading)),
        }
    }
    if let Some(done) = open {
        outline.push_child(done);
    }
    outline
}

fn metadata(doc: &Document) -> Metadata {
    let at = doc.as_of.to_zoned(TimeZone::UTC);
    let small = |n: i8| u8::try_from(n).unwrap_or(0);
    let date = DateTime::new(u16::try_from(at.year()).unwrap_or(0))
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(small(at.hour()))
        .minute(small(at.minute()))
        .second(small(at.second()))
        .utc_offset_hour(0);
    Metadata::new()
        .title(format!("{} · {}", doc.title, doc.subtitle))
        .language(doc.lang.pick("es-MX", "en").to_owned())
        .creator(format!("difusor {}", env!("CARGO_PKG_VERSION")))
        .creation_date(date)
}

fn draw(surface: &mut Surface<'_>, shape: &Shape, faces: &Faces) {
    let paint = |Colour(r, g, b): Colour| rgb::Color::new(r, g, b);
    match shape {
        Shape::Rect { x, y, w, h, fill, edge } => {
            surface.set_fill(Some(Fill { paint: paint(*fill).into(), ..Fill::default() }));
            let edge = edge.map(|c| Stroke { paint: paint(c).into(), width: 0.8, ..Stroke::default() });
            surface.set_stroke(edge);
            let mut path = PathBuilder::new();
            if let Some(rect) = Rect::from_xywh(*x, *y, *w, *h) {
                path.push_rect(rect);
            }
            path.finish().iter().for_each(|path| surface.draw_path(path));
        }
        Shape::Line { points, width, colour } => {
            surface.set_fill(None);
            let stroke = Stroke { paint: paint(*colour).into(), width: *width, ..Stroke::default() };
            surface.set_stroke(Some(stroke));
            let mut path = PathBuilder::new();
            for (at, (x, y)) in points.iter().enumerate() {
                if at == 0 { path.move_to(*x, *y) } else { path.line_to(*x, *y) }
            }
            path.finish().iter().for_each(|path| surface.draw_path(path));
        }
        Shape::Text { x, y, anchor, size, bold, colour, text } => {
            let text = faces.letters.known(text);
            let width = faces.letters.width(&text, *size, *bold);
            let x = match anchor {
                Anchor::Start => *x,
                Anchor::Middle => x - width / 2.0,
                Anchor::End => x - width,
            };
            surface.set_stroke(None);
            surface.set_fill(Some(Fill { paint: paint(*colour).into(), ..Fill::default() }));
            let font = if *bold { &faces.bold } else { &faces.regular };
            let at = Point::from_xy(x, *y);
            surface.draw_text(at, font.clone(), *size, &text, false, TextDirection::LeftToRight);
        }
    }
}
