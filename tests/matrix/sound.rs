//! Rates, layouts and tracks of sound.

use super::source::{H264, Source, beep, beep_of, card, file};

/// The beep alone.
fn alone(hertz: u32, codec: &str) -> String {
    format!("{} -ar {hertz} {codec}", beep(hertz, 2.0))
}

/// The card with a beep on these channels.
fn laid_out(layout: &str, codec: &str) -> String {
    format!("{} {} {H264} {codec}", card("25", 2.0), beep_of(layout, 48_000, 2.0))
}

pub(crate) fn lines() -> Vec<Source> {
    let beside = |hertz: u32, codec: &str| format!("{} {} {H264} {codec}", card("25", 2.0), beep(hertz, 2.0));
    vec![
        file("8 kHz.mp4", beside(8_000, "-c:a aac")),
        file("11.025 kHz.mp4", beside(11_025, "-c:a aac")),
        file("16 kHz.mkv", beside(16_000, "-c:a aac")).seconds(2.1),
        file("22.05 kHz.mkv", beside(22_050, "-c:a libmp3lame")),
        file(
            "32 kHz.mpg",
            beside(32_000, "-c:a mp2").replace("libx264 -preset ultrafast -crf 8", "mpeg2video -q:v 2"),
        )
        .off_by(3.0),
        file("44.1 kHz.mp4", beside(44_100, "-c:a aac")),
        file("96 kHz.mkv", beside(96_000, "-c:a flac")),
        file("192 kHz.wav", alone(192_000, "-c:a pcm_s24le")).blind(),
        // From 65,536 samples a second on, sound in MOV is described in another way.
        file("88.2 kHz.mov", beside(88_200, "-c:a pcm_s16le")),
        file("96 kHz, mono.mov", laid_out("mono", "-ar 96000 -c:a pcm_s32be")).sound(&[1]),
        file("96 kHz, floating.mov", beside(96_000, "-c:a pcm_f32le")),
        file("192 kHz.mov", beside(192_000, "-c:a pcm_s24le")),
        file("floating, lowest byte first.mov", beside(48_000, "-c:a pcm_f32le")),
        file("long, lowest byte first.mov", beside(48_000, "-c:a pcm_s32le")),
        file("long, highest byte first.mov", beside(48_000, "-c:a pcm_s32be")),
        file("8 kHz.wav", alone(8_000, "-c:a pcm_mulaw")).blind(),
        file("adaptive.wav", alone(44_100, "-c:a adpcm_ms")).blind(),
        file("floating.wav", alone(48_000, "-c:a pcm_f32le")).blind(),
        file("song.mp3", alone(44_100, "-c:a libmp3lame")).blind(),
        file("song.m4a", alone(44_100, "-c:a aac")).blind(),
        file("lossless.m4a", alone(48_000, "-c:a alac")).blind(),
        file("song.aac", alone(44_100, "-c:a aac")).blind(),
        file("song.flac", alone(48_000, "-c:a flac")).blind(),
        file("song.opus", alone(48_000, "-c:a libopus")).blind(),
        file("song.ogg", alone(44_100, "-c:a libvorbis")).blind(),
        file("song.wma", alone(44_100, "-c:a wmav2")).blind(),
        file("mono.mp4", laid_out("mono", "-c:a aac")).sound(&[1]),
        file("2.1.mkv", laid_out("2.1", "-c:a flac")),
        file("quad.mkv", laid_out("quad", "-c:a flac")),
        file("5.0.mkv", laid_out("5.0", "-c:a flac")),
        file("5.1, AAC.mp4", laid_out("5.1", "-c:a aac")),
        file("5.1, AC-3.ts", laid_out("5.1", "-c:a ac3")),
        file("5.1, E-AC-3.mkv", laid_out("5.1", "-c:a eac3")),
        file("5.1, DTS.mkv", laid_out("5.1", "-c:a dca -strict -2")),
        file("5.1, Opus.mkv", laid_out("5.1", "-c:a libopus -mapping_family 1")),
        file("6.1.mkv", laid_out("6.1", "-c:a flac")),
        file("7.1.mkv", laid_out("7.1", "-c:a flac")),
        file("7.1, AAC.mp4", laid_out("7.1", "-c:a aac")),
        file("7.1.mov", laid_out("7.1", "-c:a pcm_s16le")),
        file(
            "two languages.mkv",
            format!(
                "{} {} {} -map 0 -map 1 -map 2 {H264} -c:a aac",
                card("25", 2.0),
                beep(48_000, 2.0),
                beep_of("mono", 44_100, 2.0)
            ),
        )
        .sound(&[2, 1]),
    ]
}
