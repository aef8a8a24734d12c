//! Codecs, containers, and what else is in them.

use super::source::{H264, Source, beep, card, card_of, file, made};
use crate::harness::draw::ffmpeg;

fn both(codecs: &str) -> String {
    format!("{} {} {codecs}", card("25", 2.0), beep(48_000, 2.0))
}

fn at(size: &str, rate: &str, codecs: &str) -> String {
    format!("{} {} {codecs}", card_of(size, rate, 2.0), beep(48_000, 2.0))
}

pub(crate) fn lines() -> Vec<Source> {
    let vp9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 10 -b:v 4M";
    let cover = "-f lavfi -i color=c=red:s=64x64:r=1:d=1";
    vec![
        file(
            "HEVC.mp4",
            both(
                "-c:v libx265 -preset ultrafast -x265-params log-level=error:crf=12 -pix_fmt yuv420p -c:a aac",
            ),
        ),
        file(
            "VP8.webm",
            both(
                "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 4M -qmax 10 -pix_fmt yuv420p -c:a libvorbis",
            ),
        )
        .off_by(3.0),
        file("VP9.webm", both(&format!("{vp9} -pix_fmt yuv420p -c:a libopus"))).off_by(3.0),
        file("VP9.mp4", both(&format!("{vp9} -pix_fmt yuv420p -c:a aac"))).off_by(3.0),
        file("AV1.mp4", both("-c:v libsvtav1 -preset 12 -crf 15 -pix_fmt yuv420p -c:a aac")).off_by(3.0),
        file("AV1.mkv", both("-c:v libsvtav1 -preset 12 -crf 15 -pix_fmt yuv420p -c:a libopus")).off_by(3.0),
        file("MPEG-2.mpg", both("-c:v mpeg2video -q:v 2 -c:a mp2")).off_by(3.0),
        file("MPEG-1.mpg", both("-f mpeg -c:v mpeg1video -q:v 2 -c:a mp2")).off_by(3.0),
        file("MPEG-2.ts", both("-c:v mpeg2video -q:v 2 -bf 2 -c:a ac3")).off_by(3.0),
        file("MPEG-4.avi", both("-c:v mpeg4 -q:v 2 -c:a libmp3lame")).off_by(3.0),
        file("MPEG-4.mp4", both("-c:v mpeg4 -q:v 2 -bf 2 -c:a aac")).off_by(3.0),
        file("DivX 3.avi", both("-c:v msmpeg4 -q:v 2 -c:a libmp3lame")).off_by(3.0),
        file("MJPEG.avi", both("-c:v mjpeg -q:v 2 -pix_fmt yuvj420p -c:a pcm_s16le")).off_by(3.0),
        file("MJPEG.mov", both("-c:v mjpeg -q:v 2 -pix_fmt yuvj420p -c:a pcm_s16le")).off_by(3.0),
        file("ProRes.mov", both("-c:v prores_ks -pix_fmt yuv422p10le -c:a pcm_s24le")),
        file("DNxHD.mov", at("1280x720", "25", "-c:v dnxhd -b:v 60M -pix_fmt yuv422p -c:a pcm_s16le"))
            .size(1_280, 720)
            .other_colours(),
        file("DNxHD.mxf", at("1280x720", "25", "-c:v dnxhd -b:v 60M -pix_fmt yuv422p -c:a pcm_s16le"))
            .size(1_280, 720)
            .other_colours(),
        file("DNxHR.mov", both("-c:v dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p -c:a pcm_s16le"))
            .other_colours(),
        file("MPEG-2.mxf", at("720x576", "25", "-c:v mpeg2video -q:v 2 -pix_fmt yuv422p -c:a pcm_s16le"))
            .size(720, 576)
            .off_by(3.0),
        file("Theora.ogv", both("-c:v libtheora -q:v 9 -pix_fmt yuv420p -c:a libvorbis")).off_by(3.0),
        file("H.264.flv", both(&format!("{H264} -c:a aac -ar 44100"))),
        file("Sorenson.flv", both("-c:v flv -q:v 2 -c:a libmp3lame -ar 44100")).off_by(3.0),
        file("WMV.wmv", both("-c:v wmv2 -q:v 2 -c:a wmav2")).off_by(3.0),
        // Pixels of this codec's own sizes are twelve by eleven.
        file("H.263.3gp", at("352x288", "25", "-c:v h263 -q:v 2 -c:a aac")).size(384, 288).off_by(3.0),
        file("H.264.3gp", both(&format!("{H264} -c:a aac"))),
        file("H.264.mkv", both(&format!("{H264} -bf 3 -c:a aac"))),
        file("H.264.ts", both(&format!("{H264} -bf 3 -c:a aac"))),
        file("H.264.m2ts", both(&format!("{H264} -mpegts_m2ts_mode 1 -c:a ac3"))),
        file("H.264.avi", both(&format!("{H264} -bf 0 -c:a libmp3lame"))),
        file(
            "open groups.mp4",
            both(
                "-c:v libx264 -preset fast -crf 8 -pix_fmt yuv420p -x264-params open-gop=1:keyint=10:bframes=3 -c:a aac",
            ),
        ),
        file("tape.dv", at("720x576", "25", "-c:v dvvideo -pix_fmt yuv420p -aspect 4:3 -c:a pcm_s16le"))
            .size(768, 576)
            .other_colours(),
        file("lossless.mkv", both("-c:v ffv1 -pix_fmt yuv420p -c:a flac")),
        file("lossless.avi", both("-c:v huffyuv -pix_fmt yuv422p -c:a pcm_s16le")),
        file("uncompressed.avi", both("-c:v rawvideo -pix_fmt yuv420p -c:a pcm_s16le")),
        file("uncompressed.mov", both("-c:v rawvideo -pix_fmt uyvy422 -c:a pcm_s16be")),
        file("PNG.mov", both("-c:v png -c:a pcm_s16le")),
        // No demuxer that gives times.
        file("animation.gif", format!("{} -loop -1", card("25", 2.0))).refused("source_codec_unsupported"),
        file(
            "in fragments.mp4",
            both(&format!("{H264} -g 10 -c:a aac -movflags frag_keyframe+empty_moov+default_base_moof")),
        ),
        file("index first.mp4", both(&format!("{H264} -c:a aac -movflags +faststart"))),
        file("captions.mkv", {
            let captions = "data:text/plain,1%0A00:00:00,000%20-->%2000:00:01,000%0AHello%0A";
            both("").replace("-f lavfi -i color", &format!("-f srt -i {captions} -f lavfi -i color"))
                + &format!(" -map 1 -map 2 -map 0 {H264} -c:a aac -c:s srt")
        }),
        made("a cover.m4a", move |folder, name| {
            let picture = ffmpeg(folder, "m4a-cover.jpg", &format!("{cover} -frames:v 1"));
            let sound = beep(44_100, 2.0);
            ffmpeg(
                folder,
                name,
                &format!(
                    "{sound} -i {} -map 0 -map 1 -c:a aac -c:v copy -disposition:v attached_pic",
                    picture.display()
                ),
            )
        })
        .blind(),
        made("a cover.mp3", move |folder, name| {
            let picture = ffmpeg(folder, "mp3-cover.jpg", &format!("{cover} -frames:v 1"));
            let sound = beep(44_100, 2.0);
            ffmpeg(
                folder,
                name,
                &format!("{sound} -i {} -map 0 -map 1 -c:a libmp3lame -c:v copy", picture.display()),
            )
        })
        .blind(),
        made("a cover before the film.mp4", move |folder, name| {
            let picture = ffmpeg(folder, "mp4-cover.jpg", &format!("{cover} -frames:v 1"));
            let arguments =
                both("").replace("-f lavfi -i color", &format!("-i {} -f lavfi -i color", picture.display()));
            ffmpeg(
                folder,
                name,
                &format!(
                    "{arguments} -map 0 -map 1 -map 2 {} -c:v:0 copy -disposition:v:0 attached_pic -c:a aac",
                    H264.replace("-c:v", "-c:v:1").replace("-pix_fmt", "-pix_fmt:v:1")
                ),
            )
        }),
        file("a time code.mov", both(&format!("{H264} -timecode 10:00:00:00 -c:a aac"))),
        file("two films.mkv", {
            let other = "-f lavfi -i color=c=red:s=160x90:r=25:d=2";
            format!("{} {other} -map 0 -map 1 -map 2 {H264} -c:a aac", both(""))
        }),
        file("two programmes.ts", {
            let other = "-f lavfi -i color=c=red:s=160x90:r=25:d=2 -f lavfi -i sine=frequency=200:duration=2";
            let programmes = "-program title=one:st=0:st=1 -program title=two:st=2:st=3";
            format!("{} {other} -map 0 -map 1 -map 2 -map 3 {H264} -c:a mp2 {programmes}", both(""))
        }),
        file("a data stream.ts", {
            let data = "-f data -i data:text/plain,abcdefghijklmnopqrstuvwxyz";
            format!("{} {data} -map 0 -map 1 -map 2 {H264} -c:a mp2 -c:d copy", both(""))
        }),
    ]
}
