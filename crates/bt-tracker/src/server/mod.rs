//! The tracker as a server, to embed or to run alone (feature `server`).
//!
//! [`Server::start`] returns when every address is bound and served; port 0 is any free port, and
//! the [`Handle`] tells which. Announces over HTTP are tasks of the runtime that `start` was
//! called in; announces over UDP have threads of their own. It must not print, read flags, or
//! handle signals: that is the program's.

mod access;
mod accounts;
mod admin;
mod bounded;
mod chores;
mod config;
mod contain;
mod control_message;
mod durable;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod handle;
mod history;
mod http;
mod inherited;
#[cfg(test)]
mod interrupted;
mod logins;
mod memory;
mod paths;
mod publisher;
mod random;
#[cfg(feature = "redis")]
mod relay;
mod shown;
#[cfg(feature = "websocket")]
mod signal;
mod snapshot;
mod stats;
mod syscalls;
mod token;
mod tracker;
mod udp;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use tracker::Tracker;

pub use accounts::Account;
pub use bounded::{read_bounded, read_bounded_text};
pub use config::{Config, IpParam, Mode, Secret, Store};
pub use error::Error;
pub use handle::Handle;
pub use inherited::Inherited;
pub use shown::steers;
pub use snapshot::read_snapshot;
pub use stats::{StatsSnapshot, StoreSnapshot, TransportSnapshot};

/// Starts trackers.
///
/// ```
/// use bt_tracker::server::{Config, Server};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let config = Config { http: vec!["127.0.0.1:0".parse()?], ..Config::default() };
/// let tracker = Server::start(config).await?;
/// assert!(tracker.announce_url().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
/// tracker.stop().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Binds every address, reads the list, the directory of torrents and the snapshot, and
    /// begins to serve.
    ///
    /// # Errors
    /// When an address cannot be bound, the list or the directory cannot be read, or a setting
    /// makes no sense, or the snapshot is a file of something else. A snapshot that is torn is set
    /// aside with a warning in the log; only when that fails it is an error. One that cannot be read
    /// is left alone, which is logged as an error, and none is written.
    pub async fn start(mut config: Config) -> Result<Handle, Error> {
        if config.listens_nowhere() {
            return Err(Error::setting("http", "there is no address to listen on"));
        }
        let now = Instant::now();
        let tracker = Arc::new(Tracker::new(&config, now)?);
        chores::load_accounts(&tracker, config.accounts.as_deref())?;
        chores::doubt_places(&config);
        let http = http::bind(&config)?;
        let udp = udp::bind(&config)?;
        let admin = admin::bind(&config).await?;
        if let Some(dir) = &config.torrents {
            chores::scan(&tracker, dir)?;
        }
        // After the directory, since a closed store takes in only what it knows.
        if let Some(path) = &config.snapshot
            && !chores::load(&tracker, path, now)?
        {
            config.snapshot = None;
        }
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        // If anything fails from here on, what has been started ends.
        let guard = stop.clone().drop_guard();
        let udp_stop = Arc::new(AtomicBool::new(false));
        let (http_addrs, udp_addrs) = (http.addrs.clone(), udp.addrs.clone());
        let https_addrs = http.tls_addrs.clone();
        let stats_addr = admin.as_ref().map(|(_, address)| *address);
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        config.fit_files(files.current.unwrap_or(u64::MAX));
        http::serve(http, &config, &tracker, &tasks, &stop)?;
        let threads = udp::serve(udp, &config, &tracker, &udp_stop)?;
        if let Some((listener, _)) = admin {
            admin::serve(listener, &config, &tracker, &tasks, &stop);
        }
        #[cfg(feature = "redis")]
        relay::start(&tracker, &tasks, &stop);
        chores::start(&config, &tracker, &tasks, &stop);
        guard.disarm();
        Ok(Handle::new(
            handle::Addresses {
                http: http_addrs,
                https: https_addrs,
                udp: udp_addrs,
                stats: stats_addr,
            },
            config,
            tracker,
            handle::Running {
                tasks,
                stop,
                udp_stop,
                threads,
            },
        ))
    }
}
