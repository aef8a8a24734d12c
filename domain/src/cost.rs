//! What a media job needs, estimated from the plan before it runs: memory and processor.
//!
//! The estimates are fitted to measurements of the media child (GStreamer 1.22, x264, x86-64) on moving
//! noise, the hardest picture there is. Peak resident set of a span in MiB, one core, measured and estimated:
//!
//! | source | preset | rungs | measured | estimated |
//! |---|---|---|---|---|
//! | 640×360 | veryfast | 1 | 93 | 94 |
//! | 1280×720 | veryfast | 3 | 238 | 238 |
//! | 1920×1080 | veryfast | 4 | 445 | 464 |
//! | 3840×2160 | veryfast | 4 | 579 | 598 |
//!
//! and on two cores, where the top rung has two threads:
//!
//! | source | preset | measured | estimated |
//! |---|---|---|---|
//! | 1280×720 | ultrafast | 119 | 120 |
//! | 1280×720 | medium | 493 | 526 |
//! | 1920×1080 | ultrafast | 181 | 190 |
//! | 1920×1080 | medium | 1013 | 1135 |
//! | 1920×1080 | slow | 1205 | 1390 |
//!
//! Processor time, on one core, for the longest span that a plan makes of each (its estimate is never above 120 s):
//!
//! | source | preset | span | measured |
//! |---|---|---|---|
//! | 1920×1080 at 30 | veryfast | 32 s | 95 s |
//! | 1920×1080 at 30 | slow | 8 s | 83 s |
//! | 3840×2160 at 60 | veryfast | 8 s | 50 s |
//! | 3840×2160 at 30, HEVC of 10 bits | veryfast | 16 s | 62 s |
//!
//! The transcoder's tests measure again and hold the result against these functions.

use crate::{ladder::Rung, plan::VideoPlan, source::VideoTrack};

/// What one job needs while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Peak memory, MiB.
    pub memory_mib: u64,
    /// Cores that it keeps busy on a machine that has them.
    pub cores: f64,
    /// Processor time for each second of media, milliseconds, for the hardest picture on one core of the machine that
    /// was measured. Easy pictures, slides above all, take a tenth.
    pub cpu_ms_per_s: f64,
}

/// The program, GStreamer and its plugins, a muxer, buffers between demuxer and decoder.
const BASE_MIB: f64 = 66.0;
/// Decoded pictures that the decoder and the queue behind it hold, MiB per megapixel of source: fourteen at 1.5 bytes. Twice
/// that for more than eight bits, besides which the converted ones are held.
const SOURCE_MIB: f64 = 21.5;
/// A further thread of the top rung's encoder holds pictures of its own, MiB per megapixel.
const THREAD_MIB: f64 = 12.0;
/// Threads that the top rung's encoder gets at most.
const MOST_THREADS: f64 = 4.0;
/// Decoding, milliseconds per megapixel, at hundreds of megabits per second. At usual rates a third.
const DECODE_MS: f64 = 20.0;
/// Frames per second assumed of a source with a variable rate.
const ASSUMED_RATE: f64 = 60.0;
/// An encoder's need by preset: MiB per megapixel of rung (it holds its lookahead and references), and milliseconds per
/// megapixel and frame.
const fn encoder(preset: &str) -> (f64, f64) {
    match preset.as_bytes() {
        b"ultrafast" => (15.0, 8.0),
        b"superfast" => (60.0, 13.0),
        b"veryfast" => (97.0, 21.0),
        b"faster" => (160.0, 34.0),
        b"fast" => (220.0, 46.0),
        b"medium" => (275.0, 57.0),
        _ => (345.0, 112.0),
    }
}

fn megapixels(width: u32, height: u32) -> f64 {
    f64::from(width) * f64::from(height) / 1e6
}

/// What a span of a plan costs. `cores` are the machine's.
pub fn span_cost(source: &VideoTrack, plan: &VideoPlan, cores: f64) -> Cost {
    ladder_cost(source, &plan.rungs, &plan.preset, cores)
}

/// The same before there is a plan.
pub(crate) fn ladder_cost(source: &VideoTrack, rungs: &[Rung], preset: &str, cores: f64) -> Cost {
    let (held_mib, encode_ms) = encoder(preset);
    let deep = if source.bit_depth > 8 { 3.0 } else { 1.0 };
    let from = megapixels(source.width, source.height);
    let to: f64 = rungs.iter().map(|rung| megapixels(rung.width, rung.height)).sum();
    let top = rungs.first().map_or(0.0, |rung| megapixels(rung.width, rung.height));
    // Encoders of what is calm have one thread each.
    let cores = if source.is_calm() { 1.0 } else { cores };
    let further_threads = cores.floor().clamp(1.0, MOST_THREADS) - 1.0;
    let memory = BASE_MIB + SOURCE_MIB * deep * from + held_mib * to + THREAD_MIB * top * further_threads;
    let rate = if source.frame_rate.num == 0 { ASSUMED_RATE } else { source.frame_rate.as_f64() };
    Cost {
        memory_mib: memory.ceil() as u64,
        // The decoder with the scaler, the top rung's threads, each other rung.
        cores: (further_threads + 1.0 + rungs.len().saturating_sub(1) as f64 * 0.4).min(cores.max(1.0)),
        cpu_ms_per_s: rate * (DECODE_MS * from + encode_ms * to),
    }
}

/// What a probe or an audio track costs: one decoder, one thread. Measured: 163 MiB for the probe of 3840×2160.
pub const fn light_cost() -> Cost {
    Cost { memory_mib: 256, cores: 1.0, cpu_ms_per_s: 50.0 }
}
