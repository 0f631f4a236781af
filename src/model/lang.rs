//! The two languages people are spoken to in.

/// Language of everything an operator, sender or reader sees. Codes, keys and log
/// fields are English in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// Spanish, the default: the language of the calls.
    #[default]
    Es,
    /// English, by `--lang en` or an English locale.
    En,
}

impl Lang {
    /// The language that a locale name such as `en_US.UTF-8` asks for.
    pub fn from_locale(locale: &str) -> Self {
        if locale.starts_with("en") { Self::En } else { Self::Es }
    }

    /// Picks one of the two texts.
    pub fn pick<'a>(self, es: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Es => es,
            Self::En => en,
        }
    }
}
