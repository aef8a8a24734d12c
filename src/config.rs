//! Configuration: the embedded defaults, a file, the environment, flags; checked before anything starts.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
#[cfg(feature = "transcoder")]
use lectern_domain::plan::PlanSettings;
use lectern_domain::{keys::Protection, ladder::Quality};
use lectern_platform::telemetry::LogFormat;
#[cfg(feature = "transcoder")]
use lectern_platform::worker::Capacity;
use serde::{Deserialize, Serialize};

const DEFAULTS: &str = include_str!("lectern.toml");

/// Everything that can be set. The fields are documented in `lectern.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "lectern.toml documents every setting")]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) http: Http,
    pub(crate) database: Database,
    pub(crate) queue: SecretDoor,
    pub(crate) objects: Door,
    pub(crate) vault: Vault,
    pub(crate) log: Log,
    pub(crate) shutdown: Shutdown,
    pub(crate) accounts: Accounts,
    pub(crate) uploads: Uploads,
    pub(crate) transcode: Transcode,
    pub(crate) package: Package,
    pub(crate) playback: Playback,
}

macro_rules! section {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(clippy::struct_field_names, reason = "fields are named as the settings are")]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }
    };
}

section!(Http { listen: String, public_url: String, trust_forwarded_for: bool });
section!(Door { url: String });
section!(SecretDoor { url: RedactedUrl });
section!(Database { url: RedactedUrl, connections: u32 });
section!(Vault { master_key: Redacted });
section!(Log { filter: String, format: LogFormat });
section!(Shutdown { grace_s: u64 });
section!(Accounts {
    open_instructor_registration: bool,
    registrations_per_hour: NonZeroU32,
    access_token_minutes: u64,
    refresh_token_days: u64,
});
section!(Uploads {
    max_size_bytes: u64,
    quota_bytes: u64,
    expires_after_hours: u64,
    max_open_uploads: u64,
    s3_events_url: String,
});
section!(Transcode {
    slots: usize,
    urgent_slots: usize,
    memory_mib: u32,
    preset: String,
    segment_ms: u32,
    span_ms: u32,
    max_duration_hours: u64,
    memory_limit_mib: u64,
    stall_seconds: u64,
    keep_all_frames: bool,
    loudness_lufs: i32,
    quality: Quality,
    allow_unconfined: bool,
});
section!(Package { protection: Protection });
section!(Playback { token_minutes: u64, session_idle_minutes: u64, native_token_hours: u64 });

/// A secret setting: prints as redacted.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Redacted(pub(crate) secrecy::SecretString);

impl Redacted {
    fn shown(&self) -> &'static str {
        use secrecy::ExposeSecret as _;
        if self.0.expose_secret().is_empty() { "" } else { "(redacted)" }
    }
}

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.shown())
    }
}

impl Serialize for Redacted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

/// A URL that may hold a password: prints without it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct RedactedUrl(pub(crate) secrecy::SecretString);

impl RedactedUrl {
    /// The URL with its password.
    pub(crate) fn exposed(&self) -> &str {
        use secrecy::ExposeSecret as _;
        self.0.expose_secret()
    }

    fn shown(&self) -> String {
        let text = self.exposed();
        match url::Url::parse(text) {
            Ok(mut url) if url.password().is_some() => {
                // A URL that has a password can have another one.
                let _ = url.set_password(Some("redacted"));
                url.to_string()
            }
            Ok(_) => text.to_owned(),
            Err(_) => "(not a URL)".into(),
        }
    }
}

impl std::fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for RedactedUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

const PRESETS: [&str; 7] = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"];

impl Config {
    /// Reads every layer. `file` must exist when given; `./lectern.toml` is read when it is there.
    pub(crate) fn load(file: Option<&Path>, set: &[String]) -> anyhow::Result<Self> {
        let mut layers = Figment::from(Toml::string(DEFAULTS));
        match file {
            Some(path) if !path.is_file() => bail!("there is no configuration file at {}", path.display()),
            Some(path) => layers = layers.merge(Toml::file_exact(path)),
            None if Path::new("lectern.toml").is_file() => {
                layers = layers.merge(Toml::file_exact("lectern.toml"));
            }
            None => {}
        }
        layers = layers.merge(Env::prefixed("LECTERN__").split("__"));
        for pair in set {
            let (key, value) = pair
                .split_once('=')
                .with_context(|| format!("expected --set section.key=value, got {pair:?}"))?;
            // Numbers and booleans as themselves, everything else as text.
            let line = [format!("{key} = {value}"), format!("{key} = {}", serde_json::Value::from(value))]
                .into_iter()
                .find(|line| line.parse::<toml::Table>().is_ok())
                .with_context(|| format!("expected --set section.key=value, got {pair:?}"))?;
            layers = layers.merge(Toml::string(&line));
        }
        let mut config: Self = layers.extract().context("configuration")?;
        config.check()?;
        // Media children work in another directory: what they are told must not depend on this one.
        config.data_dir = std::path::absolute(&config.data_dir).context("data_dir")?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.database_url().starts_with("sqlite:") && self.queue.url.exposed() != "local:" {
            bail!(
                "queue.url: SQLite takes one process, which needs no broker: set database.url to a postgres: URL, or leave \
                 queue.url at \"local:\""
            );
        }
        if !self.uploads.s3_events_url.is_empty() && !self.objects.url.starts_with("s3:") {
            bail!(
                "uploads.s3_events_url: only a bucket has events: set objects.url to an s3: URL, or leave it empty"
            );
        }
        if !PRESETS.contains(&self.transcode.preset.as_str()) {
            bail!(
                "transcode.preset: expected one of {}, got {:?}",
                PRESETS.join(", "),
                self.transcode.preset
            );
        }
        for (name, value) in [("segment_ms", self.transcode.segment_ms), ("span_ms", self.transcode.span_ms)]
        {
            if !(1_000..=600_000).contains(&value) {
                bail!("transcode.{name}: expected 1000 to 600000 milliseconds, got {value}");
            }
        }
        if self.transcode.stall_seconds == 0 {
            bail!("transcode.stall_seconds: expected 1 or more, got 0");
        }
        if !self.http.public_url.is_empty() {
            let url = url::Url::parse(&self.http.public_url).context("http.public_url")?;
            if !matches!(url.scheme(), "http" | "https") {
                bail!("http.public_url: expected an http or https URL, got {:?}", self.http.public_url);
            }
        }
        Ok(())
    }

    /// The database URL, with the default filled in.
    pub(crate) fn database_url(&self) -> String {
        if self.database.url.exposed().is_empty() {
            format!("sqlite:{}", self.data_dir.join("lectern.db").display())
        } else {
            self.database.url.exposed().to_owned()
        }
    }

    /// The folder of the object store.
    pub(crate) fn objects_folder(&self) -> anyhow::Result<PathBuf> {
        if self.objects.url.is_empty() {
            return Ok(self.data_dir.join("objects"));
        }
        match self.objects.url.strip_prefix("file:") {
            Some(path) if !path.is_empty() => std::path::absolute(path).context("objects.url"),
            _ => {
                bail!("objects.url: expected \"file:PATH\" or \"s3://BUCKET?…\", got {:?}", self.objects.url)
            }
        }
    }

    #[cfg(feature = "transcoder")]
    /// What planning needs.
    pub(crate) fn plan_settings(&self) -> PlanSettings {
        PlanSettings {
            segment_ms: self.transcode.segment_ms,
            span_ms: self.transcode.span_ms,
            preset: self.transcode.preset.clone(),
            max_duration_ms: self.transcode.max_duration_hours * 3_600_000,
            keep_all_frames: self.transcode.keep_all_frames,
            quality: self.transcode.quality,
            loudness_lufs: (self.transcode.loudness_lufs != 0).then_some(self.transcode.loudness_lufs),
            quick_start: true,
        }
    }

    #[cfg(feature = "transcoder")]
    /// Media jobs at once: a span keeps a core busy, one of film hardly two.
    pub(crate) fn media_slots(&self) -> usize {
        match self.transcode.slots {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            set => set,
        }
    }

    #[cfg(feature = "transcoder")]
    /// What media jobs may take of this machine: any of them, and besides those that somebody waits for. These get a quarter of the
    /// memory.
    pub(crate) fn media_capacity(&self) -> (Capacity, Capacity) {
        let memory_mib = match self.transcode.memory_mib {
            0 => crate::machine::memory_for_jobs_mib(),
            set => set,
        };
        let of = |slots, memory_mib: u32| match memory_mib {
            0 => Capacity::slots(slots),
            memory_mib => Capacity { slots, memory_mib },
        };
        let urgent = if self.transcode.urgent_slots == 0 { 0 } else { memory_mib / 4 };
        (of(self.media_slots(), memory_mib - urgent), of(self.transcode.urgent_slots, urgent))
    }
}
