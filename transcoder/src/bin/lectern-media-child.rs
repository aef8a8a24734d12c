//! The media child by itself, for this crate's tests only; the product runs `lectern media-child`. With `attempt` it
//! locks itself in and then tries what a taken-over decoder would.

use std::{ffi::OsString, fs, path::Path, process::ExitCode};

use lectern_transcoder::child::{self, Limits};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match arguments.as_slice() {
        [_, verb, source, folder, secret, address] if verb == "attempt" => {
            attempt(source.as_ref(), folder.as_ref(), secret.as_ref(), &address.to_string_lossy())
        }
        _ => child::main(),
    }
}

fn attempt(source: &Path, folder: &Path, secret: &Path, address: &str) -> ExitCode {
    let limits = Limits { memory_bytes: 256 << 20, ..Limits::transcode().for_probe() };
    if let Err(error) = child::confine(source, folder, &limits) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let parent = std::os::unix::process::parent_id();
    let say = |what: &str, worked: bool| println!("{what}: {}", if worked { "works" } else { "denied" });
    say("read the source", fs::read(source).is_ok());
    say("write the source", fs::OpenOptions::new().write(true).open(source).is_ok());
    say("remove the source", fs::remove_file(source).is_ok());
    say("write into the folder", fs::write(folder.join("segment"), b"bytes").is_ok());
    say("start a thread", std::thread::Builder::new().spawn(|| {}).is_ok_and(|thread| thread.join().is_ok()));
    say("read a secret", fs::read(secret).is_ok());
    say("read /etc/passwd", fs::read("/etc/passwd").is_ok());
    say("read the parent's environment", fs::read(format!("/proc/{parent}/environ")).is_ok());
    say("write beside the folder", fs::write(secret.with_file_name("new"), b"bytes").is_ok());
    say("connect over TCP", std::net::TcpStream::connect(address).is_ok());
    say("bind UDP", std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
    say("open a Unix socket", std::os::unix::net::UnixDatagram::unbound().is_ok());
    say("run a program", std::process::Command::new("/bin/true").status().is_ok());
    let process = rustix::process::Pid::from_raw(parent as i32);
    say(
        "signal the parent",
        process.is_some_and(|process| rustix::process::test_kill_process(process).is_ok()),
    );
    let all = rustix::process::Rlimit { current: None, maximum: None };
    say("raise its own limits", rustix::process::setrlimit(rustix::process::Resource::Data, all).is_ok());
    say("allocate past the limit", Vec::<u8>::new().try_reserve_exact(512 << 20).is_ok());
    ExitCode::SUCCESS
}
