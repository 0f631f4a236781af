//! Every fault that the generator knows, pushed for real: each gets the verdict it deserves,
//! its sender reads the code, and the live site is untouched by a refusal (T-09, T-10).

use difusor::simulate::Fault;
use serde_json::Value;

use crate::cuts::Cuts;
use crate::night::{Node, shown};

#[test]
fn every_fault_gets_its_verdict_and_the_site_stays() {
    let node = Node::start();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for fault in Fault::all().map(|f| f.to_string()) {
        let Some(cuts) = Cuts::try_with("0..2", &["--fault", &format!("{fault}@2")]) else { continue };
        let manifest = cuts.manifest(2);
        // What concerns the sending, or needs settings this node does not have, is tested elsewhere.
        let expected = &manifest["expected"];
        if !expected["when"].is_null() || !manifest["sending"].is_null() || manifest["package"].is_null() {
            continue;
        }
        // Every fault starts from the same live cut and an empty inbox, in a night that goes on: a cut that
        // says it is the last ends it, and refuses to say so twice.
        node.difusor(&["night", "reopen", "--reason", "prueba"]);
        let reset = node.difusor(&["publish", cuts.path(1).to_str().unwrap(), "--reason", "prueba"]);
        assert!(reset.status.success(), "{}", shown(&reset));
        node.exec("rm -f *.sha256 *.tar.gz *.zip", b"");
        let before = node.state();
        let mut sent = cuts.sidecars(2);
        sent.push(cuts.path(2));
        let paths: Vec<_> = sent.iter().map(|p| p.as_path()).collect();
        let pushed = node.scp(&[], &paths, "");
        judged += 1;
        if let Err(complaint) = judge(expected, &pushed, before == node.state()) {
            wrong.push(format!("{fault}: {complaint}, expected {expected}\n{}", shown(&pushed)));
        }
    }
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged > 25, "{judged}");
}

fn judge(expected: &Value, pushed: &std::process::Output, untouched: bool) -> Result<(), String> {
    let text = shown(pushed);
    match expected["verdict"].as_str() {
        Some("reject") => {
            let code = expected["reason"].as_str().unwrap_or("?");
            match (pushed.status.success(), text.contains(code), untouched) {
                (false, true, true) => Ok(()),
                (true, ..) => Err("accepted".to_owned()),
                (_, false, _) => Err(format!("no {code}")),
                _ => Err("the site changed".to_owned()),
            }
        }
        _ if pushed.status.success() => Ok(()),
        _ => Err("refused".to_owned()),
    }
}
