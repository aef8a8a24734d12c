//! What jobs cost, measured and held against the estimates by which machines admit them. The hardest picture: moving noise.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, time::Instant};

use lectern_domain::{
    cost::{light_cost, span_cost},
    plan::{PlanSettings, SECOND_NS, plan},
    source::SourceInfo,
};
use lectern_transcoder::child::{Done, Launch, Limits, Request, run};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    child::{block_on, launch, probe},
    fixtures::ffmpeg,
};

const H264: &str = "-c:v libx264 -preset superfast -bf 3 -refs 4 -pix_fmt yuv420p -g 60 -crf 26";
const HEVC_10: &str =
    "-c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p10le -crf 26 -tag:v hvc1";

fn hard(size: &str, rate: u32, seconds: f64, codec: &str) -> PathBuf {
    let picture = format!("testsrc2=size={size}:rate={rate}:duration={seconds},noise=alls=12:allf=t");
    let sound = format!("-f lavfi -i sine=frequency=440:duration={seconds} -c:a aac");
    ffmpeg(&format!("-f lavfi -i {picture} {sound} {codec}"), "mp4")
}

/// Runs a request in a child that has one core, like the smallest worker.
fn on_one_core(request: &Request) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("child");
    let child = env!("CARGO_BIN_EXE_lectern-media-child");
    std::fs::write(&program, format!("#!/bin/sh\nexec taskset -c 0 {child} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let launch = Launch { program, ..launch(Limits::transcode()) };
    block_on(run(&launch, request, |_| {}, &CancellationToken::new())).unwrap()
}

fn made() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

/// The same source, two hours long.
fn info_of_a_long_one(info: &SourceInfo) -> SourceInfo {
    SourceInfo { duration_ns: Some(7_200 * SECOND_NS), ..info.clone() }
}

/// Length of the longest span but the last, seconds.
fn longest_span(info: &SourceInfo, settings: &PlanSettings) -> f64 {
    let spans = plan(info, settings).unwrap().video.unwrap().spans;
    let lengths = spans.windows(2).map(|pair| pair[1].start_ns - pair[0].start_ns);
    lengths.max().unwrap() as f64 / SECOND_NS as f64
}

#[test]
fn spans_need_what_was_estimated() {
    let table = [
        ("640x360", 30, 4.0, H264, "veryfast"),
        ("1280x720", 30, 4.0, H264, "superfast"),
        ("1280x720", 30, 4.0, H264, "faster"),
        ("1280x720", 30, 4.0, H264, "medium"),
        ("1920x1080", 30, 3.0, H264, "veryfast"),
        ("1920x1080", 30, 2.0, H264, "slow"),
        ("3840x2160", 60, 1.5, H264, "veryfast"),
        ("3840x2160", 30, 2.0, HEVC_10, "veryfast"),
    ];
    for (size, rate, seconds, codec, preset) in table {
        let source = hard(size, rate, seconds, codec);
        let info = probe(&source).unwrap();
        let settings = PlanSettings { preset: preset.into(), ..PlanSettings::default() };
        let video = plan(&info, &settings).unwrap().video.unwrap();
        let estimate = span_cost(info.video.as_ref().unwrap(), &video, 1.0);
        let (_keep, folder) = made();
        let span = video.spans[0];
        let started = Instant::now();
        let done = on_one_core(&Request::Span { source, info: info.clone(), plan: video, span, folder });
        let wall = started.elapsed().as_secs_f64();
        let measured = done.usage.peak_rss_bytes as f64 / 1_048_576.0;
        let cpu = done.usage.cpu_ms as f64 / seconds;
        let longest = longest_span(&info_of_a_long_one(&info), &settings);
        let job = cpu * longest / 1e3;
        println!(
            "{size} at {rate}, {preset}, {codec:.14}: {measured:.0} MiB, estimated {}; {cpu:.0} ms of processor for a second, \
             estimated {:.0}; {wall:.1} s; a span of {longest} s takes {job:.0} s of processor",
            estimate.memory_mib, estimate.cpu_ms_per_s
        );
        let estimated = estimate.memory_mib as f64;
        // A job on one core ends in minutes, on a core half as fast too. The limit on its time is twenty.
        assert!(job <= 120.0, "{size} {preset}: a span of {longest} s takes {job} s of processor");
        assert!(measured <= estimated * 1.05, "{size} {preset}: {measured} MiB, estimated {estimated}");
        assert!(measured >= estimated * 0.6, "{size} {preset}: {measured} MiB, estimated {estimated}");
    }
}

#[test]
fn probes_and_sound_are_light() {
    let source = hard("3840x2160", 60, 1.5, H264);
    let info = probe(&source).unwrap();
    let plan = plan(&info, &PlanSettings::default()).unwrap().audio.remove(0);
    let (_keep, folder) = made();
    for request in [
        Request::Probe { source: source.clone(), trim: None },
        Request::Audio { source: source.clone(), info, plan, folder },
    ] {
        let done = on_one_core(&request);
        let measured = done.usage.peak_rss_bytes >> 20;
        println!("{measured} MiB, estimated {}", light_cost().memory_mib);
        assert!(measured <= light_cost().memory_mib, "{measured} MiB");
    }
}
