//! Who votes where, and what every acta will say: fixed by the seed before the night begins.
//!
//! A cut only decides how many of these actas have arrived.

use std::ops::Range;

use super::curve::{Curve, WHOLE};
use super::profile::Shape;
use super::random::Stream;

/// The whole of one plan's made-up election day.
pub(super) struct Catalog {
    pub(super) casillas: Vec<Casilla>,
    /// One ballot box list per election, in the order of the shape.
    pub(super) ballots: Vec<Ballot>,
}

/// A polling place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Casilla {
    pub(super) entity: u32,
    pub(super) district: u32,
    pub(super) municipality: u32,
    pub(super) section: u32,
    pub(super) kind: CasillaKind,
    /// Running number within kind and section.
    pub(super) number: u32,
    /// Voters on its list; none at a special one.
    pub(super) nominal: u32,
}

/// TIPO_CASILLA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CasillaKind {
    Basic,
    Contiguous,
    Extraordinary,
    Special,
}

impl CasillaKind {
    pub(super) fn letter(self) -> char {
        match self {
            Self::Basic => 'B',
            Self::Contiguous => 'C',
            Self::Extraordinary => 'E',
            Self::Special => 'S',
        }
    }
}

/// The actas of one election.
pub(super) struct Ballot {
    /// By district, then section; those outside the catalogue end their district.
    pub(super) actas: Vec<Acta>,
    /// Where each district's actas lie.
    pub(super) districts: Vec<Range<usize>>,
}

/// One acta.
#[derive(Clone, Debug)]
pub(super) struct Acta {
    /// Index of its casilla.
    pub(super) casilla: u32,
    /// How many actas of its election arrive before it.
    pub(super) rank: u32,
    pub(super) listed: Listed,
    pub(super) note: Note,
    pub(super) votes: [u16; PARTIES.len()],
    pub(super) unregistered: u16,
    pub(super) nulls: u16,
    pub(super) leftover: u16,
    /// Persons who voted, representatives included.
    pub(super) persons: u16,
    pub(super) representatives: u16,
    /// Seconds from collection to capture to verification.
    pub(super) steps: [u16; 2],
    pub(super) origin: Origin,
    /// SHA-256 of the image that nobody took.
    pub(super) integrity: [u8; 32],
}

/// Whether the acta belongs to a casilla of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Yes,
    /// "Fuera de catálogo": registered, neither captured nor counted.
    Outside,
}

/// OBSERVACIONES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    None,
    /// One figure, that of this party, cannot be read: it counts as nothing.
    SomeIllegible(u8),
    NoActa,
    AllIllegible,
}

/// ORIGEN and DIGITALIZACION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Scanned at a collection centre.
    Catd,
    /// Photographed at the polling place.
    Casilla,
}

impl Acta {
    /// Whether its votes count.
    pub(super) fn is_counted(&self) -> bool {
        self.listed == Listed::Yes && matches!(self.note, Note::None | Note::SomeIllegible(_))
    }

    /// All votes that can be read.
    pub(super) fn total(&self) -> u32 {
        let parties: u32 = self.votes.iter().map(|&v| u32::from(v)).sum();
        parties + u32::from(self.unregistered) + u32::from(self.nulls)
    }
}

impl Catalog {
    /// The day of this seed.
    pub(super) fn new(seed: u64, profile: &str, shape: &Shape) -> Self {
        let casillas = casillas(&mut Stream::new(seed, profile, "catalogo"), shape);
        let ballots = shape.elections.iter().map(|election| {
            let mut stream = Stream::new(seed, profile, &format!("actas/{}", election.key));
            Ballot::new(&mut stream, shape, &casillas)
        });
        let ballots = ballots.collect();
        Self { casillas, ballots }
    }

    /// The casilla of an acta.
    pub(super) fn casilla(&self, acta: &Acta) -> Option<&Casilla> {
        self.casillas.get(acta.casilla as usize)
    }
}

impl Ballot {
    fn new(stream: &mut Stream, shape: &Shape, casillas: &[Casilla]) -> Self {
        let mut outside = outside_per_district(stream, shape);
        let mut actas = Vec::with_capacity(casillas.len());
        let mut districts = Vec::new();
        let mut leaning = [0; PARTIES.len()];
        let mut first = 0;
        for (index, casilla) in casillas.iter().enumerate() {
            if index == first {
                leaning = std::array::from_fn(|party| stream.between(20, 120 - 11 * party as u32));
            }
            actas.push(Acta::draw(stream, index as u32, casilla, &leaning));
            let ends = casillas.get(index + 1).is_none_or(|next| next.district != casilla.district);
            if ends {
                let start = districts.last().map_or(0, |last: &Range<usize>| last.end);
                let strangers = outside.get_mut(casilla.district as usize - 1).map_or(0, std::mem::take);
                for _ in 0..strangers {
                    let acta = Acta::draw(stream, index as u32, casilla, &leaning);
                    actas.push(Acta { listed: Listed::Outside, ..acta });
                }
                districts.push(start..actas.len());
                first = index + 1;
            }
        }
        rank(stream, shape, casillas, &mut actas);
        Self { actas, districts }
    }

    /// How many have arrived, `seconds` after the opening.
    pub(super) fn arrived(&self, curve: Curve, seconds: u32) -> u32 {
        (self.actas.len() as u64 * u64::from(curve.share(seconds)) / u64::from(WHOLE)) as u32
    }

    /// When an acta was verified, in seconds after the opening.
    pub(super) fn verified(&self, acta: &Acta, curve: Curve) -> i32 {
        let share = u64::from(acta.rank + 1) * u64::from(WHOLE) / (self.actas.len() as u64).max(1);
        curve.arrival(share as u32)
    }

    /// The actas of district `number`, counted from 1.
    pub(super) fn district(&self, number: u32) -> &[Acta] {
        let range = (number as usize).checked_sub(1).and_then(|n| self.districts.get(n));
        range.and_then(|range| self.actas.get(range.clone())).unwrap_or_default()
    }
}

impl Acta {
    fn draw(stream: &mut Stream, index: u32, casilla: &Casilla, leaning: &[u32; PARTIES.len()]) -> Self {
        let eligible = if casilla.kind == CasillaKind::Special { 750 } else { casilla.nominal };
        let persons = eligible * stream.between(380, 740) / 1000;
        let nulls = persons * stream.between(8, 34) / 1000;
        let unregistered = stream.below(3).min(persons - nulls);
        let rest = persons - nulls - unregistered;
        let weights = leaning.map(|weight| weight * stream.between(60, 140));
        let sum = weights.iter().sum::<u32>().max(1);
        let mut votes = weights.map(|weight| (u64::from(rest) * u64::from(weight) / u64::from(sum)) as u16);
        let given: u32 = votes.iter().map(|&v| u32::from(v)).sum();
        let [first, ..] = &mut votes;
        *first += (rest - given) as u16;
        let note = draw_note(stream);
        match note {
            Note::None => {}
            Note::SomeIllegible(party) => {
                votes.iter_mut().skip(usize::from(party)).take(1).for_each(|v| *v = 0);
            }
            Note::NoActa | Note::AllIllegible => votes = [0; PARTIES.len()],
        }
        let readable = matches!(note, Note::None | Note::SomeIllegible(_));
        let mut integrity = [0; 32];
        stream.fill(&mut integrity);
        Self {
            casilla: index,
            rank: 0,
            listed: Listed::Yes,
            note,
            votes,
            unregistered: if readable { unregistered as u16 } else { 0 },
            nulls: if readable { nulls as u16 } else { 0 },
            leftover: (eligible - persons) as u16,
            persons: persons as u16,
            representatives: stream.below(9) as u16,
            steps: [stream.between(180, 2_400) as u16, stream.between(40, 600) as u16],
            origin: if stream.chance(710) { Origin::Catd } else { Origin::Casilla },
            integrity,
        }
    }
}

/// The measured frequencies: 73.5 % nothing, 21.6 % a figure, 3.5 % no acta, 1.4 % all.
fn draw_note(stream: &mut Stream) -> Note {
    match stream.below(1000) {
        0..735 => Note::None,
        735..951 => Note::SomeIllegible(stream.below(PARTIES.len() as u32) as u8),
        951..986 => Note::NoActa,
        _ => Note::AllIllegible,
    }
}

fn casillas(stream: &mut Stream, shape: &Shape) -> Vec<Casilla> {
    let mut all = Vec::with_capacity(shape.casillas as usize);
    let sections = shape.sections.min(shape.casillas);
    for section in 0..sections {
        // The places of a section: an even share of all, the first of them basic.
        let share = |n: u32| (u64::from(n) * u64::from(shape.casillas) / u64::from(sections)) as u32;
        let mut numbers = [0_u32; 4];
        for place in share(section)..share(section + 1) {
            let kind = match stream.below(1000) {
                _ if place == share(section) => CasillaKind::Basic,
                0..94 => CasillaKind::Extraordinary,
                94..103 => CasillaKind::Special,
                _ => CasillaKind::Contiguous,
            };
            let number = numbers.get_mut(kind as usize).map_or(1, |n| {
                *n += 1;
                *n
            });
            let district = section * shape.districts / sections;
            all.push(Casilla {
                entity: if shape.entities == 1 {
                    shape.state_id
                } else {
                    district * shape.entities / shape.districts + 1
                },
                district: district + 1,
                municipality: section * shape.municipalities / sections + 1,
                section: section + 1,
                kind,
                number,
                nominal: if kind == CasillaKind::Special { 0 } else { stream.between(250, 750) },
            });
        }
    }
    all
}

/// Between none and 0.2 % of all actas lie outside the catalogue; for the country never none.
fn outside_per_district(stream: &mut Stream, shape: &Shape) -> Vec<u32> {
    let least = u32::from(shape.entities > 1);
    let count = (shape.casillas * stream.below(21) / 10_000).max(least);
    let mut per_district = vec![0; shape.districts as usize];
    for _ in 0..count {
        let district = stream.below(shape.districts) as usize;
        per_district.iter_mut().skip(district).take(1).for_each(|n| *n += 1);
    }
    per_district
}

/// Orders the actas by district weight times u^1.15: quick districts come early, the
/// slow ones spread over the whole night.
fn rank(stream: &mut Stream, shape: &Shape, casillas: &[Casilla], actas: &mut [Acta]) {
    let mut keys: Vec<(u64, u32)> = Vec::with_capacity(actas.len());
    for (index, acta) in actas.iter().enumerate() {
        let district = casillas.get(acta.casilla as usize).map_or(1, |c| c.district);
        let class = (district - 1) * WEIGHTS.len() as u32 / shape.districts;
        let weight = WEIGHTS.get(class as usize).copied().unwrap_or(100);
        let u = stream.below(1 << 16);
        keys.push(((weight * power(u)) << 16 | u64::from(stream.below(1 << 16)), index as u32));
    }
    keys.sort_unstable();
    for (rank, (_, index)) in keys.into_iter().enumerate() {
        if let Some(acta) = actas.get_mut(index as usize) {
            acta.rank = rank as u32;
        }
    }
}

/// `(u / 65536)^1.15 · 65536`, between tabulated sixteenths.
fn power(u: u32) -> u64 {
    let (step, part) = ((u >> 12) as usize, u64::from(u & 0xfff));
    let (Some(&low), Some(&high)) = (POWER.get(step), POWER.get(step + 1)) else { return 1 << 16 };
    low + (((high - low) * part) >> 12)
}

/// Made-up names: real ones beside made-up figures could be taken for results.
pub(super) const PARTIES: [&str; 9] = [
    "PAZUL",
    "PROJO",
    "PVERDE",
    "PNARANJA",
    "PGUINDA",
    "PMORADO",
    "PTURQUESA",
    "PVERDE_PGUINDA",
    "CAND_IND_1",
];
/// Hundredths, from the quickest fifteenth of all districts to the slowest.
const WEIGHTS: [u64; 15] = [45, 45, 45, 45, 45, 55, 55, 55, 65, 65, 75, 75, 90, 100, 100];
const POWER: [u64; 17] = [
    0, 2_702, 5_997, 9_559, 13_308, 17_201, 21_214, 25_328, 29_532, 33_816, 38_172, 42_594, 47_076, 51_615,
    56_207, 60_848, 65_536,
];

#[cfg(test)]
mod tests {
    use super::super::profile::Profile;
    use super::*;

    #[test]
    fn every_rank_is_taken_once() {
        let catalog = Catalog::new(3, "qroo", &Profile::Qroo.shape());
        for ballot in &catalog.ballots {
            let mut ranks: Vec<u32> = ballot.actas.iter().map(|a| a.rank).collect();
            ranks.sort_unstable();
            assert!(ranks.iter().enumerate().all(|(n, &rank)| n as u32 == rank));
            assert_eq!(ballot.districts.iter().map(Range::len).sum::<usize>(), ballot.actas.len());
        }
    }

    #[test]
    fn the_shares_are_the_measured_ones() {
        let catalog = Catalog::new(3, "ine-mini", &Profile::IneMini.shape());
        let actas: Vec<&Acta> = catalog.ballots.iter().flat_map(|b| &b.actas).collect();
        let share = |of: &dyn Fn(&Acta) -> bool| actas.iter().filter(|a| of(a)).count() * 1000 / actas.len();
        assert!((725..746).contains(&share(&|a| a.note == Note::None)));
        assert!((45..54).contains(&share(&|a| !a.is_counted())));
        assert!((700..720).contains(&share(&|a| a.origin == Origin::Catd)));
        let outside = actas.iter().filter(|a| a.listed == Listed::Outside).count();
        assert!(outside >= 3 && outside * 500 <= actas.len());
    }
}
