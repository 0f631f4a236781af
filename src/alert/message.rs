//! Alerts → the text that people read and the JSON that machines do.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::{Alert, Letterhead};
use crate::incident::Level;
use crate::model::Contact;

/// One message: a few alerts together.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) json: Vec<u8>,
    pub(super) level: Level,
    pub(super) class: &'static str,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    id: &'a str,
    site: &'a str,
    at: Timestamp,
    subject: &'a str,
    text: &'a str,
    alerts: &'a [Alert],
    left_out: usize,
    institute: &'a Contact,
}

impl Message {
    /// The message of these alerts; `left_out` more were too many to be told one by one.
    pub(super) fn of(alerts: &[Alert], left_out: usize, head: &Letterhead, id: String) -> Self {
        let lang = head.lang;
        let gravest = alerts.iter().max_by_key(|a| (a.level, a.at));
        let level = gravest.map_or(Level::Warning, |a| a.level);
        let title = gravest.map_or("", |a| a.title.as_str());
        let more = alerts.len() + left_out - usize::from(gravest.is_some());
        let more = if more == 0 { String::new() } else { format!(" (+{more})") };
        let subject = format!("[difusor {}] {}: {title}{more}", head.site, level.label(lang).to_uppercase());
        let mut text = String::new();
        for alert in alerts {
            let hour = alert.at.to_zoned(head.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
            let _ = writeln!(text, "{hour}  {}\n{}\n", alert.title, alert.text);
        }
        if left_out > 0 {
            let _ = writeln!(
                text,
                "+{left_out} {}\n",
                lang.pick("avisos más: difusor incidents list", "more alerts: difusor incidents list")
            );
        }
        let contact = head.institute.line(lang);
        if !contact.is_empty() {
            let _ = writeln!(text, "{}: {contact}", lang.pick("Instituto", "Institute"));
        }
        let at = alerts.iter().map(|a| a.at).max().unwrap_or(Timestamp::UNIX_EPOCH);
        let (site, institute) = (head.site.as_str(), &head.institute);
        let document = Document {
            schema: SCHEMA,
            id: &id,
            site,
            at,
            subject: &subject,
            text: &text,
            alerts,
            left_out,
            institute,
        };
        // Texts and numbers always serialise.
        let json = serde_json::to_vec(&document).unwrap_or_default();
        let class = gravest.map_or("test", |a| a.class.name());
        Self { subject, text, json, level, class, id }
    }
}

const SCHEMA: &str = "difusor.alert/1";
