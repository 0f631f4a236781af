//! Section `[institute]`: whom to call when a cut is missing. Shown in every alert.

use toml::de::{DeTable, DeValue};

use super::read::Reader;
use super::text;
use super::value::Bad;
use crate::model::Contact;

pub(super) fn section<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Contact> {
    let s = r.section(root, "institute");
    let mut line = |name| r.get(s, name, line);
    Some(Contact {
        name: line("name")?,
        person: line("contact")?,
        phone: line("phone")?,
        night_phone: line("night-phone")?,
        email: line("email")?,
        hours: line("hours")?,
    })
}

/// One line of text: it goes into subjects and messages.
fn line(v: &DeValue<'_>) -> Result<String, Bad> {
    Ok(text(v)?.replace(char::is_control, " ").trim().to_owned())
}
