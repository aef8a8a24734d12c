//! Files that somebody broke: each ends in a package or in a code with a sentence, in time, and leaves nothing behind.
//! `LECTERN_MUTANTS=2000` for a long run, `LECTERN_TEST_SEED` to repeat one.

mod harness;

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{draw::ffmpeg, files_under, program};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// How many are tried when nothing is said.
const MUTANTS: u64 = 100;
/// Longest that one may take: the machine is busy, and a decoder that stands still is given ten seconds.
const LIMIT: Duration = Duration::from_mins(2);
/// Every reason that a broken file may have. Not `internal`: that it is broken is not our fault.
const REASONS: [&str; 10] = [
    "source_empty",
    "source_not_media",
    "source_truncated",
    "source_codec_unsupported",
    "source_no_tracks",
    "source_dimensions",
    "source_too_long",
    "source_corrupt",
    "source_time_limit",
    "source_memory_limit",
];

#[test]
fn broken_files_end_in_order() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name)
            .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
    };
    let seed = number("LECTERN_TEST_SEED", std::process::id().into());
    let count = number("LECTERN_MUTANTS", MUTANTS);
    println!("LECTERN_TEST_SEED={seed} LECTERN_MUTANTS={count}");
    let folder = tempfile::tempdir().unwrap();
    let whole = sources(folder.path());
    let (next, wrong) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let outcomes = Mutex::new(BTreeMap::<String, u64>::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
            let (name, bytes) = mutant(&whole, &mut random);
            let place = folder.path().join(format!("mutant {number}"));
            let began = Instant::now();
            let outcome = encode(&place, &name, &bytes);
            let took = began.elapsed().as_secs_f64();
            println!("{number}, {name}: {outcome:?} in {took:.1} s");
            let what = match outcome {
                Ok(what) => {
                    std::fs::remove_dir_all(&place).unwrap();
                    what
                }
                Err(reason) => {
                    wrong.lock().unwrap().push(format!("{number}, {name}: {reason}"));
                    "wrong".to_owned()
                }
            };
            *outcomes.lock().unwrap().entry(what).or_default() += 1;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(work);
        }
    });
    println!("{count} mutants: {:?}", outcomes.into_inner().unwrap());
    let wrong = wrong.into_inner().unwrap();
    if !wrong.is_empty() {
        // What failed is kept for whoever looks into it.
        let kept = folder.keep();
        panic!("LECTERN_TEST_SEED={seed}, {}:\n{}", kept.display(), wrong.join("\n"));
    }
}

/// Small files of many kinds: name and bytes.
fn sources(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let picture = "-f lavfi -i testsrc2=size=96x54:rate=10:duration=0.8";
    let sound = "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=0.8";
    let h264 = "-c:v libx264 -preset ultrafast -g 4 -pix_fmt yuv420p";
    let vp = "-deadline realtime -cpu-used 8";
    let both = |codecs: &str| format!("{picture} {sound} {codecs}");
    let table = [
        ("h264.mp4", both(&format!("{h264} -bf 2 -c:a aac"))),
        ("first.mp4", both(&format!("{h264} -c:a aac -movflags +faststart"))),
        ("parts.mp4", both(&format!("{h264} -c:a aac -movflags frag_keyframe+empty_moov"))),
        (
            "hevc.mp4",
            both("-c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p -c:a alac"),
        ),
        ("av1.mp4", both("-c:v libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p -c:a aac")),
        ("prores.mov", both("-c:v prores_ks -c:a pcm_s16le")),
        ("lpcm.mov", both("-c:v mjpeg -c:a pcm_s16le -ar 96000")),
        ("qtrle.mov", both("-c:v qtrle -c:a pcm_s16be")),
        ("h264.mkv", both(&format!("{h264} -c:a flac"))),
        ("ffv1.mkv", both("-c:v ffv1 -c:a ac3")),
        ("vp8.webm", both(&format!("-c:v libvpx {vp} -c:a libvorbis"))),
        ("vp9.webm", both(&format!("-c:v libvpx-vp9 {vp} -pix_fmt yuva420p -c:a libopus"))),
        ("h264.ts", both(&format!("{h264} -c:a aac"))),
        ("mpeg2.ts", both("-c:v mpeg2video -c:a mp2 -r 25")),
        ("mpeg2.mpg", both("-c:v mpeg2video -c:a mp2 -r 25")),
        ("mpeg4.avi", both("-c:v mpeg4 -c:a libmp3lame")),
        ("mjpeg.avi", both("-c:v mjpeg -c:a pcm_s16le")),
        ("flv1.flv", both("-c:v flv -c:a libmp3lame")),
        ("theora.ogv", both("-c:v libtheora -c:a libvorbis")),
        ("wmv2.wmv", both("-c:v wmv2 -c:a wmav2")),
        (
            "mpeg2.mxf",
            format!(
                "{picture} -f lavfi -i sine=sample_rate=48000:duration=0.8 -c:v mpeg2video -c:a pcm_s16le -r 25"
            ),
        ),
        ("h263.3gp", "-f lavfi -i testsrc2=size=128x96:rate=10:duration=0.8 -c:v h263".to_owned()),
        ("sound.wav", format!("{sound} -c:a pcm_s16le")),
        ("sound.mp3", format!("{sound} -c:a libmp3lame")),
        ("sound.flac", format!("{sound} -c:a flac")),
        ("sound.opus", format!("{sound} -c:a libopus")),
        ("sound.m4a", format!("{sound} -c:a aac")),
    ];
    table.map(|(name, arguments)| (name, std::fs::read(ffmpeg(folder, name, &arguments)).unwrap())).into()
}

/// One of the files, or two, with something done to it: what, and the bytes.
fn mutant(whole: &[(&'static str, Vec<u8>)], random: &mut StdRng) -> (String, Vec<u8>) {
    let (name, bytes) = &whole[random.random_range(0..whole.len())];
    let mut bytes = bytes.clone();
    let length = bytes.len();
    // Headers are short and say the most: half of what is done is done to the first part.
    let place = |random: &mut StdRng| {
        let part = if random.random::<bool>() { length.min(2_048) } else { length };
        random.random_range(0..part)
    };
    let what = match random.random_range(0..7) {
        0 => {
            let flips = 1 << random.random_range(0..8);
            for _ in 0..flips {
                let at = place(random);
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            format!("{flips} bits flipped")
        }
        1 => {
            let at = place(random);
            bytes.truncate(at);
            format!("cut at {at}")
        }
        2 => {
            let (other, more) = &whole[random.random_range(0..whole.len())];
            let (at, from) = (place(random), random.random_range(0..more.len()));
            bytes.truncate(at);
            bytes.extend_from_slice(&more[from..]);
            format!("from {at} on {other} from {from} on")
        }
        3 => {
            let (at, size) = (place(random), random.random_range(1..4_096));
            let end = (at + size).min(length);
            bytes[at..end].fill(0);
            format!("nothing from {at} to {end}")
        }
        4 => {
            let (at, size) = (place(random), random.random_range(1..4_096));
            let block = bytes[at..(at + size).min(length)].to_vec();
            let to = place(random);
            bytes.splice(to..to, block);
            format!("{size} bytes of {at} again at {to}")
        }
        5 => {
            let (at, size) = (place(random), random.random_range(1..64));
            for byte in bytes.iter_mut().skip(at).take(size) {
                *byte = random.random();
            }
            format!("noise of {size} bytes at {at}")
        }
        _ => {
            // Sizes and counts that are as large as can be.
            let at = place(random).min(length.saturating_sub(4));
            bytes[at..(at + 4).min(length)].fill(0xff);
            format!("the largest number at {at}")
        }
    };
    (format!("{name}, {what}"), bytes)
}

/// Encodes it in a folder of its own. What came of it, or what is wrong with that.
fn encode(place: &Path, name: &str, bytes: &[u8]) -> Result<String, String> {
    let temporary = place.join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    let end = name.split([',', '.']).nth(1).unwrap();
    let (file, out) = (place.join(format!("source.{end}")), place.join("out"));
    std::fs::write(&file, bytes).unwrap();
    let (status, said) = run(Command::new(program())
        .arg("encode")
        .arg(&file)
        .arg("--out")
        .arg(&out)
        .args(["--json", "--preset", "ultrafast", "--set", "transcode.stall_seconds=10"])
        .env("TMPDIR", &temporary))?;
    if let Some(signal) = status.signal() {
        return Err(format!("ended by signal {signal}: {said}"));
    }
    if said.contains("panicked at") {
        return Err(format!("a panic: {said}"));
    }
    let left = files_under(&temporary);
    if !left.is_empty() {
        return Err(format!("left in the folder for temporary files: {left:?}"));
    }
    if std::fs::read(&file).unwrap() != bytes {
        return Err("the source is not what it was".to_owned());
    }
    if status.success() {
        return whole(&out);
    }
    if out.exists() {
        return Err(format!("left behind: {:?}", files_under(&out)));
    }
    let told = said.strip_prefix("lectern: ").and_then(|told| told.split_once(": "));
    let Some((code, sentence)) = told else { return Err(format!("no code: {said}")) };
    // A decoder that breaks down takes its child with it and nothing else; whose fault that is nobody can know.
    let crashed = code == "internal" && said.contains("media child ended with signal");
    if !REASONS.contains(&code) && !crashed {
        return Err(format!("another reason: {said}"));
    }
    if sentence.len() < 30 || !sentence.contains(". ") {
        return Err(format!("no sentence: {said}"));
    }
    Ok(if crashed { "a decoder crashed".to_owned() } else { code.to_owned() })
}

/// A package and nothing else.
fn whole(out: &Path) -> Result<String, String> {
    let files = files_under(out);
    let strange: Vec<&String> = files.iter().filter(|name| name.starts_with('.')).collect();
    if !strange.is_empty() || !files.iter().any(|name| name == "multivariant.m3u8") {
        return Err(format!("no package: {files:?}"));
    }
    Ok("plays".to_owned())
}

/// Runs it to its end, if that comes in time: how it ended and what it said.
fn run(command: &mut Command) -> Result<(ExitStatus, String), String> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let listening = std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = stderr.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("not over after {} s", LIMIT.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Ok((status, listening.join().unwrap()))
}

#[test]
fn the_same_seed_breaks_the_same() {
    let whole: Vec<(&'static str, Vec<u8>)> = vec![("a.mp4", vec![7; 5_000]), ("b.ts", vec![9; 3_000])];
    let of = |seed| mutant(&whole, &mut StdRng::seed_from_u64(seed));
    assert!((0..50).all(|seed| of(seed) == of(seed)));
    assert!((0..50).any(|seed| of(seed) != of(seed + 1)));
    assert!((0..50).all(|seed| whole.iter().all(|(_, bytes)| of(seed).1 != *bytes)));
}
