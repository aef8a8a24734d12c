//! Enrollments write entitlements: what the playback decision reads follows at once.

use lectern_domain::{
    Timestamp,
    account::Role,
    course::{LessonType, PublishedStatus},
    decision::{Refusal, may_play},
    ids::{CourseId, LessonId, UserId},
};
use lectern_store::{
    Db,
    accounts::{self, User},
    courses::{self, NewCourse, Price},
    enrollments,
    lessons::{self, NewLesson},
    playback,
    testing::on_both_engines,
};
use time::Duration;

fn start() -> Timestamp {
    Timestamp::from_unix_timestamp(1_800_000_000).unwrap()
}

async fn person(db: &Db, n: u8) -> UserId {
    let id = UserId::generate(start(), &[n; 10]);
    let (email, name) = (format!("user-{n}@example.org"), "Somebody".to_owned());
    let user = User { id, email, name, role: Role::Student, created_at: start(), disabled_at: None };
    accounts::insert(db, &user, "hash").await.unwrap();
    id
}

async fn lesson(db: &Db, owner: UserId) -> (CourseId, LessonId) {
    let course = CourseId::generate(start(), &[1; 10]);
    let new = NewCourse {
        id: course,
        owner,
        title: "Course".into(),
        description: String::new(),
        price: Price { amount_minor: 0, currency: "EUR".into() },
        published_status: PublishedStatus::Published,
    };
    courses::insert(db, new, start()).await.unwrap();
    let id = LessonId::generate(start(), &[1; 10]);
    let new = NewLesson {
        id,
        course,
        title: "Lesson".into(),
        kind: LessonType::Video,
        order_index: None,
        published_status: PublishedStatus::Published,
        body: String::new(),
        release_at: None,
    };
    let mut tx = db.begin().await.unwrap();
    lessons::insert(&mut tx, new, start()).await.unwrap();
    tx.commit().await.unwrap();
    (course, id)
}

/// What the license server would say, had the lesson something to play.
async fn refusal(db: &Db, lesson: LessonId, user: UserId, now: Timestamp) -> Option<Refusal> {
    let found = playback::lesson_facts(db, lesson, user, now).await.unwrap().unwrap();
    let facts = lectern_domain::decision::Facts { asset_playable: true, ..found.facts };
    may_play(&facts, now).err()
}

async fn enroll(db: &Db, course: CourseId, user: UserId, now: Timestamp) -> bool {
    let mut tx = db.begin().await.unwrap();
    let begun = enrollments::enroll(&mut tx, course, user, now).await.unwrap();
    tx.commit().await.unwrap();
    begun
}

async fn leave(db: &Db, course: CourseId, user: UserId, now: Timestamp) -> bool {
    let mut tx = db.begin().await.unwrap();
    let ended = enrollments::leave(&mut tx, course, user, now).await.unwrap();
    tx.commit().await.unwrap();
    ended
}

#[tokio::test]
async fn the_right_to_play_begins_ends_and_begins_again_with_the_enrollment() {
    on_both_engines(|db| async move {
        let (owner, learner, other) = (person(&db, 1).await, person(&db, 2).await, person(&db, 3).await);
        let (course, lesson) = lesson(&db, owner).await;
        let at = |seconds| start() + Duration::seconds(seconds);
        assert_eq!(refusal(&db, lesson, learner, at(0)).await, Some(Refusal::NotEnrolled));
        assert!(!leave(&db, course, learner, at(0)).await);

        assert!(enroll(&db, course, learner, at(10)).await);
        assert_eq!(refusal(&db, lesson, learner, at(10)).await, None, "from that moment");
        assert_eq!(refusal(&db, lesson, other, at(10)).await, Some(Refusal::NotEnrolled));
        assert!(!enroll(&db, course, learner, at(20)).await);

        assert!(leave(&db, course, learner, at(30)).await);
        assert_eq!(refusal(&db, lesson, learner, at(30)).await, Some(Refusal::EntitlementEnded), "at once");
        assert!(!leave(&db, course, learner, at(40)).await);

        assert!(enroll(&db, course, learner, at(50)).await);
        assert_eq!(refusal(&db, lesson, learner, at(50)).await, None);
        let mut tx = db.begin().await.unwrap();
        let found = enrollments::get(&mut tx, course, learner).await.unwrap().unwrap();
        assert_eq!((found.enrolled_at, found.left_at), (at(50), None));
    })
    .await;
}

#[tokio::test]
async fn an_enrollment_rolled_back_entitles_to_nothing() {
    on_both_engines(|db| async move {
        let (owner, learner) = (person(&db, 1).await, person(&db, 2).await);
        let (course, lesson) = lesson(&db, owner).await;
        let mut tx = db.begin().await.unwrap();
        assert!(enrollments::enroll(&mut tx, course, learner, start()).await.unwrap());
        drop(tx);
        assert_eq!(refusal(&db, lesson, learner, start()).await, Some(Refusal::NotEnrolled));
        assert!(enroll(&db, course, learner, start()).await);
    })
    .await;
}

#[tokio::test]
async fn progress_goes_with_its_lesson_and_completed_stays_until_it_is_taken_back() {
    on_both_engines(|db| async move {
        let (owner, learner) = (person(&db, 1).await, person(&db, 2).await);
        let (course, lesson) = lesson(&db, owner).await;
        assert_eq!(enrollments::get_progress(&db, learner, lesson).await.unwrap(), None);
        for (position_ms, completed, expected) in [
            (5, None, false),
            (9, Some(true), true),
            (1, None, true),
            (2, Some(false), false),
            (3, None, false),
        ] {
            enrollments::put_progress(&db, learner, lesson, position_ms, completed, start()).await.unwrap();
            let found = enrollments::get_progress(&db, learner, lesson).await.unwrap().unwrap();
            assert_eq!((found.position_ms, found.completed, found.course), (position_ms, expected, course));
        }
        assert_eq!(enrollments::list_progress(&db, learner).await.unwrap().len(), 1);
        let mut tx = db.begin().await.unwrap();
        assert!(lessons::delete(&mut tx, lesson).await.unwrap());
        assert!(!lessons::delete(&mut tx, lesson).await.unwrap());
        tx.commit().await.unwrap();
        assert!(enrollments::list_progress(&db, learner).await.unwrap().is_empty());
    })
    .await;
}
