//! CMAF tracks drawn and encoded by ffmpeg, as the transcoder would hand them over.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lectern_domain::{
    media::{SegmentOutput, TrackKind, TrackOutput},
    source::Ratio,
};
use lectern_packager::cmaf::{InitMedia, InitSegment, MediaSegment};
use tempfile::TempDir;

/// Seconds of a clip and frames per second.
pub(crate) const SECONDS: u32 = 7;
pub(crate) const RATE: u32 = 24;

/// One encoded track in a folder of its own.
pub(crate) struct Clip {
    pub(crate) name: &'static str,
    pub(crate) dir: TempDir,
}

/// Runs a program and gives what it printed; its complaints otherwise.
pub(crate) fn run(program: &str, args: &[&str], dir: &Path) -> Result<String, String> {
    let done = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .map_err(|error| format!("{program}: {error}; `make test` installs what the tests need"))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(format!("{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr)))
    }
}

impl Clip {
    /// H.264 High with B-frames, segments of two seconds and a last one of one.
    pub(crate) fn video(name: &'static str, size: &str) -> Self {
        let source = format!("testsrc2=size={size}:rate={RATE}:duration={SECONDS}");
        let codec = "-c:v libx264 -preset ultrafast -profile:v high -bf 2 -g 48 -keyint_min 48 -sc_threshold 0 \
                     -flags +cgop -pix_fmt yuv420p -x264-params cabac=1:8x8dct=1:bframes=2:b-pyramid=none";
        Self::encode(name, &source, codec)
    }

    /// Stereo AAC-LC of two tones, with its priming in the edit list.
    pub(crate) fn audio(name: &'static str) -> Self {
        let tones = "aevalsrc=sin(880*t)|sin(1320*t):sample_rate=48000";
        Self::encode(name, &format!("{tones}:duration={SECONDS}"), "-c:a aac -b:a 96k")
    }

    fn encode(name: &'static str, source: &str, codec: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut args = vec!["-v", "error", "-f", "lavfi", "-i", source];
        args.extend(codec.split_whitespace());
        args.extend("-f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4".split_whitespace());
        args.extend(["-hls_segment_filename", "seg-%05d.m4s", "clear.m3u8"]);
        run("ffmpeg", &args, dir.path()).expect("ffmpeg encodes");
        Self { name, dir }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(crate) fn init(&self) -> Vec<u8> {
        fs::read(self.path("init.mp4")).expect("init segment")
    }

    pub(crate) fn segments(&self) -> Vec<Vec<u8>> {
        (0..).map_while(|at| fs::read(self.path(&format!("seg-{at:05}.m4s"))).ok()).collect()
    }

    /// What a transcode job would report of this track.
    pub(crate) fn report(&self) -> TrackOutput {
        let init = InitSegment::read(&self.init()).expect("init segment");
        let segments = self.segments().into_iter().zip(0..).map(|(bytes, index)| {
            let read = MediaSegment::read(&bytes, &init).expect("media segment");
            SegmentOutput {
                index,
                file: format!("seg-{index:05}.m4s"),
                start_ticks: read.start_ticks.try_into().expect("not negative"),
                duration_ticks: read.duration_ticks,
                samples: read.samples,
                bytes: read.bytes,
            }
        });
        TrackOutput {
            name: self.name.into(),
            kind: match init.media {
                InitMedia::Video { width, height, .. } => {
                    TrackKind::Video { width, height, frame_rate: Ratio::new(RATE, 1) }
                }
                InitMedia::Audio { sample_rate, channels } => {
                    TrackKind::Audio { sample_rate, channels, language: Some("en".into()) }
                }
            },
            init: "init.mp4".into(),
            timescale: init.timescale,
            segments: segments.collect(),
        }
    }
}
