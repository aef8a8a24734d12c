//! What a process of a deployment does. One process may do all of it.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// A part of the work that can run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Accounts, courses, lessons, the pages.
    Api,
    /// Uploads.
    Ingest,
    /// Probing and encoding.
    Transcoder,
    /// Encrypting, publishing, removing.
    Packager,
    /// Playback sessions, keys, delivery.
    LicenseServer,
}

impl Role {
    const ALL: [Self; 5] = [Self::Api, Self::Ingest, Self::Transcoder, Self::Packager, Self::LicenseServer];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Ingest => "ingest",
            Self::Transcoder => "transcoder",
            Self::Packager => "packager",
            Self::LicenseServer => "license-server",
        }
    }

    /// Connections to PostgreSQL that serve its statements without a queue: many short requests at once on one side, a few
    /// jobs with a heartbeat each on the other.
    const fn connections(self) -> u32 {
        match self {
            Self::Api | Self::Ingest => 8,
            Self::Transcoder | Self::Packager => 4,
            Self::LicenseServer => 16,
        }
    }
}

/// The roles of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles(BTreeSet<Role>);

impl Roles {
    /// Everything that this program was built with.
    pub(crate) fn all() -> Self {
        Self(Role::ALL.into_iter().filter(|role| is_built(*role)).collect())
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    pub(crate) fn is_all(&self) -> bool {
        *self == Self::all()
    }

    /// Connections to PostgreSQL that all of them together may need.
    pub(crate) fn connections(&self) -> u32 {
        self.0.iter().map(|role| role.connections()).sum()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|role| role.as_str().to_owned()).collect()
    }
}

fn is_built(role: Role) -> bool {
    cfg!(feature = "transcoder") || role != Role::Transcoder
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = Role::ALL.map(Role::as_str).join(", ");
        let role = |word: &str| {
            let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
            let role =
                role.ok_or_else(|| format!("expected some of {words}, separated by commas, got {word:?}"))?;
            if is_built(role) {
                return Ok(role);
            }
            Err(format!("this program was built without the {word} role; use one that was built with it"))
        };
        text.split(',').map(|word| role(word.trim())).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_and_shown() {
        let roles: Roles = "ingest, api".parse().unwrap();
        assert_eq!(roles.to_string(), "api,ingest");
        assert!(roles.has(Role::Api) && !roles.has(Role::Packager) && !roles.is_all());
        for wrong in ["", "api,", "API", "license", "api;ingest"] {
            let error = wrong.parse::<Roles>().unwrap_err();
            assert!(error.contains("license-server"), "{error}");
        }
    }

    #[cfg(feature = "transcoder")]
    #[test]
    fn all_is_all() {
        let all: Roles = "api,ingest,transcoder,packager,license-server".parse().unwrap();
        assert!(all.is_all());
        assert_eq!(all.connections(), 40);
    }
}
