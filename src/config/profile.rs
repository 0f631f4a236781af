//! What each of the five calls asks for by default.

use super::keys::Key;

/// One of the five calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quintana Roo (document 003): local time, 30–35 MB `.tar.gz` by SSH.
    QuintanaRoo,
    /// Durango (004): centre time, `.tar.gz` or tree by SSH and rsync.
    Durango,
    /// INE federal (001): ZIP of about 80 MB, `<base` checked by its monitor.
    Ine,
    /// Nuevo León (000): ZIP with nested ZIPs.
    NuevoLeon,
    /// Tamaulipas (002): first ZIP, then increments.
    Tamaulipas,
}

impl Profile {
    /// All, with the names used in configuration and on the command line.
    pub const ALL: [(&'static str, Self); 5] = [
        ("quintana-roo", Self::QuintanaRoo),
        ("durango", Self::Durango),
        ("ine", Self::Ine),
        ("nuevo-leon", Self::NuevoLeon),
        ("tamaulipas", Self::Tamaulipas),
    ];

    /// The profile of that name; the generator's short names are understood too.
    pub fn parse(name: &str) -> Option<Self> {
        let long = match name {
            "qroo" => "quintana-roo",
            "dgo" => "durango",
            "nl" => "nuevo-leon",
            "tamps" => "tamaulipas",
            other => other,
        };
        Self::ALL.iter().find(|(n, _)| *n == long).map(|(_, p)| *p)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, p)| *p == self).map_or("", |(n, _)| n)
    }

    /// The default of `key` under this call, as TOML.
    pub fn default_of(self, key: &Key) -> &'static str {
        let own = match (self, key.section, key.name) {
            (Self::QuintanaRoo, "", "timezone") => "\"America/Cancun\"",
            (Self::NuevoLeon, "", "timezone") => "\"America/Monterrey\"",
            (Self::Tamaulipas, "", "timezone") => "\"America/Monterrey\"",
            (Self::Ine, "site", "base") => "\"/publicacion/nacional/\"",
            (Self::NuevoLeon | Self::Tamaulipas, "package", "base-tag") => "false",
            (Self::Tamaulipas, "package", "increments") => "true",
            (Self::Ine, "schedule", "period") => "\"5m..20m\"",
            (Self::Tamaulipas, "schedule", "period") => "\"15m..20m\"",
            (Self::QuintanaRoo, "schedule", "package-size") => "\"30MB..35MiB\"",
            (Self::QuintanaRoo | Self::Ine, "schedule", "bandwidth") => "50",
            (Self::Tamaulipas, "schedule", "bandwidth") => "30",
            (Self::Durango, "schedule", "bandwidth") => "100",
            (Self::Tamaulipas, "monitor", "availability") => "\"99.7\"",
            _ => key.default,
        };
        if key.name == "profile" { self.quoted() } else { own }
    }

    fn quoted(self) -> &'static str {
        match self {
            Self::QuintanaRoo => "\"quintana-roo\"",
            Self::Durango => "\"durango\"",
            Self::Ine => "\"ine\"",
            Self::NuevoLeon => "\"nuevo-leon\"",
            Self::Tamaulipas => "\"tamaulipas\"",
        }
    }
}
