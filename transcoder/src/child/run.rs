//! The parent's side: start the child, feed it, watch it, and name what became of it.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use lectern_domain::failure::{FailureCode, Fault};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

use super::{Answer, Done, Event, Feed, Limits, News, Order, Request};
use crate::ranges::feed::FeedError;

/// Bytes of standard error kept for the log.
const STDERR_TAIL: usize = 8 << 10;
/// How long a child may take to hear an answer. A thread of its own listens.
const LISTEN_BOUND: Duration = Duration::from_secs(15);
/// Longest line a child may send: a day of segments fits.
const MAX_LINE: u64 = 64 << 20;
/// Variables that reach the child: where plugins and libraries are, and GStreamer's own logging. Nothing secret.
const ENVIRONMENT: [&str; 6] = [
    "GST_DEBUG",
    "GST_PLUGIN_PATH",
    "GST_PLUGIN_SYSTEM_PATH_1_0",
    "GST_PLUGIN_SCANNER",
    "LD_LIBRARY_PATH",
    "PATH",
];

/// How children are started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, which must call [`super::main`] when its first argument is [`crate::CHILD_SUBCOMMAND`].
    pub program: PathBuf,
    /// A private folder for the plugin registry, kept between children: without it each would examine every plugin.
    pub cache: PathBuf,
    /// Bounds on each child.
    pub limits: Limits,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The child says why, or the way it ended does.
    #[error("{}: {detail}", code.as_str())]
    Failed {
        /// The reason.
        code: FailureCode,
        /// What happened, for the log.
        detail: String,
    },
    /// It ended without an answer: a crash, or a killed process. Another attempt may succeed.
    #[error("media child ended with {status} and no answer: {stderr}")]
    Crashed {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote on standard error.
        stderr: String,
    },
    /// The source could not be read from its store. Another attempt may succeed.
    #[error("the store does not give the source: {0}")]
    Store(String),
    /// Its time was over, and most of it had gone into reading the source from its store. Another attempt may be faster.
    #[error("{0}")]
    Slow(String),
    /// It asked for what no child in order asks for.
    #[error("media child was ended: {0}")]
    Refused(String),
    /// The caller no longer wanted it.
    #[error("cancelled")]
    Cancelled,
    /// It could not be started or spoken to.
    #[error("expected to run {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

impl From<FeedError> for ChildError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Fetch { .. } => Self::Store(error.to_string()),
            FeedError::Refused(detail) => Self::Refused(detail),
        }
    }
}

impl ChildError {
    /// The failure code an asset gets when this was the last attempt.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Failed { code, .. } => *code,
            _ => FailureCode::Internal,
        }
    }

    /// Whether another attempt can help: not when the source itself is at fault.
    pub fn is_retryable(&self) -> bool {
        self.code().fault() == Fault::Server
    }
}

/// Runs one request in a child of its own. Dropping the future kills the child.
pub async fn run(
    launch: &Launch,
    request: &Request,
    on_news: impl FnMut(News) + Send,
    cancel: &CancellationToken,
) -> Result<Done, ChildError> {
    converse(launch, request, None, on_news, cancel).await
}

/// The same for a request whose source is [`Feed::path`]: what the child reads of it is fetched.
pub async fn run_fetching(
    launch: &Launch,
    request: &Request,
    feed: &mut Feed,
    on_news: impl FnMut(News) + Send,
    cancel: &CancellationToken,
) -> Result<Done, ChildError> {
    converse(launch, request, Some(feed), on_news, cancel).await
}

async fn converse(
    launch: &Launch,
    request: &Request,
    mut feed: Option<&mut Feed>,
    mut on_news: impl FnMut(News) + Send,
    cancel: &CancellationToken,
) -> Result<Done, ChildError> {
    let failed = |source| ChildError::Start { program: launch.program.clone(), source };
    let mut child = start(launch).map_err(failed)?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed(std::io::Error::other("a child without pipes")));
    };
    let tail = tokio::spawn(tail(stderr));
    let order = Order {
        request: request.clone(),
        limits: launch.limits.clone(),
        fetched_bytes: feed.as_ref().map(|feed| feed.size()),
    };
    let mut line = serde_json::to_vec(&order).map_err(|error| failed(error.into()))?;
    line.push(b'\n');

    let mut furthest = 0.0;
    let conversation = async {
        // A child that dies before it has read everything is judged by how it ended.
        let _ = stdin.write_all(&line).await;
        let mut lines = BufReader::new(stdout.take(MAX_LINE * 4));
        let mut answer = None;
        loop {
            let mut text = Vec::new();
            let read = (&mut lines).take(MAX_LINE).read_until(b'\n', &mut text).await.unwrap_or(0);
            if read == 0 {
                break;
            }
            match serde_json::from_slice::<Event>(&text) {
                Ok(Event::Progress { done }) if done > furthest => {
                    furthest = done.min(1.0);
                    on_news(News::Progress(furthest));
                }
                Ok(Event::Progress { .. }) => {}
                Ok(Event::Made { part }) => on_news(News::Made(part)),
                Ok(Event::Need { offset, length }) => {
                    let feed = feed.as_mut().ok_or_else(nothing_to_fetch)?;
                    let have = feed.need(offset, length).await?;
                    let answer = Answer::Have { offset: have.start, length: have.end - have.start };
                    let mut line = serde_json::to_vec(&answer).map_err(|error| failed(error.into()))?;
                    line.push(b'\n');
                    // A child that is gone is noticed when its output ends.
                    if tokio::time::timeout(LISTEN_BOUND, stdin.write_all(&line)).await.is_err() {
                        return Err(ChildError::Refused("it asks and does not listen".into()));
                    }
                }
                Ok(Event::Release { offset, length }) => {
                    feed.as_mut().ok_or_else(nothing_to_fetch)?.release(offset, length).await?;
                }
                Ok(event) => answer = Some(event),
                Err(error) => tracing::warn!(%error, "unreadable line from the media child"),
            }
        }
        // Closing standard input any earlier would tell the child that its parent is gone.
        let status = child.wait().await;
        drop(stdin);
        Ok((answer, status))
    };
    let ended = tokio::select! {
        () = cancel.cancelled() => Err(ChildError::Cancelled),
        () = tokio::time::sleep(launch.limits.wall) => Ok(None),
        ended = conversation => ended.map(Some),
    };
    let (answer, status) = match ended {
        Ok(Some((answer, status))) => (answer, status.map_err(failed)?),
        other => {
            let error = other.err().unwrap_or_else(|| too_long(launch.limits.wall, feed.as_deref()));
            // Killed and reaped here, so that the work folder is quiet when the caller removes it.
            let _ = child.kill().await;
            return Err(error);
        }
    };
    let stderr = tail.await.unwrap_or_default();
    match answer {
        Some(Event::Done { reply, usage }) if status.success() => {
            if !stderr.is_empty() {
                tracing::debug!(stderr, "media child");
            }
            Ok(Done { reply, usage })
        }
        Some(Event::Failed { code, detail, .. }) => Err(ChildError::Failed { code, detail }),
        _ => Err(judge(status, stderr)),
    }
}

fn nothing_to_fetch() -> ChildError {
    ChildError::Refused("it asks for ranges of a source that it can read".into())
}

/// The bound on a child's time was reached. Where most of it went into fetching, the source is not to blame.
fn too_long(wall: Duration, feed: Option<&Feed>) -> ChildError {
    let fetching = feed.map_or(Duration::ZERO, Feed::waited);
    let detail =
        format!("killed after {} s, {} s of it spent on fetching", wall.as_secs(), fetching.as_secs());
    if fetching > wall / 2 {
        ChildError::Slow(detail)
    } else {
        ChildError::Failed { code: FailureCode::SourceTimeLimit, detail }
    }
}

fn start(launch: &Launch) -> std::io::Result<Child> {
    std::fs::create_dir_all(&launch.cache)?;
    let mut command = Command::new(&launch.program);
    command
        .arg(crate::CHILD_SUBCOMMAND)
        .env_clear()
        .env("GST_REGISTRY", launch.cache.join("gstreamer-registry.bin"))
        // Each arena keeps what it once held; with many threads that adds up.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .current_dir(Path::new("/"))
        .kill_on_drop(true);
    for name in ENVIRONMENT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.spawn()
}

/// Names a death without an answer.
fn judge(status: ExitStatus, stderr: String) -> ChildError {
    let out_of_memory =
        ["failed to allocate", "memory allocation of", "Cannot allocate memory", "out of memory"];
    let starved = out_of_memory.iter().any(|text| stderr.contains(text));
    let code = match status.signal() {
        // Nobody here kills a child that is still spoken to: the kernel does, when memory runs out.
        Some(libc::SIGKILL) => Some(FailureCode::SourceMemoryLimit),
        Some(libc::SIGABRT | libc::SIGTRAP | libc::SIGSEGV | libc::SIGBUS) if starved => {
            Some(FailureCode::SourceMemoryLimit)
        }
        Some(libc::SIGXCPU) => Some(FailureCode::SourceTimeLimit),
        _ => None,
    };
    match code {
        Some(code) => {
            ChildError::Failed { code, detail: format!("media child ended with {status}: {stderr}") }
        }
        None => ChildError::Crashed { status, stderr },
    }
}

/// Reads a stream to its end and keeps the last of it.
async fn tail(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0u8; 4096];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..read]);
        if kept.len() > STDERR_TAIL {
            kept.drain(..kept.len() - STDERR_TAIL);
        }
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
