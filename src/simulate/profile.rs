//! The institutes whose packages are imitated: sizes, layout, container, dialect.

use super::statics::StaticSet;

/// Whose packages to imitate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quintana Roo: `.tar.gz`, about 530 files, 32.2–32.8 MB.
    Qroo,
    /// INE: `.zip`, about 2,400 files, 80 MB on average.
    Ine,
    /// INE with a tenth of its rows.
    IneMini,
    /// Tamaulipas: a first `.zip`, then increments.
    Tamps,
    /// Durango: a tree without container, about 49 MB.
    Dgo,
    /// Nuevo León: `.zip` with nested zips, 30–40 MB.
    Nl,
    /// Quintana Roo's structure in 40 files and less than 300 KB, for tests.
    Mini,
    /// Whatever somebody needs.
    Custom(Custom),
}

/// Sizes of a package made to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// Polling places, each with one acta per election.
    pub casillas: u32,
    /// Districts; four JSON files each.
    pub districts: u32,
    /// Kilobytes of images that never change.
    pub static_kilobytes: u32,
    /// What it comes in.
    pub container: Container,
}

/// What a package comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.tar.gz`, names with `./` in front.
    TarGz,
    /// `.zip`, deflate.
    Zip,
    /// None: files in directories.
    Tree,
}

impl Container {
    /// The suffix of the package's name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::TarGz => ".tar.gz",
            Self::Zip => ".zip",
            Self::Tree => "",
        }
    }
}

impl Profile {
    /// The profile of this name, or `custom:casillas=N,districts=N,static-kb=N,container=zip`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "qroo" | "quintana-roo" => Self::Qroo,
            "ine" => Self::Ine,
            "ine-mini" => Self::IneMini,
            "tamps" | "tamaulipas" => Self::Tamps,
            "dgo" | "durango" => Self::Dgo,
            "nl" | "nuevo-leon" => Self::Nl,
            "mini" => Self::Mini,
            "custom" => Self::Custom(Custom::default()),
            _ => Self::Custom(Custom::parse(text.strip_prefix("custom:")?)?),
        })
    }

    /// Every name [`Profile::parse`] knows, for help texts.
    pub const NAMES: [&'static str; 8] = ["qroo", "ine", "ine-mini", "tamps", "dgo", "nl", "mini", "custom"];

    /// The name it goes by in streams and manifests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Qroo => "qroo",
            Self::Ine => "ine",
            Self::IneMini => "ine-mini",
            Self::Tamps => "tamps",
            Self::Dgo => "dgo",
            Self::Nl => "nl",
            Self::Mini => "mini",
            Self::Custom(_) => "custom",
        }
    }

    /// What its packages look like.
    pub(super) fn shape(&self) -> Shape {
        match self {
            Self::Qroo => QROO,
            Self::Ine => INE,
            Self::IneMini => Shape { casillas: INE.casillas / 10, sections: INE.sections / 10, ..INE },
            Self::Tamps => TAMPS,
            Self::Dgo => DGO,
            Self::Nl => NL,
            Self::Mini => MINI,
            Self::Custom(custom) => Shape {
                container: custom.container,
                districts: custom.districts,
                sections: custom.casillas.div_ceil(3).max(custom.districts),
                casillas: custom.casillas,
                statics: StaticSet::Custom { kilobytes: custom.static_kilobytes },
                ..MINI
            },
        }
    }
}

impl Default for Custom {
    fn default() -> Self {
        Self { casillas: 300, districts: 5, static_kilobytes: 1024, container: Container::TarGz }
    }
}

impl Custom {
    /// Reads `casillas=N,districts=N,static-kb=N,container=tar.gz|zip|tree`, all optional.
    fn parse(text: &str) -> Option<Self> {
        let mut custom = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=')?;
            let number = || value.parse::<u32>().ok();
            match key {
                "casillas" => custom.casillas = number().filter(|n| (1..=CASILLAS_MAX).contains(n))?,
                "districts" => custom.districts = number().filter(|n| (1..=DISTRICTS_MAX).contains(n))?,
                "static-kb" => custom.static_kilobytes = number().filter(|&n| n <= STATIC_KB_MAX)?,
                "container" => {
                    custom.container = match value {
                        "tar.gz" => Container::TarGz,
                        "zip" => Container::Zip,
                        "tree" => Container::Tree,
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
        (custom.districts <= custom.casillas).then_some(custom)
    }
}

/// How the data files are cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Four JSON files per district (Quintana Roo 2019).
    ByDistrict,
    /// By party, formula, district, municipality and early vote (Tamaulipas).
    ByArea,
    /// CSV and zip only (Nuevo León).
    Tables,
    /// Country, entities, districts, sections (INE).
    National,
}

/// How a CSV is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `sep=|` first, `2024/06/02 20:15 (UTC-5)`, `|`, ASCII, LF.
    Qroo,
    /// Byte order mark, `02/06/2024 20:15 (UTC-6)`, `,`, bare CR.
    Ine,
    /// As INE's by order, UTF-8, LF.
    Plain,
    /// Title in Latin-1, `02/06/2024 20:15(UTC-6)` without space.
    Latin,
}

/// One election of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Election {
    /// Directory and key.
    pub(super) key: &'static str,
    /// Title of its tables.
    pub(super) title: &'static str,
    /// The TIPO of file names.
    pub(super) kind: &'static str,
}

/// Everything that tells one institute's packages from another's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Name of the state, ASCII capitals.
    pub(super) state: &'static str,
    /// Its number in INE's list; 0 for the country.
    pub(super) state_id: u32,
    /// The ENT of file names; empty for the country.
    pub(super) code: &'static str,
    pub(super) container: Container,
    /// `<base href>` of the pages.
    pub(super) base: &'static str,
    /// Zone the institute's hours are in.
    pub(super) zone: &'static str,
    pub(super) interval_minutes: u32,
    pub(super) elections: &'static [Election],
    pub(super) entities: u32,
    pub(super) districts: u32,
    pub(super) municipalities: u32,
    pub(super) sections: u32,
    /// Actas expected in each election.
    pub(super) casillas: u32,
    pub(super) layout: Layout,
    pub(super) dialect: Dialect,
    pub(super) statics: StaticSet,
    /// Packages after the first hold only what changed.
    pub(super) increments: Increments,
}

/// Whether packages build on one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Increments {
    /// Each package is the whole site.
    None,
    /// The first is whole, the others hold what changed.
    AfterFirst,
}

const CASILLAS_MAX: u32 = 200_000;
const DISTRICTS_MAX: u32 = 1_000;
/// 400 MB: below the service's bound for a package.
const STATIC_KB_MAX: u32 = 400_000;

const DIP: Election = Election { key: "dip", title: "DIPUTACIONES LOCALES", kind: "DIP_LOC" };
const AYUN: Election = Election { key: "ayun", title: "AYUNTAMIENTOS", kind: "AYUN" };

const QROO: Shape = Shape {
    state: "QUINTANA ROO",
    state_id: 23,
    code: "QROO",
    container: Container::TarGz,
    base: "/",
    zone: "America/Cancun",
    interval_minutes: 15,
    elections: &[DIP, AYUN],
    entities: 1,
    districts: 15,
    municipalities: 11,
    sections: 980,
    casillas: 2_400,
    layout: Layout::ByDistrict,
    dialect: Dialect::Qroo,
    statics: StaticSet::TwoApps,
    increments: Increments::None,
};

const MINI: Shape =
    Shape { districts: 3, municipalities: 2, sections: 18, casillas: 45, statics: StaticSet::Mini, ..QROO };

const DGO: Shape = Shape {
    state: "DURANGO",
    state_id: 10,
    code: "DGO",
    container: Container::Tree,
    zone: "America/Mexico_City",
    elections: &[DIP],
    municipalities: 39,
    sections: 1_420,
    casillas: 2_550,
    ..QROO
};

const TAMPS: Shape = Shape {
    state: "TAMAULIPAS",
    state_id: 28,
    code: "TAM",
    container: Container::Zip,
    zone: "America/Mexico_City",
    interval_minutes: 20,
    districts: 22,
    municipalities: 43,
    sections: 2_020,
    casillas: 4_900,
    layout: Layout::ByArea,
    dialect: Dialect::Plain,
    increments: Increments::AfterFirst,
    ..QROO
};

const NL: Shape = Shape {
    state: "NUEVO LEON",
    state_id: 19,
    code: "NL",
    container: Container::Zip,
    zone: "America/Monterrey",
    districts: 26,
    municipalities: 51,
    sections: 2_900,
    casillas: 7_600,
    layout: Layout::Tables,
    dialect: Dialect::Latin,
    ..QROO
};

const INE: Shape = Shape {
    state: "NACIONAL",
    state_id: 0,
    code: "",
    container: Container::Zip,
    base: "/publicacion/nacional/",
    zone: "America/Mexico_City",
    interval_minutes: 5,
    elections: &[
        Election { key: "presidencia", title: "PRESIDENCIA DE LA REP\u{da}BLICA", kind: "PRES" },
        Election { key: "senadurias", title: "SENADUR\u{cd}AS", kind: "SEN" },
        Election { key: "diputaciones", title: "DIPUTACIONES FEDERALES", kind: "DIP_FED" },
    ],
    entities: 32,
    districts: 300,
    municipalities: 2_475,
    sections: 71_000,
    // 515,612 actas in three elections: the figure of the drill of 2024.
    casillas: 171_870,
    layout: Layout::National,
    dialect: Dialect::Ine,
    statics: StaticSet::National,
    increments: Increments::None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_known() {
        for name in Profile::NAMES {
            assert_eq!(Profile::parse(name).unwrap().name(), name);
        }
        assert_eq!(Profile::parse("quintana-roo"), Some(Profile::Qroo));
        let custom = Profile::parse("custom:casillas=50,districts=2,container=zip").unwrap();
        assert_eq!(custom.shape().container, Container::Zip);
        assert_eq!(Profile::parse("custom:casillas=0"), None);
        assert_eq!(Profile::parse("oaxaca"), None);
    }
}
