//! `difusor trust`: from where anybody is listened to. Edits the same file that people do.

use std::process::ExitCode;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Value, json};
use toml_edit::{Array, DocumentMut, InlineTable, Item};

use super::args::{self, Common, IpNetOrAddr};
use super::status::hour;
use super::{Done, Failure, NO, NOT_FOUND, Out};
use crate::access::Network;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::durable::Dir;

pub(super) fn run(verb: args::Trust, common: &Common, out: Out) -> Done {
    match verb {
        args::Trust::List => list(&common.load()?, out),
        args::Trust::Add { net: IpNetOrAddr(net), note, expires } => {
            add(common, net, note.unwrap_or_default(), expires.as_deref(), out)
        }
        args::Trust::Remove { net: IpNetOrAddr(net) } => remove(common, net, out),
    }
}

fn list(config: &Config, out: Out) -> Done {
    let now = Clock::system().now();
    let networks = &config.trust.networks;
    let all: Vec<Value> = networks.iter().map(|network| described(network, now)).collect();
    out.answer("trust", true, json!({ "networks": all }), || {
        if networks.is_empty() {
            return out
                .pick(
                    "sin redes en [trust]: sólo deciden las llaves (from=) y los módulos de rsync",
                    "no networks in [trust]: keys (from=) and rsync modules alone decide",
                )
                .to_owned();
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header([
            out.pick("red", "network"),
            out.pick("nota", "note"),
            out.pick("vence", "expires"),
            "",
        ]);
        for network in networks.iter() {
            let expires = network.expires.map_or_else(|| "–".to_owned(), |t| hour(t, &config.zone));
            let state = if network.is_current(now) { "" } else { out.pick("vencida", "expired") };
            table.add_row([network.net().to_string(), network.note.clone(), expires, state.to_owned()]);
        }
        table.to_string()
    });
    Ok(ExitCode::SUCCESS)
}

fn described(network: &Network, now: Timestamp) -> Value {
    json!({
        "net": network.net().to_string(), "note": network.note, "expires": network.expires,
        "current": network.is_current(now),
    })
}

fn add(common: &Common, net: IpNet, note: String, expires: Option<&str>, out: Out) -> Done {
    let config = common.load()?;
    let refused = |es: String, en: String| Failure::Sentence(NO, out.pick(&es, &en).to_owned());
    if net != net.trunc() {
        let meant = net.trunc();
        return Err(refused(
            format!("«{net}» no es el comienzo de una red; ¿quiso decir {meant}?"),
            format!("'{net}' is not the start of a network; was {meant} meant?"),
        ));
    }
    let now = Clock::system().now();
    let end = expires.map(|text| config::expiry(text, &config.zone, out.lang)).transpose();
    let end = end.map_err(|sentence| Failure::Sentence(NO, sentence))?;
    if let Some(past) = expires.filter(|_| end.is_some_and(|end| end <= now)) {
        return Err(refused(format!("«{past}» ya pasó"), format!("'{past}' is already past")));
    }
    let network = Network::new(net, note, end);
    if config.trust.networks.iter().any(|known| known.net() == network.net()) {
        return Err(refused(
            format!("{net} ya es de confianza; para cambiarla: difusor trust remove {net}"),
            format!("{net} is trusted already; to change it: difusor trust remove {net}"),
        ));
    }
    edit(common, out, |document| {
        let item = document.entry("trust").or_insert_with(toml_edit::table);
        let networks = item.as_table_like_mut()?.entry("networks").or_insert_with(|| Array::new().into());
        match networks {
            Item::ArrayOfTables(tables) => tables.push(inline(&network, expires).into_table()),
            item => {
                let mut value = toml_edit::Value::from(inline(&network, expires));
                let array = item.as_array_mut()?;
                // One a line, as people write them.
                value.decor_mut().set_prefix("\n    ");
                array.push_formatted(value);
                array.set_trailing("\n");
                array.set_trailing_comma(true);
            }
        }
        Some(())
    })?;
    out.answer("trust-add", true, described(&network, now), || {
        let note = out.pick(
            "en vigor en un segundo si el servicio corre",
            "in force within a second if the service runs",
        );
        format!("{} {} ({note})", out.pick("de confianza:", "trusted:"), network.net())
    });
    Ok(ExitCode::SUCCESS)
}

fn inline(network: &Network, expires: Option<&str>) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("net", network.net().to_string().into());
    if !network.note.is_empty() {
        table.insert("note", network.note.clone().into());
    }
    if let Some(end) = expires {
        table.insert("expires", end.into());
    }
    table
}

fn remove(common: &Common, net: IpNet, out: Out) -> Done {
    let config = common.load()?;
    let meant = Network::new(net, String::new(), None).net();
    let Some(network) = config.trust.networks.iter().find(|known| known.net() == meant).cloned() else {
        let sentence = out.pick("no está en [trust] networks", "is not in [trust] networks");
        return Err(Failure::Sentence(NOT_FOUND, format!("{net} {sentence}")));
    };
    let last = config.trust.networks.iter().count() == 1;
    let is_it = |text: Option<&str>| {
        text.and_then(|t| t.parse::<IpNetOrAddr>().ok())
            .is_some_and(|found| Network::new(found.0, String::new(), None).net() == meant)
    };
    edit(common, out, |document| {
        let networks = document.get_mut("trust")?.as_table_like_mut()?.get_mut("networks")?;
        match networks {
            Item::ArrayOfTables(tables) => {
                tables.retain(|table| !is_it(table.get("net").and_then(Item::as_str)))
            }
            item => item.as_array_mut()?.retain(|value| {
                let net = value.as_inline_table().and_then(|table| table.get("net"));
                !is_it(net.unwrap_or(value).as_str())
            }),
        }
        Some(())
    })?;
    out.answer("trust-remove", true, described(&network, Clock::system().now()), || {
        let note = out.pick(
            "\nojo: la lista quedó vacía, y así deciden sólo las llaves (from=) y los módulos de rsync",
            "\nmind: the list is empty now, and so keys (from=) and rsync modules alone decide",
        );
        let done = out.pick("ya no es de confianza:", "no longer trusted:");
        format!("{done} {}{}", network.net(), if last { note } else { "" })
    });
    Ok(ExitCode::SUCCESS)
}

/// Changes the configuration file, which keeps its comments, its mode and its owner. What
/// would not be understood afterwards is not written.
fn edit(
    common: &Common,
    out: Out,
    change: impl FnOnce(&mut DocumentMut) -> Option<()>,
) -> Result<(), Failure> {
    let file = common.file();
    let file = std::fs::canonicalize(&file).unwrap_or(file);
    let text = std::fs::read_to_string(&file)?;
    let cannot = || {
        let sentence = out.pick(
            "no se pudo cambiar [trust] networks; cámbielo a mano",
            "[trust] networks could not be changed; change it by hand",
        );
        Failure::Sentence(NO, format!("{}: {sentence}", file.display()))
    };
    let mut document: DocumentMut = text.parse().map_err(|_| cannot())?;
    change(&mut document).ok_or_else(cannot)?;
    let changed = document.to_string();
    Config::parse(&file, &changed).map_err(Failure::Config)?;
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Err(cannot()) };
    Dir::open(folder)?.replace(name, changed.as_bytes())?;
    Ok(())
}
