//! The media child: what is asked of it, what it answers, how it is run.
//!
//! One request as a line of JSON on standard input; `progress` lines on standard output, then exactly one `done` or
//! `failed` line; logs on standard error. Standard input stays open: when it closes the parent is gone, and the child
//! ends itself. Of a source that lies elsewhere the child asks for what it reads, with `need` and `release` lines, and
//! the parent answers with `have` lines.

mod run;
mod serve;

use std::{path::PathBuf, time::Duration};

use lectern_domain::{
    failure::FailureCode,
    media::TranscodeOutput,
    plan::{AudioPlan, Span, VideoPlan},
    source::SourceInfo,
    trim::Trim,
};
use serde::{Deserialize, Serialize};

pub use crate::ranges::feed::Feed;
pub use run::{ChildError, Launch, run, run_fetching};
#[doc(hidden)]
pub use serve::confine;
pub use serve::main;

/// A piece of media work. Paths are local; folders exist and belong to the job alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Request {
    /// Examine a source. Answered by [`Reply::Probed`].
    Probe {
        /// The source.
        source: PathBuf,
        /// The part of it that is the lesson; absent: all of it.
        #[serde(default)]
        trim: Option<Trim>,
    },
    /// Make every rung of one span. Answered by [`Reply::Made`].
    Span {
        /// The source.
        source: PathBuf,
        /// What probing found.
        info: SourceInfo,
        /// How the video is encoded.
        plan: VideoPlan,
        /// The span to make.
        span: Span,
        /// Where the segments go.
        folder: PathBuf,
    },
    /// Make one audio track whole. Answered by [`Reply::Made`].
    Audio {
        /// The source.
        source: PathBuf,
        /// What probing found.
        info: SourceInfo,
        /// How the track is encoded.
        plan: AudioPlan,
        /// Where the segments go.
        folder: PathBuf,
    },
    /// Decode the first track to its end. Answered by [`Reply::Decoded`].
    Decode {
        /// What to decode.
        source: PathBuf,
    },
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reply {
    /// What the source is.
    Probed {
        /// The facts.
        info: Box<SourceInfo>,
    },
    /// What was made, in the request's folder.
    Made {
        /// Tracks and segments, measured from the files.
        output: TranscodeOutput,
    },
    /// What decoding gave.
    Decoded {
        /// Frames of video, or blocks of sound.
        buffers: u64,
        /// How long they play.
        duration_ms: u64,
    },
}

/// What is heard of a child while it works.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// How far it is, from 0 to 1, never falling.
    Progress(f64),
    /// Segments that are whole, besides those of earlier news. The answer has all of them again.
    Made(TranscodeOutput),
}

/// What the work cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time of the child, milliseconds.
    pub cpu_ms: u64,
    /// Largest resident set of the child, bytes.
    pub peak_rss_bytes: u64,
}

/// A reply and its cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// The answer.
    pub reply: Reply,
    /// Its cost.
    pub usage: Usage,
}

/// Bounds on one child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory it may allocate, bytes.
    pub memory_bytes: u64,
    /// Processor time, seconds.
    pub cpu_seconds: u64,
    /// Size of one file it writes, bytes.
    pub file_bytes: u64,
    /// Time from start to end.
    pub wall: Duration,
    /// Time without any decoded or encoded buffer after which the work counts as stuck.
    pub stall: Duration,
    /// How far it stands back from other work on the machine; nice(2).
    #[serde(default)]
    pub niceness: i32,
    /// Work on a kernel without Landlock, where the child could read every file of its user.
    #[serde(default)]
    pub allow_without_landlock: bool,
}

impl Limits {
    /// These, with the time that probing may take: it reads an outline and decodes one frame. A recording that does not
    /// say how long it is is read to its end, a gigabyte in about ten seconds.
    pub fn for_probe(self) -> Self {
        Self { cpu_seconds: 5 * 60, wall: Duration::from_mins(10), ..self }
    }

    /// For spans and audio tracks.
    pub fn transcode() -> Self {
        Self {
            memory_bytes: 3 << 30,
            cpu_seconds: 4 * 3_600,
            file_bytes: 4 << 30,
            wall: Duration::from_mins(20),
            stall: Duration::from_secs(90),
            niceness: 0,
            allow_without_landlock: false,
        }
    }
}

/// The line on the child's standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    request: Request,
    limits: Limits,
    /// Size of a source of which only what was asked for is there.
    #[serde(default)]
    fetched_bytes: Option<u64>,
}

/// A later line on the child's standard input.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
enum Answer {
    /// A range of the source is there, the beginning of what was needed in it.
    Have { offset: u64, length: u64 },
}

/// A line on the child's standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Progress {
        done: f64,
    },
    /// What has been made since the last of these and will not change any more.
    Made {
        part: TranscodeOutput,
    },
    /// A range of the source that the child waits for.
    Need {
        offset: u64,
        length: u64,
    },
    /// Whole blocks of the source that it will not read again without asking.
    Release {
        offset: u64,
        length: u64,
    },
    Done {
        reply: Reply,
        usage: Usage,
    },
    Failed {
        code: FailureCode,
        detail: String,
        usage: Usage,
    },
}
