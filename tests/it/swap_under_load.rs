//! Two hundred keep-alive readers see fifty swaps, and never anything but whole files of one
//! cut, each no older than the one before (T-13).

use crate::cuts::Cuts;
use crate::night::{Node, shown};
use crate::reader::{Readers, right_answers};

#[test]
fn fifty_cuts_pass_under_two_hundred_readers() {
    let node = Node::start_with("[https]\nconnections-per-address = 512\n");
    let cuts = Cuts::good(50);
    assert!(node.scp(&[], &[&cuts.path(0)], "").status.success());
    node.wait_live(&cuts.path(0));
    let readers = Readers::start(200, node.https, right_answers(&cuts, 0..=50));
    for n in 1..=50 {
        let pushed = node.exec(&format!("cat > {}", cuts.name(n)), &cuts.bytes(n));
        assert!(pushed.status.success(), "{}", shown(&pushed));
    }
    node.wait_live(&cuts.path(50));
    let (answers, wrong) = readers.finish();
    assert!(wrong.is_empty(), "{} of {answers} answers: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(answers > 1_000, "{answers}");
}
