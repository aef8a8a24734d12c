//! The media child by itself, for this crate's tests. The product runs `lectern media-child`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lectern_transcoder::child::main()
}
