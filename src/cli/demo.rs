//! `difusor demo`: a throw-away instance that plays both sides of the night.
//!
//! The institute's side is a real SSH client on a real connection to our own door; the
//! reader's side asks over HTTPS until the new cut is there.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::ChannelMsg;
use russh::client::{self, Handle};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg};
use serde::Serialize;

use super::args::Demo;
use super::{Done, Failure, NO, Out, init};
use crate::app::{self, Half};
use crate::clock::Clock;
use crate::config::{self, Addresses, Config, Profile};
use crate::simulate::{self, Content, Plan, PlanError, Settings};

/// How long a cut may take to appear before the demonstration gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The demonstration shows this many cuts on a terminal.
const SHOWN: usize = 12;

/// One line of the live table.
#[derive(Clone, Debug, Serialize)]
struct Row {
    cut: String,
    package: String,
    bytes: u64,
    transfer_seconds: f64,
    delay_seconds: f64,
    verdict: String,
}

pub(super) fn run(demo: Demo, out: Out) -> Done {
    let every = config::duration(&demo.every, out.lang).map_err(|sentence| Failure::Sentence(2, sentence))?;
    let plan = Arc::new(plan(&demo, out)?);
    let (dir, scratch) = folder(&demo)?;
    let (config, key) = instance(&dir, &demo, out)?;
    // While there is one thread. What is made for the demo is removed at its end.
    let confined = app::confine(&config, Half::Both, scratch.as_ref().map(|_| dir.as_path()))
        .map_err(|e| Failure::Sentence(super::IO_FAILED, e.line(out.lang)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let night = Night { every, plan, key, cuts: demo.cuts, speed: demo.speed };
    runtime.block_on(night.play(&dir, config, confined, out))
}

/// What is played.
struct Night {
    every: Duration,
    plan: Arc<Plan>,
    key: PrivateKey,
    cuts: Option<u32>,
    speed: u64,
}

impl Night {
    async fn play(self, dir: &Path, config: Config, confined: app::Confined, out: Out) -> Done {
        let running = app::start(config, Half::Both, Clock::system(), confined)
            .await
            .map_err(|e| Failure::Sentence(super::IO_FAILED, e.line(out.lang)))?;
        let addresses = running.addresses().clone();
        let (Some(ssh), Some(https)) = (addresses.ssh.first().copied(), addresses.https.first().copied())
        else {
            return Err(Failure::Sentence(super::IO_FAILED, "no listener".to_owned()));
        };
        greet(dir, ssh, https, out);
        let player = Player { plan: self.plan, key: self.key, ssh, https, speed: self.speed, out };
        let night = player.night(self.cuts, self.every);
        let ended = tokio::select! {
            ended = night => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminated() => Ok(()),
        };
        running.stop().await;
        match ended {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(sentence) => Err(Failure::Sentence(NO, sentence)),
        }
    }
}

fn plan(demo: &Demo, out: Out) -> Result<Plan, Failure> {
    let unknown = || {
        let text = out.pick("perfil desconocido; elija qroo o mini", "unknown profile; choose qroo or mini");
        Failure::Sentence(2, format!("«{}»: {text}", demo.profile))
    };
    let profile = simulate::Profile::parse(&demo.profile).ok_or_else(unknown)?;
    Plan::new(Settings::new(profile, demo.seed)).map_err(|e| Failure::Sentence(2, e.to_string()))
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut term) => _ = term.recv().await,
        Err(_) => std::future::pending().await,
    }
}

/// A folder that stays if the user named it, and vanishes otherwise.
fn folder(demo: &Demo) -> Result<(PathBuf, Option<Scratch>), Failure> {
    if let Some(dir) = &demo.dir {
        return Ok((dir.clone(), None));
    }
    let dir = std::env::temp_dir().join(format!("difusor-demo-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    Ok((dir.clone(), Some(Scratch(dir))))
}

/// Removes its folder when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Lays the instance out with a fresh trusted key; the host key and the certificate are
/// made at the first start, as for everybody.
fn instance(dir: &Path, demo: &Demo, out: Out) -> Result<(Config, PrivateKey), Failure> {
    let local = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
    let addresses = Addresses {
        ssh: local(demo.ssh),
        https: local(demo.https),
        http: local(demo.http),
        domain: Some("localhost".to_owned()),
        ..Addresses::default()
    };
    // Under the rules of the call whose packages are played.
    let call = Profile::parse(demo.profile.trim_end_matches("-mini")).unwrap_or(Profile::QuintanaRoo);
    let text = config::sample(call, &addresses, out.lang);
    // On a port of this machine, whichever is free: a browser opens no unix socket.
    let text = text.replacen("#listen = [\"unix:admin.sock\"]", "listen = [\"127.0.0.1:0\"]", 1);
    init::lay_out(dir, &in_language(text, out.lang))?;
    let key = key(dir)?;
    let config = Config::load(&dir.join("difusor.toml")).map_err(Failure::Config)?;
    Ok((config, key))
}

/// The institute of the demo reads its verdicts in the language of whoever watches.
fn in_language(text: String, lang: crate::model::Lang) -> String {
    match lang {
        crate::model::Lang::Es => text,
        crate::model::Lang::En => text.replacen("#lang = \"es\"", "lang = \"en\"", 1),
    }
}

fn key(dir: &Path) -> Result<PrivateKey, Failure> {
    let broken = |e: russh::keys::ssh_key::Error| Failure::Sentence(super::IO_FAILED, e.to_string());
    let private = dir.join("demo-key");
    if private.exists() {
        return PrivateKey::read_openssh_file(&private).map_err(broken);
    }
    let mut key =
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).map_err(broken)?;
    key.set_comment("demo");
    key.write_openssh_file(&private, LineEnding::LF).map_err(broken)?;
    let line = key.public_key().to_openssh().map_err(broken)?;
    std::fs::write(dir.join("keys/trusted/demo.pub"), format!("from=\"127.0.0.1,::1\" {line}\n"))?;
    Ok(key)
}

fn greet(dir: &Path, ssh: SocketAddr, https: SocketAddr, out: Out) {
    let key = dir.join("demo-key");
    let lines = [
        out.pick(
            "difusor, demostración: nada sale de esta máquina",
            "difusor, demonstration: nothing leaves this machine",
        )
        .to_owned(),
        format!(
            "  {}  https://localhost:{}/  ({})",
            out.pick("sitio ", "site  "),
            https.port(),
            out.pick("certificado propio", "self-signed certificate")
        ),
        format!(
            "  {}  scp -P {} -i {} {} prep@127.0.0.1:",
            out.pick("enviar", "push  "),
            ssh.port(),
            key.display(),
            out.pick("PAQUETE.tar.gz", "PACKAGE.tar.gz")
        ),
        format!(
            "  {}  difusor status --config {}",
            out.pick("estado", "status"),
            dir.join("difusor.toml").display()
        ),
        format!(
            "  {}  difusor admin link --config {}",
            out.pick("guardia", "duty  "),
            dir.join("difusor.toml").display()
        ),
        out.pick("Ctrl-C termina.", "Ctrl-C ends it.").to_owned(),
    ];
    if !out.json {
        super::println(&lines.join("\n"));
    }
}

/// The institute and one reader.
struct Player {
    plan: Arc<Plan>,
    key: PrivateKey,
    ssh: SocketAddr,
    https: SocketAddr,
    speed: u64,
    out: Out,
}

impl Player {
    async fn night(&self, cuts: Option<u32>, every: Duration) -> Result<(), String> {
        let mut table = Table::new(self.out);
        let reader = reader();
        // A night has an end, also an endless one.
        let last = self.plan.final_cut().saturating_add(1);
        for n in 0..cuts.unwrap_or(u32::MAX).min(last) {
            let begun = Instant::now();
            let row = self.cut(n, &reader).await?;
            table.push(row);
            if cuts != Some(n + 1) {
                tokio::time::sleep(every.saturating_sub(begun.elapsed())).await;
            }
        }
        Ok(())
    }

    /// Makes one cut, pushes it and waits until a reader sees it.
    async fn cut(&self, n: u32, reader: &reqwest::Client) -> Result<Row, String> {
        let plan = Arc::clone(&self.plan);
        let package = tokio::task::spawn_blocking(move || plan.cut(n)).await.map_err(|e| e.to_string())?;
        let package = package.map_err(|e: PlanError| e.to_string())?;
        let Content::Archive(body) = package.content else {
            return Err(self
                .out
                .pick("ese perfil no hace paquetes", "that profile makes no packages")
                .to_owned());
        };
        let digest = crate::model::Digest::of(&body).to_string();
        let bytes = body.len() as u64;
        let begun = Instant::now();
        let (verdict, last_byte) = self.push(&package.name, body.into()).await?;
        let url = format!("https://127.0.0.1:{}/.well-known/prep/estado.json", self.https.port());
        let seen = loop {
            let state = reader.get(&url).send().await.and_then(reqwest::Response::error_for_status);
            let state = match state {
                Ok(response) => response.text().await.unwrap_or_default(),
                Err(e) => return Err(e.to_string()),
            };
            if state.contains(&digest) {
                break Instant::now();
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!(
                    "{}: {verdict}",
                    self.out.pick("el corte no apareció", "the cut did not appear")
                ));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Ok(Row {
            cut: package.manifest.stamp.label(),
            package: package.name,
            bytes,
            transfer_seconds: (last_byte - begun).as_secs_f64(),
            delay_seconds: (seen - last_byte).as_secs_f64(),
            verdict,
        })
    }

    /// `cat > NAME` over a fresh connection; gives the verdict line and the moment of
    /// the last byte.
    async fn push(&self, name: &str, bytes: bytes::Bytes) -> Result<(String, Instant), String> {
        let handle = self.connect().await.map_err(|e| e.to_string())?;
        let mut channel = handle.channel_open_session().await.map_err(|e| e.to_string())?;
        channel.exec(true, format!("cat > '{name}'")).await.map_err(|e| e.to_string())?;
        let sent = self.send(&channel, bytes).await;
        let last_byte = Instant::now();
        let (mut told, mut code) = (Vec::new(), None);
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::ExtendedData { data, .. } => told.extend_from_slice(&data),
                ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
                _ => {}
            }
        }
        let told = String::from_utf8_lossy(&told).trim().to_owned();
        match (sent, code) {
            (Ok(()), Some(0)) => Ok((told, last_byte)),
            (Ok(()), Some(code)) => Err(format!("{name}: {told} (exit {code})")),
            (Ok(()), None) => Err(format!("{name}: {told}")),
            (Err(error), _) => Err(format!("{name}: {told} ({error})")),
        }
    }

    async fn send(
        &self,
        channel: &russh::Channel<client::Msg>,
        bytes: bytes::Bytes,
    ) -> Result<(), russh::Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(32 << 10));
            if self.speed > 0 {
                let seconds = piece.len() as f64 * 8.0 / (self.speed as f64 * 1e6);
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
            channel.data_bytes(piece).await?;
        }
        channel.eof().await
    }

    async fn connect(&self) -> Result<Handle<Trusting>, russh::Error> {
        let config = Arc::new(client::Config { nodelay: true, ..client::Config::default() });
        let mut handle = client::connect(config, self.ssh, Trusting).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(self.key.clone()), None);
        let answer = handle.authenticate_publickey("prep", key).await?;
        if answer.success() { Ok(handle) } else { Err(russh::Error::NotAuthenticated) }
    }
}

/// A client that takes the host key of our own throw-away door.
struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

fn reader() -> reqwest::Client {
    // The certificate is our own and was made a moment ago: there is nobody to vouch for it.
    let builder = reqwest::Client::builder().danger_accept_invalid_certs(true).timeout(PATIENCE);
    builder.build().unwrap_or_default()
}

/// The live table: redrawn on a terminal, appended otherwise.
struct Table {
    out: Out,
    rows: Vec<Row>,
    drawn: usize,
    terminal: bool,
}

impl Table {
    fn new(out: Out) -> Self {
        Self { out, rows: Vec::new(), drawn: 0, terminal: std::io::stdout().is_terminal() }
    }

    fn push(&mut self, row: Row) {
        match (self.out.json, self.terminal) {
            (true, _) => super::println(&serde_json::to_string(&row).unwrap_or_default()),
            (false, false) => super::println(&self.line(&row)),
            (false, true) => {
                self.rows.push(row);
                self.draw();
            }
        }
    }

    fn line(&self, row: &Row) -> String {
        let columns = ["corte", "enviado en", "visible en"];
        let english = ["cut", "sent in", "visible after"];
        let [cut, sent, seen] = if self.out.pick("es", "en") == "es" { columns } else { english };
        format!(
            "{cut} {}  {}  {} bytes  {sent} {:.2} s  {seen} {:.2} s  {}",
            row.cut, row.package, row.bytes, row.transfer_seconds, row.delay_seconds, row.verdict
        )
    }

    fn draw(&mut self) {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        let head = match self.out.lang {
            crate::model::Lang::Es => ["corte", "paquete", "MB", "envío s", "visible s", "el instituto leyó"],
            crate::model::Lang::En => {
                ["cut", "package", "MB", "transfer s", "visible s", "the institute read"]
            }
        };
        table.set_header(head);
        for row in self.rows.iter().rev().take(SHOWN).rev() {
            table.add_row([
                row.cut.clone(),
                row.package.clone(),
                format!("{:.1}", row.bytes as f64 / 1e6),
                format!("{:.2}", row.transfer_seconds),
                format!("{:.2}", row.delay_seconds),
                row.verdict.clone(),
            ]);
        }
        let text = table.to_string();
        // Back to the first line of the last drawing, and clear from there.
        let back = if self.drawn > 0 { format!("\x1b[{}F\x1b[J", self.drawn) } else { "\n".to_owned() };
        super::println(&format!("{back}{text}"));
        self.drawn = text.lines().count();
    }
}
