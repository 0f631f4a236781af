//! The daemon: one thread per connection, a module's directory as the tree.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use difusor::rsync::daemon::{self, Greeted, Modules, greet};
use difusor::rsync::{Exit, Settings, refuse, serve};

use crate::conf::{Conf, Module};
use crate::disk::{Disk, Start};
use crate::{Listen, configuration, random, settings, stdio, told};

/// rsync's registered port.
const PORT: u16 = 873;
/// A whole greeting must be over by then.
const GREETING_MAX: Duration = Duration::from_secs(30);
/// A client may be silent this long if its module names no limit.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// Connections at once, whatever the modules allow.
const CONNECTIONS_MAX: usize = 256;

/// Connections inside each module.
type Places = Arc<Mutex<HashMap<String, u32>>>;

/// Listens until the process is ended.
pub(crate) fn listen(listen: &Listen) -> Exit {
    let conf = match configuration(listen.config.as_deref()) {
        Ok(conf) => Arc::new(conf),
        Err(why) => return told(why),
    };
    let address =
        listen.address.clone().or_else(|| conf.address.clone()).unwrap_or_else(|| "0.0.0.0".to_owned());
    let port = listen.port.or(conf.port).unwrap_or(PORT);
    let listener = match TcpListener::bind((address.as_str(), port)) {
        Ok(listener) => listener,
        Err(error) => {
            told(format!("{address}:{port}: {error}"));
            return Exit::SocketIo;
        }
    };
    let (places, open) = (Places::default(), Arc::new(()));
    loop {
        match listener.accept() {
            Ok((stream, peer)) if Arc::strong_count(&open) <= CONNECTIONS_MAX => {
                let (conf, places, open) = (Arc::clone(&conf), Arc::clone(&places), Arc::clone(&open));
                thread::spawn(move || {
                    // What the client should know it was told; a standing daemon goes on.
                    let _ = connection(stream, peer.ip(), &conf, places);
                    drop(open);
                });
            }
            Ok(_) => {}
            Err(error) => {
                told(format!("accept: {error}"));
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// The daemon protocol over standard input and output.
pub(crate) fn over_stdio(listen: &Listen) -> Exit {
    let conf = match configuration(listen.config.as_deref()) {
        Ok(conf) => conf,
        Err(why) => return told(why),
    };
    let (input, mut output) = stdio::streams();
    let mut input = BufReader::with_capacity(4096, input);
    let guest = Guest::new(&conf, IpAddr::V4(Ipv4Addr::LOCALHOST), Places::default());
    let settings = settings();
    match greet(&mut input, &mut output, &guest, &settings.limits, settings.lang) {
        Ok(Some(greeted)) => session(greeted, &guest, Box::new(input), Box::new(output), settings),
        Ok(None) => Exit::Ok,
        Err(error) => error.exit,
    }
}

fn connection(stream: TcpStream, peer: IpAddr, conf: &Conf, places: Places) -> io::Result<Exit> {
    stream.set_nodelay(true)?;
    let guest = Guest::new(conf, peer, places);
    let settings = settings();
    let mut output = stream.try_clone()?;
    let mut input = BufReader::with_capacity(
        4096,
        Hurried { stream: stream.try_clone()?, until: Some(Instant::now() + GREETING_MAX) },
    );
    let greeted = greet(&mut input, &mut output, &guest, &settings.limits, settings.lang);
    let Ok(Some(greeted)) = greeted else { return Ok(Exit::Start) };
    input.get_mut().until = None;
    let silence = match greeted.settings.timeout.max(greeted.options.timeout) {
        0 => SILENCE_MAX,
        seconds => Duration::from_secs(seconds.into()),
    };
    stream.set_read_timeout(Some(silence))?;
    stream.set_write_timeout(Some(silence))?;
    let exit = session(greeted, &guest, Box::new(input), Box::new(output), settings);
    // The session's drain may still hold a clone.
    stream.shutdown(std::net::Shutdown::Both)?;
    Ok(exit)
}

fn session(
    greeted: Greeted,
    guest: &Guest<'_>,
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    settings: Settings,
) -> Exit {
    let settings =
        Settings { version: Some(greeted.protocol), io_timeout: greeted.settings.timeout, ..settings };
    // Nobody reads the standard error of a daemon.
    let mut stderr = |_: &str| {};
    let module = guest.module(&greeted.module);
    match (greeted.refused, module) {
        (Some(error), _) => refuse(&error, input, output, &mut stderr, &settings),
        (None, None) => Exit::Start,
        (None, Some(module)) => {
            let disk = Disk::new(Start::Module(module.path.clone()));
            serve(greeted.options, input, output, &mut stderr, &disk, &settings)
        }
    }
}

/// A socket that must say all of its greeting before a moment.
struct Hurried {
    stream: TcpStream,
    until: Option<Instant>,
}

impl Read for Hurried {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
        }
        self.stream.read(buffer)
    }
}

/// What one peer may know and do.
struct Guest<'c> {
    conf: &'c Conf,
    peer: IpAddr,
    places: Places,
    /// The module it took a place in.
    inside: Mutex<Option<String>>,
}

impl<'c> Guest<'c> {
    fn new(conf: &'c Conf, peer: IpAddr, places: Places) -> Self {
        Self { conf, peer, places, inside: Mutex::default() }
    }

    fn module(&self, name: &[u8]) -> Option<&'c Module> {
        let known = self.conf.modules.iter().find(|module| module.name.as_bytes() == name);
        known.filter(|module| module.admits(self.peer))
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let inside = self.inside.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = inside.and_then(|name| places.get_mut(&name)) {
            *taken -= 1;
        }
    }
}

impl Modules for Guest<'_> {
    fn motd(&self) -> Vec<String> {
        let text = self.conf.motd.as_deref().and_then(|path| std::fs::read_to_string(path).ok());
        text.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn list(&self) -> Vec<(String, String)> {
        let listed = self.conf.modules.iter().filter(|module| module.list && module.admits(self.peer));
        listed.map(|module| (module.name.clone(), module.comment.clone())).collect()
    }

    fn find(&self, name: &[u8]) -> Option<daemon::Module> {
        let module = self.module(name)?;
        Some(daemon::Module {
            auth: !module.auth_users.is_empty(),
            floor: None,
            read_only: module.read_only,
            refuse: module.refuse.clone(),
            timeout: module.timeout,
        })
    }

    fn enter(&self, name: &[u8]) -> Result<(), u32> {
        let Some(module) = self.module(name).filter(|module| module.max_connections > 0) else {
            return Ok(());
        };
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.entry(module.name.clone()).or_default();
        if *taken >= module.max_connections {
            return Err(module.max_connections);
        }
        *taken += 1;
        *self.inside.lock().unwrap_or_else(PoisonError::into_inner) = Some(module.name.clone());
        Ok(())
    }

    fn secret(&self, module: &[u8], user: &[u8]) -> Option<Vec<u8>> {
        let module = self.module(module)?;
        let user = std::str::from_utf8(user).ok()?;
        if !module.auth_users.iter().any(|known| known == user) {
            return None;
        }
        secret_of(module.secrets.as_deref()?, user, module.strict_modes)
    }

    fn random(&self) -> [u8; 32] {
        random()
    }
}

/// The secret of a user; none at all from a file that others may read.
fn secret_of(path: &Path, user: &str, strict: bool) -> Option<Vec<u8>> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    if strict && mode & 0o006 != 0 {
        told(format!("{}: other users may read it; not used (strict modes)", path.display()));
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let secrets = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
    secrets.filter(|(name, _)| *name == user).map(|(_, secret)| secret.as_bytes().to_vec()).next()
}
