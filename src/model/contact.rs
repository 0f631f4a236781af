//! Whom to call at the institute.

use serde::Serialize;

use super::Lang;

/// The institute's contact on the night (Nuevo León 7, INE IX, Tamaulipas VII, Quintana Roo VIII, Durango VI).
/// What was not configured is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// The institute.
    pub name: String,
    /// The person or post.
    pub person: String,
    /// Telephone in office hours.
    pub phone: String,
    /// Telephone on the night.
    pub night_phone: String,
    /// E-mail address.
    pub email: String,
    /// Office hours.
    pub hours: String,
}

impl Contact {
    /// One line with everything that is known; empty where nothing is.
    pub fn line(&self, lang: Lang) -> String {
        let named = |label: &str, value: &str| {
            (!value.is_empty())
                .then(|| if label.is_empty() { value.to_owned() } else { format!("{label} {value}") })
        };
        let parts = [
            named("", &self.name),
            named("", &self.person),
            named(lang.pick("noche:", "night:"), &self.night_phone),
            named("tel.", &self.phone),
            named("", &self.email),
            named(lang.pick("horario:", "hours:"), &self.hours),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}
