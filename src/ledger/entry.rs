//! What a line can be about, and one fact before it is chained.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// One line per kind: variant, its name in the file, what it records.
macro_rules! kinds {
    ($($variant:ident $name:literal $what:literal;)*) => {
        /// What a line is about. The names never change once published: proofs, reports
        /// and the notary's scripts rely on them. `docs/RECORD.md` describes each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $what] $variant,)*
        }

        impl Kind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the file, such as `rolled_back`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it records, in one English sentence without period.
            pub fn what(self) -> &'static str {
                match self { $(Self::$variant => $what),* }
            }
        }
    };
}

kinds! {
    Start "start" "A half of the service came up";
    Stop "stop" "A half of the service went down in order";
    Config "config" "The configuration was read, at start or again";
    Keys "keys" "Trusted keys changed: added, removed, expired";
    Networks "networks" "Trusted networks changed in the configuration file";
    Certificate "certificate" "The certificate that readers see was loaded or renewed";
    Refused "refused" "Peers or transfers were refused before anything was stored, counted per minute";
    Received "received" "A package or tree was stored durably";
    Verified "verified" "A stored package was verified and staged";
    Rejected "rejected" "A stored package was rejected";
    Repeated "repeated" "The very same bytes came again";
    Summed "summed" "A sum that came after its package was compared with it and agrees";
    Held "held" "An increment was stored until the package that it builds on comes";
    Superseded "superseded" "A verified package was passed over for a newer one, or is older than what is live";
    Intention "intention" "About to swap the pointer";
    Published "published" "The pointer was swapped: readers see this release";
    Abandoned "abandoned" "An intention was not carried out";
    RolledBack "rolled_back" "An operator put an earlier release back";
    Opened "opened" "A publication window opened";
    Closed "closed" "A publication window closed: readers see the waiting page";
    Pruned "pruned" "Extracted trees, or originals and access logs past their retention, were removed";
    Audited "audited" "Original, manifest, disk and site were compared";
    IncidentOpened "incident_opened" "An incident began, noticed by a rule or a person";
    IncidentNoted "incident_noted" "A person or a rule added something to an incident";
    IncidentClosed "incident_closed" "An incident ended";
    Cadence "cadence" "The rhythm of the cuts changed: late, missed, interrupted, on time again, ended";
    HoldBegan "hold_began" "An operator keeps what arrives from being published, until an hour";
    HoldEnded "hold_ended" "What was held is published again";
    NoticeOn "notice_on" "The notice of the institute took the place of the results";
    NoticeOff "notice_off" "The notice was removed and the results are back";
    NightClosed "night_closed" "The last cut is in: what comes later waits for an operator";
    CorrectionAccepted "correction_accepted" "An operator had a package published that came after the last cut";
    NightReopened "night_reopened" "An operator lets cuts be published again";
    Recovery "recovery" "Something was found amiss, and what was done about it";
    Admin "admin" "Somebody asked for a link to the admin page, came in by one, or gave an order from it";
    Warning "warning" "Something an operator should know that changes nothing by itself";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|k| k.name() == name)
            .ok_or_else(|| format!("unknown kind of ledger line: {name}"))
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One fact, before it is chained.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// Its fields, in order. `n`, `t`, `prev` and `ev` belong to the chain: a field of
    /// such a name is written with an underscore behind it.
    pub fields: Map<String, Value>,
}

impl Entry {
    /// A fact without fields.
    pub fn new(kind: Kind) -> Self {
        Self { kind, fields: Map::new() }
    }

    /// Adds a field; a value that cannot be serialised becomes null.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.fields.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }

    /// Adds a field where there is a value.
    pub fn with_some(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}
