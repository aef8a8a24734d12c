//! Orientation, shape, fields, sampling, colour.

use super::source::{H264, Source, beep, card, card_of, changed, file};

/// The display matrices of the eight orientations (ISO/IEC 14496-12 8.3.2: `a b u c d v x y w`) by what of the coded picture
/// is seen top left, top right, bottom left, bottom right.
const ORIENTATIONS: [(&str, [i32; 4], [usize; 4]); 7] = [
    ("turned right.mp4", [0, 1, -1, 0], [2, 0, 3, 1]),
    ("upside down.mp4", [-1, 0, 0, -1], [3, 2, 1, 0]),
    ("turned left.mp4", [0, -1, 1, 0], [1, 3, 0, 2]),
    ("mirrored.mp4", [-1, 0, 0, 1], [1, 0, 3, 2]),
    ("mirrored and upside down.mp4", [1, 0, 0, -1], [2, 3, 0, 1]),
    ("mirrored and turned right.mp4", [0, -1, -1, 0], [3, 1, 2, 0]),
    ("mirrored and turned left.mp4", [0, 1, 1, 0], [0, 2, 1, 3]),
];

/// Writes a display matrix into the first track's header.
fn turn(mut file: Vec<u8>, [a, b, c, d]: [i32; 4]) -> Vec<u8> {
    let header = file.windows(4).position(|kind| kind == b"tkhd").unwrap();
    let matrix = header + 4 + 40;
    for (place, value) in [(0, a), (1, b), (3, c), (4, d)] {
        let at = matrix + place * 4;
        file[at..at + 4].copy_from_slice(&(value << 16).to_be_bytes());
    }
    file
}

fn video(codec: &str) -> String {
    format!("{} {codec}", card("25", 2.0))
}

/// As `scale` and as the encoder are told.
fn coloured(matrix: &str, range: &str, format: &str, codec: &str) -> String {
    let tags = match matrix {
        "bt601" => "-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m",
        _ => "-colorspace bt709 -color_primaries bt709 -color_trc bt709",
    };
    format!(
        "{},scale=out_color_matrix={matrix}:out_range={range}:flags=accurate_rnd+full_chroma_int,format={format} {codec} \
         -pix_fmt {format} {tags} -color_range {range}",
        card("25", 2.0)
    )
}

pub(crate) fn lines() -> Vec<Source> {
    let x264 = "-c:v libx264 -preset ultrafast -crf 8";
    let x265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error:crf=12";
    let hdr = |transfer: &str| {
        format!(
            "{} {x265} -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc",
            card("25", 0.4)
        )
    };
    let mut lines: Vec<Source> = ORIENTATIONS
        .into_iter()
        .map(|(name, matrix, seen)| {
            let line = changed(name, video(H264), move |file| turn(file, matrix)).mute().turned(seen);
            if matrix[0] == 0 { line.size(180, 320) } else { line }
        })
        .collect();
    let tff = "tinterlace=interleave_top,setfield=tff";
    let bff = "tinterlace=interleave_bottom,setfield=bff";
    let fields = |filter: &str, codec: &str| {
        format!(
            "{},format=yuv420p,{filter} {} -flags +ilme+ildct {codec} -c:a mp2",
            card_of("320x192", "50", 2.0),
            beep(48_000, 2.0)
        )
    };
    lines.extend([
        file("top field first.ts", fields(tff, "-c:v mpeg2video -q:v 2 -top 1")).size(320, 192).off_by(3.0),
        file("bottom field first.ts", fields(bff, "-c:v mpeg2video -q:v 2 -top 0"))
            .size(320, 192)
            .off_by(3.0),
        file("top field first.mp4", fields(tff, &format!("{x264} -x264-params tff=1"))).size(320, 192),
        file("bottom field first.mkv", fields(bff, &format!("{x264} -x264-params bff=1"))).size(320, 192),
        file("wide pixels.mp4", format!("{},setsar=16/11 {H264}", card_of("352x288", "25", 2.0)))
            .mute()
            .size(512, 288),
        file("narrow pixels.mp4", format!("{},setsar=8/9 {H264}", card_of("360x240", "25", 2.0)))
            .mute()
            .size(360, 270),
        file(
            "wide pixels.mpg",
            format!("{},setsar=64/45 -c:v mpeg2video -q:v 2", card_of("360x288", "25", 2.0)),
        )
        .mute()
        .size(512, 288)
        .off_by(3.0),
        file("odd sides.mp4", format!("{} {x264} -pix_fmt yuv444p", card_of("321x181", "25", 2.0)))
            .mute()
            .size(320, 180),
        file("BT.601.mp4", coloured("bt601", "tv", "yuv420p", x264)).mute(),
        file("BT.709.mp4", coloured("bt709", "tv", "yuv420p", x264)).mute(),
        file("BT.601, full range.mp4", coloured("bt601", "pc", "yuvj420p", x264)).mute(),
        file("BT.709, full range.mp4", coloured("bt709", "pc", "yuvj420p", x264)).mute(),
        file("nothing said, large.mp4", {
            let card = card_of("1280x720", "25", 2.0);
            format!("{card},scale=out_color_matrix=bt709,format=yuv420p {x264} -pix_fmt yuv420p")
        })
        .mute()
        .size(1_280, 720),
        file("10 bits.mp4", coloured("bt709", "tv", "yuv420p10le", x264)).mute(),
        file("10 bits, HEVC.mp4", coloured("bt709", "tv", "yuv420p10le", x265)).mute(),
        file("10 bits, 4-2-2.mkv", coloured("bt709", "tv", "yuv422p10le", x264)).mute(),
        file("4-2-2.mov", coloured("bt709", "tv", "yuv422p", x264)).mute(),
        file("4-4-4.mp4", coloured("bt709", "tv", "yuv444p", x264)).mute(),
        file("12 bits, 4-4-4.mkv", coloured("bt709", "tv", "yuv444p12le", x265)).mute(),
        file("RGB.mkv", video("-c:v libx264rgb -preset ultrafast -crf 1 -pix_fmt rgb24")).mute(),
        file("gray.mp4", video(&format!("{x264} -pix_fmt gray"))).mute().other_colours(),
        file("gray, HEVC.mkv", video(&format!("{x265} -pix_fmt gray"))).mute().other_colours(),
        file("HDR10.mp4", hdr("smpte2084")).refused("source_hdr_unsupported"),
        file("HLG.mp4", hdr("arib-std-b67")).refused("source_hdr_unsupported"),
        file(
            "alpha.webm",
            video("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 10 -b:v 4M -pix_fmt yuva420p"),
        )
        .mute()
        .off_by(3.0),
        file("alpha, ProRes.mov", video("-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le")).mute(),
        file("alpha, animation.mov", video("-c:v qtrle -pix_fmt argb")).mute(),
    ]);
    lines
}
