//! Whole packages: the same everywhere, of the right size, consistent, damaged as told.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use serde_json::Value;

use super::*;
use crate::model::{Code, Digest};

type Files = BTreeMap<String, Vec<u8>>;

fn plan(profile: Profile, faults: &str) -> Plan {
    let faults = faults.parse().unwrap();
    Plan::new(Settings { faults, ..Settings::new(profile, 1) }).unwrap()
}

fn archive(package: &Package) -> &[u8] {
    match &package.content {
        Content::Archive(bytes) => bytes,
        Content::Tree(_) | Content::Nothing => panic!("no archive: {package:?}"),
    }
}

/// The files of a `.tar.gz`, by names without `./`; the reader is not ours.
fn untar(bytes: &[u8]) -> io::Result<Files> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain)?;
    let mut files = Files::new();
    for entry in tar::Archive::new(&plain[..]).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut body = Vec::new();
            entry.read_to_end(&mut body)?;
            files.insert(name.trim_start_matches("./").to_owned(), body);
        }
    }
    Ok(files)
}

fn unzip(bytes: &[u8]) -> io::Result<Files> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes))?;
    let mut files = Files::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let mut body = Vec::new();
        entry.read_to_end(&mut body)?;
        files.insert(entry.name().unwrap().into_owned(), body);
    }
    Ok(files)
}

fn assert_holds(files: &Files, manifest: &Manifest) {
    let sent: Vec<(&str, u64, Digest)> = files
        .iter()
        .filter(|(path, _)| !manifest.junk.contains(path))
        .map(|(path, bytes)| (path.as_str(), bytes.len() as u64, Digest::of(bytes)))
        .collect();
    let listed: Vec<_> = manifest.files.iter().map(|f| (f.path.as_str(), f.size, f.sha256)).collect();
    assert_eq!(sent, listed);
}

fn sizes(manifest: &Manifest, class: Class) -> u64 {
    manifest.files.iter().filter(|f| f.class == class).map(|f| f.size).sum()
}

mod same_everywhere {
    use super::*;

    #[test]
    fn a_cut_alone_is_that_of_a_whole_night() {
        let night = plan(Profile::Mini, "static-update@3,identical-content@5");
        for number in 0..=night.final_cut() {
            let of_night = night.cut(number).unwrap();
            if [0, 4, 6, 40, 96].contains(&number) {
                let alone = plan(Profile::Mini, "static-update@3,identical-content@5").cut(number).unwrap();
                assert_eq!(archive(&of_night), archive(&alone));
                assert_eq!(of_night.manifest, alone.manifest);
            }
        }
    }

    #[test]
    fn threads_may_share_a_plan() {
        let shared = plan(Profile::Mini, "");
        let digests = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| Digest::of(archive(&shared.cut(5).unwrap())))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn the_seed_decides() {
        let other = Plan::new(Settings::new(Profile::Mini, 2)).unwrap().cut(3).unwrap();
        assert_ne!(archive(&plan(Profile::Mini, "").cut(3).unwrap()), archive(&other));
    }

    /// A new digest means that every package ever made by a seed becomes another one:
    /// change these only on purpose.
    #[test]
    fn the_bytes_are_those_of_every_other_machine() {
        let digest = |profile, cut| Digest::of(archive(&plan(profile, "").cut(cut).unwrap())).to_string();
        assert_eq!(
            digest(Profile::Mini, 3),
            "b931998dd209353809f59e1bdf712757a47c7976d64ab583e05d86b554563c3a"
        );
        assert_eq!(
            digest(Profile::Qroo, 25),
            "44a70198d2b60e2dfd4b9c51ba31a7755f6b9af42d37d5b1792da56fc824d954"
        );
    }
}

mod sizes_and_contents {
    use super::*;

    #[test]
    fn quintana_roo_is_as_big_as_the_real_one() {
        let plan = plan(Profile::Qroo, "");
        for number in [0, 1, 48, 96] {
            let package = plan.cut(number).unwrap();
            let packed = archive(&package).len();
            assert!((32_200_000..=32_800_000).contains(&packed), "cut {number}: {packed}");
            let manifest = &package.manifest;
            let raw = sizes(manifest, Class::Static) + sizes(manifest, Class::Data);
            assert!((48_200_000..=48_800_000).contains(&raw), "cut {number}: {raw}");
            assert!((525..=540).contains(&manifest.files.len()));
        }
    }

    #[test]
    fn between_two_cuts_changes_what_was_measured() {
        let plan = plan(Profile::Qroo, "");
        // 20:15, the peak: nearly all data; 02:15: the slow districts only.
        for (number, paths, bytes) in
            [(1, 118..=131, 3_100_000..=3_700_000), (25, 65..=90, 2_100_000..=2_500_000)]
        {
            let manifest = plan.cut(number).unwrap().manifest;
            let touched = manifest.changed.len() + manifest.added.len();
            assert!(paths.contains(&touched), "cut {number}: {touched}");
            assert!(bytes.contains(&manifest.changed_bytes), "cut {number}: {}", manifest.changed_bytes);
            let is_zip = |path: &String| path.ends_with(".zip");
            assert!(manifest.added.iter().all(is_zip) && manifest.removed.iter().all(is_zip));
            assert_eq!((manifest.added.len(), manifest.removed.len()), (2, 2));
            assert!(manifest.changed.iter().all(|path| path.starts_with("assets/api/")));
        }
    }

    #[test]
    fn the_manifest_lists_what_is_in_the_package() {
        let package = plan(Profile::Qroo, "").cut(7).unwrap();
        assert_holds(&untar(archive(&package)).unwrap(), &package.manifest);
        let mini = plan(Profile::Mini, "").cut(7).unwrap();
        assert_holds(&untar(archive(&mini)).unwrap(), &mini.manifest);
        assert!(archive(&mini).len() < 300_000 && (35..=45).contains(&mini.manifest.files.len()));
        let custom = Profile::parse("custom:container=zip,static-kb=300,casillas=60").unwrap();
        let custom = plan(custom, "").cut(7).unwrap();
        assert_holds(&unzip(archive(&custom)).unwrap(), &custom.manifest);
    }

    #[test]
    fn the_odd_names_of_real_templates_are_there() {
        let files = untar(archive(&plan(Profile::Qroo, "").cut(0).unwrap())).unwrap();
        let has = |end: &str| files.keys().any(|path| path.ends_with(end));
        assert!(has("flecha_morada_peque\u{f1}a-47.svg") && has("P1-35 (1).svg") && has("!Ciudad.svg"));
        assert!(has("@2x.png") && has(".gitkeep") && has(".DS_Store") && has("Read Me.txt"));
    }

    #[test]
    fn nuevo_leon_nests_its_zips() {
        let plan = plan(Profile::Nl, "");
        for number in [0, 96] {
            let package = plan.cut(number).unwrap();
            assert!((30_000_000..=40_000_000).contains(&archive(&package).len()));
            let files = unzip(archive(&package)).unwrap();
            assert_holds(&files, &package.manifest);
            let (_, outer) = files.iter().find(|(path, _)| path.ends_with("_PREP_NL.zip")).unwrap();
            let outer = unzip(outer).unwrap();
            let (_, inner) = outer.iter().find(|(path, _)| path.ends_with("_PREP_AYUN_NL.zip")).unwrap();
            let inner = unzip(inner).unwrap();
            assert_eq!(inner["NL_AYUN_2024.csv"], files["assets/api/ayun/NL_AYUN_2024.csv"]);
        }
    }

    #[test]
    fn durango_is_a_tree() {
        let package = plan(Profile::Dgo, "").cut(3).unwrap();
        let Content::Tree(files) = &package.content else { panic!("no tree") };
        let files: Files = files.iter().map(|f| (f.path.clone(), f.bytes.to_vec())).collect();
        assert_holds(&files, &package.manifest);
        let bytes = package.manifest.package.unwrap().bytes;
        assert!((46_000_000..=50_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn ine_has_2400_files_and_a_tenth_of_the_rows_on_demand() {
        let plan = plan(Profile::IneMini, "");
        let [opening, closing] = [0, 288].map(|cut| plan.cut(cut).unwrap());
        assert!((2_300..=2_450).contains(&opening.manifest.files.len()));
        assert!((12_000_000..=16_000_000).contains(&archive(&opening).len()));
        assert!((17_000_000..=22_000_000).contains(&archive(&closing).len()));
        let files = unzip(archive(&closing)).unwrap();
        assert_holds(&files, &closing.manifest);
        let page = String::from_utf8(files["index.html"].clone()).unwrap();
        assert!(page.contains("<base href=\"/publicacion/nacional/\">"));
        let csv = files.iter().find(|(path, _)| path.ends_with("2000_PREP.zip")).unwrap().1;
        let csv =
            unzip(unzip(csv).unwrap().iter().find(|(path, _)| path.contains("PRES")).unwrap().1).unwrap();
        let csv = &csv["PRES_2024.csv"];
        assert!(csv.starts_with(b"\xef\xbb\xbfPRESIDENCIA") && !csv.contains(&b'\n'));
    }

    #[test]
    fn tamaulipas_increments_add_up_to_the_tree() {
        let plan = plan(Profile::Tamps, "");
        let mut tree = Files::new();
        for number in 0..=2 {
            let package = plan.cut(number).unwrap();
            let packed = archive(&package).len();
            let expected = if number == 0 { 31_000_000..=36_000_000 } else { 800_000..=6_000_000 };
            assert!(expected.contains(&packed), "cut {number}: {packed}");
            tree.extend(unzip(archive(&package)).unwrap());
            let manifest = &package.manifest;
            let (mut now, mut kept) = (tree.clone(), Vec::new());
            now.retain(|path, _| {
                let stays = !manifest.kept.contains(path);
                if !stays {
                    kept.push(path.clone());
                }
                stays
            });
            assert_holds(&now, manifest);
            assert_eq!(kept, manifest.kept);
            assert_eq!(manifest.kept.len(), 2 * number as usize);
        }
    }

    #[test]
    fn every_json_parses() {
        for (profile, cut) in
            [(Profile::Mini, 0), (Profile::Tamps, 0), (Profile::Nl, 30), (Profile::Qroo, 96)]
        {
            let package = plan(profile, "").cut(cut).unwrap();
            let files = untar(archive(&package)).or_else(|_| unzip(archive(&package))).unwrap();
            for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with("json")) {
                assert!(serde_json::from_slice::<Value>(bytes).is_ok(), "{path}");
            }
        }
    }
}

mod results_hold {
    use super::*;

    /// Head and rows of a table of Quintana Roo's kind.
    fn table(package: &Package, election: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let files = untar(archive(package)).unwrap();
        let (_, zip) =
            files.iter().find(|(path, _)| path.contains(election) && path.ends_with(".zip")).unwrap();
        let (_, csv) = unzip(zip).unwrap().into_iter().find(|(path, _)| path.ends_with(".csv")).unwrap();
        let text = String::from_utf8(csv).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let rows = lines[7..].iter().map(|line| line.split('|').map(str::to_owned).collect());
        (lines[..7].to_vec(), rows.collect())
    }

    fn number(field: &str) -> u64 {
        field.parse().unwrap_or(0)
    }

    #[test]
    fn totals_are_the_sums_of_the_rows() {
        let plan = plan(Profile::Qroo, "");
        for cut in [0, 9, 96] {
            let package = plan.cut(cut).unwrap();
            let (head, rows) = table(&package, "DIP_LOC");
            assert_eq!((head[0].as_str(), head[1].as_str()), ("sep=|", "DIPUTACIONES LOCALES"));
            let columns: Vec<&str> = head[6].split('|').collect();
            let column = |name: &str| columns.iter().position(|c| *c == name).unwrap();
            let (state, votes, nominal, kind, seen) = (
                column("CONTABILIZADA"),
                column("TOTAL_VOTOS_CALCULADO"),
                column("LISTA_NOMINAL"),
                column("TIPO_CASILLA"),
                column("FECHA_HORA_VERIFICACION"),
            );
            assert!(rows.iter().all(|row| row.len() == columns.len()));
            let count = |of: &dyn Fn(&Vec<String>) -> bool| rows.iter().filter(|row| of(row)).count() as u64;
            let sum = |field: usize, of: &dyn Fn(&Vec<String>) -> bool| -> u64 {
                rows.iter().filter(|row| row[state] == "1" && of(row)).map(|row| number(&row[field])).sum()
            };
            let t = &package.manifest.totals["dip"];
            assert_eq!(t.esperadas, count(&|row| row[state] != "2"));
            assert_eq!(t.contabilizadas, count(&|row| row[state] == "1"));
            assert_eq!(t.no_contabilizadas, count(&|row| row[state] == "0"));
            assert_eq!(t.fuera_catalogo, count(&|row| row[state] == "2"));
            assert_eq!(t.capturadas, t.contabilizadas + t.no_contabilizadas);
            assert_eq!(t.registradas, t.capturadas + t.fuera_catalogo);
            assert_eq!(t.lista_nominal, sum(nominal, &|_| true));
            assert_eq!(t.votos_c_cs, sum(votes, &|_| true));
            assert_eq!(t.votos_s_cs, sum(votes, &|row| row[kind] != "S"));
            let voted = if cut == 96 { t.votos_c_cs } else { t.votos_s_cs };
            assert_eq!(t.participacion, results::percent(voted, t.lista_nominal));
            assert_eq!(head[4].split('|').next().unwrap(), t.esperadas.to_string());
            // Nothing was verified after the cut that shows it.
            let hour = format!("{}:59", package.manifest.stamp.civil().strftime("%Y-%m-%d %H:%M"));
            assert!(rows.iter().all(|row| row[seen] == "-" || row[seen] <= hour));
        }
    }

    #[test]
    fn the_night_begins_at_14_percent_and_ends_whole() {
        let plan = plan(Profile::Qroo, "");
        let shown = |cut| plan.cut(cut).unwrap().manifest.totals["ayun"].clone();
        assert!((320..=335).contains(&shown(0).capturadas));
        assert!((2_380..2_400).contains(&shown(38).capturadas));
        assert_eq!(shown(40).porcentaje_capturadas, "100.0000");
        assert!(plan.cut(96).unwrap().manifest.last && !plan.cut(40).unwrap().manifest.last);
        assert!(matches!(plan.cut(97), Err(PlanError::PastTheEnd { last: 96, .. })));
    }

    #[test]
    fn curves_and_processes_can_be_chosen() {
        let settings = |curve, process: &str| Settings {
            curve,
            process: process.parse().unwrap(),
            ..Settings::new(Profile::Mini, 1)
        };
        let late = Plan::new(settings(Curve::Late, "simulacro2")).unwrap();
        assert_eq!(late.cut(11).unwrap().manifest.totals["dip"].registradas, 0);
        let avance: Value = serde_json::from_slice(
            &untar(archive(&late.cut(80).unwrap())).unwrap()["assets/api/avance.json"],
        )
        .unwrap();
        assert_eq!(avance["proceso"], "simulacro2");
        assert_eq!(avance["elecciones"][0]["porcentaje_actas_capturadas"], "100.0000");
        let guerrero = Plan::new(settings(Curve::Guerrero, "jornada")).unwrap();
        assert!(guerrero.cut(96).unwrap().manifest.totals["dip"].registradas <= 17);
    }

    #[test]
    fn the_hour_stands_in_four_places() {
        let package = plan(Profile::Qroo, "").cut(17).unwrap();
        assert_eq!(package.manifest.stamp.to_string(), "2024-06-03T00:15:00-05:00");
        assert_eq!(package.name, "20240603_0015_PREP_QROO.tar.gz");
        let files = untar(archive(&package)).unwrap();
        let avance: Value = serde_json::from_slice(&files["assets/api/avance.json"]).unwrap();
        assert_eq!(avance["ultimoCorte"], serde_json::json!({"fecha": "03 junio 2024", "hora": "00:15"}));
        let csv = String::from_utf8(files["assets/api/dip/PREP_DIP_LOC_DISTRITOS.csv"].clone()).unwrap();
        assert_eq!(csv.lines().nth(2), Some("2024/06/03 00:15 (UTC-5)"));
        assert!(files.contains_key("assets/20240603_0015_PREP_DIP_LOC_QROO.zip"));
    }

    #[test]
    fn the_centre_is_six_hours_behind_whatever_the_machine_believes() {
        let stamp = plan(Profile::IneMini, "").moment(0).stamp;
        assert_eq!(stamp.to_string(), "2024-06-02T20:00:00-06:00");
    }
}

mod faults_do_what_they_say {
    use super::*;

    fn mini(fault: &str) -> Package {
        plan(Profile::Mini, &format!("{fault}@3")).cut(3).unwrap()
    }

    fn reason(package: &Package) -> Option<Code> {
        package.manifest.expected.reason
    }

    #[test]
    fn every_fault_can_be_made_and_has_a_verdict() {
        let clean = plan(Profile::Mini, "").cut(3).unwrap();
        for fault in Fault::all().filter(|f| *f != Fault::IncrementBeforeFirst) {
            let package = mini(&fault.to_string());
            let manifest = &package.manifest;
            assert_eq!(manifest.faults, [fault.to_string()]);
            assert_eq!(manifest.expected.verdict == Verdict::Reject, reason(&package).is_some());
            let same = matches!(&package.content, Content::Archive(bytes) if bytes == archive(&clean));
            let elsewhere =
                manifest.sending.is_some() || matches!(fault, Fault::WrongSidecar | Fault::StampMismatchName);
            // The cap is far above what has come by 20:45.
            assert_eq!(same, elsewhere || fault == Fault::StuckAt375, "{fault}");
        }
    }

    #[test]
    fn broken_containers_are_broken_in_their_way() {
        let failure = |fault: &str| untar(archive(&mini(fault))).unwrap_err().kind();
        assert_eq!(failure("truncate-gz"), io::ErrorKind::UnexpectedEof);
        let torn = mini("truncate-tar");
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(archive(&torn)).read_to_end(&mut plain).unwrap();
        assert!(untar(archive(&torn)).is_err() || untar(archive(&torn)).unwrap()["zz-fin.json"].len() < 4096);
        assert!(untar(archive(&mini("bit-flip"))).unwrap_err().to_string().contains("corrupt"));
        let crc = mini("crc-zip");
        assert!(crc.name.ends_with(".zip") && unzip(archive(&crc)).is_err());
        assert_eq!(reason(&crc), Some(Code::ZipCrc));
        assert!(untar(archive(&mini("empty"))).unwrap().is_empty());
        assert!(archive(&mini("html-error-page")).starts_with(b"<!DOCTYPE html>"));
        let sidecar = mini("wrong-sidecar");
        let [(name, text)] = &sidecar.sidecars[..] else { panic!("one sidecar") };
        assert_eq!(*name, format!("{}.sha256", sidecar.name));
        let sum = Digest::of(archive(&sidecar)).to_string();
        assert!(text.len() > 64 && !String::from_utf8_lossy(text).contains(&sum));
    }

    #[test]
    fn wrong_content_is_wrong_in_its_way() {
        let files = |fault: &str| untar(archive(&mini(fault))).unwrap();
        assert!(!files("no-index").contains_key("index.html"));
        let page = String::from_utf8(files("index-without-base").remove("index.html").unwrap()).unwrap();
        assert!(!page.contains("<base") && page.contains("<title>"));
        let json = |fault: &str| {
            files(fault)
                .remove("assets/api/dip/entidad.json")
                .or_else(|| files(fault).remove("assets/api/ayun/entidad.json"))
        };
        let broken = files("bad-json").into_iter().filter(|(path, bytes)| {
            path.ends_with(".json") && serde_json::from_slice::<Value>(bytes).is_err()
        });
        assert_eq!(broken.count(), 1);
        assert!(json("bad-json").is_some());
        let zipped =
            files("gz-in-json").into_values().find(|bytes| bytes.starts_with(&[0x1f, 0x8b, 8])).unwrap();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut plain).unwrap();
        assert!(serde_json::from_slice::<Value>(&plain).is_ok());
        let twins = files("case-twins");
        assert!(twins.contains_key("INDEX.html") && twins.contains_key("index.html"));
        assert!(files("nfd-names").keys().any(|path| path.contains('\u{303}')));
        assert!(files("ds-store").keys().filter(|path| path.ends_with(".DS_Store")).count() == 11);
        assert!(mini("ds-store").manifest.junk.len() >= 12);
    }

    #[test]
    fn names_lead_out_in_twelve_ways() {
        for kind in 1..=12 {
            let package = mini(&format!("traversal-{kind:02}"));
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(archive(&package)).read_to_end(&mut plain).unwrap();
            let mut tar = tar::Archive::new(&plain[..]);
            let last = tar.entries().unwrap().last().unwrap().unwrap();
            let name = String::from_utf8_lossy(&last.path_bytes()).into_owned();
            let kind_of = last.header().entry_type();
            let out = name.contains("..") || name.starts_with(['/', '\\', 'C']) || name.contains('\n');
            assert!(out || !kind_of.is_file() || name.contains(".well-known"), "{name}");
            assert!(reason(&package).is_some());
        }
    }

    #[test]
    fn bombs_are_bigger_than_any_limit_and_honest_zeros_are_not_one() {
        let mut plain = flate2::read::GzDecoder::new(Cursor::new(archive(&mini("bomb-size")).to_vec()));
        assert!(archive(&mini("bomb-size")).len() < 4_000_000);
        assert!(io::copy(&mut plain, &mut io::sink()).unwrap() > 1 << 30);
        assert!(untar(archive(&mini("bomb-entries"))).unwrap().len() > 50_000);
        let legit = mini("legit-52:1");
        let json = &untar(archive(&legit)).unwrap()["assets/api/actas_sin_capturar.json"];
        let ratio = json.len() / container::gzip(json).len();
        assert!((47..=60).contains(&ratio), "{ratio}:1");
        assert_eq!(legit.manifest.expected.verdict, Verdict::Accept);
    }

    #[test]
    fn old_code_pages_and_repeated_entries_come_as_packed() {
        let package = mini("cp437-names");
        let mut zip = zip::ZipArchive::new(Cursor::new(archive(&package))).unwrap();
        let raw = (0..zip.len()).map(|n| zip.by_index_raw(n).unwrap().name_raw().to_vec());
        assert!(raw.into_iter().any(|name| name.ends_with(b"peque\xa4a-47.svg")));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(archive(&mini("dup-entry"))).read_to_end(&mut plain).unwrap();
        let mut tar = tar::Archive::new(&plain[..]);
        let pages = tar.entries().unwrap().filter(|e| &*e.as_ref().unwrap().path_bytes() == b"./index.html");
        assert_eq!(pages.count(), 2);
    }

    #[test]
    fn hours_disagree_or_are_missing_as_told() {
        let places = |fault: &str| {
            let package = mini(fault);
            let files = untar(archive(&package)).unwrap();
            let avance: Value = serde_json::from_slice(&files["assets/api/avance.json"]).unwrap();
            let csv = String::from_utf8(files["assets/api/dip/PREP_DIP_LOC_DISTRITOS.csv"].clone()).unwrap();
            let hour = avance["ultimoCorte"]["hora"].as_str().unwrap_or("-").to_owned();
            let line = csv.lines().nth(2).unwrap().to_owned();
            (package.name, hour, line, package.manifest.stamp.label())
        };
        let (name, json, csv, found) = places("no-stamp");
        assert_eq!((name.as_str(), json.as_str(), found.as_str()), ("PREP_QROO.tar.gz", "-", "20:45"));
        assert!(csv.starts_with("ACTAS_ESPERADAS"));
        let (name, json, _, found) = places("stamp-mismatch-name");
        assert!(name.starts_with("20240602_1945_") && json == "20:45" && found == "20:45");
        let (_, json, csv, found) = places("stamp-mismatch-json");
        assert!(json == "20:38" && csv.contains("20:45") && found == "20:38");
        let (_, json, csv, found) = places("stamp-mismatch-csv");
        assert!(json == "20:45" && csv.contains("19:45") && found == "20:45");
        assert!(places("utc-suffix-wrong").2.ends_with("20:45 (UTC-6)"));
        assert_eq!(places("off-grid").3, "20:52");
        assert!(places("future-stamp").0.starts_with("20740602_2045"));
        assert_eq!(places("older-cut").3, "20:22");
    }

    #[test]
    fn sequences_repeat_skip_and_end_as_told() {
        let night = plan(
            Profile::Mini,
            "same-cut-again@2,same-name-other-content@4,skip-2@6,identical-content@9,truncate-gz@10,late-final@20",
        );
        let cut = |n| night.cut(n).unwrap();
        assert_eq!(archive(&cut(2)), archive(&cut(1)));
        assert_eq!(cut(2).manifest.expected.verdict, Verdict::Repeat);
        assert_eq!((cut(4).name, cut(4).manifest.stamp), (cut(3).name, cut(3).manifest.stamp));
        assert_ne!(archive(&cut(4)), archive(&cut(3)));
        assert!(matches!(cut(7).content, Content::Nothing) && cut(7).manifest.package.is_none());
        assert_eq!(cut(8).manifest.against, Some(5));
        assert_eq!(cut(9).manifest.totals, cut(8).manifest.totals);
        assert_ne!(archive(&cut(9)), archive(&cut(8)));
        assert_eq!(cut(11).manifest.against, Some(9));
        assert_eq!(night.final_cut(), 20);
        assert_eq!(cut(20).manifest.stamp.to_string(), "2024-06-03T20:05:00-05:00");
        assert!(cut(20).manifest.last && cut(20).manifest.totals["dip"].porcentaje_capturadas == "100.0000");
        let early = plan(Profile::Mini, "early-end@39").cut(39).unwrap();
        assert_eq!(early.manifest.stamp.label(), "05:52");
    }

    #[test]
    fn lasting_faults_last() {
        let night = plan(Profile::Mini, "stuck-at-37.5@2,static-update@5");
        assert!(night.cut(60).unwrap().manifest.totals["dip"].registradas <= 17);
        let update = night.cut(5).unwrap().manifest;
        assert!(update.changed.contains(&"index.html".to_owned()));
        let scripts = |paths: &[String]| paths.iter().filter(|p| p.starts_with("main.")).count();
        assert_eq!((scripts(&update.added), scripts(&update.removed)), (1, 1));
        assert_eq!(scripts(&night.cut(6).unwrap().manifest.added), 0);
    }

    #[test]
    fn a_drill_on_the_night_names_itself() {
        let files = untar(archive(&mini("drill-data-on-night"))).unwrap();
        let avance: Value = serde_json::from_slice(&files["assets/api/avance.json"]).unwrap();
        assert_eq!(avance["proceso"], "simulacro3");
    }

    #[test]
    fn an_increment_may_come_first() {
        let package = plan(Profile::Tamps, "increment-before-first@0").cut(0).unwrap();
        assert!(!unzip(archive(&package)).unwrap().contains_key("index.html"));
        assert_eq!(package.manifest.package.unwrap().scope, "increment");
        assert_eq!(package.manifest.expected.verdict, Verdict::Hold);
    }

    #[test]
    fn impossible_wishes_are_refused_with_a_reason() {
        let refused = |faults: &str| {
            let faults = faults.parse().unwrap();
            Plan::new(Settings { faults, ..Settings::new(Profile::Mini, 1) }).err().unwrap().to_string()
        };
        assert!(refused("older-cut@0").contains("accepted cut before"));
        assert!(refused("empty@97").contains("over by then"));
        assert!(refused("increment-before-first@0").contains("only tamps"));
    }
}

mod on_disk {
    use super::*;

    #[test]
    fn packages_sidecars_and_manifests_are_written() {
        let scratch = tempfile::tempdir().unwrap();
        let night = plan(Profile::Mini, "wrong-sidecar@1,skip-1@2");
        let mut seen = Vec::new();
        // Twice: what stood there is replaced.
        for _ in 0..2 {
            night.write(0..=2, scratch.path(), &mut |manifest| seen.push(manifest.cut)).unwrap();
        }
        assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
        // A range that ends too late writes nothing.
        let late = night.write(96..=97, scratch.path(), &mut |_| {});
        assert!(late.is_err() && !scratch.path().join("cut_096").exists());
        let package = night.cut(1).unwrap();
        let at = |path: &str| std::fs::read(scratch.path().join(path)).unwrap();
        assert_eq!(at("cut_001/20240602_2015_PREP_QROO.tar.gz"), archive(&package));
        assert_eq!(at("cut_001/20240602_2015_PREP_QROO.tar.gz.sha256"), package.sidecars[0].1);
        let manifest: Value = serde_json::from_slice(&at("cut_001.manifest.json")).unwrap();
        assert_eq!(manifest["expected"]["reason"], "SIDECAR_MISMATCH");
        assert_eq!(manifest["stamp"], "2024-06-02T20:15:00-05:00");
        assert_eq!(std::fs::read_dir(scratch.path().join("cut_002")).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_is_written_with_its_times() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = Profile::parse("custom:container=tree,static-kb=0,casillas=10,districts=2").unwrap();
        let night = plan(tree, "");
        night.write(4..=4, scratch.path(), &mut |_| {}).unwrap();
        let file = std::fs::metadata(scratch.path().join("cut_004/assets/api/avance.json")).unwrap();
        let seconds = night.cut(4).unwrap().manifest.stamp.instant().as_second() as u64;
        assert_eq!(file.modified().unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    }
}
