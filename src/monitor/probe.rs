//! One round of questions to the site, asked as a reader asks them.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Certificate, Client};
use tokio::time::Instant;

use super::Probe;
use crate::model::Cut;

/// A way to the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `public` or `cdn`.
    pub name: String,
    /// Its address, such as `https://prep.ejemplo.mx`, without a slash behind.
    pub url: String,
}

/// What is asked, and how.
#[derive(Clone, Debug)]
pub struct Questions {
    /// Ways to the site.
    pub targets: Vec<Target>,
    /// Paths beside `/` and the public state.
    pub pages: Vec<String>,
    /// Time for one answer.
    pub timeout: Duration,
    /// Whether the page must hold `<base`, as INE's monitor wants it (IV.b.ii).
    pub base_tag: bool,
    /// How old a swap may be that is not seen yet.
    pub lag: SignedDuration,
    /// PEM authority of the site, where it is not a public one.
    pub root: Option<PathBuf>,
}

/// What readers should see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The release that the pointer names.
    pub release: String,
    /// Its cut; `None` for a page of ours.
    pub cut: Option<Cut>,
    /// Since when.
    pub since: Timestamp,
}

/// Asks the questions.
#[derive(Clone, Debug)]
pub struct Prober {
    questions: Questions,
    client: Client,
}

/// An answer as it came.
struct Answer {
    status: u16,
    cut: Option<String>,
    body: Vec<u8>,
}

impl Prober {
    /// A prober; an error says what about the authority.
    pub fn new(questions: Questions) -> Result<Self, String> {
        let mut builder = Client::builder().timeout(questions.timeout).user_agent(AGENT);
        builder = builder.redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0);
        if let Some(root) = &questions.root {
            let pem = std::fs::read(root).map_err(|e| format!("{}: {e}", root.display()))?;
            builder = builder.tls_certs_only([Certificate::from_pem(&pem).map_err(|e| e.to_string())?]);
        }
        let client = builder.build().map_err(|e| e.to_string())?;
        Ok(Self { questions, client })
    }

    /// One round to every target, begun at `t`. What should be seen is known before, and asked once more `after`: a
    /// swap in between is no fault.
    pub async fn round(
        &self,
        t: Timestamp,
        before: Option<Expected>,
        after: impl Future<Output = Option<Expected>>,
    ) -> Vec<Probe> {
        let mut asked = Vec::new();
        for target in &self.questions.targets {
            let paths = ["/", STATE].into_iter().chain(self.questions.pages.iter().map(String::as_str));
            for path in paths {
                let began = Instant::now();
                let answer = self.ask(&format!("{}{path}", target.url)).await;
                asked.push((target.name.clone(), path.to_owned(), began.elapsed(), answer));
            }
        }
        let hoped = [before, after.await];
        asked
            .into_iter()
            .map(|(target, path, took, answer)| self.judge(t, target, path, took, answer, &hoped))
            .collect()
    }

    fn judge(
        &self,
        t: Timestamp,
        target: String,
        path: String,
        took: Duration,
        answer: Result<Answer, String>,
        hoped: &[Option<Expected>; 2],
    ) -> Probe {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let why = match &answer {
            Ok(answer) => self.fault(&path, answer, hoped, t),
            Err(why) => Some(why.clone()),
        };
        let (status, bytes, cut) = match &answer {
            Ok(answer) => {
                let cut = answer.cut.as_deref().and_then(|c| serde_json::from_value(c.into()).ok());
                (Some(answer.status), answer.body.len() as u64, cut)
            }
            Err(_) => (None, 0, None),
        };
        Probe { t, target, path, status, ms, bytes, ok: why.is_none(), why, cut }
    }

    /// What is wrong with an answer.
    fn fault(
        &self,
        path: &str,
        answer: &Answer,
        hoped: &[Option<Expected>; 2],
        t: Timestamp,
    ) -> Option<String> {
        if answer.status != 200 {
            return Some(format!("{path}: HTTP {}", answer.status));
        }
        let is_json = path.ends_with(".json");
        let document: Option<serde_json::Value> =
            is_json.then(|| serde_json::from_slice(&answer.body).ok()).flatten();
        if is_json && document.is_none() {
            return Some(format!("{path}: JSON"));
        }
        let is_page = path == "/";
        if is_page && self.questions.base_tag && !holds_base(&answer.body) {
            return Some(format!("{path}: <base"));
        }
        if path != STATE && !is_page {
            return None;
        }
        let fits = |hope: &Expected| {
            let young = t.duration_since(hope.since) < self.questions.lag;
            let seen = match &document {
                Some(state) => match state.get("release").and_then(serde_json::Value::as_str) {
                    Some(release) => release == hope.release,
                    None => hope.cut.is_none(),
                },
                None => answer.cut == hope.cut.map(|c| c.to_string()),
            };
            seen || young
        };
        let known = hoped.iter().flatten();
        if known.clone().next().is_none() || known.clone().any(fits) {
            return None;
        }
        let newest = known.last().and_then(|hope| hope.cut).map_or_else(|| "–".to_owned(), |c| c.to_string());
        Some(format!("{path}: {} ≠ {newest}", answer.cut.as_deref().unwrap_or("–")))
    }

    async fn ask(&self, url: &str) -> Result<Answer, String> {
        let mut answer = self.client.get(url).send().await.map_err(|e| spoken(&e))?;
        let cut = answer.headers().get("x-prep-corte").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| spoken(&e))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(format!("> {BODY_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, cut, body })
    }
}

fn holds_base(page: &[u8]) -> bool {
    page.windows(5).any(|window| window.eq_ignore_ascii_case(b"<base"))
}

/// An error with what is behind it.
fn spoken(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_timeout() { "no answer in time".to_owned() } else { "no connection".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What it calls itself: statistics class it as a monitor.
const AGENT: &str = concat!("difusor-monitor/", env!("CARGO_PKG_VERSION"));
/// The public state.
const STATE: &str = "/.well-known/prep/estado.json";
/// A page or a file of results is smaller.
const BODY_BYTES_MAX: usize = 64 << 20;
