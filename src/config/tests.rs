//! Every default parses, every fault has its place.

use super::*;

fn faults(text: &str) -> Vec<String> {
    let faults = Config::parse(Path::new("difusor.toml"), text).unwrap_err();
    faults.iter().map(|f| f.line(Lang::Es)).collect()
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = Config::parse(Path::new("/srv/p/difusor.toml"), "").unwrap();
    assert_eq!(config.zone.iana_name(), Some("America/Cancun"));
    assert_eq!(config.paths.var, Path::new("/srv/p/var"));
    assert_eq!(config.limits.package_size, 512 << 20);
}

#[test]
fn every_profile_writes_a_file_that_reads_back() {
    for (name, profile) in Profile::ALL {
        for lang in [Lang::Es, Lang::En] {
            let text = sample(profile, &Addresses::default(), lang);
            let config = Config::parse(Path::new("difusor.toml"), &text).unwrap_or_else(|f| {
                panic!("{name}: {}", f.iter().map(|f| f.line(lang)).collect::<Vec<_>>().join("\n"))
            });
            assert_eq!(config.profile, profile);
        }
    }
}

#[test]
fn all_faults_are_named_at_once_with_their_places() {
    let text = "perfil = \"x\"\n[ssh]\nlisten = [\"127.0.0.1:84430\"]\ngrase = \"3s\"\nidle = 4\n[[event]]\nname = \"a\"\nopens = \"2027-06-06T20:00\"\n";
    let faults = faults(text);
    assert_eq!(faults.len(), 5, "{faults:#?}");
    assert!(
        faults[0].starts_with("difusor.toml:1:1: clave desconocida «perfil»; ¿quiso decir «profile»?"),
        "{faults:#?}"
    );
    assert!(faults[1].starts_with("difusor.toml:3:10: ssh.listen: «127.0.0.1:84430»"), "{faults:#?}");
    assert!(
        faults[2].starts_with("difusor.toml:4:1: clave desconocida «grase»; ¿quiso decir «grace»?"),
        "{faults:#?}"
    );
    assert!(faults[3].starts_with("difusor.toml:5:8: ssh.idle:"), "{faults:#?}");
    assert!(faults[4].contains("falta la clave «closes»"), "{faults:#?}");
}

#[test]
fn broken_toml_is_a_fault_with_its_line() {
    let faults = faults("domain = \"a\"\n[ssh\nx\n");
    assert!(faults.iter().any(|f| f.starts_with("difusor.toml:2:")), "{faults:#?}");
}

#[test]
fn windows_that_overlap_are_refused() {
    let one = "[[event]]\nname = \"a\"\nopens = \"2027-06-06T20:00\"\ncloses = \"2027-06-07T20:00\"\n";
    let two = one.replace("\"a\"", "\"b\"").replace("06T20", "06T22");
    assert!(faults(&format!("{one}{two}"))[0].contains("se encima con «a»"));
}

#[test]
fn the_reference_in_docs_is_the_one_the_code_makes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIG.md");
    let made = reference();
    if std::env::var_os("DIFUSOR_BLESS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == made,
        "docs/CONFIG.md is stale: run DIFUSOR_BLESS=1 cargo nextest run reference_in_docs"
    );
}
