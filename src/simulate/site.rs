//! The data files of one cut: which there are, and their bytes on demand.
//!
//! Everything follows from the catalogue and the [`Moment`]; nothing remembers an earlier cut.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::catalog::{Acta, Ballot, Casilla, Catalog};
use super::container::{self, Entry, Kind, Packed};
use super::curve::Curve;
use super::deflate::Effort;
use super::profile::{Dialect, Election, Layout, Shape};
use super::results::{Last, Tally};
use super::{objects, stamp, tables};
use crate::model::Cut;

/// What there is to know about one cut besides the catalogue.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// Its number, from 0.
    pub(super) cut: u32,
    /// How much of the night the data shows, in seconds after the opening.
    pub(super) seconds: u32,
    /// The hour it is a cut of.
    pub(super) stamp: Cut,
    /// What each place says of the hour; nothing where it says nothing.
    pub(super) json: Option<Cut>,
    pub(super) csv: Option<Cut>,
    /// The package's own name.
    pub(super) name: Option<Cut>,
    /// The names of the downloads inside.
    pub(super) inner: Option<Cut>,
    /// Hours added to the offset that the tables show.
    pub(super) csv_utc_shift: i32,
    pub(super) arrivals: Arrivals,
    pub(super) last: Last,
    /// `jornada` or `simulacro1`…
    pub(super) process: String,
    /// How often the applications were rebuilt.
    pub(super) build: u32,
}

/// How many actas have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrivals {
    /// As many as the curve says.
    Curve,
    /// None yet, whatever the hour.
    None,
    /// As the curve says, but never more than 37.5 %.
    Stuck,
    /// All of them.
    All,
}

/// A data file that can be rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The stamp and the totals of every election: what the page polls.
    Avance,
    /// Of one election of the country.
    NationalAvance(usize),
    EntityTotals(usize),
    EntityParties(usize),
    Statistics(usize),
    Map(usize),
    Formulas(usize),
    Early(usize),
    EntitySums(usize, u32),
    MunicipalitySums(usize, u32),
    DistrictSums(usize, u32),
    DistrictCandidates(usize, u32),
    DistrictParties(usize, u32),
    DistrictSections(usize, u32),
    DistrictActas(usize, u32),
    /// CSV: totals and districts.
    DistrictTable(usize),
    /// CSV: every acta.
    FullTable(usize),
    /// The stamped zip of one election.
    Download(usize),
    /// The stamped zip of zips.
    NestedDownload,
}

impl Piece {
    /// How hard compressing it is worth trying.
    pub(super) fn effort(self) -> Effort {
        match self {
            Self::Download(_) | Self::NestedDownload => Effort::Store,
            _ => Effort::Match,
        }
    }
}

/// One cut of one plan.
pub(super) struct Site<'a> {
    pub(super) shape: &'a Shape,
    pub(super) catalog: &'a Catalog,
    pub(super) moment: &'a Moment,
    pub(super) curve: Curve,
    /// When polls close: second 0 of the curve.
    pub(super) opening: Timestamp,
    arrived: Vec<u32>,
}

impl<'a> Site<'a> {
    pub(super) fn new(
        shape: &'a Shape,
        catalog: &'a Catalog,
        moment: &'a Moment,
        curve: Curve,
        opening: Timestamp,
    ) -> Self {
        let arrived = catalog.ballots.iter().map(|ballot| {
            let now = ballot.arrived(curve, moment.seconds);
            match moment.arrivals {
                Arrivals::Curve => now,
                Arrivals::None => 0,
                Arrivals::Stuck => now.min(ballot.arrived(Curve::Guerrero, u32::MAX)),
                Arrivals::All => ballot.actas.len() as u32,
            }
        });
        Self { arrived: arrived.collect(), shape, catalog, moment, curve, opening }
    }

    /// Path of the JSON that the page polls.
    pub(super) fn avance_path(shape: &Shape) -> &'static str {
        match shape.layout {
            Layout::National => "assets/avanceNacional.json",
            Layout::ByDistrict | Layout::ByArea | Layout::Tables => "assets/api/avance.json",
        }
    }

    /// Every data file: path and recipe.
    pub(super) fn pieces(&self) -> Vec<(String, Piece)> {
        let mut all = vec![(Self::avance_path(self.shape).to_owned(), Piece::Avance)];
        for (index, election) in self.shape.elections.iter().enumerate() {
            let mut add = |path: String, piece| all.push((format!("{}/{path}", self.home(election)), piece));
            match self.shape.layout {
                Layout::ByDistrict => self.by_district(index, &mut add),
                Layout::ByArea => self.by_area(index, &mut add),
                Layout::Tables => {
                    let name = format!("{}_{}_2024.csv", self.shape.code, election.kind);
                    add(name, Piece::FullTable(index));
                    add("entidad.json".to_owned(), Piece::EntityTotals(index));
                }
                Layout::National => self.national(index, election, &mut add),
            }
            if matches!(self.shape.layout, Layout::ByDistrict | Layout::ByArea) {
                add(format!("PREP_{}_DISTRITOS.csv", election.kind), Piece::DistrictTable(index));
                all.push((format!("assets/{}", self.download_name(Some(election))), Piece::Download(index)));
            }
        }
        if matches!(self.shape.layout, Layout::Tables | Layout::National) {
            all.push((format!("assets/{}", self.download_name(None)), Piece::NestedDownload));
        }
        all
    }

    fn home(&self, election: &Election) -> String {
        match self.shape.layout {
            Layout::National => format!("assets/{}", election.key),
            Layout::ByDistrict | Layout::ByArea | Layout::Tables => format!("assets/api/{}", election.key),
        }
    }

    fn by_district(&self, index: usize, add: &mut dyn FnMut(String, Piece)) {
        add("entidad.json".to_owned(), Piece::EntityTotals(index));
        add("entidad_pp_ci.json".to_owned(), Piece::EntityParties(index));
        for d in 1..=self.shape.districts {
            add(format!("distrito_{d}_candidato_desgloce.json"), Piece::DistrictCandidates(index, d));
            add(format!("distrito_{d}_pp_ci_desgloce.json"), Piece::DistrictParties(index, d));
            add(format!("distrito_{d}_seccion_casilla.json"), Piece::DistrictSections(index, d));
            add(format!("distrito_{d}_seccion_casilla_acta.json"), Piece::DistrictActas(index, d));
        }
    }

    fn by_area(&self, index: usize, add: &mut dyn FnMut(String, Piece)) {
        add("entidad.json".to_owned(), Piece::EntityTotals(index));
        add("partido.json".to_owned(), Piece::EntityParties(index));
        add("formula.json".to_owned(), Piece::Formulas(index));
        add("anticipado.json".to_owned(), Piece::Early(index));
        add("casillas.csv".to_owned(), Piece::FullTable(index));
        for d in 1..=self.shape.districts {
            add(format!("distrito/{d}.json"), Piece::DistrictSums(index, d));
            add(format!("casilla/distrito_{d}.json"), Piece::DistrictActas(index, d));
        }
        for m in 1..=self.shape.municipalities {
            add(format!("municipio/{m}.json"), Piece::MunicipalitySums(index, m));
        }
    }

    fn national(&self, index: usize, election: &Election, add: &mut dyn FnMut(String, Piece)) {
        add("avanceNacional.json".to_owned(), Piece::NationalAvance(index));
        add(format!("{}Nacional.json", election.key), Piece::EntityParties(index));
        add("estadisticaNacional.json".to_owned(), Piece::Statistics(index));
        add("mapas/nacional/nacional.json".to_owned(), Piece::Map(index));
        for n in 1..=self.shape.entities {
            add(format!("entidad/{n}.json"), Piece::EntitySums(index, n));
        }
        for d in 1..=self.shape.districts {
            add(format!("distrito/{d}.json"), Piece::DistrictSums(index, d));
            add(format!("secciones/{d}.json"), Piece::DistrictActas(index, d));
        }
    }

    /// `20240602_2015_PREP_DIP_LOC_QROO.zip`.
    pub(super) fn download_name(&self, election: Option<&Election>) -> String {
        let mut name = self.moment.inner.map_or_else(String::new, |cut| format!("{}_", stamp::name(cut)));
        name.push_str("PREP");
        for part in [election.map_or("", |e| e.kind), self.shape.code] {
            if !part.is_empty() {
                name.push('_');
                name.push_str(part);
            }
        }
        name + ".zip"
    }

    /// The bytes of one file.
    pub(super) fn render(&self, piece: Piece) -> Vec<u8> {
        match piece {
            Piece::DistrictTable(e) => tables::by_district(self, e),
            Piece::FullTable(e) => tables::full(self, e),
            Piece::Download(e) => self.download(e),
            Piece::NestedDownload => self.nested(),
            _ => objects::render(self, piece).into_bytes(),
        }
    }

    fn download(&self, election: usize) -> Vec<u8> {
        let Some((entry, _)) = self.election(election) else { return Vec::new() };
        let code = if self.shape.code.is_empty() { String::new() } else { format!("{}_", self.shape.code) };
        let table = Packed::new(&tables::full(self, election), Effort::Match);
        let mut notes = README.to_vec();
        if let Some(cut) = self.moment.csv {
            let hour = stamp::csv(cut, Dialect::Plain, self.moment.csv_utc_shift);
            notes.extend_from_slice(format!("Corte: {hour}\r\n").as_bytes());
        }
        let notes = Packed::new(&notes, Effort::Match);
        let entries = [(format!("{code}{}_2024.csv", entry.kind), table), ("LEEME.txt".to_owned(), notes)];
        self.zip_of(entries.into_iter().collect())
    }

    fn nested(&self) -> Vec<u8> {
        let inner = self.shape.elections.iter().enumerate().map(|(index, election)| {
            let zip = Packed::new(&self.download(index), Effort::Store);
            (self.download_name(Some(election)), zip)
        });
        self.zip_of(inner.collect())
    }

    fn zip_of(&self, files: Vec<(String, Packed)>) -> Vec<u8> {
        let mtime = self.moment.stamp.instant().as_second();
        let entries = files.into_iter().map(|(name, body)| Entry {
            name: name.into_bytes(),
            kind: Kind::File,
            mtime,
            body: Arc::new(body),
        });
        let entries: Vec<Entry> = entries.collect();
        container::zip(&entries, stamp::offset_seconds(self.moment.stamp), None).bytes
    }

    /// The election of this index and its actas.
    pub(super) fn election(&self, index: usize) -> Option<(&'a Election, &'a Ballot)> {
        Some((self.shape.elections.get(index)?, self.catalog.ballots.get(index)?))
    }

    /// How many actas of an election have come.
    pub(super) fn arrived(&self, election: usize) -> u32 {
        self.arrived.get(election).copied().unwrap_or(0)
    }

    /// The sums of a whole election.
    pub(super) fn tally_all(&self, election: usize) -> Tally {
        let actas = self.election(election).map(|(_, ballot)| &ballot.actas);
        Tally::of(actas.into_iter().flatten(), self.catalog, self.arrived(election))
    }

    /// The name that stands beside a casilla's number of entity.
    pub(super) fn state_of(&self, casilla: &Casilla) -> String {
        if self.shape.entities > 1 {
            format!("ENTIDAD {}", casilla.entity)
        } else {
            self.shape.state.to_owned()
        }
    }

    /// FECHA_HORA_ACOPIO, _CAPTURA and _VERIFICACION.
    pub(super) fn hours(&self, election: usize, acta: &Acta) -> [String; 3] {
        let Some((_, ballot)) = self.election(election) else { return Default::default() };
        let verified = self.opening.as_second() + i64::from(ballot.verified(acta, self.curve));
        let [collect, capture] = acta.steps.map(i64::from);
        let here = stamp::offset_seconds(self.moment.stamp);
        // Quintana Roo's LEEME: collected in the time of the centre, one hour behind.
        let centre = if self.shape.dialect == Dialect::Qroo { here - 3600 } else { here };
        [
            self.hour(verified - capture - collect, centre),
            self.hour(verified - capture, here),
            self.hour(verified, here),
        ]
    }

    fn hour(&self, seconds: i64, offset: i32) -> String {
        let offset = Offset::from_seconds(offset).unwrap_or(Offset::UTC);
        let t = offset.to_datetime(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH));
        let (year, month, day) = (t.year(), t.month(), t.day());
        let (hour, minute, second) = (t.hour(), t.minute(), t.second());
        match self.shape.dialect {
            Dialect::Qroo => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            Dialect::Ine | Dialect::Plain | Dialect::Latin => {
                format!("{day:02}/{month:02}/{year:04} {hour:02}:{minute:02}:{second:02}")
            }
        }
    }
}

/// CP1252 with CRLF, as Quintana Roo's.
const README: &[u8] = b"DATOS SIMULADOS: no son resultados de ninguna elecci\xf3n.\r\n\
Los porcentajes llevan cuatro decimales truncados, no redondeados.\r\n\
La participaci\xf3n se calcula sin casillas especiales durante la operaci\xf3n y con ellas en el \xfaltimo corte.\r\n";
