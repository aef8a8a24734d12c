//! `/assets/{asset_id}/chapters`: the chapters that were found in the picture, as the instructor names and changes them.

use axum::{Json, extract::State, http::StatusCode};
use lectern_domain::{ids::AssetId, stills::Sheet};
use lectern_platform::http::{Caller, Problem};
use lectern_store::chapters::{self, Chapter};
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    assets::{owned, visible_package},
    extract::{Body, PathId},
    input,
};

/// Chapters that an asset may have.
const MOST: usize = 200;

/// Where a picture is on the sheet of chapters, pixels.
#[derive(Debug, Serialize)]
struct Still {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

#[derive(Debug, Serialize)]
struct ChapterView {
    start_ms: u64,
    title: String,
    still: Option<Still>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChapterList {
    items: Vec<ChapterView>,
    sheet: Option<SheetSize>,
}

/// Size of the picture that the stills are parts of, pixels.
#[derive(Debug, Serialize)]
struct SheetSize {
    width: u32,
    height: u32,
}

impl ChapterList {
    fn new(chapters: Vec<Chapter>, sheet: Option<&Sheet>) -> Self {
        let still = |tile: Option<u32>| {
            let (sheet, tile) = sheet.zip(tile)?;
            let (x, y) = sheet.place(tile);
            (tile < sheet.count).then_some(Still { x, y, width: sheet.width, height: sheet.height })
        };
        let view = |chapter: Chapter| ChapterView {
            still: still(chapter.tile),
            start_ms: chapter.start_ms,
            title: chapter.title,
        };
        let size = |sheet: &Sheet| {
            let (width, height) = sheet.size();
            SheetSize { width, height }
        };
        Self { items: chapters.into_iter().map(view).collect(), sheet: sheet.map(size) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChapterInput {
    start_ms: u64,
    #[serde(default)]
    title: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chapters {
    items: Vec<ChapterInput>,
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(asset): PathId<AssetId>,
) -> Result<Json<ChapterList>, Problem> {
    let Some(package) = visible_package(&state, caller, asset).await? else {
        return Ok(Json(ChapterList::new(Vec::new(), None)));
    };
    let stills = chapters::stills(&state.db, package).await?;
    let sheet = stills.and_then(|(_, stills)| stills.chapters);
    Ok(Json(ChapterList::new(chapters::list(&state.db, package).await?, sheet.as_ref())))
}

pub(crate) async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AssetId>,
    Body(given): Body<Chapters>,
) -> Result<Json<ChapterList>, Problem> {
    let asset = owned(&state, caller, id).await?;
    let not_yet = || {
        Problem::new(
            StatusCode::CONFLICT,
            "asset_not_ready",
            "chapters can be set once the asset can be played",
        )
    };
    let package = asset.package.ok_or_else(not_yet)?;
    let before = chapters::list(&state.db, package).await?;
    let chapters = checked(given.items, &before, asset.duration_ms.unwrap_or(0))?;
    let mut tx = state.db.begin().await?;
    if !chapters::replace(&mut tx, id, &chapters).await? {
        return Err(not_yet());
    }
    tx.commit().await?;
    state.news.changed(id);
    let stills = chapters::stills(&state.db, package).await?;
    let sheet = stills.and_then(|(_, stills)| stills.chapters);
    Ok(Json(ChapterList::new(chapters, sheet.as_ref())))
}

/// Chapters in order. Each keeps the still of the one that begins with it, or shows that of the one before, which is still on
/// the screen.
fn checked(given: Vec<ChapterInput>, before: &[Chapter], duration_ms: u64) -> Result<Vec<Chapter>, Problem> {
    if given.len() > MOST {
        return Err(Problem::invalid(format!(
            "items: expected at most {MOST} chapters, got {}",
            given.len()
        )));
    }
    let mut chapters = Vec::with_capacity(given.len());
    for (at, ChapterInput { start_ms, title }) in given.into_iter().enumerate() {
        let field = format!("items[{at}]");
        if start_ms >= duration_ms {
            return Err(Problem::invalid(format!(
                "{field}.start_ms: expected a time before the end at {duration_ms}, got {start_ms}"
            )));
        }
        let title = match title.trim() {
            "" => String::new(),
            title => input::line(&format!("{field}.title"), title)?,
        };
        let shown = before.iter().rev().find(|chapter| chapter.start_ms <= start_ms);
        chapters.push(Chapter { start_ms, title, tile: shown.and_then(|chapter| chapter.tile) });
    }
    chapters.sort_by_key(|chapter| chapter.start_ms);
    if let Some(pair) = chapters.windows(2).find(|pair| pair[0].start_ms == pair[1].start_ms) {
        let start_ms = pair[0].start_ms;
        return Err(Problem::invalid(format!(
            "items: expected one chapter at each time, got two at {start_ms}"
        )));
    }
    Ok(chapters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(start_ms: u64, title: &str) -> ChapterInput {
        ChapterInput { start_ms, title: title.into() }
    }

    fn chapter(start_ms: u64, title: &str, tile: Option<u32>) -> Chapter {
        Chapter { start_ms, title: title.into(), tile }
    }

    #[test]
    fn chapters_keep_their_stills() {
        let before = [chapter(0, "", Some(0)), chapter(10_000, "", Some(1)), chapter(20_000, "", Some(2))];
        let given = vec![input(20_000, " Lenses "), input(0, ""), input(15_000, "New")];
        assert_eq!(
            checked(given, &before, 30_000).unwrap(),
            [chapter(0, "", Some(0)), chapter(15_000, "New", Some(1)), chapter(20_000, "Lenses", Some(2))]
        );
        assert_eq!(checked(vec![input(5, "x")], &[], 10).unwrap(), [chapter(5, "x", None)]);
        assert_eq!(checked(Vec::new(), &before, 30_000).unwrap(), []);
    }

    #[test]
    fn chapters_that_are_refused() {
        for (given, part) in [
            (vec![input(30_000, "x")], "items[0].start_ms: expected a time before the end at 30000"),
            (vec![input(1, "x"), input(1, "y")], "got two at 1"),
            (vec![input(1, &"x".repeat(201))], "items[0].title: expected 1 to 200 characters"),
            (vec![input(1, "a\nb")], "items[0].title: expected one line"),
            ((0..201).map(|at| input(at, "")).collect(), "at most 200 chapters"),
        ] {
            let problem = checked(given, &[], 30_000).unwrap_err();
            assert!(problem.detail.contains(part), "{}", problem.detail);
        }
    }
}
