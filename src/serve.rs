//! `lectern serve`: opens the doors, starts the roles, listens.

#[cfg(feature = "transcoder")]
use std::path::Path;
use std::{fs::TryLockError, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use axum::Router;
use lectern_api::{ApiSettings, ApiState};
use lectern_domain::ids::ProcessId;
#[cfg(feature = "transcoder")]
use lectern_domain::job::WorkClass;
use lectern_ingest::{IngestParts, IngestSettings, IngestState};
use lectern_license_server::{LicenseSettings, LicenseState};
use lectern_packager::jobs::PackagerJobs;
use lectern_platform::{
    clock::{Clock, SystemClock, new_id},
    http::Problem,
    objects::SharedObjects,
    queue, registry,
    relay::Relay,
    shutdown::Shutdown,
    tokens::{AccessTokens, Keyring},
    vault::{MasterKeyVault, Vault},
    worker::{Capacity, Handler, Workers},
};
use lectern_store::{
    Db, Engine,
    processes::{self, Process},
};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;

use crate::{
    config::Config,
    doors, operations,
    roles::{Role, Roles},
    web,
};

/// Packaging reads, encrypts and writes: two at a time keep a disk busy.
const PACKAGER_SLOTS: usize = 2;

/// How long the first sweep of uploads may keep the listener waiting.
const FIRST_SWEEP: Duration = Duration::from_secs(20);

/// Partitions of logs that are made before their month begins.
const MONTHS_AHEAD: u32 = 3;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) url: String,
    shutdown: Shutdown,
    db: Db,
    entry: registry::Entry,
    /// Held for as long as the process uses the data folder.
    _lock: Option<std::fs::File>,
}

/// Opens the configured database for a command; for SQLite, makes the data folder first.
pub(crate) async fn open_database(config: &Config) -> anyhow::Result<Db> {
    make_data_dir(config)?;
    Ok(Db::open(&config.database_url()).await?)
}

/// The same for a process that serves.
async fn open_database_for(config: &Config, roles: &Roles) -> anyhow::Result<Db> {
    let connections = match config.database.connections {
        0 => roles.connections(),
        connections => connections,
    };
    Ok(Db::open_with(&config.database_url(), connections).await?)
}

fn make_data_dir(config: &Config) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data_dir)
        .with_context(|| format!("making the data folder {}", config.data_dir.display()))
}

/// The vault: the key from the configuration, or the file in the data folder.
pub(crate) fn open_vault(config: &Config) -> anyhow::Result<Arc<dyn Vault>> {
    let key = &config.vault.master_key.0;
    if !key.expose_secret().is_empty() {
        return Ok(MasterKeyVault::from_base64(key)?.shared());
    }
    let path = config.data_dir.join("master.key");
    let first = !path.exists();
    let vault = MasterKeyVault::open_or_create(&path)?.shared();
    if first {
        tracing::info!(path = %path.display(), "made the master key; back it up: without it no encrypted lesson can be played");
    }
    Ok(vault)
}

/// With SQLite only one process may serve a data folder: its jobs and uploads are its own.
fn lock_data_dir(config: &Config) -> anyhow::Result<std::fs::File> {
    let path = config.data_dir.join("lectern.lock");
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another lectern serves {}; SQLite takes one process: stop that one, use another data folder, or set \
             database.url to a postgres: URL",
            config.data_dir.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

impl Server {
    /// Opens everything and starts the roles. What fails here fails before the first request.
    pub(crate) async fn start(config: &Config, roles: &Roles) -> anyhow::Result<Self> {
        let embedded = config.database_url().starts_with("sqlite:");
        if embedded && !roles.is_all() {
            bail!(
                "SQLite takes one process, which must have every role: leave --roles out, or set database.url to a postgres: URL"
            );
        }
        make_data_dir(config)?;
        // Before the database: migrations of a second process would already be one too many.
        let lock = embedded.then(|| lock_data_dir(config)).transpose()?;
        let db = open_database_for(config, roles).await?;
        db.migrate().await?;
        let vault = open_vault(config)?;
        let objects = doors::open_objects(config).await?;
        let queue = queue::open(&config.queue.url.0).await?;
        let scratch = config.data_dir.join("scratch");
        if lock.is_some() && scratch.exists() {
            // Left by children of a process that was killed.
            std::fs::remove_dir_all(&scratch).context("emptying the scratch folder")?;
        }
        std::fs::create_dir_all(&scratch)?;

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        processes::make_months(&db, clock.now(), MONTHS_AHEAD).await?;
        let access = Keyring::load(&db, vault.as_ref(), clock.as_ref(), "access").await?;
        let playback = Arc::new(Keyring::load(&db, vault.as_ref(), clock.as_ref(), "playback").await?);
        let access_lifetime = Duration::from_mins(config.accounts.access_token_minutes);
        let tokens = AccessTokens::new(Arc::new(access), clock.clone(), access_lifetime);
        let doors = Doors { db, vault, objects, clock, tokens, playback };
        let process = register(config, roles, &doors);
        let workers =
            Workers { process: process.id, queue, ..Workers::alone(doors.db.clone(), doors.clock.clone()) };
        let (drain, shutdown) = (workers.drain.clone(), &workers.shutdown);
        let entry = registry::enter(&doors.db, doors.clock.clone(), process.clone(), drain, shutdown).await?;
        if doors.db.engine() == Engine::Sqlite {
            let left = workers.take_over().await?;
            if left > 0 {
                tracing::info!(jobs = left, "took over the jobs of a process that ended without a word");
            }
        }
        start_housekeeping(roles, &workers);
        if roles.has(Role::Packager) {
            start_packager(&doors, &workers);
        }
        #[cfg(feature = "transcoder")]
        if roles.has(Role::Transcoder) {
            start_transcoder(config, &doors, &workers, &scratch)?;
        }
        let router = routes(config, roles, &doors, &workers).await?;

        let listener = TcpListener::bind(&config.http.listen).await.with_context(|| {
            format!("listening on {}; set http.listen to another address", config.http.listen)
        })?;
        let url = format!("http://{}", listener.local_addr()?);
        let shutdown = workers.shutdown.clone();
        listen(listener, router, &shutdown);
        tracing::info!(%url, %roles, process = %process.id, version = env!("CARGO_PKG_VERSION"), "serving");
        Ok(Self { url, shutdown, db: doors.db, entry, _lock: lock })
    }

    /// Serves until a signal, then shuts down in two stages.
    pub(crate) async fn run(self, grace: Duration) -> anyhow::Result<()> {
        self.shutdown.run(grace).await?;
        self.entry.leave().await;
        self.db.close().await;
        tracing::info!("stopped");
        Ok(())
    }

    /// Begins shutting down, as SIGTERM would.
    #[cfg(feature = "transcoder")]
    pub(crate) fn stop(&self) {
        self.shutdown.begin();
    }
}

/// The opened backends.
struct Doors {
    db: Db,
    vault: Arc<dyn Vault>,
    objects: SharedObjects,
    clock: Arc<dyn Clock>,
    tokens: AccessTokens,
    playback: Arc<Keyring>,
}

/// What the deployment's other processes and operators see of this one.
fn register(config: &Config, roles: &Roles, doors: &Doors) -> Process {
    let now = doors.clock.now();
    let (mut slots, mut memory_mib) = (0, 0);
    if roles.has(Role::Packager) {
        slots += PACKAGER_SLOTS;
    }
    #[cfg(feature = "transcoder")]
    if roles.has(Role::Transcoder) {
        let (any, urgent) = config.media_capacity();
        let all_mib =
            u64::from(any.memory_mib) + if urgent.slots > 0 { u64::from(urgent.memory_mib) } else { 0 };
        tracing::info!(
            slots = any.slots,
            urgent_slots = urgent.slots,
            memory_mib = all_mib,
            "media jobs may take"
        );
        slots += any.slots + urgent.slots;
        memory_mib = all_mib;
    }
    #[cfg(not(feature = "transcoder"))]
    let _ = (config, &mut memory_mib);
    Process {
        id: new_id(doors.clock.as_ref(), ProcessId::generate),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        roles: roles.names(),
        slots: slots as u64,
        memory_mib,
        drain: false,
        started_at: now,
        seen_at: now,
    }
}

/// What some process of a deployment must do for all: every process that needs no key to work offers to.
fn start_housekeeping(roles: &Roles, workers: &Workers) {
    // A process that only gives out keys goes on without queue and jobs.
    if roles.names() == [Role::LicenseServer.as_str()] {
        return;
    }
    workers.start_reaper();
    if workers.db.engine() == Engine::Postgres {
        let relay = Relay {
            db: workers.db.clone(),
            clock: workers.clock.clone(),
            process: workers.process,
            queue: workers.queue.clone(),
            wakeups: workers.wakeups.clone(),
        };
        relay.start(&workers.shutdown);
    }
    if let Some(mut events) = workers.queue.listen() {
        let (news, wakeups, soft) =
            (workers.news.clone(), workers.wakeups.clone(), workers.shutdown.soft().clone());
        workers.shutdown.spawn(async move {
            loop {
                tokio::select! {
                    () = soft.cancelled() => return,
                    event = events.next() => match event {
                        Some(event) => if let Some(asset) = event.asset() { news.changed(asset) },
                        // Connected again: what was missed is in the database.
                        None => wakeups.wake(),
                    }
                }
            }
        });
    }
}

fn start_packager(doors: &Doors, workers: &Workers) {
    let packager: Arc<dyn Handler> = Arc::new(PackagerJobs {
        db: doors.db.clone(),
        objects: doors.objects.clone(),
        vault: doors.vault.clone(),
    });
    workers.start(&packager, Capacity::slots(PACKAGER_SLOTS));
}

#[cfg(feature = "transcoder")]
fn start_transcoder(config: &Config, doors: &Doors, workers: &Workers, scratch: &Path) -> anyhow::Result<()> {
    let cache = config.data_dir.join("cache");
    std::fs::create_dir_all(&cache)?;
    let transcoder = lectern_transcoder::jobs::TranscoderJobs {
        classes: &[WorkClass::FirstVideo, WorkClass::Audio, WorkClass::BulkVideo],
        db: doors.db.clone(),
        objects: doors.objects.clone(),
        clock: doors.clock.clone(),
        launch: crate::encode::launch(config, &cache.canonicalize()?)?,
        scratch: scratch.canonicalize()?,
        plan: config.plan_settings(),
        protection: config.package.protection,
    };
    let (any, urgent) = config.media_capacity();
    if urgent.slots > 0 {
        let classes = &[WorkClass::FirstVideo, WorkClass::Audio];
        let waited_for = lectern_transcoder::jobs::TranscoderJobs { classes, ..transcoder.clone() };
        workers.start(&(Arc::new(waited_for) as Arc<dyn Handler>), urgent);
    }
    workers.start(&(Arc::new(transcoder) as Arc<dyn Handler>), any);
    Ok(())
}

async fn routes(config: &Config, roles: &Roles, doors: &Doors, workers: &Workers) -> anyhow::Result<Router> {
    let mut router = Router::new();
    if roles.has(Role::Api) {
        router = router.merge(lectern_api::router(api(config, doors, workers))).fallback(web::fallback);
    } else {
        router = router.fallback(|| async { Problem::not_found("route") });
    }
    if roles.has(Role::Ingest) {
        let ingest = ingest(config, doors, workers).await?;
        sweep_uploads(&ingest, &workers.shutdown).await?;
        if let Some((inbox, place)) = doors::open_bucket_events(config).await? {
            workers.shutdown.spawn(lectern_ingest::s3_events::listen(ingest.clone(), inbox, place));
        }
        router = router.merge(lectern_ingest::router(ingest));
    }
    if roles.has(Role::LicenseServer) {
        router = router.merge(lectern_license_server::router(license(config, doors)?));
    }
    // One recorder per process; the demo starts a second server only after the first.
    let metrics = operations::metrics_builder()?.install_recorder().context("starting metrics")?;
    let operations = operations::router(operations::Operations {
        db: doors.db.clone(),
        objects: doors.objects.clone(),
        queue: workers.queue.clone(),
        vault: doors.vault.clone(),
        shutdown: workers.shutdown.clone(),
        metrics,
    });
    Ok(router
        .merge(operations)
        .layer(operations::compression())
        .layer(axum::middleware::from_fn(operations::log_request))
        .layer(tower_http::catch_panic::CatchPanicLayer::new()))
}

fn api(config: &Config, doors: &Doors, workers: &Workers) -> ApiState {
    ApiState::new(
        lectern_api::Doors {
            db: doors.db.clone(),
            tokens: doors.tokens.clone(),
            clock: doors.clock.clone(),
            news: workers.news.clone(),
            wakeups: workers.wakeups.clone(),
            shutdown: workers.shutdown.clone(),
        },
        ApiSettings {
            open_instructor_registration: config.accounts.open_instructor_registration,
            trust_forwarded_for: config.http.trust_forwarded_for,
            registrations: config.accounts.registrations_per_hour,
            refresh_lifetime: Duration::from_hours(config.accounts.refresh_token_days * 24),
            ..ApiSettings::default()
        },
    )
}

async fn ingest(config: &Config, doors: &Doors, workers: &Workers) -> anyhow::Result<IngestState> {
    let (news, wakeups) = (workers.news.clone(), workers.wakeups.clone());
    let parts = IngestParts {
        db: doors.db.clone(),
        objects: doors.objects.clone(),
        vault: doors.vault.clone(),
        tokens: doors.tokens.clone(),
        clock: doors.clock.clone(),
        shutdown: workers.shutdown.clone(),
        settings: IngestSettings {
            max_size_bytes: config.uploads.max_size_bytes,
            quota_bytes: config.uploads.quota_bytes,
            expires_after: Duration::from_hours(config.uploads.expires_after_hours),
            max_open_uploads: config.uploads.max_open_uploads,
            ..IngestSettings::default()
        },
        folder: config.data_dir.join("uploads"),
        on_finished: Arc::new(move |asset| {
            news.changed(asset);
            wakeups.wake();
        }),
    };
    Ok(IngestState::open(parts).await?)
}

fn license(config: &Config, doors: &Doors) -> anyhow::Result<LicenseState> {
    let public = &config.http.public_url;
    Ok(LicenseState::new(
        doors.db.clone(),
        doors.vault.clone(),
        doors.objects.clone(),
        doors.tokens.clone(),
        doors.playback.clone(),
        doors.clock.clone(),
        LicenseSettings {
            public_base_url: (!public.is_empty()).then(|| url::Url::parse(public)).transpose()?,
            token_lifetime: Duration::from_mins(config.playback.token_minutes),
            session_idle: Duration::from_mins(config.playback.session_idle_minutes),
            native_token_lifetime: Duration::from_hours(config.playback.native_token_hours),
            trust_forwarded_for: config.http.trust_forwarded_for,
            ..LicenseSettings::default()
        },
    ))
}

/// Finishes what a crash left of uploads, now and then removes expired ones.
async fn sweep_uploads(ingest: &IngestState, shutdown: &Shutdown) -> anyhow::Result<()> {
    // A bucket that does not answer must not keep the rest from starting: what is not done now is done in the loop.
    let swept = tokio::time::timeout(FIRST_SWEEP, lectern_ingest::sweep(ingest)).await;
    if swept.is_err() {
        tracing::warn!("sweeping uploads takes long; serving begins meanwhile");
    }
    swept.unwrap_or_else(|_| Ok(lectern_ingest::Swept::default()))?;
    let (ingest, soft) = (ingest.clone(), shutdown.soft().clone());
    shutdown.spawn(async move {
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                () = tokio::time::sleep(Duration::from_mins(1)) => {}
            }
            if let Err(error) = lectern_ingest::sweep(&ingest).await {
                tracing::warn!(%error, "could not sweep uploads; will try again");
            }
        }
    });
    Ok(())
}

/// Serves in the background. In the soft stage no new connection is taken and running requests get five seconds.
fn listen(listener: TcpListener, router: Router, shutdown: &Shutdown) {
    let soft = shutdown.soft().clone();
    shutdown.spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let draining = soft.clone();
        let serving = axum::serve(listener, service).with_graceful_shutdown(draining.cancelled_owned());
        tokio::select! {
            done = serving => {
                if let Err(error) = done {
                    tracing::error!(%error, "the listener failed");
                }
            }
            () = async { soft.cancelled().await; tokio::time::sleep(Duration::from_secs(5)).await } => {
                tracing::info!("some requests were still running and were cut off");
            }
        }
    });
}
