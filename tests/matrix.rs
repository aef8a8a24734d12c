//! Any source: about a hundred kinds of file, each encoded by `lectern encode`, decoded by ffmpeg and held against what a
//! player must see and hear. To add a kind of file: a line in one of the tables in `matrix/`.

#[path = "matrix/broken.rs"]
mod broken;
#[path = "matrix/formats.rs"]
mod formats;
mod harness;
#[path = "matrix/look.rs"]
mod look;
#[path = "matrix/picture.rs"]
mod picture;
#[path = "matrix/sound.rs"]
mod sound;
#[path = "matrix/source.rs"]
mod source;
#[path = "matrix/timing.rs"]
mod timing;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use source::Source;

#[test]
fn frames_come_at_their_times_and_sound_with_them() {
    all_are_as_expected(&timing::lines());
}

#[test]
fn pictures_are_upright_square_and_of_the_right_colour() {
    all_are_as_expected(&picture::lines());
}

#[test]
fn sound_of_every_rate_and_layout_is_heard() {
    all_are_as_expected(&sound::lines());
}

#[test]
fn codecs_and_containers_are_known() {
    all_are_as_expected(&formats::lines());
}

#[test]
fn damage_is_concealed_or_refused() {
    all_are_as_expected(&broken::lines());
}

#[test]
fn there_are_many_and_no_two_have_one_name() {
    let tables = [timing::lines(), picture::lines(), sound::lines(), formats::lines(), broken::lines()];
    let lines: Vec<Source> = tables.into_iter().flatten().collect();
    let names: std::collections::BTreeSet<&str> = lines.iter().map(|line| line.name).collect();
    assert!(names.len() >= 60, "{} files", names.len());
    assert_eq!(names.len(), lines.len());
}

/// Goes through the lines, as many at a time as there are cores, and says everything that is wrong with any.
fn all_are_as_expected(lines: &[Source]) {
    let folder = tempfile::tempdir().unwrap();
    // For work on a few: a part of their names.
    let wanted = std::env::var("LECTERN_MATRIX").unwrap_or_default();
    let lines: Vec<&Source> = lines.iter().filter(|line| line.name.contains(&wanted)).collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = std::time::Instant::now();
            let checked = catch_unwind(AssertUnwindSafe(|| look::check(line, folder.path())));
            let checked = checked.unwrap_or_else(|panic| Err(reason(&*panic)));
            println!("{}: {checked:?} in {:.1} s", line.name, began.elapsed().as_secs_f64());
            if let Err(reason) = checked {
                wrong.lock().unwrap().push(format!("{}: {reason}", line.name));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
