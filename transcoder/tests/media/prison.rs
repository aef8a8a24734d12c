//! A decoder that is taken over tries everything it should not be able to do, in the real child's place: a plugin
//! (`prisoner.c`) that the child loads after it has locked itself in.

use std::{
    collections::BTreeSet,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use lectern_domain::plan::{PlanSettings, plan};
use lectern_transcoder::child::{ChildError, Launch, Limits, Request, run};
use tokio_util::sync::CancellationToken;

use crate::{
    child::{block_on, probe},
    fixtures::plain,
};

/// What media work needs.
const WORKS: [&str; 6] =
    ["write into its folder", "read it back", "remove it", "start a thread", "take 64 MiB", "signal itself"];
/// What the child may find in its environment; the last three are the shell's.
const VARIABLES: [&str; 10] = [
    "GST_DEBUG",
    "GST_PLUGIN_PATH",
    "GST_PLUGIN_SYSTEM_PATH_1_0",
    "GST_PLUGIN_SCANNER",
    "GST_REGISTRY",
    "LD_LIBRARY_PATH",
    "MALLOC_ARENA_MAX",
    "PATH",
    "PWD",
    "OLDPWD",
];

/// Compiles the plugin into a folder.
fn compile(into: &Path) {
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/prisoner.c");
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "gstreamer-1.0"]).output().unwrap();
    let flags = String::from_utf8(flags.stdout).unwrap();
    let status = Command::new("clang")
        .args(["-shared", "-fPIC", "-pthread", "-o"])
        .arg(into.join("libprisoner.so"))
        .arg(code)
        .args(flags.split_whitespace())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_taken_over_decoder_gets_nowhere() {
    let all = tempfile::tempdir().unwrap();
    let [folder, outside, plugins] = ["made", "outside", "plugins"].map(|name| {
        let path = all.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    });
    compile(&plugins);
    let key = outside.join("master.key");
    std::fs::write(&key, "the master key").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&key, folder.join("link")).unwrap();
    symlink(&outside, folder.join("way")).unwrap();
    let source = all.path().join("source");
    let words = format!("LECTERN PRISONER\n{}\n{}\n", folder.display(), outside.display());
    std::fs::write(&source, &words).unwrap();
    // The child as it is started, except that it finds one more plugin.
    let program = all.path().join("child");
    let child = env!("CARGO_BIN_EXE_lectern-media-child");
    let script = format!("#!/bin/sh\nGST_PLUGIN_PATH={} exec {child} \"$@\"\n", plugins.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let limits = Limits { memory_bytes: 1 << 30, ..Limits::transcode() };
    let launch = Launch { program, cache: all.path().join("cache"), limits };

    let info = probe(&plain()).unwrap();
    let video = plan(&info, &PlanSettings::default()).unwrap().video.unwrap();
    let span = video.spans[0];
    let request = Request::Span { source: source.clone(), info, plan: video, span, folder: folder.clone() };
    let error = block_on(run(&launch, &request, |_| {}, &CancellationToken::new())).unwrap_err();
    let ChildError::Failed { detail, .. } = &error else { panic!("{error}") };

    let said: Vec<&str> = detail.split(';').filter(|part| !part.is_empty()).collect();
    let (variables, tried): (Vec<&str>, Vec<&str>) =
        said.into_iter().partition(|part| part.starts_with("variable "));
    assert!(tried.len() > 90, "{detail}");
    let worked: Vec<&str> = tried.iter().filter_map(|part| part.strip_suffix(": works")).collect();
    assert_eq!(worked, WORKS);
    let names: BTreeSet<&str> = variables.iter().map(|part| &part["variable ".len()..]).collect();
    let strange: Vec<&&str> = names.iter().filter(|name| !VARIABLES.contains(name)).collect();
    assert!(names.contains("GST_PLUGIN_PATH") && strange.is_empty(), "{strange:?}");

    // Nothing has changed that is not the child's own.
    assert_eq!(std::fs::read_to_string(&source).unwrap(), words);
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "the master key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let left = |path: &Path| {
        let entries = std::fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
    };
    assert_eq!(left(&outside), ["master.key".to_owned()].into());
    assert_eq!(left(&folder), ["link", "mine", "way"].map(str::to_owned).into());
}
