//! Readers that never stop asking, and hold every answer against what the institute sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cuts::Cuts;

/// SHA-256 of each answer that is right → the cut it belongs to, by path.
pub type Right = HashMap<String, HashMap<String, u32>>;

/// The files that readers ask for: present in every cut, different in each.
pub fn right_answers(cuts: &Cuts, range: std::ops::RangeInclusive<u32>) -> Right {
    let trees: Vec<_> = range.map(|n| (n, crate::cuts::tree(cuts.unpacked(n).path()))).collect();
    let plain = |p: &&String| p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    let in_all = |p: &&String| trees.iter().all(|(_, t)| t.contains_key(*p));
    let differs = |p: &&String| {
        let all: std::collections::HashSet<_> = trees.iter().map(|(_, t)| &t[*p]).collect();
        all.len() == trees.len()
    };
    let paths: Vec<_> =
        trees[0].1.keys().filter(plain).filter(in_all).filter(differs).take(4).cloned().collect();
    assert!(!paths.is_empty(), "some files change with every cut");
    let by_hash = |p: &String| trees.iter().map(|(n, t)| (t[p].clone(), *n)).collect();
    paths.iter().map(|p| (p.clone(), by_hash(p))).collect()
}

/// Keep-alive readers in the background.
pub struct Readers {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    wrong: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Readers {
    /// `count` connections, each asking for one path after the other.
    pub fn start(count: usize, https: SocketAddr, right: Right) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicU64::new(0));
        let wrong = Arc::new(Mutex::new(Vec::new()));
        let shared = (Arc::clone(&stop), Arc::clone(&answers), Arc::clone(&wrong));
        let thread = std::thread::spawn(move || {
            let (stop, answers, wrong) = shared;
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let right = Arc::new(right);
                let tasks: Vec<_> = (0..count)
                    .map(|_| {
                        tokio::spawn(ask(
                            https,
                            Arc::clone(&right),
                            Arc::clone(&stop),
                            Arc::clone(&answers),
                            Arc::clone(&wrong),
                        ))
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
        Self { stop, answers, wrong, thread: Some(thread) }
    }

    /// Ends them; how many answers there were, and everything that was wrong with any.
    pub fn finish(mut self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let wrong = std::mem::take(&mut *self.wrong.lock().unwrap());
        (self.answers.load(Ordering::Relaxed), wrong)
    }
}

async fn ask(
    https: SocketAddr,
    right: Arc<Right>,
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    wrong: Arc<Mutex<Vec<String>>>,
) {
    // HTTP/1.1 only: one connection each, kept alive over the swaps.
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .http1_only()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    let mut newest = 0;
    while !stop.load(Ordering::Relaxed) {
        for (path, hashes) in right.iter() {
            let answer = client.get(format!("https://{https}/{path}")).send().await;
            answers.fetch_add(1, Ordering::Relaxed);
            let complaint = match answer {
                Ok(answer) => judge(answer, hashes, &mut newest).await.err(),
                Err(error) => Some(format!("{error:?}")),
            };
            if let Some(complaint) = complaint {
                wrong.lock().unwrap().push(format!("{path}: {complaint}"));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// A whole file of one cut, of the cut that the header says, never older than before.
async fn judge(
    answer: reqwest::Response,
    hashes: &HashMap<String, u32>,
    newest: &mut u32,
) -> Result<(), String> {
    let status = answer.status();
    let corte = answer.headers().get("x-prep-corte").map(|v| v.to_str().unwrap().to_owned());
    let body = answer.bytes().await.map_err(|e| format!("{e:?}"))?;
    if status != reqwest::StatusCode::OK {
        return Err(status.to_string());
    }
    let sha = difusor::model::Digest::of(&body).to_string();
    let Some(cut) = hashes.get(&sha) else {
        return Err(format!("a body of no cut, {} bytes, corte {corte:?}", body.len()));
    };
    if cut < newest {
        return Err(format!("cut {cut} after cut {newest}"));
    }
    *newest = *cut;
    corte.map(|_| ()).ok_or_else(|| "no X-PREP-Corte".to_owned())
}
