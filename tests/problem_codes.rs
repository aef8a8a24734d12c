//! `docs/api.md` lists every `code` of a problem document that the source can make, with its statuses, and no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use lectern_domain::decision::Refusal;
use reqwest::StatusCode;

type Codes = BTreeMap<String, BTreeSet<u16>>;

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `PAYLOAD_TOO_LARGE` to 413.
fn status(name: &str) -> Option<u16> {
    let spelled = |status: StatusCode| {
        let reason = status.canonical_reason()?.to_uppercase();
        Some(reason.replace([' ', '-'], "_"))
    };
    (400..600).find(|code| StatusCode::from_u16(*code).ok().and_then(spelled).as_deref() == Some(name))
}

/// The first two arguments of a call whose text begins after its parenthesis.
fn status_and_code(call: &str) -> Option<(u16, String)> {
    let (first, rest) = call.split_once(',')?;
    let status = status(first.trim().strip_prefix("StatusCode::")?)?;
    let code = rest.trim_start().strip_prefix('"')?.split('"').next()?;
    Some((status, code.to_owned()))
}

fn in_source() -> Codes {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in [
        "src",
        "platform/src",
        "ingest/src",
        "transcoder/src",
        "packager/src",
        "license-server/src",
        "api/src",
    ] {
        rust_files(&root.join(folder), &mut files);
    }
    let mut codes = Codes::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        // The constructors of `Problem` itself are in this file.
        let own = file.ends_with("platform/src/http.rs");
        for (at, made) in text.match_indices("::new(") {
            let of = text[..at].rsplit(|c: char| !c.is_alphanumeric()).next().unwrap();
            if !(of == "Problem" || own && of == "Self") {
                continue;
            }
            let call = &text[at + made.len()..];
            // The playback decision's refusals are added below.
            if call.starts_with("status, refusal.as_str(),") {
                continue;
            }
            let (status, code) = status_and_code(call).unwrap_or_else(|| {
                let line = text[..at].lines().count();
                panic!("{}:{line}: expected Problem::new(StatusCode::NAME, \"code\", …)", file.display())
            });
            codes.entry(code).or_default().insert(status);
        }
    }
    for refusal in Refusal::ALL {
        let code = refusal.as_str();
        let status = if code.starts_with("token_") { 401 } else { 403 };
        codes.entry(code.to_owned()).or_default().insert(status);
    }
    codes
}

fn in_guide() -> Codes {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).unwrap();
    let table = guide.split("| code | status | when |").nth(1).expect("the table of codes");
    let rows = table.trim_start().lines().skip(1).take_while(|line| line.starts_with('|'));
    let mut codes = Codes::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        let statuses: BTreeSet<u16> =
            cells[2].split(',').map(|status| status.trim().parse().expect("a status")).collect();
        for code in cells[1].split(',') {
            let code = code.trim().trim_matches('`').to_owned();
            assert!(codes.insert(code, statuses.clone()).is_none(), "twice: {row}");
        }
    }
    codes
}

#[test]
fn the_guide_lists_every_code_of_the_source_and_no_other() {
    let (source, guide) = (in_source(), in_guide());
    assert!(source.len() > 30, "the source was read: {source:?}");
    let missing: Vec<_> =
        source.iter().filter(|(code, statuses)| guide.get(*code) != Some(statuses)).collect();
    let extra: Vec<_> = guide.keys().filter(|code| !source.contains_key(*code)).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "docs/api.md lacks, or has with other statuses: {missing:?}; no source makes: {extra:?}"
    );
}
