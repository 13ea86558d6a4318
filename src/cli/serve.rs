//! `doorward serve`: opens everything, says that it is ready, and closes everything again.
//!
//! The order matters: lock and store before sockets, so that an address that answers is a store that works; and all
//! sockets before the ready line.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::output::{complain, print};
use super::{Failure, Global, logging};
use crate::admin::groups::Groups;
use crate::admin::link::check_data_dir;
use crate::admin::server::AdminServer;
use crate::admin::socket_path;
use crate::app::App;
use crate::app::instance;
use crate::config::{Config, ConfigError};
use crate::http::tls::Certificate;
use crate::{http, mail};

/// How the server is named to others who want the store.
const ROLE: &str = "server";
/// Time that hashing under way may take when everything else has stopped.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Runs the server until a signal ends it.
pub fn run(global: &Global, mut config: Config) -> Result<(), Failure> {
    let _log = logging::start(&config.log, global)?;
    config.email.smtp.password = config.email.smtp.read_password()?;
    config.email.smtp.password_file = PathBuf::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::runtime)?;
    let result = runtime.block_on(serve(Arc::new(config)));
    runtime.shutdown_timeout(LAST_WORK);
    result
}

async fn serve(config: Arc<Config>) -> Result<(), Failure> {
    let signals = Signals::install().map_err(Failure::runtime)?;
    let groups = Groups::from_config(&config.admin)?;
    // A terminal that goes away does not end a server: the handler stays, whether anybody listens or not.
    let hang_up = signal(SignalKind::hangup()).map_err(Failure::runtime)?;
    let certificate = Certificate::from_config(&config, hang_up)?;
    // The folder may be somebody else's, as those that are mounted into a container; a store in it may not.
    if let Some(store) = instance::store_directory(&config) {
        check_data_dir(&store)?;
    }
    let app = instance::open(Arc::clone(&config), ROLE).await?;
    let result = serve_open(&app, &config, groups, certificate, signals).await;
    app.close().await;
    tracing::info!("stopped");
    result
}

async fn serve_open(
    app: &App,
    config: &Arc<Config>,
    groups: Option<Groups>,
    certificate: Option<Certificate>,
    signals: Signals,
) -> Result<(), Failure> {
    let transport = mail::Transport::from_config(config).map_err(ConfigError::in_use)?;
    let listen = config.server.listen;
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let (server, address) =
        http::bind(app.clone(), Arc::clone(config), certificate.as_ref().map(Certificate::acceptor))
            .await
            .map_err(Failure::io(format!("cannot listen on {listen} (server.listen)")))?;
    let admin = AdminServer::bind(app.clone(), Arc::clone(config), groups)
        .map_err(Failure::io(format!("cannot make the admin socket {}", socket_path(config).display())))?;

    let (stop, stopped) = watch::channel(false);
    let mut parts = JoinSet::new();
    parts.spawn(server.serve(until(&stopped)));
    parts.spawn(admin.serve(until(&stopped)));
    parts.spawn(mail::deliver(app.clone(), transport, until(&stopped)));
    let of = || (app.clone(), until(&stopped));
    let (part, shutdown) = of();
    parts.spawn(work_until(shutdown, async move { part.sweep_for_ever().await }));
    let (part, shutdown) = of();
    parts.spawn(work_until(shutdown, async move { part.keep_search().await }));
    // Stopping lets go of a job between two users.
    let (part, shutdown) = of();
    parts.spawn(work_until(shutdown, async move { part.run_jobs().await }));
    let (part, shutdown) = of();
    parts.spawn(work_until(shutdown, async move { part.back_up_for_ever().await }));
    if let Some(certificate) = certificate {
        parts.spawn(work_until(until(&stopped), async move { certificate.renew().await }));
    }

    welcome_first_start(app, address).await?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "ready");
    print(&format!("listening on {scheme}://{address}"))?;

    // A part ends by itself only when it panics.
    let broken = tokio::select! {
        signal = signals.wait() => {
            tracing::info!(signal, "stopping");
            None
        }
        reason = app.failed() => Some(format!("the store failed ({reason}); start the server again, which recovers it")),
        _ended = parts.join_next() => Some("a part of the server failed; see the log".to_owned()),
    };
    // The receivers live in the parts; where they are gone there is nothing to stop.
    let _ = stop.send(true);
    drain(parts, Duration::from_millis(config.server.shutdown_timeout_ms)).await;
    broken.map_or(Ok(()), |reason| Err(Failure::Failed(reason)))
}

/// Waits for what is under way, but not for ever.
async fn drain(mut parts: JoinSet<()>, deadline: Duration) {
    let all = async { while parts.join_next().await.is_some() {} };
    if tokio::time::timeout(deadline, all).await.is_err() {
        tracing::warn!("requests were still under way at the deadline");
    }
}

/// Works until the server is to stop. Work that ends by itself does so with the store; what is to happen then others decide.
async fn work_until(shutdown: impl Future<Output = ()>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = async {
            work.await;
            std::future::pending::<()>().await;
        } => {}
        () = shutdown => {}
    }
}

/// Says how to make the first staff account, while there is nobody yet.
async fn welcome_first_start(app: &App, address: SocketAddr) -> Result<(), Failure> {
    if let Some(link) = app.first_start_link(address).await? {
        complain(&format!(
            "There are no users yet. Make the first staff account with\n  \
             doorward user create --staff --email you@example.com\n\
             or open this link, which works once and for one hour:\n  {}",
            link.expose()
        ));
    }
    Ok(())
}

/// Completes when the server is to stop.
fn until(stopped: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut stopped = stopped.clone();
    async move {
        // An error means that the sender is gone, which is a stop too.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// The signals that stop the server. Installed before anything is opened, so that none is missed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal and returns its name. The second ends the process at once, which the store survives.
    async fn wait(mut self) -> &'static str {
        let (name, _) = self.next().await;
        tokio::spawn(async move {
            let (_, number) = self.next().await;
            process::exit(128 + number);
        });
        name
    }

    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        }
    }
}
