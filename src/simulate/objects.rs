//! The JSON files. Written by hand: names, order and spacing are part of the package.

use super::catalog::{Acta, Listed, Note, PARTIES};
use super::profile::Layout;
use super::results::{Last, Tally, percent};
use super::site::{Piece, Site};
use super::stamp;
use super::tables::{casilla_key, hex};

/// The text of one JSON file; empty for pieces that are none.
pub(super) fn render(site: &Site<'_>, piece: Piece) -> String {
    match piece {
        Piece::Avance => avance(site),
        Piece::NationalAvance(e) | Piece::EntityTotals(e) => totals(site, e),
        Piece::EntityParties(e) => entity_parties(site, e),
        Piece::Statistics(e) => statistics(site, e),
        Piece::Map(e) => map(site, e),
        Piece::Formulas(e) => formulas(site, e),
        Piece::Early(e) => early(site, e),
        Piece::EntitySums(e, n) => sums_where(site, e, "entidad", n),
        Piece::MunicipalitySums(e, n) => sums_where(site, e, "municipio", n),
        Piece::DistrictSums(e, d) | Piece::DistrictParties(e, d) => {
            let tally = district(site, e, d);
            format!("{{\"distrito\":{d},{}}}\n", sums(&tally))
        }
        Piece::DistrictCandidates(e, d) => candidates(site, e, d),
        Piece::DistrictSections(e, d) => sections(site, e, d),
        Piece::DistrictActas(e, d) => actas(site, e, d),
        Piece::DistrictTable(_) | Piece::FullTable(_) | Piece::Download(_) | Piece::NestedDownload => {
            String::new()
        }
    }
}

/// What the page polls, and the first place where a receiver looks for the hour.
fn avance(site: &Site<'_>) -> String {
    let elections = site.shape.elections.iter().enumerate().map(|(index, election)| {
        let tally = site.tally_all(index);
        let t = tally.totals(site.moment.last);
        format!(
            "{{\"clave\":\"{}\",\"nombre\":\"{}\",\"actas_esperadas\":{},\"actas_capturadas\":{},\
             \"porcentaje_actas_capturadas\":\"{}\",\"actas_contabilizadas\":{},\"participacion\":\"{}\",\
             \"votos\":{}}}",
            election.key,
            election.title,
            t.esperadas,
            t.capturadas,
            t.porcentaje_capturadas,
            t.contabilizadas,
            t.participacion,
            votes(&tally),
        )
    });
    let elections: Vec<String> = elections.collect();
    format!(
        "{{\"simulado\":true,\"aviso\":\"Datos simulados; no son resultados de ninguna elecci\u{f3}n\",\
         \"proceso\":\"{}\",\"entidad\":\"{}\",\"id_entidad\":{},{}\"zona\":\"{}\",\"ultimo_corte\":{},\
         \"elecciones\":[{}]}}\n",
        site.moment.process,
        site.shape.state,
        site.shape.state_id,
        last_cut(site),
        stamp::utc(site.moment.stamp, 0),
        flag(site),
        elections.join(","),
    )
}

fn totals(site: &Site<'_>, election: usize) -> String {
    let tally = site.tally_all(election);
    let t = tally.totals(site.moment.last);
    let hour = match site.shape.layout {
        Layout::ByDistrict | Layout::National => last_cut(site),
        Layout::ByArea | Layout::Tables => hour_of_cut(site),
    };
    format!(
        "{{{}\"totalActas\":\"{}\",\"actasCapturadas\":{{\"total\":\"{}\",\"porcentaje\":\"{}\"}},\
         \"actasContabilizadas\":{{\"total\":\"{}\",\"porcentaje\":\"{}\"}},\"actasFueraCatalogo\":\"{}\",\
         \"listaNominal\":\"{}\",\"participacion\":\"{}\",\"totalVotos\":\"{}\"}}\n",
        hour,
        t.esperadas,
        t.capturadas,
        t.porcentaje_capturadas,
        t.contabilizadas,
        t.porcentaje_contabilizadas,
        t.fuera_catalogo,
        t.lista_nominal,
        t.participacion,
        t.votos_c_cs,
    )
}

/// Carries `ultimo_corte`: in Quintana Roo's files a flag and not an hour.
fn entity_parties(site: &Site<'_>, election: usize) -> String {
    let tally = site.tally_all(election);
    format!("{{\"ultimo_corte\":\"{}\",{}}}\n", flag(site), sums(&tally))
}

fn statistics(site: &Site<'_>, election: usize) -> String {
    let tally = site.tally_all(election);
    format!(
        "{{\"observaciones\":{},\"noContabilizadas\":{},\"nulos\":{},\"noRegistradas\":{}}}\n",
        tally.noted,
        tally.captured - tally.counted,
        tally.nulls,
        tally.unregistered,
    )
}

/// Who leads in each district.
fn map(site: &Site<'_>, election: usize) -> String {
    let districts = (1..=site.shape.districts).map(|d| {
        let tally = district(site, election, d);
        let most = tally.parties.iter().copied().max().unwrap_or(0);
        let leads = tally.parties.iter().position(|&votes| votes == most && most > 0);
        let leads = leads.and_then(|party| PARTIES.get(party)).unwrap_or(&"-");
        format!("{{\"distrito\":{d},\"primero\":\"{leads}\",\"votos\":\"{most}\"}}")
    });
    format!("[{}]\n", districts.collect::<Vec<_>>().join(",\n"))
}

fn formulas(site: &Site<'_>, election: usize) -> String {
    let districts = (1..=site.shape.districts).map(|d| {
        let tally = district(site, election, d);
        format!("{{\"distrito\":{d},\"formulas\":{}}}", votes(&tally))
    });
    format!("[{}]\n", districts.collect::<Vec<_>>().join(",\n"))
}

/// Votes cast early: those of the special polling places stand for them.
fn early(site: &Site<'_>, election: usize) -> String {
    let tally = site.tally_all(election);
    let early = tally.votes_with_special - tally.votes_without_special;
    format!("{{\"anticipado\":true,\"totalVotos\":\"{early}\"}}\n")
}

fn sums_where(site: &Site<'_>, election: usize, area: &str, number: u32) -> String {
    let actas = site.election(election).map(|(_, ballot)| &ballot.actas);
    let within = actas.into_iter().flatten().filter(|acta| {
        site.catalog
            .casilla(acta)
            .is_some_and(|c| number == if area == "entidad" { c.entity } else { c.municipality })
    });
    let tally = Tally::of(within, site.catalog, site.arrived(election));
    format!("{{\"{area}\":{number},{}}}\n", sums(&tally))
}

fn candidates(site: &Site<'_>, election: usize, number: u32) -> String {
    let tally = district(site, election, number);
    let all = tally.votes_with_special;
    let rows = PARTIES.iter().zip(tally.parties).enumerate().map(|(n, (party, votes))| {
        format!(
            "{{\"id\":\"{number}-{n}\",\"candidatura\":\"CANDIDATURA FICTICIA {number}-{n}\",\"partido\":\"{party}\",\
             \"votos\":\"{votes}\",\"porcentaje\":\"{}\"}}",
            percent(votes, all)
        )
    });
    format!("[{}]\n", rows.collect::<Vec<_>>().join(",\n"))
}

fn sections(site: &Site<'_>, election: usize, number: u32) -> String {
    let rows = of_district(site, election, number).iter().filter_map(|acta| {
        let casilla = site.catalog.casilla(acta)?;
        let here = acta.rank < site.arrived(election);
        if !here && acta.listed == Listed::Outside {
            return None;
        }
        Some(format!(
            "{{\"seccion\":\"{:04}\",\"casilla\":\"{}{}\",\"lista_nominal\":\"{}\",\"capturada\":\"{}\"}}",
            casilla.section,
            casilla.kind.letter(),
            casilla.number,
            casilla.nominal,
            u8::from(here),
        ))
    });
    format!("[{}]\n", rows.collect::<Vec<_>>().join(",\n"))
}

fn actas(site: &Site<'_>, election: usize, number: u32) -> String {
    let mut text = "[".to_owned();
    for acta in of_district(site, election, number) {
        let here = acta.rank < site.arrived(election);
        if !here && acta.listed == Listed::Outside {
            continue;
        }
        if text.len() > 1 {
            text.push_str(",\n");
        }
        text.push_str(&one_acta(site, acta, here));
    }
    text + "]\n"
}

fn one_acta(site: &Site<'_>, acta: &Acta, here: bool) -> String {
    let Some(casilla) = site.catalog.casilla(acta) else { return String::new() };
    let state = match (here, acta.note) {
        (false, _) => "por procesar",
        (true, Note::None) => "procesada",
        (true, Note::SomeIllegible(_)) => "algun dato ilegible",
        (true, Note::NoActa) => "sin acta",
        (true, Note::AllIllegible) => "ilegible",
    };
    let shown = |votes: u16| if here { votes } else { 0 };
    let votes =
        PARTIES.iter().zip(acta.votes).map(|(party, votes)| format!("\"{party}\":\"{}\"", shown(votes)));
    let (total, persons) = if here { (acta.total(), acta.persons) } else { (0, 0) };
    let place = match site.shape.layout {
        // INE's files say where little, and name the sum of the image (160 bits of it)
        // instead of its path.
        Layout::National => {
            let sum = if here { hex(acta.integrity.get(..20).unwrap_or_default()) } else { "-".to_owned() };
            format!("\"codigo_integridad\":\"{sum}\"")
        }
        Layout::ByDistrict | Layout::ByArea | Layout::Tables => format!(
            "\"id_distrito\":\"{}\",\"id_municipio\":\"{}\",\"seccion\":\"{:04}\",\"tipo_casilla\":\"{}\",\
             \"id_casilla\":\"{}\",\"contabilizada\":\"{}\",\"personas_votaron\":\"{persons}\",\
             \"total_votos_calculado\":\"{total}\",\"mecanismo_traslado\":\"-\",\"tipo_documento\":\"ACTA PREP\",\
             \"digitalizacion\":\"../../../../../imagenes_digitalizadas_validadas/{:06}.jpg\"",
            casilla.district,
            casilla.municipality,
            casilla.section,
            casilla.kind.letter(),
            casilla.number,
            u8::from(here && acta.is_counted()),
            acta.casilla,
        ),
    };
    format!(
        "{{\"clave\":\"{}\",\"estatus\":\"{state}\",\"votos\":{{{}}},\"no_registradas\":\"{}\",\
         \"nulos\":\"{}\",\"lista_nominal\":\"{}\",{place}}}",
        casilla_key(casilla),
        votes.collect::<Vec<_>>().join(","),
        shown(acta.unregistered),
        shown(acta.nulls),
        casilla.nominal,
    )
}

/// Ten thousand actas without a vote, as the first cut of a night shows them: real data
/// that compresses 52:1, the worst honest ratio ever measured.
pub(super) fn untouched_actas() -> String {
    let rows = (0..10_000).map(|n| {
        let votes = PARTIES.iter().map(|p| format!("        \"{p}\": {{ \"votos\": \"0\", \"porcentaje\": \"0.0000\" }}"));
        let votes = votes.collect::<Vec<_>>().join(",\n");
        // What tells one acta from the next, on a path that no compressor foresees.
        let (section, nominal) = (n * 7_919 % 9_973, 250 + n * 104_729 % 499);
        format!(
            "  {{\n    \"casilla\": \"{n:05}\",\n    \"seccion\": \"{section:04}\",\n    \"lista_nominal\": \"{nominal}\",\n    \
             \"estatus\": \"por procesar\",\n    \"votos\": {{\n{votes}\n    }}\n  }}"
        )
    });
    format!("[\n{}\n]\n", rows.collect::<Vec<_>>().join(",\n"))
}

fn of_district<'a>(site: &Site<'a>, election: usize, number: u32) -> &'a [Acta] {
    site.election(election).map_or(&[], |(_, ballot)| ballot.district(number))
}

fn district(site: &Site<'_>, election: usize, number: u32) -> Tally {
    Tally::of(of_district(site, election, number), site.catalog, site.arrived(election))
}

/// The members that every sum shows.
fn sums(tally: &Tally) -> String {
    let t = tally.totals(Last::Yes);
    format!(
        "\"actas_esperadas\":\"{}\",\"actas_capturadas\":\"{}\",\"porcentaje\":\"{}\",\"nulos\":\"{}\",\
         \"no_registradas\":\"{}\",\"total\":\"{}\",\"votos\":{}",
        t.esperadas,
        t.capturadas,
        t.porcentaje_capturadas,
        tally.nulls,
        tally.unregistered,
        t.votos_c_cs,
        votes(tally),
    )
}

fn votes(tally: &Tally) -> String {
    let rows = PARTIES.iter().zip(tally.parties).map(|(party, votes)| {
        let share = percent(votes, tally.votes_with_special);
        format!("{{\"partido\":\"{party}\",\"votos\":\"{votes}\",\"porcentaje\":\"{share}\"}}")
    });
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

fn last_cut(site: &Site<'_>) -> String {
    site.moment.json.map_or_else(String::new, |cut| format!("\"ultimoCorte\":{},", stamp::json(cut)))
}

/// The kind of 2018.
fn hour_of_cut(site: &Site<'_>) -> String {
    site.moment.json.map_or_else(String::new, |cut| format!("\"horaCorte\":\"{}\",", stamp::plain(cut)))
}

fn flag(site: &Site<'_>) -> u8 {
    u8::from(site.moment.last == Last::Yes)
}
