//! Making accounts: through registration, and by the operator's command.

use lectern_domain::{account::Role, ids::UserId};
use lectern_platform::{
    clock::{Clock, new_id},
    http::Problem,
};
use lectern_store::{
    Db,
    accounts::{self, User},
};
use secrecy::SecretString;

use crate::{input, passwords::Passwords, settings::PasswordCost};

/// Why an account could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    /// A field is not as expected.
    #[error("{0}")]
    Invalid(String),
    /// Somebody has this e-mail address.
    #[error("there is already an account with this e-mail address")]
    EmailTaken,
    /// The password could not be hashed now.
    #[error("hash the password: {}", .0.detail)]
    Password(Problem),
    /// The database.
    #[error(transparent)]
    Store(#[from] lectern_store::Error),
}

/// Makes an account of any role: what `lectern admin create-user` does.
pub async fn create_user(
    db: &Db,
    clock: &dyn Clock,
    email: &str,
    name: &str,
    password: SecretString,
    role: Role,
) -> Result<User, CreateUserError> {
    let passwords = Passwords::new(PasswordCost::default());
    create(db, clock, &passwords, email, name, password, role).await
}

pub(crate) async fn create(
    db: &Db,
    clock: &dyn Clock,
    passwords: &Passwords,
    email: &str,
    name: &str,
    password: SecretString,
    role: Role,
) -> Result<User, CreateUserError> {
    let invalid = |problem: Problem| CreateUserError::Invalid(problem.detail);
    let email = input::email(email).map_err(invalid)?;
    let name = input::line("name", name).map_err(invalid)?;
    input::new_password(&password).map_err(invalid)?;
    // Looked up before the costly hash; the unique constraint decides between two at once.
    if accounts::credentials(db, &email).await?.is_some() {
        return Err(CreateUserError::EmailTaken);
    }
    let hash = passwords.hash(password).await.map_err(CreateUserError::Password)?;
    let created_at = clock.now();
    let user = User { id: new_id(clock, UserId::generate), email, name, role, created_at, disabled_at: None };
    match accounts::insert(db, &user, &hash).await {
        Err(error) if error.is_unique_violation() => Err(CreateUserError::EmailTaken),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(user),
    }
}
