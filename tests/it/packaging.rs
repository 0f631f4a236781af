//! What surrounds the program: package, container, alarms, dashboard, example for Ansible. The package itself is
//! installed and used by `tests/package/try`, which `tests/run` calls.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::night::{DIFUSOR, shown};

fn root(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn read(relative: &str) -> String {
    std::fs::read_to_string(root(relative)).unwrap_or_else(|e| panic!("{relative}: {e}"))
}

#[test]
fn alarms_pass_promtool_and_fire_when_they_should() {
    for args in [["check", "rules", "difusor.rules.yml"], ["test", "rules", "difusor.rules.test.yml"]] {
        let said = Command::new("promtool").args(args).current_dir(root("prometheus")).output().unwrap();
        assert!(said.status.success(), "{}", shown(&said));
    }
}

/// Every `difusor_…` in a text, without the endings that Prometheus adds.
fn measures(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = text.split(|c| !word(c)).filter_map(|name| name.strip_prefix("difusor_"));
    let bare = |name: &str| {
        let ends = ["_total", "_bucket", "_info", "_count", "_sum"];
        ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    names.map(bare).collect()
}

#[test]
fn alarms_and_dashboard_use_only_what_the_code_measures() {
    let mut code = String::new();
    for file in std::fs::read_dir(root("src/metrics")).unwrap() {
        code.push_str(&std::fs::read_to_string(file.unwrap().path()).unwrap());
    }
    for file in ["prometheus/difusor.rules.yml", "prometheus/difusor.rules.test.yml", "grafana/difusor.json"]
    {
        let used = measures(&read(file));
        assert!(used.len() >= 10, "{file}: {used:?}");
        for name in used {
            assert!(
                code.contains(&format!("\"{name}\"")),
                "{file} uses difusor_{name}, which nothing measures"
            );
        }
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_can_import() {
    let board: Value = serde_json::from_str(&read("grafana/difusor.json")).unwrap();
    assert_eq!(board["uid"], "difusor");
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|p| p["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids repeat");
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty());
        for target in panel["targets"].as_array().unwrap() {
            assert!(target["expr"].as_str().unwrap().contains("difusor_"), "{title}");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
        let at = &panel["gridPos"];
        assert!(at["x"].as_u64().unwrap() + at["w"].as_u64().unwrap() <= 24, "{title} is beyond the edge");
    }
}

#[test]
fn everything_that_the_package_names_is_there() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let mut units = BTreeSet::new();
    for asset in deb["assets"].as_array().unwrap() {
        let (from, to) = (asset[0].as_str().unwrap(), asset[1].as_str().unwrap());
        if from.starts_with("target/") {
            continue;
        }
        let (folder, pattern) = from.rsplit_once('/').unwrap_or((".", from));
        let names =
            std::fs::read_dir(root(folder)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let found: Vec<String> = match pattern.strip_prefix('*') {
            Some(end) => names.filter(|name| name.ends_with(end)).collect(),
            None => names.filter(|name| name == pattern).collect(),
        };
        assert!(!found.is_empty(), "{from} → {to}");
        units.extend(found.into_iter().filter(|_| to.contains("systemd/system")));
    }
    // Whatever unit is added is in the package.
    for unit in std::fs::read_dir(root("systemd")).unwrap() {
        let unit = unit.unwrap();
        let name = unit.file_name().into_string().unwrap();
        assert!(unit.path().is_dir() || units.contains(&name), "{name} is in no package");
    }
    let version = manifest["package"]["version"].as_str().unwrap();
    let revision = deb["revision"].as_str().unwrap();
    assert!(read("debian/changelog").starts_with(&format!("difusor ({version}-{revision}) ")));
    assert!(read("compose.yaml").contains(&format!("image: difusor:{version}")));
}

#[test]
fn scripts_are_clean() {
    let scripts = [
        "tests/package/build",
        "tests/package/try",
        "tests/package/boot",
        "tests/package/night",
        "docker/collect",
        "debian/postinst",
        "debian/postrm",
    ];
    let said = Command::new("shellcheck").args(scripts).current_dir(root(".")).output().unwrap();
    assert!(said.status.success(), "{}", shown(&said));
}

/// The image is laid out and its program runs in it, as its user and without anything else of this machine.
#[test]
fn the_image_holds_all_that_the_program_needs() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let laid = Command::new(root("docker/collect")).arg(DIFUSOR).arg(&image).output().unwrap();
    assert!(laid.status.success(), "this test needs root\n{}", shown(&laid));
    // Read-only but for the instance, as compose.yaml has it: a change elsewhere fails.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && mount -t tmpfs -o uid=10001,gid=10001 tmpfs \"$1/srv/prep\" \
        && exec chroot --userspec=10001:10001 \"$1\" /usr/bin/difusor init /srv/prep --profile durango --lang es";
    let run =
        Command::new("unshare").args(["-m", "sh", "-ec", script, "image"]).arg(&image).output().unwrap();
    assert!(run.status.success(), "{}", shown(&run));
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.contains("difusor.toml"), "{said}");
    let file = read("Dockerfile");
    for line in ["USER 10001:10001", "STOPSIGNAL SIGTERM", "HEALTHCHECK ", "VOLUME [\"/srv/prep\"]"] {
        assert!(file.contains(line), "{line}");
    }
    let compose = read("compose.yaml");
    for line in ["network_mode: host", "read_only: true", "cap_drop: [ALL]", "- /tmp:", "\"healthcheck\""] {
        assert!(compose.contains(line), "{line}");
    }
}

/// The example parses as a playbook, and its configuration is one that `difusor check` takes.
#[test]
fn the_example_for_ansible_writes_a_configuration_without_fault() {
    let syntax = Command::new("ansible-playbook")
        .args(["-i", "inventory.example.yml", "playbook.yml", "--syntax-check"])
        .current_dir(root("ansible"))
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(syntax.status.success(), "{}", shown(&syntax));
    let dir = tempfile::tempdir().unwrap();
    let render = "import sys, yaml, jinja2\n\
        v = yaml.safe_load(open('inventory.example.yml'))['difusores']['vars']\n\
        v['ansible_managed'] = 'Ansible'\n\
        print(jinja2.Template(open('templates/difusor.toml.j2').read(), undefined=jinja2.StrictUndefined).render(v))\n";
    let made =
        Command::new("/usr/bin/python3").args(["-c", render]).current_dir(root("ansible")).output().unwrap();
    assert!(made.status.success(), "{}", shown(&made));
    let instance = dir.path().join("prep");
    assert!(Command::new(DIFUSOR).arg("init").arg(&instance).output().unwrap().status.success());
    // Ports of its own: this machine's may be taken, and are not what is tried.
    let text = String::from_utf8(made.stdout).unwrap().replace("/srv/prep", instance.to_str().unwrap());
    let text = ["[::]:2222", "[::]:443", "[::]:80"].iter().fold(text, |t, at| t.replace(at, "127.0.0.1:0"));
    let file = dir.path().join("difusor.toml");
    std::fs::write(&file, text).unwrap();
    let check = Command::new(DIFUSOR).arg("check").arg("--config").arg(&file).output().unwrap();
    assert!(check.status.success(), "{}", shown(&check));
}
