//! `serve` and `check-config`.

use std::net::SocketAddr;

use bt_tracker::server::{Config, Handle, Server};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::output;
use super::settings::Settings;
use super::systemd;

/// The exit code after an interrupt from the keyboard; a termination asked for by a service
/// manager is a success.
const INTERRUPTED: u8 = 130;

/// Tracks until a signal says to stop. Returns the exit code.
pub(super) fn serve(settings: &Settings, json: bool) -> Result<u8, Failure> {
    let mut config = settings.config()?;
    doubt(&config);
    config.inherited = systemd::inherited()?;
    // Whoever hands sockets over has decided where to listen.
    let says_where = !settings.http.is_empty() || !settings.udp.is_empty();
    if !config.inherited.is_empty() && !says_where {
        config.http.clear();
        config.udp.clear();
    }
    raise_file_limit();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.workers {
        runtime.worker_threads(workers.max(1));
    }
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| Failure::other("cannot start threads").cause(&error))?;
    runtime.block_on(run(config, json))
}

/// Reads everything that a server would read, and binds nothing.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    let config = settings.config()?;
    doubt(&config);
    config.check().map_err(Failure::from)
}

/// Whether these settings alone are refused in the same way.
pub(super) fn misuses(settings: &Settings, as_in: &Failure) -> bool {
    let checked = settings.config().and_then(|config| Ok(config.check()?));
    checked.is_err_and(|failure| failure.is_usage() && failure.message() == as_in.message())
}

/// Warns of settings that work but are hardly meant.
fn doubt(config: &Config) {
    for doubt in config.doubts() {
        tracing::warn!("{doubt}");
    }
}

async fn run(config: Config, json: bool) -> Result<u8, Failure> {
    let refused = |error| Failure::other("cannot handle signals").cause(&error);
    // A handler, even one that nobody waits for, makes a snapshot that grows above `ulimit -f` an error of that file; by
    // default it would end us without a word.
    let _ = signal(SignalKind::from_raw(libc::SIGXFSZ)).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(refused)?;
    let tracker = Server::start(config).await?;
    if let Err(failure) = output::line(&ready(&tracker, json)) {
        // Whoever started it would wait for this line for ever.
        tracker.stop().await;
        return Err(failure);
    }
    systemd::notify("READY=1");
    let code = loop {
        tokio::select! {
            _ = terminate.recv() => break 0,
            _ = interrupt.recv() => break INTERRUPTED,
            _ = hang_up.recv() => reload(&tracker),
        }
    };
    systemd::notify("STOPPING=1");
    tokio::select! {
        is_saved = tracker.stop() => if is_saved {
            Ok(code)
        } else {
            Err(Failure::storage("the last snapshot or accounts could not be written")
                .hint("the log says why; what was written before is as it was"))
        },
        // Whoever asks twice means it.
        _ = terminate.recv() => Ok(code),
        _ = interrupt.recv() => Ok(code),
    }
}

fn reload(tracker: &Handle) {
    match tracker.reload() {
        Ok(Some(entries)) => tracing::info!(entries, "list read again"),
        Ok(None) => tracing::info!("read again"),
        // The server has said what is wrong with which of them.
        Err(_) => tracing::debug!("not all could be read again"),
    }
}

fn ready(tracker: &Handle, json: bool) -> String {
    let (http, udp) = (tracker.http_addrs(), tracker.udp_addrs());
    let https = tracker.https_addrs();
    let stats = tracker.stats_addr();
    if json {
        let texts =
            |addrs: &[SocketAddr]| addrs.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut event = json!({"event": "listening", "http": texts(http), "udp": texts(udp)});
        if let Value::Object(fields) = &mut event {
            if !https.is_empty() {
                fields.insert("https".into(), texts(https).into());
            }
            if let Some(stats) = stats {
                fields.insert("stats".into(), stats.to_string().into());
            }
        }
        return event.to_string();
    }
    let mut line = String::from("listening");
    for (name, addrs) in [
        ("http", http),
        ("https", https),
        ("udp", udp),
        ("stats", stats.as_slice()),
    ] {
        if !addrs.is_empty() {
            let addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
            line.push_str(&format!(" {name}={}", addrs.join(",")));
        }
    }
    line
}

/// Connections are files; the limit that the system starts programs with is for those that have
/// few.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
