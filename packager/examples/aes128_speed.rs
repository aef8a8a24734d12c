//! Prints how fast segments are encrypted here next to `openssl speed`, and the ratio. Run it in release:
//! `cargo run --release -p lectern-packager --example aes128_speed`.

use std::{error::Error, hint::black_box, process::Command, time::Instant};

use lectern_domain::keys::ContentKey;
use lectern_packager::aes128;

const SEGMENT_BYTES: usize = 1 << 20;
const ROUNDS: u32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    println!("round  lectern MB/s  openssl MB/s  ratio");
    for round in 1..=ROUNDS {
        let (ours, theirs) = (encrypt_mb_per_s(), openssl_mb_per_s()?);
        println!("{round:>5}  {ours:>12.0}  {theirs:>12.0}  {:>5.2}", ours / theirs);
    }
    Ok(())
}

/// Million bytes a second over one second of 1 MiB segments, with the IV derived each time as in a package.
fn encrypt_mb_per_s() -> f64 {
    let key = ContentKey::from_bytes([7; 16]);
    let mut segment = Vec::with_capacity(SEGMENT_BYTES + aes128::BLOCK_BYTES);
    segment.resize(SEGMENT_BYTES, 1);
    let (start, mut done) = (Instant::now(), 0u32);
    while start.elapsed().as_secs_f64() < 1.0 {
        segment.truncate(SEGMENT_BYTES);
        let iv = aes128::segment_iv(&key, "720p", done);
        aes128::encrypt_in_place(&key, &iv, black_box(&mut segment));
        done += 1;
    }
    f64::from(done) * SEGMENT_BYTES as f64 / start.elapsed().as_secs_f64() / 1e6
}

fn openssl_mb_per_s() -> Result<f64, Box<dyn Error>> {
    let bytes = SEGMENT_BYTES.to_string();
    let run = Command::new("openssl")
        .args(["speed", "-elapsed", "-evp", "aes-128-cbc", "-bytes", &bytes, "-seconds", "1"])
        .output()?;
    let text = String::from_utf8(run.stdout)?;
    let rate = text.split_whitespace().last().ok_or("openssl speed printed nothing")?;
    Ok(rate.trim_end_matches('k').parse::<f64>()? / 1e3)
}
