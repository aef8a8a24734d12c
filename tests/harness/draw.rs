//! Sources that the tests draw themselves, with ffmpeg.

use std::path::{Path, PathBuf};

use super::run;

/// Runs ffmpeg with `arguments`, into `folder/name`.
pub fn ffmpeg(folder: &Path, name: &str, arguments: &str) -> PathBuf {
    let path = folder.join(name);
    let mut all = vec!["-hide_banner", "-loglevel", "error", "-y"];
    all.extend(arguments.split_whitespace());
    let target = path.display().to_string();
    all.push(&target);
    run("ffmpeg", &all);
    path
}

/// A moving test picture with a tone, as H.264 and AAC in MP4.
pub fn clip(folder: &Path, name: &str, size: &str, seconds: u32) -> PathBuf {
    ffmpeg(
        folder,
        name,
        &format!(
            "-f lavfi -i testsrc2=size={size}:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t {seconds} \
             -c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p -c:a aac -shortest"
        ),
    )
}
