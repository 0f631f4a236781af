//! `difusor doctor`: everything that can be known before the night, one line each.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{self, Common};
use super::{Done, Failure, NO, Out, usage};
use crate::clock::Clock;
use crate::config::{Config, Profile};
use crate::preflight::{self, Answer, Asked, Firewall, Measured, Standing, Verdict};

/// Width of the column of verdicts.
const VERDICT_WIDTH: usize = 11;

pub(super) fn run(doctor: &args::Doctor, common: &Common, out: Out) -> Done {
    let mut config = common.load()?;
    if let Some(kind) = doctor.firewall {
        return firewall(kind, doctor, &config, out);
    }
    let profile = doctor.requirements.as_deref().map(|name| named(name, out)).transpose()?;
    config.profile = profile.unwrap_or(config.profile);
    let asked = Asked {
        offline: doctor.offline,
        public: doctor.public.clone(),
        url: doctor.url.clone(),
        ..Asked::default()
    };
    let answers = preflight::examine(&config, &asked, &Clock::system());
    match profile {
        Some(profile) => requirements(profile, &config, &answers, out),
        None => told(&answers, out),
    }
}

fn named(name: &str, out: Out) -> Result<Profile, Failure> {
    Profile::parse(name).ok_or_else(|| {
        let all = Profile::ALL.map(|(name, _)| name).join(", ");
        let (text, which) =
            (out.pick("perfil desconocido", "unknown profile"), out.pick("elija uno de", "choose one of"));
        Failure::Sentence(2, format!("{text} «{name}»; {which}: {all}"))
    })
}

fn told(answers: &[Answer], out: Out) -> Done {
    let well = !answers.iter().any(|answer| answer.verdict == Verdict::Fault);
    let lines: Vec<Value> = answers.iter().map(|answer| described(answer, out)).collect();
    let count = |verdict| answers.iter().filter(|answer| answer.verdict == verdict).count();
    let counts = [Verdict::Good, Verdict::Attention, Verdict::Fault, Verdict::Unknown];
    let counts: Vec<(Verdict, usize)> = counts.map(|verdict| (verdict, count(verdict))).to_vec();
    out.answer("doctor", well, json!({"answers": lines}), || {
        let mut text = String::new();
        for answer in answers {
            let _ = writeln!(text, "{}", line(answer, out));
        }
        let sums: Vec<String> = counts.iter().map(|(v, n)| format!("{n} {}", v.word(out.lang))).collect();
        let _ = writeln!(text, "{}", sums.join(", "));
        text
    });
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn described(answer: &Answer, out: Out) -> Value {
    json!({
        "topic": answer.topic,
        "verdict": answer.verdict,
        "found": answer.found.text(out.lang),
        "remedy": answer.remedy.as_ref().map(|remedy| remedy.text(out.lang)),
    })
}

fn line(answer: &Answer, out: Out) -> String {
    let (verdict, topic) = (answer.verdict.word(out.lang), answer.topic.name(out.lang));
    let mut line = format!("{verdict:VERDICT_WIDTH$}  {topic}: {}", answer.found.text(out.lang));
    if let Some(remedy) = &answer.remedy {
        let _ = write!(line, " → {}", remedy.text(out.lang));
    }
    line
}

fn firewall(kind: args::Firewall, doctor: &args::Doctor, config: &Config, out: Out) -> Done {
    let kind = match kind {
        args::Firewall::Nft => Firewall::Nft,
        args::Firewall::Ufw => Firewall::Ufw,
    };
    let rules = preflight::rules(kind, config, &doctor.admin, &Clock::system(), out.lang);
    out.answer("firewall", true, json!({"rules": rules}), || rules.clone());
    Ok(ExitCode::SUCCESS)
}

fn requirements(profile: Profile, config: &Config, answers: &[Answer], out: Out) -> Done {
    let command = usage::command(out.lang);
    let measured =
        preflight::measured(profile, config, answers, &|verb| command.find_subcommand(verb).is_some());
    let met = !measured.iter().any(|one| one.standing == Standing::NotMet);
    let clauses: Vec<Value> = measured
        .iter()
        .map(|one| {
            json!({
                "clause": one.clause.number,
                "role": one.clause.letters,
                "requirement": one.clause.required,
                "standing": one.standing.code(),
                "why": one.why.text(out.lang),
            })
        })
        .collect();
    let data = json!({"profile": profile.name(), "clauses": clauses});
    out.answer("requirements", met, data, || table(profile, &measured, out));
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn table(profile: Profile, measured: &[Measured], out: Out) -> String {
    let mut text = format!(
        "{} {} ({})\n",
        out.pick("Requisitos de la convocatoria:", "Requirements of the call:"),
        profile.name(),
        out.pick(
            "S lo cumple el programa, H ayuda o da evidencia, X fuera de él",
            "S the program meets it, H it helps or gives evidence, X outside it"
        )
    );
    for one in measured {
        let _ = writeln!(
            text,
            "{:18}  {} [{}] {} → {}",
            one.standing.word(out.lang),
            one.clause.number,
            one.clause.letters,
            one.clause.required,
            one.why.text(out.lang)
        );
    }
    let count = |standing| measured.iter().filter(|one| one.standing == standing).count();
    let sums: Vec<String> =
        Standing::ALL.iter().map(|s| format!("{} {}", count(*s), s.word(out.lang))).collect();
    let _ = writeln!(text, "{}", sums.join(", "));
    text
}
