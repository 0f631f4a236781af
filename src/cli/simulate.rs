//! `difusor simulate packages`: the packages of a night, for drills and tests.

use std::process::ExitCode;

use serde_json::json;

use super::args::{self, Packages};
use super::{Done, Failure, IO_FAILED, Out};
use crate::config;
use crate::simulate::{Curve, Manifest, Plan, Profile, Settings, parse_cuts, parse_interval, parse_start};

pub(super) fn run(verb: args::Simulate, out: Out) -> Done {
    let args::Simulate::Packages(packages) = verb;
    let cuts = parse_cuts(&packages.cuts).map_err(usage)?;
    let plan = Plan::new(settings(&packages, out)?).map_err(usage)?;
    let mut written = |manifest: &Manifest| {
        let name = manifest.package.as_ref().map_or("–", |p| p.name.as_str());
        let bytes = manifest.package.as_ref().map_or(0, |p| p.bytes);
        let data = json!({"cut": manifest.cut, "stamp": manifest.stamp, "package": manifest.package});
        out.answer("simulate", true, data, || {
            format!("{:>3}  {}  {name}  {bytes} bytes", manifest.cut, manifest.stamp)
        });
    };
    plan.write(cuts, &packages.out, &mut written).map_err(|e| Failure::Sentence(IO_FAILED, e.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

fn settings(packages: &Packages, out: Out) -> Result<Settings, Failure> {
    let unknown = |what: &str, name: &str| Failure::Sentence(2, format!("{what}: «{name}»"));
    // Both the calls' long names and the generator's short ones are understood.
    let long = config::Profile::parse(&packages.profile).map(|p| match p {
        config::Profile::QuintanaRoo => "qroo",
        config::Profile::Durango => "dgo",
        config::Profile::Ine => "ine",
        config::Profile::NuevoLeon => "nl",
        config::Profile::Tamaulipas => "tamps",
    });
    let profile = Profile::parse(long.unwrap_or(&packages.profile))
        .ok_or_else(|| unknown(out.pick("perfil desconocido", "unknown profile"), &packages.profile))?;
    let curve = Curve::parse(&packages.curve)
        .ok_or_else(|| unknown(out.pick("curva desconocida", "unknown curve"), &packages.curve))?;
    Ok(Settings {
        process: packages.process.parse().map_err(usage)?,
        start: Some(parse_start(&packages.start).map_err(usage)?),
        zone: packages.tz.clone(),
        interval_seconds: packages.interval.as_deref().map(parse_interval).transpose().map_err(usage)?,
        curve,
        faults: packages.fault.join(",").parse().map_err(usage)?,
        ..Settings::new(profile, packages.seed)
    })
}

fn usage(error: crate::simulate::SettingsError) -> Failure {
    Failure::Sentence(2, error.to_string())
}
