//! The cuts of the night as a strip: one bar each, as high as its transfer was long, in the colour and with the
//! sign of what became of it.

use std::fmt::Write as _;

/// What became of a cut, or of the hour in which none came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Published.
    Good,
    /// Published, but longer after its hour than one period and its grace.
    Late,
    /// Verified and not shown: older, held, or before the opening.
    Kept,
    /// Refused.
    Refused,
}

impl Fate {
    /// Class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "bien",
            Self::Late => "tarde",
            Self::Kept => "guardado",
            Self::Refused => "rechazado",
        }
    }

    /// A sign beside the colour, for who does not see it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Late => "◷",
            Self::Kept => "▪",
            Self::Refused => "✕",
        }
    }
}

/// One bar.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) fate: Fate,
    pub(super) seconds: f64,
    pub(super) told: String,
}

/// The drawing; `title` is what it is called for who does not see it.
pub(super) fn draw(bars: &[Bar], title: &str) -> String {
    let shown = bars.get(bars.len().saturating_sub(BARS_MAX)..).unwrap_or(bars);
    let longest = shown.iter().map(|bar| bar.seconds).fold(1.0, f64::max);
    let width = (shown.len().max(MIN_BARS)) * STEP;
    let mut svg = format!(
        "<svg class=\"tira\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"xMinYMid meet\" role=\"img\" aria-label=\"{}\">",
        escaped(title)
    );
    for (n, bar) in shown.iter().enumerate() {
        let x = n * STEP;
        let high = MIN_HIGH + (bar.seconds / longest) * (BAR_HIGH - MIN_HIGH);
        let top = FLOOR - high;
        let _ = write!(
            svg,
            "<g class=\"{}\"><title>{}</title><rect x=\"{}\" y=\"{top:.1}\" width=\"{}\" height=\"{high:.1}\" rx=\"2\"/>\
             <text x=\"{}\" y=\"{}\">{}</text></g>",
            bar.fate.class(),
            escaped(&bar.told),
            x + 2,
            STEP - 4,
            x + STEP / 2,
            FLOOR + 12.0,
            bar.fate.sign()
        );
        if n % LABEL_EVERY == 0 {
            let _ = write!(
                svg,
                "<text class=\"hora\" x=\"{}\" y=\"{}\">{}</text>",
                x + STEP / 2,
                FLOOR + 26.0,
                escaped(&bar.label)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Bars shown: a day and a bit, a cut every fifteen minutes.
const BARS_MAX: usize = 100;
/// A strip with few cuts keeps its proportions.
const MIN_BARS: usize = 24;
const STEP: usize = 18;
const LABEL_EVERY: usize = 4;
const HEIGHT: f64 = 96.0;
const FLOOR: f64 = 64.0;
const BAR_HIGH: f64 = 60.0;
const MIN_HIGH: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_text() {
        let bar = Bar {
            label: "20:00".to_owned(),
            fate: Fate::Refused,
            seconds: 3.0,
            told: "<script>\"&".to_owned(),
        };
        let svg = draw(&[bar], "cortes");
        assert!(svg.contains("&lt;script&gt;&quot;&amp;") && !svg.contains("<script>"), "{svg}");
        assert!(svg.contains("class=\"rechazado\"") && svg.contains("✕"));
    }
}
