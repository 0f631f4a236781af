//! The pages we show ourselves: waiting, error, and the frame that names the cut.
//!
//! Their looks are the templates in `www/` at the root of the source; never a result.

use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{Cut, Lang};

/// What the waiting page says.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Its language.
    pub lang: Lang,
    /// The `<base href>`: INE's monitor looks for the tag at any hour (IV.b).
    pub base: String,
    /// When results will be seen, and in which zone that hour is told; `None` when nobody knows, or
    /// when the hour has come and no cut has.
    pub opens: Option<(Timestamp, TimeZone)>,
}

impl Waiting {
    /// The page.
    pub fn html(&self) -> String {
        let lang = self.lang;
        let title = lang.pick("Resultados electorales preliminares", "Preliminary election results");
        let (hour, text) = match &self.opens {
            Some((instant, zone)) => (
                opening(lang, *instant, zone),
                lang.pick(
                    "Los resultados aparecerán en esta misma dirección.",
                    "The results will appear at this very address.",
                ),
            ),
            None => (
                lang.pick("Aún no hay un corte publicado.", "No cut has been published yet.").to_owned(),
                lang.pick(
                    "El primero aparecerá en esta misma dirección en cuanto llegue.",
                    "The first one will appear at this very address as soon as it arrives.",
                ),
            ),
        };
        let note = lang.pick(
            "Esta página se actualiza sola cada 30 segundos.",
            "This page refreshes itself every 30 seconds.",
        );
        let base = if self.base.is_empty() { "/" } else { &self.base };
        fill(
            WAITING,
            &[
                ("lang", code(lang)),
                ("base", base),
                ("title", title),
                ("hour", &hour),
                ("text", text),
                ("note", note),
            ],
        )
    }
}

/// The institute's notice, in the place of the results (T-20).
#[derive(Clone, Debug, Default)]
pub struct Notice {
    /// Its language.
    pub lang: Lang,
    /// The `<base href>`.
    pub base: String,
    /// Paragraphs apart by an empty line, or a whole HTML page; where it is empty we say the least.
    pub text: String,
}

impl Notice {
    /// The page: a whole one as it was given, else ours with the text in it.
    pub fn html(&self) -> String {
        let text = self.text.trim();
        let is_page = |start: &str| text.get(..start.len()).is_some_and(|t| t.eq_ignore_ascii_case(start));
        if is_page("<!doctype") || is_page("<html") {
            return self.text.clone();
        }
        let lang = self.lang;
        let paragraphs = match text {
            "" => paragraph(lang.pick(
                "Consulte los resultados en el sitio oficial del instituto.",
                "See the results at the official site of the institute.",
            )),
            text => text.split("\n\n").map(paragraph).collect(),
        };
        let base = if self.base.is_empty() { "/" } else { &self.base };
        fill(
            NOTICE,
            &[
                ("lang", code(lang)),
                ("base", base),
                ("title", lang.pick("Aviso del instituto electoral", "Notice of the electoral institute")),
                (
                    "hour",
                    lang.pick(
                        "La publicación de resultados en este sitio está interrumpida.",
                        "The publication of results at this site is interrupted.",
                    ),
                ),
                ("text", &paragraphs),
                (
                    "note",
                    lang.pick(
                        "Esta página se actualiza sola cada minuto.",
                        "This page refreshes itself every minute.",
                    ),
                ),
            ],
        )
    }
}

/// Foreign text as a paragraph.
fn paragraph(text: &str) -> String {
    let text = text.trim().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if text.is_empty() { text } else { format!("<p>{}</p>\n", text.replace('\n', "<br>")) }
}

/// The page for an answer that is not what was asked for.
pub fn error(lang: Lang, status: StatusCode) -> String {
    let (title, text) = match status {
        StatusCode::NOT_FOUND => (
            lang.pick("No encontramos esta página", "This page was not found"),
            lang.pick(
                "La dirección no existe en el corte vigente. Vuelva al inicio para ver los resultados.",
                "The address does not exist in the current cut. Go back to the start to see the results.",
            ),
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            lang.pick("Este sitio es solo de lectura", "This site is read-only"),
            lang.pick("Solo admite consultas.", "It only takes queries."),
        ),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => (
            lang.pick("Hay demasiadas consultas en este momento", "Too many queries at this moment"),
            lang.pick("Intente de nuevo en unos segundos.", "Try again in a few seconds."),
        ),
        s if s.is_client_error() => (
            lang.pick("No entendimos la dirección", "The address could not be understood"),
            lang.pick("Revise que esté escrita completa.", "Check that it is written in full."),
        ),
        _ => (
            lang.pick("No pudimos responder", "No answer could be given"),
            lang.pick("Intente de nuevo en unos segundos.", "Try again in a few seconds."),
        ),
    };
    fill(ERROR, &[("lang", code(lang)), ("title", title), ("text", text), ("code", status.as_str())])
}

/// What the frame page is made of.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its language.
    pub lang: Lang,
    /// The site inside.
    pub base: String,
    /// The cut that is shown.
    pub cut: Option<Cut>,
}

impl Frame {
    /// The page: date and hour of the cut at all times, above the untouched site (T-21).
    pub fn html(&self) -> String {
        let lang = self.lang;
        let label = lang.pick("Aún no hay un corte publicado", "No cut has been published yet");
        let cut = self.cut.map_or_else(|| label.to_owned(), |cut| spoken(lang, cut));
        let months = lang.pick(MONTHS_ES, MONTHS_EN);
        fill(
            FRAME,
            &[
                ("lang", code(lang)),
                ("title", lang.pick("Resultados electorales preliminares", "Preliminary election results")),
                ("style", FRAME_STYLE),
                ("label", label),
                ("months", months),
                ("form", lang.pick(FORM_ES, FORM_EN)),
                ("cut", &cut),
                ("note", lang.pick("Hora del instituto.", "Hour of the institute.")),
                ("base", &self.base),
                ("script", FRAME_SCRIPT),
            ],
        )
    }

    /// What its script and style are, for the header that allows nothing else.
    pub fn script_and_style() -> (&'static str, &'static str) {
        (FRAME_SCRIPT, FRAME_STYLE)
    }
}

/// `Corte del 2 de junio de 2024, 20:15 horas (UTC-5)`, as the institute wrote the hour.
pub fn spoken(lang: Lang, cut: Cut) -> String {
    let civil = cut.civil();
    let offset = TimeZone::UTC
        .to_offset(cut.instant())
        .to_timestamp(civil)
        .map_or(0, |as_utc| (as_utc.as_second() - cut.instant().as_second()) / 3600);
    spell(lang.pick(FORM_ES, FORM_EN), lang, civil).replace("{z}", &format!("{offset:+}"))
}

fn opening(lang: Lang, instant: Timestamp, zone: &TimeZone) -> String {
    let civil = zone.to_datetime(instant);
    let form = lang.pick(
        "La publicación comienza a las {h} horas del {d} de {m} de {y}",
        "Publication starts at {h} on {d} {m} {y}",
    );
    let zone = zone.iana_name().map(|name| place(lang, name)).unwrap_or_default();
    match lang {
        _ if zone.is_empty() => format!("{}.", spell(form, lang, civil)),
        Lang::Es => format!("{} (hora de {zone}).", spell(form, lang, civil)),
        Lang::En => format!("{} ({zone} time).", spell(form, lang, civil)),
    }
}

/// `America/Mexico_City` as people say it.
fn place(lang: Lang, zone: &str) -> String {
    match zone {
        "America/Cancun" => "Quintana Roo".to_owned(),
        "America/Mexico_City" => lang.pick("el centro de México", "central Mexico").to_owned(),
        zone => zone.rsplit('/').next().unwrap_or(zone).replace('_', " "),
    }
}

fn spell(form: &str, lang: Lang, civil: jiff::civil::DateTime) -> String {
    let months = lang.pick(MONTHS_ES, MONTHS_EN);
    let at = usize::try_from(civil.month() - 1).unwrap_or(0);
    let month = months.split(' ').nth(at).unwrap_or_default();
    form.replace("{d}", &civil.day().to_string())
        .replace("{m}", month)
        .replace("{y}", &civil.year().to_string())
        .replace("{h}", &format!("{:02}:{:02}", civil.hour(), civil.minute()))
}

/// Puts values into a template, in one pass: what a value holds is never a place for another.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((name, tail)) = after.split_once("}}") else { break };
        page.push_str(values.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value));
        rest = tail;
    }
    page.push_str(rest);
    page
}

fn code(lang: Lang) -> &'static str {
    lang.pick("es-MX", "en")
}

const WAITING: &str = include_str!("../../www/espera.html");
const NOTICE: &str = include_str!("../../www/aviso.html");
const ERROR: &str = include_str!("../../www/error.html");
const FRAME: &str = include_str!("../../www/marco.html");
const FRAME_STYLE: &str = include_str!("../../www/marco.css");
const FRAME_SCRIPT: &str = include_str!("../../www/marco.js");
const FORM_ES: &str = "Corte del {d} de {m} de {y}, {h} horas (UTC{z})";
const FORM_EN: &str = "Cut of {d} {m} {y}, {h} hours (UTC{z})";
const MONTHS_ES: &str =
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre";
const MONTHS_EN: &str =
    "January February March April May June July August September October November December";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_told_as_the_institute_wrote_it() {
        let hour = jiff::civil::date(2024, 6, 2).at(20, 15, 0, 0);
        let cut = Cut::with_offset(hour, -5).unwrap();
        assert_eq!(spoken(Lang::Es, cut), "Corte del 2 de junio de 2024, 20:15 horas (UTC-5)");
        assert_eq!(spoken(Lang::En, cut), "Cut of 2 June 2024, 20:15 hours (UTC-5)");
        let zone = TimeZone::get("America/Cancun").unwrap();
        let opens = Some((cut.instant(), zone));
        let page = Waiting { lang: Lang::Es, base: "/publicacion/nacional/".to_owned(), opens }.html();
        assert!(page.contains("a las 20:15 horas del 2 de junio de 2024 (hora de Quintana Roo)."), "{page}");
        assert!(page.contains("<base href=\"/publicacion/nacional/\">"));
    }

    #[test]
    fn no_place_of_a_template_stays_empty() {
        let frame = Frame { lang: Lang::Es, base: "/".to_owned(), cut: None }.html();
        let notice = Notice { text: "Uno <b>&\n\nDos\ntres".to_owned(), ..Notice::default() }.html();
        assert!(notice.contains("<p>Uno &lt;b&gt;&amp;</p>\n<p>Dos<br>tres</p>"), "{notice}");
        let whole = Notice { text: "<!DOCTYPE html><base href=\"/\">".to_owned(), ..Notice::default() };
        assert_eq!(whole.html(), whole.text);
        let silent = Notice::default().html();
        for page in [Waiting::default().html(), notice, silent, frame, error(Lang::Es, StatusCode::NOT_FOUND)]
        {
            assert!(!page.contains("{{") && !page.contains("}}"), "{page}");
            assert!(!page.contains("\"\"") || page.contains("+= \"\""), "{page}");
        }
    }
}
