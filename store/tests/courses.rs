//! Courses and lessons: guarded changes, and what one transaction holds against another.

use lectern_domain::{
    Timestamp,
    account::Role,
    course::{LessonType, PublishedStatus},
    ids::{CourseId, LessonId, UserId},
};
use lectern_store::{
    Db,
    accounts::{self, User},
    courses::{self, Change, NewCourse, Price},
    lessons::{self, NewLesson},
    testing::on_both_engines,
};

fn now() -> Timestamp {
    Timestamp::from_unix_timestamp(1_800_000_000).unwrap()
}

async fn course(db: &Db) -> CourseId {
    let owner = UserId::generate(now(), &[1; 10]);
    let (email, name) = ("owner@example.org".to_owned(), "Owner".to_owned());
    let user = User { id: owner, email, name, role: Role::Instructor, created_at: now(), disabled_at: None };
    accounts::insert(db, &user, "hash").await.unwrap();
    let id = CourseId::generate(now(), &[1; 10]);
    let new = NewCourse {
        id,
        owner,
        title: "Title".into(),
        description: "Description".into(),
        price: Price { amount_minor: i64::MAX, currency: "EUR".into() },
        published_status: PublishedStatus::Draft,
    };
    courses::insert(db, new, now()).await.unwrap();
    id
}

#[tokio::test]
async fn a_change_touches_what_it_names_and_only_the_version_it_expects() {
    on_both_engines(|db| async move {
        let id = course(&db).await;
        let before = courses::get(&db, None, id).await.unwrap().unwrap();
        assert_eq!((before.version, before.owner_name.as_str()), (1, "Owner"));
        let change = |title: &str| Change { title: Some(title.into()), ..Change::default() };
        assert!(!courses::update(&db, id, change("no"), Some(2), now()).await.unwrap());
        assert!(courses::update(&db, id, change("one"), Some(1), now()).await.unwrap());
        assert!(!courses::update(&db, id, change("no"), Some(1), now()).await.unwrap());
        assert!(courses::update(&db, id, change("two"), None, now()).await.unwrap());
        let price = Price { amount_minor: 0, currency: "USD".into() };
        let change = Change {
            description: Some(String::new()),
            price: Some(price.clone()),
            published_status: Some(PublishedStatus::Published),
            ..Change::default()
        };
        assert!(courses::update(&db, id, change.clone(), Some(3), now()).await.unwrap());
        let after = courses::get(&db, None, id).await.unwrap().unwrap();
        assert_eq!((after.title.as_str(), after.description.as_str(), after.version), ("two", "", 4));
        assert_eq!((after.price, after.published_status), (price, PublishedStatus::Published));
        let missing = CourseId::generate(now(), &[9; 10]);
        assert!(!courses::update(&db, missing, change, None, now()).await.unwrap());
        assert_eq!(courses::get(&db, None, missing).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn no_lesson_is_added_to_a_course_that_is_being_deleted() {
    on_both_engines(|db| async move {
        let id = course(&db).await;
        let mut deleting = db.begin().await.unwrap();
        assert!(courses::lock(&mut deleting, id).await.unwrap());
        let adding = tokio::spawn({
            let db = db.clone();
            async move {
                let mut adding = db.begin().await.unwrap();
                courses::lock(&mut adding, id).await.unwrap()
            }
        });
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(!adding.is_finished());
        assert!(courses::delete(&mut deleting, id).await.unwrap());
        assert!(!courses::delete(&mut deleting, id).await.unwrap());
        deleting.commit().await.unwrap();
        assert!(!adding.await.unwrap(), "the course is gone");
    })
    .await;
}

#[tokio::test]
async fn lessons_go_to_the_end_unless_told_and_away_with_their_course() {
    on_both_engines(|db| async move {
        let course = course(&db).await;
        let mut tx = db.begin().await.unwrap();
        for (n, order_index) in [(1, None), (2, Some(10)), (3, None), (4, Some(0)), (5, None)] {
            let new = NewLesson {
                id: LessonId::generate(now(), &[n; 10]),
                course,
                title: n.to_string(),
                kind: LessonType::Text,
                order_index,
                published_status: if n == 3 { PublishedStatus::Draft } else { PublishedStatus::Published },
                body: String::new(),
                release_at: None,
            };
            lessons::insert(&mut tx, new, now()).await.unwrap();
        }
        assert_eq!(lessons::count(&mut tx, course).await.unwrap(), 5);
        assert_eq!(lessons::of_course(&mut tx, course).await.unwrap().len(), 5);
        tx.commit().await.unwrap();
        let order = async |drafts_too| -> Vec<(String, i64)> {
            let found = lessons::list(&db, None, course, drafts_too, now()).await.unwrap();
            found.into_iter().map(|lesson| (lesson.title, lesson.order_index)).collect()
        };
        let all =
            [("1", 0), ("4", 0), ("2", 10), ("3", 11), ("5", 12)].map(|(title, at)| (title.to_owned(), at));
        assert_eq!(order(true).await, all);
        assert_eq!(order(false).await.len(), 4);
        let found = courses::get(&db, None, course).await.unwrap().unwrap();
        assert_eq!((found.lessons_total, found.lessons_published), (5, 4));
        let mut tx = db.begin().await.unwrap();
        assert!(courses::delete(&mut tx, course).await.unwrap());
        tx.commit().await.unwrap();
        assert!(order(true).await.is_empty());
    })
    .await;
}
