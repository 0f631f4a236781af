//! A store in a scratch directory, and a site over it, for the tests of this room and of `web`.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Live, Site, SiteConfig};
use crate::archive::Sink as _;
use crate::clock::Clock;
use crate::durable::Dir;
use crate::model::Cut;
use crate::release::{Expected, Meta, Origin, Release, Store, StoreConfig};

pub(crate) struct Bench {
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) site: Arc<Site>,
}

impl Bench {
    pub(crate) fn new(config: SiteConfig) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path()).unwrap();
        let clock = Clock::system();
        let config_of_store = StoreConfig {
            releases: root.sub_create("var/releases").unwrap(),
            www: root.sub_create("www").unwrap(),
            keep: 2,
            min_free_bytes: 0,
            min_free_inodes: 0,
            clock: clock.clone(),
        };
        let (store, _) = Store::open(config_of_store, &[]).unwrap();
        Self { scratch, store, site: Site::new(config, clock) }
    }

    /// A release of these files with the `number`-th cut of the night, five minutes apart.
    pub(crate) fn release(&self, number: i64, files: &[(&str, &[u8])]) -> Release {
        let mut staging = self.store.stage(None, Expected::default()).unwrap();
        for (path, bytes) in files {
            staging.file(path, bytes.len() as u64, 1_717_380_000).unwrap();
            staging.data(bytes).unwrap();
            staging.end().unwrap();
        }
        let start = jiff::civil::date(2024, 6, 2).at(20, 0, 0, 0);
        let hour = start.saturating_add(jiff::Span::new().minutes(5 * number));
        let cut = Cut::with_offset(hour, -5).ok();
        staging.seal(Meta { cut, ..Meta::new(Origin::Package) }).unwrap().commit().unwrap()
    }

    /// The same, shown at once, `since` a given second.
    pub(crate) fn show_since(&self, number: i64, since: i64, files: &[(&str, &[u8])]) -> Arc<Live> {
        let release = self.release(number, files);
        self.store.point(&release.id).unwrap();
        let since = jiff::Timestamp::from_second(since).unwrap();
        self.site.show(self.site.load(&release, since).unwrap())
    }

    /// The same, one minute after the cut before.
    pub(crate) fn show(&self, number: i64, files: &[(&str, &[u8])]) -> Arc<Live> {
        self.show_since(number, 1_717_380_000 + 60 * number, files)
    }

    /// A file of a release on disk.
    pub(crate) fn on_disk(&self, release: &Release, path: &str) -> PathBuf {
        self.scratch.path().join("var/releases").join(release.id.as_str()).join("site").join(path)
    }
}
