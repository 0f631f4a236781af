//! The clauses of the five calls, one by one, and whether an instance meets them.
//!
//! Each call is a table of text in `calls/`: clause, whose part it is, by what it is judged, and what is
//! required (in Spanish, as the calls are). What a room here can look at is judged by the answers of
//! [`super::examine`]; what the program does by itself or by one of its verbs is met by having it; a paper
//! that the operator must hand in is never said to be met.

use super::answer::{Answer, Said, Topic, Verdict};
use crate::config::{Config, Profile};
use crate::model::Lang;

/// One clause of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Its number in the call.
    pub number: &'static str,
    /// Letters of its role: S (software), H (helped), X (outside).
    pub letters: &'static str,
    /// What is required, in Spanish.
    pub required: &'static str,
    proof: Proof,
}

/// By what a clause is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// The program does it, whatever is configured; the tests that show it.
    Done(&'static str),
    /// Every answer to these topics is good.
    Look(&'static str),
    /// No answer to these topics is a fault.
    Watch(&'static str),
    /// A verb of the program does it.
    Verb(&'static str),
    /// A rule of the configuration is on.
    Rule(&'static str),
    /// A paper that the operator hands in.
    Papers,
    /// Nothing that a program could do.
    Outside,
    /// The program does not do it.
    Missing,
}

/// How a clause stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Met.
    Met,
    /// Not met.
    NotMet,
    /// The program has nothing to do with it.
    Outside,
    /// Nothing here can tell.
    Unknown,
}

impl Standing {
    /// All, the best first.
    pub const ALL: [Self; 4] = [Self::Met, Self::NotMet, Self::Outside, Self::Unknown];

    /// The words for people.
    pub fn word(self, lang: Lang) -> &'static str {
        match self {
            Self::Met => lang.pick("cumplido", "met"),
            Self::NotMet => lang.pick("no cumplido", "not met"),
            Self::Outside => lang.pick("fuera del software", "outside"),
            Self::Unknown => lang.pick("sin dato", "no data"),
        }
    }

    /// The word for machines, the same in any language.
    pub fn code(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "not-met",
            Self::Outside => "outside",
            Self::Unknown => "no-data",
        }
    }
}

/// A clause with how it stands and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The clause.
    pub clause: Clause,
    /// How it stands.
    pub standing: Standing,
    /// Why.
    pub why: Said,
}

impl Clause {
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.splitn(4, '|').map(str::trim);
        let (number, letters, proof, required) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let (word, rest) = proof.split_once(' ').unwrap_or((proof, ""));
        let proof = match word {
            "done" => Proof::Done(rest),
            "look" => Proof::Look(rest),
            "watch" => Proof::Watch(rest),
            "verb" => Proof::Verb(rest),
            "rule" => Proof::Rule(rest),
            "papers" => Proof::Papers,
            "outside" => Proof::Outside,
            "missing" => Proof::Missing,
            _ => return None,
        };
        Some(Self { number, letters, required, proof })
    }
}

/// Every clause of a call, in its order.
pub fn clauses(profile: Profile) -> Vec<Clause> {
    let table: &'static str = match profile {
        Profile::QuintanaRoo => include_str!("calls/quintana-roo.txt"),
        Profile::Durango => include_str!("calls/durango.txt"),
        Profile::Ine => include_str!("calls/ine.txt"),
        Profile::NuevoLeon => include_str!("calls/nuevo-leon.txt"),
        Profile::Tamaulipas => include_str!("calls/tamaulipas.txt"),
    };
    lines(table).filter_map(Clause::parse).collect()
}

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Measures an instance by a call. `answers` are those of [`super::examine`] under that call's profile; `has_verb`
/// says whether the command line has a verb.
pub fn measured(
    profile: Profile,
    config: &Config,
    answers: &[Answer],
    has_verb: &dyn Fn(&str) -> bool,
) -> Vec<Measured> {
    let measure = |clause: Clause| {
        let (standing, why) = judge(clause.proof, config, answers, has_verb);
        Measured { clause, standing, why }
    };
    clauses(profile).into_iter().map(measure).collect()
}

fn judge(
    proof: Proof,
    config: &Config,
    answers: &[Answer],
    has_verb: &dyn Fn(&str) -> bool,
) -> (Standing, Said) {
    match proof {
        Proof::Done(tests) => (
            Standing::Met,
            Said::new(format!("lo hace difusor ({tests})"), format!("difusor does it ({tests})")),
        ),
        Proof::Look(topics) => looked(topics, answers, Verdict::Attention),
        Proof::Watch(topics) => looked(topics, answers, Verdict::Fault),
        Proof::Verb(verb) if has_verb(verb) => {
            (Standing::Met, Said::new(format!("con: difusor {verb}"), format!("by: difusor {verb}")))
        }
        Proof::Verb(verb) => (
            Standing::NotMet,
            Said::new(
                format!("esta versión no tiene difusor {verb}"),
                format!("this version has no difusor {verb}"),
            ),
        ),
        Proof::Rule(rule) => ruled(rule, config),
        Proof::Papers => (
            Standing::Unknown,
            Said::new(
                "lo acredita usted con un documento o un contacto",
                "you prove it by a document or a contact",
            ),
        ),
        Proof::Outside => (
            Standing::Outside,
            Said::new(
                "lo dan su contrato, su proveedor o su sitio",
                "contract, provider or premises give it",
            ),
        ),
        Proof::Missing => (Standing::NotMet, Said::new("difusor no lo hace", "difusor does not do it")),
    }
}

/// The worst answer to any of these topics decides; from `fails` on the clause is not met.
fn looked(topics: &str, answers: &[Answer], fails: Verdict) -> (Standing, Said) {
    let named: Vec<Topic> = topics
        .split(' ')
        .filter_map(|t| Topic::ALL.iter().copied().find(|topic| topic.code() == t))
        .collect();
    let about = answers.iter().filter(|answer| named.contains(&answer.topic));
    let Some(worst) = about.max_by_key(|answer| answer.verdict) else {
        return (Standing::Unknown, Said::new("no se miró", "not looked at"));
    };
    let standing = match worst.verdict {
        Verdict::Good => Standing::Met,
        Verdict::Unknown => Standing::Unknown,
        verdict if verdict >= fails => Standing::NotMet,
        _ => Standing::Met,
    };
    (standing, worst.found.clone())
}

fn ruled(rule: &str, config: &Config) -> (Standing, Said) {
    let on = match rule {
        "increments" => config.package.increments,
        _ => return (Standing::Unknown, Said::default()),
    };
    let (standing, state) = if on { (Standing::Met, "true") } else { (Standing::NotMet, "false") };
    (standing, Said::new(format!("package.{rule} = {state}"), format!("package.{rule} = {state}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: [(&str, Profile); 5] = Profile::ALL;

    #[test]
    fn every_line_of_every_call_is_understood() {
        for (name, profile) in TABLES {
            let file = format!("{}/src/preflight/calls/{name}.txt", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(file).unwrap();
            let written = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
            let all = clauses(profile);
            assert_eq!(all.len(), written, "{name}");
            assert!(all.len() >= 30, "{name}: {}", all.len());
            for clause in all {
                assert!(!clause.number.is_empty() && !clause.required.is_empty(), "{name}: {clause:?}");
                let good = clause.letters.split('/').all(|l| ["S", "H", "X", "–"].contains(&l));
                assert!(good, "{name}: {clause:?}");
                if let Proof::Look(topics) | Proof::Watch(topics) = clause.proof {
                    for topic in topics.split(' ') {
                        assert!(Topic::ALL.iter().any(|t| t.code() == topic), "{name}: {clause:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_worst_answer_decides_and_the_unknown_is_never_met() {
        let answer = |verdict| Answer::of(Topic::Clock, verdict, "x", "x");
        let standing = |proof, verdicts: &[Verdict]| {
            let answers: Vec<Answer> = verdicts.iter().copied().map(answer).collect();
            let config = Config::parse(std::path::Path::new("/x/difusor.toml"), "").unwrap();
            judge(proof, &config, &answers, &|verb| verb == "stats").0
        };
        assert_eq!(standing(Proof::Look("clock"), &[Verdict::Good]), Standing::Met);
        assert_eq!(standing(Proof::Look("clock"), &[Verdict::Good, Verdict::Unknown]), Standing::Unknown);
        assert_eq!(standing(Proof::Look("clock"), &[Verdict::Unknown, Verdict::Attention]), Standing::NotMet);
        assert_eq!(standing(Proof::Look("clock"), &[]), Standing::Unknown);
        assert_eq!(standing(Proof::Watch("clock"), &[Verdict::Attention]), Standing::Met);
        assert_eq!(standing(Proof::Watch("clock"), &[Verdict::Fault]), Standing::NotMet);
        assert_eq!(standing(Proof::Verb("stats"), &[]), Standing::Met);
        assert_eq!(standing(Proof::Verb("nothing"), &[]), Standing::NotMet);
        assert_eq!(standing(Proof::Rule("increments"), &[]), Standing::NotMet);
        assert_eq!(standing(Proof::Papers, &[]), Standing::Unknown);
        assert_eq!(standing(Proof::Outside, &[]), Standing::Outside);
    }
}
