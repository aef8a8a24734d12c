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

/// Frames of [`lecture`] that are white while a beep sounds: near the start, in the middle, near the end.
pub const FLASHES: [u32; 3] = [60, 450, 840];

/// What is said in [`lecture`]: enough for its thirty seconds.
const SPEECH: &str = "Good morning. Today we look at refraction, the bending of light where it passes from one medium to \
    another. Take a glass of water and put a pencil into it. The pencil looks broken, and of course it is not. Light \
    travels more slowly in water than in air, and so a ray that enters at an angle changes its direction. Snell's law \
    says by how much. The sine of the angle of incidence, divided by the sine of the angle of refraction, is the ratio \
    of the two speeds. Please write this down, because we shall need it again when we come to lenses and to prisms.";

/// Thirty seconds of a lecture: slides with text, a clock and a small moving picture, at 30000/1001 frames a second;
/// speech at 44.1 kHz. At [`FLASHES`] the picture is white for one frame and a beep begins.
pub fn lecture(folder: &Path, name: &str) -> PathBuf {
    let (path, speech) = (folder.join(name), folder.join("speech.wav"));
    run("espeak-ng", &["-w", speech.to_str().unwrap(), SPEECH]);
    let any = |of: &dyn Fn(u32) -> String| FLASHES.map(of).join("+");
    let time = |frame: u32| f64::from(frame) * 1_001.0 / 30_000.0;
    let white = any(&|frame| format!("eq(n,{frame})"));
    let beeping = any(&|frame| format!("between(t,{},{})", time(frame), time(frame) + 0.1));
    // Nobody speaks around a beep, so that it is heard when it begins.
    let hushed = any(&|frame| format!("between(t,{},{})", time(frame) - 0.5, time(frame) + 0.5));
    let graph = format!(
        "color=0x1f3a5f:s=1280x720:r=30000/1001,drawbox=color=0x2e5e4e:t=fill:enable='between(t,10,20)',\
         drawtext=text='Refraction, slide %{{eif\\:1+floor(t/10)\\:d}}':fontsize=56:fontcolor=white:x=80:y=80,\
         drawtext=text='%{{pts\\:hms}}':fontsize=28:fontcolor=white:x=80:y=640[slides];\
         testsrc2=s=320x180:r=30000/1001[moving];\
         [slides][moving]overlay=x=920:y=500:shortest=1,drawbox=color=white:t=fill:enable='{white}',\
         format=yuv420p[picture];\
         [0:a]aresample=44100,volume=0:enable='{hushed}',apad[speech];\
         aevalsrc='0.5*sin(2*PI*1000*t)*({beeping})':s=44100[beeps];\
         [speech][beeps]amix=inputs=2:normalize=0[sound]"
    );
    let arguments =
        "-map [picture] -map [sound] -t 30 -c:v libx264 -preset superfast -crf 18 -bf 2 -c:a aac -b:a 160k";
    let mut all = vec!["-v", "error", "-y", "-i", speech.to_str().unwrap(), "-filter_complex", &graph];
    all.extend(arguments.split_whitespace());
    all.push(path.to_str().unwrap());
    run("ffmpeg", &all);
    path
}
