//! Who is who, and the papers that the calls want (T-40): what is missing is named with its clause.

use jiff::Timestamp;
use jiff::civil::Date;

use super::calls::Call;
use super::document::{Cell, Facts, SourceId, Table};
use super::settings::{Office, Party, Settings};
use crate::model::Lang;

/// One thing the calls want to be told: key, label in Spanish and English, its value, and the clause of each call.
struct Wanted<'a> {
    key: &'static str,
    es: &'static str,
    en: &'static str,
    value: &'a str,
    /// Clauses of Nuevo León, INE, Tamaulipas, Quintana Roo, Durango; empty where the call does not ask.
    clauses: [&'static str; 5],
}

/// Adds the tables `contacts`, `staff`, `evidence` and `estimate`, and names what is missing.
pub(super) fn add(facts: &mut Facts, settings: &Settings, from: SourceId) {
    let lang = settings.lang;
    let office = &settings.office;
    let mut contacts = contacts_table(lang, from);
    for wanted in wanted(office) {
        let clause = clause(&wanted, settings.call);
        if wanted.value.is_empty() && clause.is_none() {
            continue;
        }
        let value = match (wanted.value, clause) {
            ("", Some(clause)) => {
                facts.missing.push(missing(wanted.key, settings.call, clause, lang));
                lang.pick("FALTA", "MISSING")
            }
            (value, _) => value,
        };
        contacts.row([lang.pick(wanted.es, wanted.en).into(), value.into(), clause.into()]);
    }
    facts.tables.push(contacts);
    staff(facts, settings, from);
    evidence(facts, settings, from);
    estimate(facts, settings, from);
}

fn contacts_table(lang: Lang, from: SourceId) -> Table {
    let columns = [
        (lang.pick("dato", "field"), 2.2),
        (lang.pick("valor", "value"), 4.0),
        (lang.pick("cláusula", "clause"), 1.0),
    ];
    Table::new("contacts", lang.pick("Registro de contactos", "Register of contacts"), &columns, from)
}

fn clause(wanted: &Wanted<'_>, call: Call) -> Option<&'static str> {
    let [nl, ine, tam, qroo, dgo] = wanted.clauses;
    let clause = match call {
        Call::NuevoLeon => nl,
        Call::Ine => ine,
        Call::Tamaulipas => tam,
        Call::QuintanaRoo => qroo,
        Call::Durango => dgo,
    };
    (!clause.is_empty()).then_some(clause)
}

fn missing(key: &str, call: Call, clause: &str, lang: Lang) -> String {
    let call = call.name();
    match lang {
        Lang::Es => format!("falta {key}: lo pide la cláusula {clause} de {call}"),
        Lang::En => format!("{key} is missing: clause {clause} of {call} asks for it"),
    }
}

fn wanted(office: &Office) -> Vec<Wanted<'_>> {
    let d = &office.difusor;
    let i = &office.institute;
    let one = |key, es, en, value, clauses| Wanted { key, es, en, value, clauses };
    vec![
        one("difusor.name", "Difusor", "Difusor", &*d.name, ["5.1", "VII", "I.g", "Anexo 1", "Anexo A"]),
        one("difusor.address", "Domicilio", "Address", &d.address, ["", "", "I.g", "", ""]),
        one("difusor.city", "Ciudad", "City", &d.city, ["", "", "I.g", "", ""]),
        one("difusor.state", "Estado", "State", &d.state, ["", "", "I.g", "", ""]),
        one(
            "difusor.representative",
            "Representante legal",
            "Legal representative",
            &d.representative,
            ["", "", "I.g", "Anexo 1", ""],
        ),
        one(
            "difusor.contact",
            "Responsable técnico",
            "Technical contact",
            &d.contact,
            ["5.1", "VII", "I.g", "VI", "III"],
        ),
        one("difusor.post", "Cargo", "Post", &d.post, ["5.1", "VII", "", "VI", "III"]),
        one("difusor.phone", "Teléfono", "Phone", &d.phone, ["5.1", "VII", "I.g", "VI", "III"]),
        one("difusor.email", "Correo", "E-mail", &d.email, ["5.1", "VII", "I.g", "Anexo 1", "Anexo A"]),
        one("difusor.hours", "Horario", "Hours", &d.hours, ["", "", "", "VI", "III"]),
        one(
            "difusor.night-phone",
            "Teléfono de la noche de la jornada",
            "Phone on election night",
            &d.night_phone,
            ["", "", "", "", ""],
        ),
        one("difusor.description", "Descripción", "Description", &d.description, ["", "", "I.g", "", ""]),
        one(
            "difusor.hosting",
            "Características del alojamiento",
            "Hosting",
            &d.hosting,
            ["", "", "I.g", "", ""],
        ),
        one("difusor.motives", "Motivos", "Motives", &d.motives, ["", "", "I.g", "", ""]),
        one("difusor.logo", "Logotipo vectorial", "Vector logo", &d.logo, ["", "I.f", "I.f", "I.f", "I.7"]),
        one("institute.name", "Instituto", "Institute", &i.name, ["7", "IX", "VII", "VIII", "VI"]),
        one(
            "institute.contact",
            "Contacto del instituto",
            "The institute's contact",
            &i.contact,
            ["", "", "", "", ""],
        ),
        one(
            "institute.phone",
            "Teléfono del instituto",
            "The institute's phone",
            &i.phone,
            ["7", "IX", "VII", "VIII", "VI"],
        ),
        one(
            "institute.email",
            "Correo del instituto",
            "The institute's e-mail",
            &i.email,
            ["7", "IX", "VII", "VIII", "VI"],
        ),
        one(
            "institute.hours",
            "Horario del instituto",
            "The institute's hours",
            &i.hours,
            ["7", "IX", "VII", "VIII", "VI"],
        ),
    ]
}

fn staff(facts: &mut Facts, settings: &Settings, from: SourceId) {
    let lang = settings.lang;
    let columns = [
        (lang.pick("nombre", "name"), 2.0),
        (lang.pick("cargo", "post"), 1.6),
        (lang.pick("teléfono", "phone"), 1.2),
        (lang.pick("correo", "e-mail"), 1.8),
        (lang.pick("horario", "hours"), 1.4),
    ];
    let mut table = Table::new("staff", lang.pick("Personal", "Staff"), &columns, from);
    let clause = match settings.call {
        Call::NuevoLeon => Some("4.1.2"),
        Call::Ine => Some("VI.a.ii"),
        Call::QuintanaRoo => Some("VI"),
        Call::Durango => Some("III"),
        Call::Tamaulipas => None,
    };
    let people = &settings.office.staff;
    if let (true, Some(clause)) = (people.is_empty(), clause) {
        facts.missing.push(missing("[[staff]]", settings.call, clause, lang));
        table.note = Some(lang.pick("FALTA", "MISSING").to_owned());
    }
    for person in people {
        for (key, value) in [
            ("name", &person.name),
            ("post", &person.post),
            ("phone", &person.phone),
            ("email", &person.email),
        ] {
            if let (true, Some(clause)) = (value.is_empty(), clause) {
                let key = format!("[[staff]] {} {key}", person.name);
                facts.missing.push(missing(&key, settings.call, clause, lang));
            }
        }
        let fields = [&person.name, &person.post, &person.phone, &person.email, &person.hours];
        table.row(fields.map(|text| Cell::from(text.as_str())));
    }
    facts.tables.push(table);
}

fn evidence(facts: &mut Facts, settings: &Settings, from: SourceId) {
    let lang = settings.lang;
    let columns = [
        (lang.pick("norma o deber", "standard or duty"), 2.4),
        (lang.pick("documento", "paper"), 2.4),
        (lang.pick("desde", "from"), 1.0),
        (lang.pick("hasta", "to"), 1.0),
        (lang.pick("cubre la publicación", "covers publication"), 1.2),
    ];
    let mut table =
        Table::new("evidence", lang.pick("Registro de evidencias", "Register of evidence"), &columns, from);
    let clause = match settings.call {
        Call::NuevoLeon => Some("1.5"),
        Call::Ine => Some("II.a.v"),
        Call::Tamaulipas => Some("II.d"),
        Call::QuintanaRoo | Call::Durango => None,
    };
    let papers = &settings.office.evidence;
    if let (true, Some(clause)) = (papers.is_empty(), clause) {
        facts.missing.push(missing("[[evidence]]", settings.call, clause, lang));
        table.note = Some(lang.pick("FALTA", "MISSING").to_owned());
    }
    let day = |t: Timestamp| t.to_zoned(settings.zone.clone()).date();
    let first = settings.events.iter().map(|e| day(e.opens)).min();
    let last = settings.events.iter().map(|e| day(e.closes)).max();
    for paper in papers {
        let covers = covers(paper.from, paper.until, first, last);
        if !covers {
            let (what, end) = (&paper.what, paper.until.map_or_else(String::new, |d| d.to_string()));
            facts.missing.push(match lang {
                Lang::Es => format!("[[evidence]] «{what}» ({end}) no cubre las fechas de publicación"),
                Lang::En => format!("[[evidence]] '{what}' ({end}) does not cover the dates of publication"),
            });
        }
        table.row([
            paper.what.as_str().into(),
            paper.file.as_str().into(),
            paper.from.map(|d| d.to_string()).into(),
            paper.until.map(|d| d.to_string()).into(),
            if covers { lang.pick("sí", "yes") } else { lang.pick("no", "no") }.into(),
        ]);
    }
    facts.tables.push(table);
}

fn covers(from: Option<Date>, until: Option<Date>, first: Option<Date>, last: Option<Date>) -> bool {
    let begins = from.is_none_or(|from| first.is_none_or(|first| from <= first));
    begins && until.is_none_or(|until| last.is_none_or(|last| last <= until))
}

fn estimate(facts: &mut Facts, settings: &Settings, from: SourceId) {
    let lang = settings.lang;
    let columns = [
        (lang.pick("dato", "field"), 2.2),
        (lang.pick("valor", "value"), 4.0),
        (lang.pick("cláusula", "clause"), 1.0),
    ];
    let title = lang.pick("Estimación de consultas", "Estimate of queries");
    let mut table = Table::new("estimate", title, &columns, from);
    let e = &settings.office.estimate;
    let date = e.date.map_or_else(String::new, |d| d.to_string());
    let both = ["1.3.3.4", "II.a.iii.3", "", "", ""];
    let fields = [
        ("estimate.users", "Usuarios esperados", "Users expected", e.users.as_str()),
        ("estimate.bandwidth", "Ancho de banda", "Bandwidth", e.bandwidth.as_str()),
        ("estimate.zones", "Zonas geográficas", "Geographic zones", e.zones.as_str()),
        ("estimate.date", "Fecha", "Date", date.as_str()),
    ];
    for (key, es, en, value) in fields {
        let wanted = Wanted { key, es, en, value, clauses: both };
        let clause = clause(&wanted, settings.call);
        if value.is_empty() && clause.is_none() {
            continue;
        }
        if let ("", Some(clause)) = (value, clause) {
            facts.missing.push(missing(key, settings.call, clause, lang));
        }
        let shown = if value.is_empty() { lang.pick("FALTA", "MISSING") } else { value };
        table.row([lang.pick(es, en).into(), shown.into(), clause.into()]);
    }
    if table.rows.is_empty() {
        table.note = Some(lang.pick("la convocatoria no la pide", "the call does not ask for it").to_owned());
    }
    facts.tables.push(table);
}

/// The name of a party, or the institute that the call is of.
pub(super) fn name<'a>(party: &'a Party, otherwise: &'a str) -> &'a str {
    if party.name.is_empty() { otherwise } else { &party.name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_paper_must_hold_from_the_first_day_to_the_last() {
        let (first, last) = (Some(date(2027, 6, 6)), Some(date(2027, 6, 13)));
        assert!(covers(Some(date(2026, 1, 1)), Some(date(2027, 6, 13)), first, last));
        assert!(!covers(Some(date(2026, 1, 1)), Some(date(2027, 6, 12)), first, last));
        assert!(!covers(Some(date(2027, 6, 7)), None, first, last));
        assert!(covers(None, None, first, last));
    }
}
