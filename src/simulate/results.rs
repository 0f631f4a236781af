//! Sums over the actas that have arrived, and how they are published.
//!
//! Percentages have four decimals, truncated and not rounded, as the institutes' own
//! LEEME files say; they are computed in integers.

use serde::Serialize;

use super::catalog::{Acta, Casilla, CasillaKind, Catalog, Listed, Note, PARTIES};

/// Sums over some actas of one election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) expected: u64,
    pub(super) captured: u64,
    pub(super) outside: u64,
    pub(super) counted: u64,
    pub(super) noted: u64,
    /// Voters on the lists of counted actas.
    pub(super) nominal: u64,
    /// Votes with and without special polling places.
    pub(super) votes_with_special: u64,
    pub(super) votes_without_special: u64,
    pub(super) parties: [u64; PARTIES.len()],
    pub(super) unregistered: u64,
    pub(super) nulls: u64,
}

impl Tally {
    /// Of those among `actas` that are among the first `arrived`.
    pub(super) fn of<'a>(actas: impl IntoIterator<Item = &'a Acta>, catalog: &Catalog, arrived: u32) -> Self {
        let mut tally = Self::default();
        for acta in actas {
            if let Some(casilla) = catalog.casilla(acta) {
                tally.add(acta, casilla, acta.rank < arrived);
            }
        }
        tally
    }

    fn add(&mut self, acta: &Acta, casilla: &Casilla, here: bool) {
        self.expected += u64::from(acta.listed == Listed::Yes);
        if !here {
            return;
        }
        if acta.listed == Listed::Outside {
            self.outside += 1;
            return;
        }
        self.captured += 1;
        self.noted += u64::from(acta.note != Note::None);
        if !acta.is_counted() {
            return;
        }
        self.counted += 1;
        self.nominal += u64::from(casilla.nominal);
        self.votes_with_special += u64::from(acta.total());
        if casilla.kind != CasillaKind::Special {
            self.votes_without_special += u64::from(acta.total());
        }
        self.parties.iter_mut().zip(acta.votes).for_each(|(sum, votes)| *sum += u64::from(votes));
        self.unregistered += u64::from(acta.unregistered);
        self.nulls += u64::from(acta.nulls);
    }

    /// The thirteen columns. Participation is that without special polling places, and
    /// with them only at the last cut.
    pub(super) fn totals(&self, last: Last) -> Totals {
        let voted = match last {
            Last::No => self.votes_without_special,
            Last::Yes => self.votes_with_special,
        };
        Totals {
            esperadas: self.expected,
            registradas: self.captured + self.outside,
            fuera_catalogo: self.outside,
            capturadas: self.captured,
            porcentaje_capturadas: percent(self.captured, self.expected),
            contabilizadas: self.counted,
            porcentaje_contabilizadas: percent(self.counted, self.expected),
            porcentaje_inconsistencias: percent(self.noted, self.expected),
            no_contabilizadas: self.captured - self.counted,
            lista_nominal: self.nominal,
            votos_c_cs: self.votes_with_special,
            votos_s_cs: self.votes_without_special,
            participacion: percent(voted, self.nominal),
        }
    }
}

/// Whether a cut is the last of its night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Yes,
    No,
}

/// The totals line of a table (Anexo 13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// ACTAS_ESPERADAS.
    pub esperadas: u64,
    /// ACTAS_REGISTRADAS: captured and outside the catalogue.
    pub registradas: u64,
    /// ACTAS_FUERA_CATALOGO.
    pub fuera_catalogo: u64,
    /// ACTAS_CAPTURADAS.
    pub capturadas: u64,
    /// PORCENTAJE_ACTAS_CAPTURADAS, of those expected.
    pub porcentaje_capturadas: String,
    /// ACTAS_CONTABILIZADAS.
    pub contabilizadas: u64,
    /// PORCENTAJE_ACTAS_CONTABILIZADAS, of those expected.
    pub porcentaje_contabilizadas: String,
    /// PORCENTAJE_ACTAS_INCONSISTENCIAS: with a remark, of those expected.
    pub porcentaje_inconsistencias: String,
    /// ACTAS_NO_CONTABILIZADAS.
    pub no_contabilizadas: u64,
    /// LISTA_NOMINAL_ACTAS_CONTABILIZADAS.
    pub lista_nominal: u64,
    /// TOTAL_VOTOS_C_CS: with special polling places.
    pub votos_c_cs: u64,
    /// TOTAL_VOTOS_S_CS: without them.
    pub votos_s_cs: u64,
    /// PORCENTAJE_PARTICIPACION_CIUDADANA.
    pub participacion: String,
}

impl Totals {
    /// Names of the thirteen columns, in order.
    pub(super) const COLUMNS: [&'static str; 13] = [
        "ACTAS_ESPERADAS",
        "ACTAS_REGISTRADAS",
        "ACTAS_FUERA_CATALOGO",
        "ACTAS_CAPTURADAS",
        "PORCENTAJE_ACTAS_CAPTURADAS",
        "ACTAS_CONTABILIZADAS",
        "PORCENTAJE_ACTAS_CONTABILIZADAS",
        "PORCENTAJE_ACTAS_INCONSISTENCIAS",
        "ACTAS_NO_CONTABILIZADAS",
        "LISTA_NOMINAL_ACTAS_CONTABILIZADAS",
        "TOTAL_VOTOS_C_CS",
        "TOTAL_VOTOS_S_CS",
        "PORCENTAJE_PARTICIPACION_CIUDADANA",
    ];

    /// Their values, in the same order.
    pub(super) fn values(&self) -> [String; 13] {
        [
            self.esperadas.to_string(),
            self.registradas.to_string(),
            self.fuera_catalogo.to_string(),
            self.capturadas.to_string(),
            self.porcentaje_capturadas.clone(),
            self.contabilizadas.to_string(),
            self.porcentaje_contabilizadas.clone(),
            self.porcentaje_inconsistencias.clone(),
            self.no_contabilizadas.to_string(),
            self.lista_nominal.to_string(),
            self.votos_c_cs.to_string(),
            self.votos_s_cs.to_string(),
            self.participacion.clone(),
        ]
    }
}

/// `part` of `whole` in percent with four decimals, truncated; nothing of nothing is zero.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let millionths = (u128::from(part) * 1_000_000).checked_div(u128::from(whole)).unwrap_or(0);
    format!("{}.{:04}", millionths / 10_000, millionths % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_truncated() {
        assert_eq!(percent(263_005, 1_187_254), "22.1523");
        assert_eq!(percent(2_136, 2_136), "100.0000");
        assert_eq!(percent(0, 0), "0.0000");
    }
}
