//! The child's side: read one order, lock in, work, answer.

use std::{
    fs::File,
    io::{BufRead, Read, Seek, SeekFrom, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Answer, Event, Limits, Order, Reply, Request, Usage};
use crate::{
    graph::{self, MediaFailure, SourceFile, patience::Patience},
    ranges::held::{Ask, Ranges},
    sandbox,
};
use lectern_domain::{
    failure::FailureCode,
    media::{TrackOutput, TranscodeOutput},
};

/// Least time between two progress lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Serves one request from standard input. Call it before anything starts a thread. The exit code is 0 when an answer
/// was written, whatever the answer.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the parent's log.
            eprintln!("media child: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Locks the calling process in as a child does. For the test that tries to get out.
#[doc(hidden)]
pub fn confine(source: &std::path::Path, folder: &std::path::Path, limits: &Limits) -> Result<(), String> {
    sandbox::lock_in(source, Some(folder), limits).map_err(|error| error.to_string())
}

fn serve() -> Result<(), String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    let order: Order = serde_json::from_str(&line).map_err(|error| format!("expected a request: {error}"))?;
    let unreadable = |error| format!("/proc/self: {error}");
    let (mut own, watched) = (Own::open().map_err(unreadable)?, Own::open().map_err(unreadable)?);
    graph::init().map_err(|error| error.to_string())?;
    let (source, folder) = match &order.request {
        Request::Probe { source, .. } | Request::Decode { source } => (source, None),
        Request::Span { source, folder, .. } | Request::Audio { source, folder, .. } => {
            (source, Some(folder))
        }
    };
    if order.limits.niceness != 0 {
        let _ = rustix::process::nice(order.limits.niceness);
    }
    sandbox::lock_in(source, folder.map(std::path::PathBuf::as_path), &order.limits)
        .map_err(|error| error.to_string())?;
    let (file, ranges) = source_file(source, order.fetched_bytes)?;
    listen(ranges)?;
    end_when_stuck(watched, &order.limits)?;

    let mut reporter = Reporter { furthest: 0.0, last: None };
    // A parent that no longer listens is noticed by the other thread.
    let mut made = |track| drop(write_event(&Event::Made { part: TranscodeOutput { tracks: vec![track] } }));
    let result = work(&order.request, &file, &mut |done| reporter.report(done), &mut made);
    let usage = own.usage();
    write_event(&match result {
        Ok(reply) => Event::Done { reply, usage },
        Err(MediaFailure { code, detail }) => {
            Event::Failed { code: own.blame(code, &order.limits), detail, usage }
        }
    })
    .map_err(|error| format!("standard output: {error}"))
}

/// The source, and its ranges if they are fetched.
fn source_file(path: &Path, fetched_bytes: Option<u64>) -> Result<(SourceFile, Option<Arc<Ranges>>), String> {
    let Some(size) = fetched_bytes else { return Ok((SourceFile::Whole(path.to_owned()), None)) };
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let ask = |ask: &Ask| {
        let event = match ask {
            Ask::Need(range) => Event::Need { offset: range.start, length: range.end - range.start },
            Ask::Release(range) => Event::Release { offset: range.start, length: range.end - range.start },
        };
        // A parent that no longer listens is noticed by the thread that listens to it.
        let _ = write_event(&event);
    };
    let ranges = Arc::new(Ranges::new(file, size, ask));
    Ok((SourceFile::Fetched(Arc::clone(&ranges)), Some(ranges)))
}

fn work(
    request: &Request,
    file: &SourceFile,
    progress: &mut dyn FnMut(f64),
    made: &mut dyn FnMut(TrackOutput),
) -> Result<Reply, MediaFailure> {
    match request {
        Request::Probe { trim, .. } => {
            graph::probe(file, *trim).map(|info| Reply::Probed { info: Box::new(info) })
        }
        Request::Decode { .. } => graph::count(file, progress).map(|counted| Reply::Decoded {
            buffers: counted.buffers,
            duration_ms: counted.duration_ns / 1_000_000,
        }),
        Request::Span { info, plan, span, folder, .. } => {
            graph::transcode_span(file, info, plan, span, folder, progress)
                .map(|output| Reply::Made { output })
        }
        Request::Audio { info, plan, folder, .. } => {
            let output = graph::transcode_audio(file, info, plan, folder, progress, made)?;
            // With the first sound, which reads the whole source as well.
            if info.audio.first().is_some_and(|first| first.index == plan.track)
                && let Err(error) = graph::extract_texts(file, info, folder)
            {
                // A lecture is worth as much without them.
                eprintln!("the text tracks could not be read: {error}");
            }
            Ok(Reply::Made { output })
        }
    }
}

/// Hears the parent's answers, and ends this process when the parent's end of standard input closes. Unlike a parent-death
/// signal this does not depend on which of the parent's threads started the child and whether that thread lives on.
fn listen(ranges: Option<Arc<Ranges>>) -> Result<(), String> {
    std::thread::Builder::new()
        .name("parent".into())
        .stack_size(64 << 10)
        .spawn(move || {
            let mut line = String::new();
            while std::io::stdin().lock().read_line(&mut line).is_ok_and(|read| read > 0) {
                match (serde_json::from_str(&line), &ranges) {
                    (Ok(Answer::Have { offset, length }), Some(ranges)) => {
                        ranges.arrived(&(offset..offset.saturating_add(length)));
                    }
                    other => eprintln!("unexpected answer {other:?}", other = other.0),
                }
                line.clear();
            }
            end_now();
        })
        .map(|_| ())
        .map_err(|error| format!("expected to start a thread: {error}"))
}

/// Ends this process, with an answer, when the work has not advanced for too long.
fn end_when_stuck(mut own: Own, limits: &Limits) -> Result<(), String> {
    let limits = limits.clone();
    let watch = move || {
        let (mut pulse, mut patience) = (graph::pulse(), Patience::new(limits.stall));
        loop {
            std::thread::sleep(limits.stall / 8);
            let now = graph::pulse();
            if now != pulse {
                pulse = now;
                patience.renew();
            } else if patience.is_over() {
                let code = own.blame(FailureCode::SourceTimeLimit, &limits);
                let detail = format!("nothing was decoded or encoded for {} s", limits.stall.as_secs());
                let _ = write_event(&Event::Failed { code, detail, usage: own.usage() });
                end_now();
            }
        }
    };
    let thread = std::thread::Builder::new().name("watch".into()).stack_size(256 << 10).spawn(watch);
    thread.map(|_| ()).map_err(|error| format!("expected to start a thread: {error}"))
}

/// Not `exit()`: its handlers would wait for locks that working threads hold.
fn end_now() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

struct Reporter {
    furthest: f64,
    last: Option<Instant>,
}

impl Reporter {
    fn report(&mut self, done: f64) {
        let done = if done.is_finite() { done.clamp(0.0, 1.0) } else { 0.0 };
        let due = self.last.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY) || done >= 1.0;
        if done > self.furthest && due {
            self.furthest = done;
            self.last = Some(Instant::now());
            // A parent that no longer listens is noticed by the other thread.
            let _ = write_event(&Event::Progress { done });
        }
    }
}

fn write_event(event: &Event) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, event)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// What the kernel says about this process. Opened before the sandbox closes; reading again gives current values.
struct Own {
    status: File,
    stat: File,
}

impl Own {
    fn open() -> std::io::Result<Self> {
        Ok(Self { status: File::open("/proc/self/status")?, stat: File::open("/proc/self/stat")? })
    }

    fn usage(&mut self) -> Usage {
        // proc(5): fields 14 and 15, counted after the command in parentheses, in hundredths of a second.
        let stat = again(&mut self.stat);
        let after = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let ticks: u64 =
            after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Usage { cpu_ms: ticks * 10, peak_rss_bytes: self.field("VmHWM:") }
    }

    /// The likely reason of a failure: a library that is refused memory reports damage, or waits for a thread that
    /// could not be started.
    fn blame(&mut self, code: FailureCode, limits: &Limits) -> FailureCode {
        // By now the graph may have given its memory back. What is not data hardly changes, so the most address space there
        // was tells the most data there was.
        let most = self.field("VmData:") + self.field("VmPeak:").saturating_sub(self.field("VmSize:"));
        // A thread's stack takes 8 MiB of address space at once.
        let starved = most + (16 << 20) > limits.memory_bytes / 10 * 9;
        if starved { FailureCode::SourceMemoryLimit } else { code }
    }

    /// A field of `/proc/self/status` that is given in kibibytes.
    fn field(&mut self, name: &str) -> u64 {
        let status = again(&mut self.status);
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

fn again(file: &mut File) -> String {
    let mut text = String::new();
    if file.seek(SeekFrom::Start(0)).is_ok() {
        let _ = file.read_to_string(&mut text);
    }
    text
}
