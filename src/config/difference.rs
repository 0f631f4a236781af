//! What differs between two readings of the file, key by key.

use std::collections::BTreeMap;

use super::keys::KEYS;
use super::profile::Profile;

/// Names of the keys whose meaning differs, such as `https.idle`. A key that is not there means its default; an
/// array of tables is one key.
pub fn difference(old: (&str, Profile), new: (&str, Profile)) -> Vec<String> {
    let (old, new) = (meaning(old), meaning(new));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
}

/// The new file with these keys as they are in the old one: what holds until a restart.
pub fn with_old(old: &str, new: &str, keys: &[String]) -> String {
    let mut merged: toml::Table = toml::from_str(new).unwrap_or_default();
    let old: toml::Table = toml::from_str(old).unwrap_or_default();
    for key in keys {
        let path: Vec<&str> = key.split('.').collect();
        let Some((name, sections)) = path.split_last() else { continue };
        let from = sections.iter().try_fold(&old, |table, section| table.get(*section)?.as_table());
        let mut to = Some(&mut merged);
        for section in sections {
            let entry = to.map(|table| table.entry(*section).or_insert_with(|| toml::Table::new().into()));
            to = entry.and_then(toml::Value::as_table_mut);
        }
        let Some(to) = to else { continue };
        match from.and_then(|table| table.get(*name)) {
            Some(value) => _ = to.insert((*name).to_owned(), value.clone()),
            None => _ = to.remove(*name),
        }
    }
    toml::to_string(&merged).unwrap_or_else(|_| new.to_owned())
}

/// Every key with its value, the defaults of the call among them.
fn meaning((text, profile): (&str, Profile)) -> BTreeMap<String, toml::Value> {
    let mut keys = BTreeMap::new();
    for key in KEYS {
        let default = format!("v = {}", profile.default_of(key));
        let default = toml::from_str::<toml::Table>(&default).ok().and_then(|mut t| t.remove("v"));
        if let Some(value) = default.filter(|_| !super::ARRAYS.contains(&key.section)) {
            keys.insert(name(key.section, key.name), value);
        }
    }
    // Only what was read without a fault is compared.
    let table = toml::from_str(text).unwrap_or_default();
    spread("", table, &mut keys);
    keys
}

fn spread(section: &str, table: toml::Table, keys: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        let path = name(section, &key);
        let is_section = KEYS.iter().any(|k| k.section == path) && !super::ARRAYS.contains(&path.as_str());
        match value {
            toml::Value::Table(table) if is_section => spread(&path, table, keys),
            value => _ = keys.insert(path, value),
        }
    }
}

fn name(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(old: &str, new: &str) -> Vec<String> {
        difference((old, Profile::QuintanaRoo), (new, Profile::QuintanaRoo))
    }

    #[test]
    fn a_default_that_is_written_out_is_no_change() {
        assert_eq!(changed("", "[https]\nidle = \"30s\"\n"), Vec::<String>::new());
        assert_eq!(changed("[ssh]\n", "# a comment\n"), Vec::<String>::new());
    }

    #[test]
    fn changes_are_named_by_key() {
        let old = "[https]\nidle = \"31s\"\n[[event]]\nname = \"a\"\n";
        let new = "domain = \"prep.mx\"\n[https]\nidle = \"32s\"\n[ssh]\npaths = { \"/a\" = \"/sitio\" }\n";
        assert_eq!(changed(old, new), ["domain", "event", "https.idle", "ssh.paths"]);
    }

    #[test]
    fn what_waits_for_a_restart_keeps_its_old_value() {
        let old = "[https]\nidle = \"31s\"\nlisten = [\"127.0.0.1:1\"]\n";
        let new = "domain = \"prep.mx\"\n[https]\nidle = \"32s\"\n[ssh]\nlisten = [\"127.0.0.1:2\"]\n";
        let keys = ["domain", "https.listen", "ssh.listen"].map(str::to_owned);
        let merged = with_old(old, new, &keys);
        assert_eq!(changed(old, &merged), ["https.idle"], "{merged}");
    }

    #[test]
    fn a_key_that_is_gone_has_its_default_again() {
        assert_eq!(changed("[log]\nlevel = \"debug\"\n", ""), ["log.level"]);
    }
}
