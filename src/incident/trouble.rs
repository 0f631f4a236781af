//! What can go wrong on a night, and how grave it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{Lang, Stage};

/// One line per kind: variant, its name in the ledger, in Spanish, in English, its stage, whether readers
/// are taken to be affected where nobody says otherwise.
macro_rules! troubles {
    ($($variant:ident $name:literal $es:literal $en:literal $stage:expr, $affects:literal;)*) => {
        /// What an incident is about. The names never change: reports and alerts rely on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Trouble {
            $(#[doc = $en] $variant,)*
        }

        impl Trouble {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the ledger, in configuration and on the command line, such as `late-cut`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// As people call it.
            pub fn label(self, lang: Lang) -> &'static str {
                match self { $(Self::$variant => lang.pick($es, $en)),* }
            }

            /// The stage in which the calls want it reported, where it belongs to one.
            pub fn stage(self) -> Option<Stage> {
                match self { $(Self::$variant => $stage),* }
            }

            /// Whether what readers see is taken to be affected.
            pub fn affects(self) -> bool {
                match self { $(Self::$variant => $affects),* }
            }
        }
    };
}

troubles! {
    LateCut "late-cut" "corte tardío o faltante" "late or missing cut" Some(Stage::Transfer), true;
    Rejected "rejected" "paquete rechazado" "rejected package" Some(Stage::Integrity), true;
    SlowTransfer "slow-transfer" "transferencia lenta" "slow transfer" Some(Stage::Transfer), false;
    SlowPublication "slow-publication" "publicación demorada" "slow publication" Some(Stage::Publication), true;
    Connection "connection" "conexión perdida" "connection lost" Some(Stage::Transfer), false;
    Stamp "stamp" "horas de corte que no coinciden" "hours of the cut that disagree" Some(Stage::Integrity), false;
    Sum "sum" "suma que contradice al paquete" "sum that contradicts the package" Some(Stage::Integrity), true;
    Correction "correction" "paquete posterior al cierre, en espera de decisión" "package after the end, awaiting a decision" Some(Stage::Publication), false;
    Hold "hold" "publicación retenida" "publication on hold" Some(Stage::Publication), true;
    Notice "notice" "aviso del instituto en el portal" "the institute's notice on the portal" Some(Stage::Publication), true;
    Disk "disk" "poco espacio en disco" "disk low" None, false;
    Certificate "certificate" "certificado" "certificate" Some(Stage::Publication), false;
    Clock "clock" "reloj desajustado" "clock off" None, false;
    Ledger "ledger" "bitácora dañada" "ledger damaged" None, false;
    Recovery "recovery" "recuperación tras una falla" "recovery after a failure" None, true;
    Monitor "monitor" "el sitio no se ve bien desde fuera" "the site is not seen right from outside" Some(Stage::Publication), true;
    Mirror "mirror" "copia en otro lugar o purga de caché" "mirror or cache purge" Some(Stage::Publication), false;
    Alert "alert" "avisos que no se pudieron entregar" "alerts that could not be delivered" None, false;
    Other "other" "otro" "other" None, false;
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|t| t.name() == name);
        found.ok_or_else(|| format!("unknown kind of incident: {name}"))
    }
}

impl Serialize for Trouble {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Trouble {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How grave it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Somebody should look.
    #[default]
    Warning,
    /// Somebody must act now.
    Critical,
}

impl Level {
    /// The name in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// As people call it.
    pub fn label(self, lang: Lang) -> &'static str {
        match self {
            Self::Warning => lang.pick("aviso", "warning"),
            Self::Critical => lang.pick("crítico", "critical"),
        }
    }
}
