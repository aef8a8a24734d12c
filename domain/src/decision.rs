//! The playback decision: from facts to a grant or a refusal with a reason. Pure; the license server gathers the facts.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, account::Role, course::PublishedStatus, ids::UserId};

/// Why a key or a session was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No token came.
    TokenMissing,
    /// Malformed, wrong signature, or for another audience.
    TokenInvalid,
    /// Past its time.
    TokenExpired,
    /// The token does not cover this KID.
    WrongKey,
    /// The session was ended or never existed.
    SessionEnded,
    /// The account was disabled.
    UserDisabled,
    /// Never enrolled.
    NotEnrolled,
    /// Was enrolled and left, or the entitlement ran out.
    EntitlementEnded,
    /// The entitlement begins later.
    EntitlementNotStarted,
    /// The course or lesson is not published, or the lesson not released yet.
    NotPublished,
    /// The asset cannot be played (not ready, failed, deleted).
    AssetNotPlayable,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::WrongKey,
        Self::SessionEnded,
        Self::UserDisabled,
        Self::NotEnrolled,
        Self::EntitlementEnded,
        Self::EntitlementNotStarted,
        Self::NotPublished,
        Self::AssetNotPlayable,
    ];

    /// The code in audit rows, problem documents and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenMissing => "token_missing",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::WrongKey => "wrong_key",
            Self::SessionEnded => "session_ended",
            Self::UserDisabled => "user_disabled",
            Self::NotEnrolled => "not_enrolled",
            Self::EntitlementEnded => "entitlement_ended",
            Self::EntitlementNotStarted => "entitlement_not_started",
            Self::NotPublished => "not_published",
            Self::AssetNotPlayable => "asset_not_playable",
        }
    }

    /// A sentence for the learner.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::TokenMissing | Self::TokenInvalid => {
                "This player is not signed in to the lesson. Reload the page."
            }
            Self::TokenExpired => "Your viewing session has expired. Press play again.",
            Self::WrongKey => "This session is for another lesson. Reload the page.",
            Self::SessionEnded => "This viewing session has ended. Press play again.",
            Self::UserDisabled => "Your account has been disabled. Ask your school.",
            Self::NotEnrolled => "You are not enrolled in this course. Enroll to watch.",
            Self::EntitlementEnded => {
                "You are no longer enrolled in this course. Enroll again to go on watching."
            }
            Self::EntitlementNotStarted => "Your access to this course has not begun yet.",
            Self::NotPublished => "This lesson is not published.",
            Self::AssetNotPlayable => "This lesson cannot be played yet.",
        }
    }
}

/// A learner's right to play a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entitlement {
    /// Inclusive.
    pub starts_at: Timestamp,
    /// Exclusive; absent for no end.
    pub ends_at: Option<Timestamp>,
}

impl Entitlement {
    /// Of several (one per source that writes them), the one that counts now: one in force before any that is not, and
    /// among equals the one that lasts longest.
    pub fn best(held: impl IntoIterator<Item = Self>, now: Timestamp) -> Option<Self> {
        held.into_iter().max_by_key(|one| {
            let in_force = one.starts_at <= now && one.ends_at.is_none_or(|end| end > now);
            (in_force, one.ends_at.is_none(), one.ends_at)
        })
    }
}

/// What is true at the moment of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Who asks.
    pub user: UserId,
    /// Their role.
    pub role: Role,
    /// Whether the account is disabled.
    pub user_disabled: bool,
    /// Who teaches the course.
    pub course_owner: UserId,
    /// The course's state.
    pub course_status: PublishedStatus,
    /// The lesson's state.
    pub lesson_status: PublishedStatus,
    /// When learners may see the lesson; absent: as soon as it is published.
    pub lesson_release_at: Option<Timestamp>,
    /// Whether the asset can be played.
    pub asset_playable: bool,
    /// Their entitlement: the [`Entitlement::best`] of those they hold.
    pub entitlement: Option<Entitlement>,
}

/// Whether this user may play this lesson now. The caller has already checked token and session.
///
/// Whoever teaches the course, and an admin, plays it without entitlement and unpublished.
pub fn may_play(facts: &Facts, now: Timestamp) -> Result<(), Refusal> {
    if facts.user_disabled {
        return Err(Refusal::UserDisabled);
    }
    let teaches = facts.user == facts.course_owner || facts.role == Role::Admin;
    if !teaches {
        match facts.entitlement {
            None => return Err(Refusal::NotEnrolled),
            Some(held) if held.ends_at.is_some_and(|end| end <= now) => {
                return Err(Refusal::EntitlementEnded);
            }
            Some(held) if held.starts_at > now => return Err(Refusal::EntitlementNotStarted),
            Some(_) => {}
        }
        let published = facts.course_status == PublishedStatus::Published
            && facts.lesson_status == PublishedStatus::Published
            && facts.lesson_release_at.is_none_or(|at| at <= now);
        if !published {
            return Err(Refusal::NotPublished);
        }
    }
    if facts.asset_playable { Ok(()) } else { Err(Refusal::AssetNotPlayable) }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId::generate(Timestamp::UNIX_EPOCH, &[n; 10])
    }

    #[test]
    fn the_best_entitlement_is_one_in_force_then_the_one_that_lasts_longest() {
        let now = Timestamp::UNIX_EPOCH + Duration::days(1000);
        let (hour, day) = (Duration::hours(1), Duration::days(1));
        let held = |starts_at, ends_at| Entitlement { starts_at, ends_at };
        let past = held(now - day, Some(now));
        let short = held(now - day, Some(now + hour));
        let long = held(now, Some(now + day));
        let endless = held(now - hour, None);
        let later = held(now + hour, None);
        let table: &[(&[Entitlement], Option<Entitlement>)] = &[
            (&[], None),
            (&[past], Some(past)),
            (&[past, short], Some(short)),
            (&[long, short], Some(long)),
            (&[endless, long], Some(endless)),
            // One that lasts for ever but has not begun does not hide one in force.
            (&[later, short], Some(short)),
            (&[later, past], Some(later)),
        ];
        for (list, expected) in table {
            assert_eq!(Entitlement::best(list.iter().copied(), now), *expected, "{list:?}");
            assert_eq!(Entitlement::best(list.iter().rev().copied(), now), *expected, "{list:?} reversed");
        }
    }

    #[test]
    fn a_lesson_is_for_its_teacher_alone_until_it_is_released() {
        let now = Timestamp::UNIX_EPOCH + Duration::days(1000);
        let facts = |asker: u8, release_at| Facts {
            user: user(asker),
            role: Role::Student,
            user_disabled: false,
            course_owner: user(1),
            course_status: PublishedStatus::Published,
            lesson_status: PublishedStatus::Published,
            lesson_release_at: release_at,
            asset_playable: true,
            entitlement: Some(Entitlement { starts_at: now, ends_at: None }),
        };
        let second = Duration::SECOND;
        assert_eq!(may_play(&facts(2, Some(now + second)), now), Err(Refusal::NotPublished));
        assert_eq!(may_play(&facts(1, Some(now + second)), now), Ok(()));
        for release_at in [None, Some(now), Some(now - second)] {
            assert_eq!(may_play(&facts(2, release_at), now), Ok(()));
        }
    }

    /// Every combination of the facts against the rule said in another way.
    #[test]
    fn every_combination() {
        let now = Timestamp::UNIX_EPOCH + Duration::days(1000);
        let hour = Duration::hours(1);
        let entitlements = [
            None,
            Some((Entitlement { starts_at: now - hour, ends_at: None }, None)),
            Some((Entitlement { starts_at: now, ends_at: Some(now + hour) }, None)),
            Some((
                Entitlement { starts_at: now - hour, ends_at: Some(now) },
                Some(Refusal::EntitlementEnded),
            )),
            Some((
                Entitlement { starts_at: now + hour, ends_at: None },
                Some(Refusal::EntitlementNotStarted),
            )),
        ];
        let statuses = [PublishedStatus::Draft, PublishedStatus::Published];
        let mut granted = 0;
        for role in [Role::Student, Role::Instructor, Role::Admin] {
            for owner in [user(1), user(2)] {
                for disabled in [false, true] {
                    for course in statuses {
                        for lesson in statuses {
                            for playable in [false, true] {
                                for held in entitlements {
                                    let facts = Facts {
                                        user: user(1),
                                        role,
                                        user_disabled: disabled,
                                        course_owner: owner,
                                        course_status: course,
                                        lesson_status: lesson,
                                        lesson_release_at: None,
                                        asset_playable: playable,
                                        entitlement: held.map(|pair| pair.0),
                                    };
                                    let staff = role == Role::Admin || owner == user(1);
                                    let held_refusal = held.map_or(Some(Refusal::NotEnrolled), |pair| pair.1);
                                    let open = course == PublishedStatus::Published && course == lesson;
                                    let expected = [
                                        (disabled, Refusal::UserDisabled),
                                        (
                                            !staff && held_refusal.is_some(),
                                            held_refusal.unwrap_or(Refusal::NotEnrolled),
                                        ),
                                        (!staff && !open, Refusal::NotPublished),
                                        (!playable, Refusal::AssetNotPlayable),
                                    ]
                                    .into_iter()
                                    .find(|(applies, _)| *applies)
                                    .map_or(Ok(()), |(_, refusal)| Err(refusal));
                                    assert_eq!(may_play(&facts, now), expected, "{facts:?}");
                                    granted += usize::from(expected.is_ok());
                                }
                            }
                        }
                    }
                }
            }
        }
        // Staff: (1 admin x 2 owners + 2 own) x 4 publications x 5 entitlements = 80; learners: 2 roles x 2 valid.
        assert_eq!(granted, 84);
    }
}
