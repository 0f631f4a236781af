//! A tree that a session wrote file by file: the same verdict as a package, from the
//! live tree and the session's changes.

use std::io::{self, Read as _};

use super::{How, Publisher, expected};
use crate::archive::Sink as _;
use crate::drop::{LiveTree, TreeChange};
use crate::history::Verdict;
use crate::model::{Code, Digest, Outcome, Receipt, Rejection};
use crate::package::{Content, Examiner, Extent};
use crate::release::{Origin, Release, Staged, Staging};

/// Bytes looked at a time.
const LOOK: usize = 256 << 10;
/// Files whose content the examiner reads; of the others it needs the names.
const READ: [&str; 5] = [".json", ".geojson", ".csv", ".html", ".htm"];

impl Publisher {
    /// One transaction on the published tree.
    pub(super) fn tree(
        &mut self,
        change: TreeChange,
        began: Option<&LiveTree>,
        receipt: &Receipt,
    ) -> Outcome {
        let built = self.build(&change, began, receipt);
        // The verdict is reached: the files are in a release and the history, or refused.
        if let Err(error) = change.discard() {
            tracing::warn!(%error, "scratch of a pushed tree cannot be removed");
        }
        let release = match built {
            Ok(release) => release,
            Err(rejection) => return self.reject(None, receipt, rejection),
        };
        let package = release.meta.package;
        let outcome = self.settle(release, None, receipt);
        if let Some(id) = package
            && let Err(error) = self
                .parts
                .history
                .record_verdict(id, Verdict::of(&outcome, self.parts.clock.now(), self.parts.lang))
        {
            tracing::error!(%error, tree = %id, "verdict cannot be kept beside the tree");
        }
        outcome
    }

    /// The tree that the session saw when it ended: what it began from, and its changes. A cut
    /// that came in between is not mixed in; if it is newer, this one is refused as older.
    fn build(
        &mut self,
        change: &TreeChange,
        began: Option<&LiveTree>,
        receipt: &Receipt,
    ) -> Result<Release, Rejection> {
        let blame = |e: io::Error| self.parts.store.blame(&e);
        let began = began.and_then(|tree| tree.hold.downcast_ref::<Release>());
        let base = began.or_else(|| self.base());
        let mut staging = self.parts.store.stage(base, expected(base, receipt.bytes))?;
        staging.start_from_base().map_err(blame)?;
        staging.apply(change).map_err(blame)?;
        let content = self.examine(&staging)?;
        let tree = Digest::of(staging.manifest().text().as_bytes());
        let meta = self.meta(Origin::Tree, content.cut.map(|found| found.cut), tree, receipt)?;
        let release = staging.seal(meta).and_then(Staged::commit).map_err(blame)?;
        self.keep(&release, receipt).map_err(blame)?;
        self.verified(&release, How::Whole, content.last)?;
        self.warn_of_content(&receipt.name, tree, &content.warnings);
        Ok(release)
    }

    /// The whole tree as it would be seen, under the rules of a package.
    fn examine(&self, staging: &Staging) -> Result<Content, Rejection> {
        let mut examiner = Examiner::new(&self.parts.rules, Extent::Whole, self.parts.clock.now());
        self.show(staging, &mut examiner).map_err(|e| self.parts.store.blame(&e))?;
        let content = examiner.finish("", self.newest_cut())?;
        match content.top {
            // Only an archive may lie in one folder; here the paths are those that readers ask for.
            Some(top) => Err(Rejection::new(Code::RequiredMissing).entry(format!("{top}/.."))),
            None => Ok(content),
        }
    }

    fn show(&self, staging: &Staging, examiner: &mut Examiner<'_>) -> io::Result<()> {
        let mut buffer = vec![0; LOOK];
        for (path, facts) in staging.manifest().files() {
            examiner.file(path, facts.size, facts.mtime)?;
            let lower = path.to_ascii_lowercase();
            if READ.iter().any(|suffix| lower.ends_with(suffix)) {
                let mut file = staging.open(path)?;
                loop {
                    let n = file.read(&mut buffer)?;
                    if n == 0 {
                        break;
                    }
                    examiner.data(buffer.get(..n).unwrap_or_default())?;
                }
            }
            examiner.end()?;
        }
        Ok(())
    }

    /// Keeps every file and the list of them, so that this tree can be made again byte-equal.
    fn keep(&self, release: &Release, receipt: &Receipt) -> io::Result<()> {
        for (path, facts) in release.manifest.files() {
            self.parts.history.keep_blob(&release.site, path, facts.sha256)?;
        }
        self.parts.history.keep_tree(&release.manifest.text(), receipt).map(|_| ())
    }
}
