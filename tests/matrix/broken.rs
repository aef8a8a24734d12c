//! Damage, and headers that do not tell the truth.

use super::source::{H264, Source, beep, card, changed, file};

fn both(codecs: &str) -> String {
    format!("{} {} {codecs}", card("25", 3.0), beep(48_000, 3.0))
}

/// Overwrites a part in the middle, given in thousandths of the file.
fn blot(mut file: Vec<u8>, from: usize, bytes: usize) -> Vec<u8> {
    let from = file.len() * from / 1_000;
    for (at, byte) in file[from..][..bytes].iter_mut().enumerate() {
        *byte = (at * 151 % 251) as u8;
    }
    file
}

/// Replaces the value that follows a name, `after` bytes on.
fn write_after(mut file: Vec<u8>, name: &[u8], after: usize, value: &[u8]) -> Vec<u8> {
    let at = file.windows(name.len()).position(|bytes| bytes == name).unwrap() + name.len() + after;
    file[at..at + value.len()].copy_from_slice(value);
    file
}

pub(crate) fn lines() -> Vec<Source> {
    let short = format!("{H264} -g 10 -c:a aac");
    let index_first = both(&format!("{short} -movflags +faststart"));
    let fragments = both(&format!("{short} -movflags frag_keyframe+empty_moov+default_base_moof"));
    vec![
        changed("damaged.mp4", both(&short), |file| blot(file, 600, 300)).frames_between(50, 75).seconds(3.0),
        changed("damaged.ts", both(&short), |file| blot(file, 600, 400)).frames_between(50, 76).seconds(3.0),
        changed("damaged.mkv", both(&short), |file| blot(file, 600, 400)).frames_between(45, 75).seconds(3.0),
        changed("damaged.mpg", both("-c:v mpeg2video -q:v 2 -g 10 -c:a mp2"), |file| blot(file, 600, 400))
            .off_by(3.0)
            .frames_between(50, 76)
            .seconds(3.0),
        changed("damaged.avi", both("-c:v mpeg4 -q:v 2 -g 10 -c:a libmp3lame"), |file| blot(file, 600, 400))
            .off_by(3.0)
            .frames_between(50, 76)
            .seconds(3.0),
        file("noisy packets.ts", both(&format!("{short} -bsf:v noise=amount=-3*not(mod(n\\,31)+1*eq(n\\,0))")))
            .frames_between(50, 76)
            .seconds(3.0),
        file("lost packets.ts", both(&format!("{short} -bsf:v noise=drop=eq(mod(n\\,17)\\,16)"))).frames_between(50, 76).seconds(3.0),
        changed("cut off, index first.mp4", index_first, |file| file[..file.len() / 2].to_vec()).refused("source_corrupt"),
        changed("cut off, index last.mp4", both(&short), |file| file[..file.len() / 2].to_vec()).refused("source_truncated"),
        changed("cut off, in fragments.mp4", fragments, |file| file[..file.len() / 2].to_vec())
            .frames_between(28, 45)
            .seconds(1.24),
        changed("cut off.mkv", both(&short), |file| file[..file.len() / 2].to_vec()).frames_between(25, 50).seconds(1.24),
        changed("cut off.ts", both(&short), |file| file[..file.len() / 2].to_vec()).frames_between(25, 51).seconds(1.4),
        changed("cut off.mpg", both("-c:v mpeg2video -q:v 2 -g 10 -c:a mp2"), |file| file[..file.len() / 2].to_vec())
            .off_by(3.0)
            .frames_between(25, 51)
            .seconds(2.0),
        file("no duration.webm", both("-c:v libvpx -deadline realtime -cpu-used 8 -b:v 4M -qmax 10 -pix_fmt yuv420p -c:a libopus -live 1"))
            .off_by(3.0)
            .frames(75)
            .seconds(3.0),
        file("no duration.mkv", both(&format!("{short} -live 1"))).frames(75).seconds(3.0),
        // EBML: the element's ID, its size of eight bytes, a floating number of milliseconds.
        changed("says it is longer.mkv", both(&short), |file| {
            write_after(file, &[0x44, 0x89, 0x88], 0, &30_000.0_f64.to_be_bytes())
        })
        .frames(75)
        .seconds(3.0),
        changed("says it is shorter.mkv", both(&short), |file| {
            write_after(file, &[0x44, 0x89, 0x88], 0, &1_000.0_f64.to_be_bytes())
        })
        .frames(75)
        .seconds(3.0),
        // ISO/IEC 14496-12 8.2.2: version and flags, two times, the timescale, the duration.
        changed("says it is longer.mp4", both(&short), |file| {
            write_after(file, b"mvhd", 16, &10_000_u32.to_be_bytes())
        })
        .frames(75)
        .seconds(3.0),
        // Of a track that is shorter than a fifth of what the file says its demuxer takes no notice.
        changed("says it is ten times as long.mp4", both(&short), |file| {
            write_after(file, b"mvhd", 16, &30_000_u32.to_be_bytes())
        })
        .refused("source_corrupt"),
        changed("says it is shorter.mp4", both(&short), |file| {
            write_after(file, b"mvhd", 16, &1_000_u32.to_be_bytes())
        })
        .frames(75)
        .seconds(3.0),
        changed("words.mp4", both(&short), |_| b"These are the notes of the lecture, not the lecture.".to_vec())
            .refused("source_not_media"),
        changed("nothing.mp4", both(&short), |_| Vec::new()).refused("source_empty"),
    ]
}
