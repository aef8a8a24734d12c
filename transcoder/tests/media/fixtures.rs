//! Sources drawn with `ffmpeg`, kept between runs under the hash of the command that drew them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

/// Where everything these tests make is kept.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("media");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The file that `ffmpeg` makes with these arguments, separated by spaces, and this extension.
pub(crate) fn ffmpeg(arguments: &str, extension: &str) -> PathBuf {
    made(&format!("ffmpeg {arguments}"), extension, |path| {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(arguments.split_whitespace())
            .arg(path)
            .output()
            .expect("ffmpeg is installed");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

/// The file that `make` writes, made anew only when `name` changes.
pub(crate) fn made(name: &str, extension: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let hash = hex::encode(&Sha256::digest(name.as_bytes())[..8]);
    let path = folder().join(format!("{hash}.{extension}"));
    if !path.exists() {
        // Tests run at once: each draws under a name of its own, the last one wins.
        let own = tempfile::Builder::new().suffix(&format!(".{extension}")).tempfile_in(folder()).unwrap();
        make(own.path());
        own.persist(&path).unwrap();
    }
    path
}

/// A moving test picture.
pub(crate) fn picture(size: &str, rate: u32, seconds: f64) -> String {
    format!("-f lavfi -i testsrc2=size={size}:rate={rate}:duration={seconds}")
}

/// Bits of the numbers of [`numbered`].
pub(crate) const NUMBER_BITS: u32 = 10;

/// A picture in which every frame says its number, in bars that are black or white; the lowest bit is on the left.
pub(crate) fn numbered(rate: u32, seconds: f64) -> String {
    let bar = |bit: u32| {
        let (left, every) = (bit * 32, 1 << bit);
        format!(",drawbox=x={left}:y=0:w=32:h=ih:color=white:t=fill:enable='mod(floor(n/{every}),2)'")
    };
    let bars: String = (0..NUMBER_BITS).map(bar).collect();
    format!("-f lavfi -i color=black:size=320x180:rate={rate}:duration={seconds}{bars}")
}

/// A steady tone.
pub(crate) fn tone(seconds: f64) -> String {
    format!("-f lavfi -i sine=frequency=440:duration={seconds}")
}

/// Quick H.264, two B-frames.
pub(crate) const H264: &str = "-c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p";

/// The plain case: six seconds of H.264 and AAC in MP4, keyframes every second.
pub(crate) fn plain() -> PathBuf {
    let (picture, tone) = (picture("640x360", 30, 6.0), tone(6.0));
    ffmpeg(&format!("{picture} {tone} {H264} -g 30 -c:a aac -movflags +faststart"), "mp4")
}

/// Changes the bytes of another source.
pub(crate) fn changed(
    name: &str,
    from: &Path,
    extension: &str,
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> PathBuf {
    made(&format!("{name} {}", from.display()), extension, |path| {
        std::fs::write(path, change(std::fs::read(from).unwrap())).unwrap();
    })
}
