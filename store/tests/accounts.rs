//! Accounts and refresh tokens on both engines.

use lectern_domain::{
    Timestamp,
    account::Role,
    ids::{TokenFamilyId, UserId, uuid_v7},
};
use lectern_store::{
    Db,
    accounts::{self, RefreshToken, User},
    testing::on_both_engines,
};
use time::Duration;

fn start() -> Timestamp {
    Timestamp::from_unix_timestamp(1_800_000_000).unwrap()
}

fn user(n: u8, role: Role) -> User {
    User {
        id: UserId::generate(start(), &[n; 10]),
        email: format!("user-{n}@example.org"),
        name: format!("User {n} \u{1F600}"),
        role,
        created_at: start() + Duration::microseconds(1),
        disabled_at: None,
    }
}

fn token(n: u8, family: u8, owner: &User) -> RefreshToken {
    RefreshToken {
        id: uuid_v7(start(), &[n; 10]),
        family: TokenFamilyId::generate(start(), &[family; 10]),
        user: owner.id,
        hash: vec![n; 32],
        created_at: start(),
        expires_at: start() + Duration::days(1),
        used_at: None,
        revoked_at: None,
    }
}

async fn insert_tokens(db: &Db, tokens: &[RefreshToken]) {
    let mut tx = db.begin().await.unwrap();
    for token in tokens {
        accounts::insert_refresh_token(&mut tx, token.clone()).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn stored(db: &Db, hash: &[u8]) -> Option<RefreshToken> {
    let mut tx = db.begin().await.unwrap();
    accounts::refresh_token(&mut tx, hash).await.unwrap()
}

#[tokio::test]
async fn accounts_read_back_and_an_address_is_unique() {
    on_both_engines(|db| async move {
        for (n, role) in [(1, Role::Student), (2, Role::Instructor), (3, Role::Admin)] {
            let user = user(n, role);
            accounts::insert(&db, &user, "hash").await.unwrap();
            assert_eq!(accounts::get(&db, user.id).await.unwrap(), Some(user.clone()));
            let found = accounts::credentials(&db, &user.email).await.unwrap().unwrap();
            assert_eq!((&found.user, found.password_hash.as_str()), (&user, "hash"));
            assert!(!format!("{found:?}").contains("hash:"), "{found:?}");
        }
        let mut twin = user(4, Role::Student);
        twin.email = user(1, Role::Student).email;
        assert!(accounts::insert(&db, &twin, "hash").await.unwrap_err().is_unique_violation());
        assert_eq!(accounts::get(&db, twin.id).await.unwrap(), None);
        assert!(accounts::credentials(&db, "nobody@example.org").await.unwrap().is_none());

        let one = user(1, Role::Student).id;
        assert!(accounts::set_disabled(&db, one, Some(start())).await.unwrap());
        assert_eq!(accounts::get(&db, one).await.unwrap().unwrap().disabled_at, Some(start()));
        assert!(!accounts::set_disabled(&db, twin.id, None).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_not_after_its_end() {
    on_both_engines(|db| async move {
        let owner = user(1, Role::Student);
        accounts::insert(&db, &owner, "hash").await.unwrap();
        let tokens = [token(1, 1, &owner), token(2, 1, &owner), token(3, 2, &owner)];
        insert_tokens(&db, &tokens).await;
        assert_eq!(stored(&db, &[1; 32]).await.as_ref(), Some(&tokens[0]));
        assert_eq!(stored(&db, &[9; 32]).await, None);

        let end = tokens[0].expires_at;
        let mut tx = db.begin().await.unwrap();
        assert!(
            !accounts::use_refresh_token(&mut tx, tokens[0].id, end).await.unwrap(),
            "the end is exclusive"
        );
        assert!(
            accounts::use_refresh_token(&mut tx, tokens[0].id, end - Duration::microseconds(1))
                .await
                .unwrap()
        );
        assert!(!accounts::use_refresh_token(&mut tx, tokens[0].id, start()).await.unwrap());
        accounts::revoke_family(&mut tx, tokens[0].family, start()).await.unwrap();
        assert!(!accounts::use_refresh_token(&mut tx, tokens[1].id, start()).await.unwrap());
        assert!(accounts::use_refresh_token(&mut tx, tokens[2].id, start()).await.unwrap(), "another family");
        tx.commit().await.unwrap();
        assert_eq!(stored(&db, &[2; 32]).await.unwrap().revoked_at, Some(start()));

        let mut tx = db.begin().await.unwrap();
        accounts::delete_expired_tokens(&mut tx, owner.id, end - Duration::microseconds(1)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(stored(&db, &[1; 32]).await.is_some());
        let mut tx = db.begin().await.unwrap();
        accounts::delete_expired_tokens(&mut tx, owner.id, end).await.unwrap();
        tx.commit().await.unwrap();
        assert!(stored(&db, &[1; 32]).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn of_two_transactions_one_waits_for_the_other_at_the_same_account() {
    on_both_engines(|db| async move {
        let owner = user(1, Role::Student);
        accounts::insert(&db, &owner, "hash").await.unwrap();
        let mut first = db.begin().await.unwrap();
        accounts::get_locked(&mut first, owner.id).await.unwrap();
        let second = tokio::spawn({
            let (db, id) = (db.clone(), owner.id);
            async move {
                let mut second = db.begin().await.unwrap();
                accounts::get_locked(&mut second, id).await.unwrap();
                accounts::refresh_token(&mut second, &[1; 32]).await.unwrap()
            }
        });
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(!second.is_finished());
        accounts::insert_refresh_token(&mut first, token(1, 1, &owner)).await.unwrap();
        first.commit().await.unwrap();
        assert!(second.await.unwrap().is_some(), "it sees what the first one did");
    })
    .await;
}
