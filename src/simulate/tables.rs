//! The CSV tables: stamp, totals and one row per acta, in each institute's dialect.

use super::catalog::{Acta, Casilla, CasillaKind, Listed, Note, Origin, PARTIES};
use super::profile::{Dialect, Election, Shape};
use super::results::{Tally, Totals};
use super::site::Site;
use super::stamp;

/// The whole table of one election: head, totals, one row per acta.
pub(super) fn full(site: &Site<'_>, election: usize) -> Vec<u8> {
    let Some((entry, ballot)) = site.election(election) else { return Vec::new() };
    let mut table = Table { text: Vec::new(), dialect: site.shape.dialect };
    table.head(site, entry, &site.tally_all(election).totals(site.moment.last));
    table.line(&columns(site.shape));
    for acta in &ballot.actas {
        if let Some(casilla) = site.catalog.casilla(acta) {
            // Those outside the catalogue exist only once they have come.
            let here = acta.rank < site.arrived(election);
            if here || acta.listed == Listed::Yes {
                table.acta(site, election, acta, casilla, here);
            }
        }
    }
    table.text
}

/// The small table that lies in the site: head, totals, one row per district.
pub(super) fn by_district(site: &Site<'_>, election: usize) -> Vec<u8> {
    let Some((entry, ballot)) = site.election(election) else { return Vec::new() };
    let mut table = Table { text: Vec::new(), dialect: site.shape.dialect };
    table.head(site, entry, &site.tally_all(election).totals(site.moment.last));
    let mut columns = vec!["ID_DISTRITO".to_owned(), "ACTAS_CAPTURADAS".to_owned()];
    columns.extend(PARTIES.map(str::to_owned));
    columns.extend(["NO_REGISTRADAS", "NULOS", "TOTAL_VOTOS"].map(str::to_owned));
    table.line(&columns);
    for district in 1..=ballot.districts.len() as u32 {
        let tally = Tally::of(ballot.district(district), site.catalog, site.arrived(election));
        let figures = [u64::from(district), tally.captured].into_iter().chain(tally.parties);
        let figures = figures.chain([tally.unregistered, tally.nulls, tally.votes_with_special]);
        table.line(&figures.map(|n| n.to_string()).collect::<Vec<_>>());
    }
    table.text
}

/// A table in the making.
struct Table {
    text: Vec<u8>,
    dialect: Dialect,
}

impl Table {
    fn head(&mut self, site: &Site<'_>, election: &Election, totals: &Totals) {
        match self.dialect {
            Dialect::Qroo => self.line(&["sep=|"]),
            Dialect::Ine => self.text.extend_from_slice(b"\xef\xbb\xbf"),
            Dialect::Plain | Dialect::Latin => {}
        }
        self.line(&[election.title]);
        if let Some(cut) = site.moment.csv {
            self.line(&[stamp::csv(cut, self.dialect, site.moment.csv_utc_shift)]);
        }
        if self.dialect != Dialect::Qroo {
            self.line(&[""]);
        }
        self.line(&Totals::COLUMNS);
        self.line(&totals.values());
        self.line(&[""]);
    }

    fn line<T: AsRef<str>>(&mut self, fields: &[T]) {
        let (between, end): (u8, u8) = match self.dialect {
            Dialect::Qroo => (b'|', b'\n'),
            Dialect::Ine => (b',', b'\r'),
            Dialect::Plain | Dialect::Latin => (b',', b'\n'),
        };
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.text.push(between);
            }
            match self.dialect {
                // One byte per character: every character used here is in Latin-1.
                Dialect::Latin => self.text.extend(field.as_ref().chars().map(|c| c as u8)),
                Dialect::Qroo | Dialect::Ine | Dialect::Plain => {
                    self.text.extend_from_slice(field.as_ref().as_bytes());
                }
            }
        }
        self.text.push(end);
    }

    fn acta(&mut self, site: &Site<'_>, election: usize, acta: &Acta, casilla: &Casilla, here: bool) {
        let key = casilla_key(casilla);
        let key = match self.dialect {
            Dialect::Qroo => format!("=\"{key}\""),
            Dialect::Ine | Dialect::Plain | Dialect::Latin => format!("'{key}'"),
        };
        let mut fields = vec![
            key.clone(),
            key,
            casilla.entity.to_string(),
            site.state_of(casilla),
            casilla.district.to_string(),
            format!("DISTRITO {}", casilla.district),
            casilla.municipality.to_string(),
            format!("{:04}", casilla.section),
            casilla.number.to_string(),
            casilla.kind.letter().to_string(),
            "0".to_owned(),
            if casilla.kind == CasillaKind::Special { "2" } else { "1" }.to_owned(),
            "2".to_owned(),
        ];
        if here {
            arrived_fields(&mut fields, site, election, acta, casilla);
        } else {
            let waiting = columns(site.shape).len() - fields.len();
            fields.extend(std::iter::repeat_n("-".to_owned(), waiting));
        }
        self.line(&fields);
    }
}

/// Everything from TOTAL_BOLETAS_SOBRANTES to COTEJADA.
fn arrived_fields(
    fields: &mut Vec<String>,
    site: &Site<'_>,
    election: usize,
    acta: &Acta,
    casilla: &Casilla,
) {
    let unread = match acta.note {
        Note::None | Note::SomeIllegible(_) => None,
        Note::NoActa => Some("-"),
        Note::AllIllegible => Some("Ilegible"),
    };
    let mut put = |n: u32| fields.push(unread.map_or_else(|| n.to_string(), str::to_owned));
    let persons = u32::from(acta.persons);
    [u32::from(acta.leftover), persons, u32::from(acta.representatives), persons]
        .into_iter()
        .for_each(&mut put);
    acta.votes.iter().for_each(|&votes| put(u32::from(votes)));
    [u32::from(acta.unregistered), u32::from(acta.nulls), acta.total(), acta.total()]
        .into_iter()
        .for_each(put);
    if let Note::SomeIllegible(party) = acta.note {
        let word = if party % 2 == 0 { "Ilegible" } else { "Sin dato" };
        fields.iter_mut().skip(FIRST_PARTY + usize::from(party)).take(1).for_each(|f| word.clone_into(f));
    }
    let observation = match acta.note {
        Note::None => "",
        Note::SomeIllegible(_) => "ALGUN DATO ILEGIBLE O SIN DATO",
        Note::NoActa => "SIN ACTA POR PAQUETE NO ENTREGADO",
        Note::AllIllegible => "TODOS ILEGIBLES O SIN DATO",
    };
    let counted = match (acta.listed, acta.is_counted()) {
        (Listed::Outside, _) => "2",
        (Listed::Yes, true) => "1",
        (Listed::Yes, false) => "0",
    };
    let [collected, captured, verified] = site.hours(election, acta);
    let (origin, scan, device) = match acta.origin {
        Origin::Catd => ("CATD", "Esc\u{e1}ner", "2"),
        Origin::Casilla => ("CASILLA", "M\u{f3}vil", "1"),
    };
    // Quintana Roo's tables are plain ASCII.
    let scan = if site.shape.dialect == Dialect::Qroo {
        scan.replace('\u{e1}', "a").replace('\u{f3}', "o")
    } else {
        scan.to_owned()
    };
    let integrity = hex(&acta.integrity);
    let nominal = if casilla.nominal == 0 { "N/A".to_owned() } else { casilla.nominal.to_string() };
    let rest = [nominal, acta.representatives.to_string(), observation.to_owned(), counted.to_owned()];
    fields.extend(rest);
    fields.extend([device.to_owned(), integrity, collected, captured, verified]);
    fields.extend([origin.to_owned(), scan, "ACTA PREP".to_owned(), "1".to_owned()]);
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    let digit = |n: u8| digits.get(usize::from(n)).map_or('0', |&d| char::from(d));
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// Entity, section, kind and number: `230085B0100`.
pub(super) fn casilla_key(casilla: &Casilla) -> String {
    let (entity, section) = (casilla.entity, casilla.section);
    format!("{entity:02}{section:04}{}{:02}00", casilla.kind.letter(), casilla.number)
}

fn columns(shape: &Shape) -> Vec<String> {
    let scope = if shape.entities > 1 { "FEDERAL" } else { "LOCAL" };
    let mut columns: Vec<String> = [
        "CLAVE_CASILLA",
        "CLAVE_ACTA",
        if shape.entities > 1 { "ID_ENTIDAD" } else { "ID_ESTADO" },
        if shape.entities > 1 { "ENTIDAD" } else { "ESTADO" },
        &format!("ID_DISTRITO_{scope}"),
        &format!("DISTRITO_{scope}"),
        "ID_MUNICIPIO",
        "SECCION",
        "ID_CASILLA",
        "TIPO_CASILLA",
        "EXT_CONTIGUA",
        "UBICACION_CASILLA",
        "TIPO_ACTA",
        "TOTAL_BOLETAS_SOBRANTES",
        "TOTAL_PERSONAS_VOTARON",
        "TOTAL_REP_PARTIDO_CI_VOTARON",
        "TOTAL_VOTOS_SACADOS",
    ]
    .map(str::to_owned)
    .to_vec();
    columns.extend(PARTIES.map(str::to_owned));
    let rest = "NO_REGISTRADAS,NULOS,TOTAL_VOTOS_ASENTADO,TOTAL_VOTOS_CALCULADO,LISTA_NOMINAL,REPRESENTANTES_PP_CI,\
                OBSERVACIONES,CONTABILIZADA,MECANISMOS_TRASLADO,CODIGO_INTEGRIDAD,FECHA_HORA_ACOPIO,\
                FECHA_HORA_CAPTURA,FECHA_HORA_VERIFICACION,ORIGEN,DIGITALIZACION,TIPO_DOCUMENTO,COTEJADA";
    columns.extend(rest.split(',').map(str::to_owned));
    columns
}

/// Where the parties' columns begin.
const FIRST_PARTY: usize = 17;
