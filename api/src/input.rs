//! What clients send, checked: lines, texts, e-mail addresses, passwords, prices. Pure; a refusal names the field.

use lectern_platform::http::Problem;
use lectern_store::courses::Price;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use crate::passwords;

/// Characters in a title or a name.
pub(crate) const LINE_MAX: usize = 200;
/// Characters in a course's description.
pub(crate) const DESCRIPTION_MAX: usize = 20_000;
/// Characters in a lesson's body.
pub(crate) const BODY_MAX: usize = 200_000;
/// The largest integer that every JSON reader keeps exactly.
const AMOUNT_MAX: i64 = (1 << 53) - 1;

/// One line: trimmed, not empty, no control characters.
pub(crate) fn line(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let length = text.chars().count();
    if !(1..=LINE_MAX).contains(&length) {
        return Err(Problem::invalid(format!("{field}: expected 1 to {LINE_MAX} characters, got {length}")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid(format!("{field}: expected one line without control characters")));
    }
    Ok(text.to_owned())
}

/// Many lines. PostgreSQL cannot keep NUL in text, so that nothing may.
pub(crate) fn text(field: &str, text: String, max: usize) -> Result<String, Problem> {
    let length = text.chars().count();
    if length > max {
        return Err(Problem::invalid(format!("{field}: expected at most {max} characters, got {length}")));
    }
    if text.contains('\0') {
        return Err(Problem::invalid(format!("{field}: expected text without NUL characters")));
    }
    Ok(text)
}

/// An e-mail address in lower case, as far as its form can tell: `local@domain` with at least two domain labels, at
/// most 254 bytes (RFC 5321, 4.5.3.1.3). Quoted local parts and address literals are refused.
pub(crate) fn email(given: &str) -> Result<String, Problem> {
    let email = given.trim().to_lowercase();
    let valid = email.len() <= 254
        && email.split_once('@').is_some_and(|(local, domain)| {
            let local_ok = (1..=64).contains(&local.len())
                && !local.starts_with('.')
                && !local.ends_with('.')
                && !local.contains("..")
                && local.chars().all(|c| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c));
            let labels_ok = domain.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            });
            local_ok && labels_ok && domain.contains('.')
        });
    if valid { Ok(email) } else { Err(Problem::invalid("email: expected an address like name@example.org")) }
}

/// A new password, by length alone: length is what makes guessing hard.
pub(crate) fn new_password(password: &SecretString) -> Result<(), Problem> {
    let length = password.expose_secret().len();
    if passwords::LENGTH.contains(&length) {
        Ok(())
    } else {
        let (min, max) = (passwords::LENGTH.start(), passwords::LENGTH.end());
        Err(Problem::invalid(format!("password: expected {min} to {max} bytes, got {length}")))
    }
}

/// A price as sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceInput {
    amount_minor: i64,
    currency: String,
}

/// A price: not negative, in a currency that looks like ISO 4217.
pub(crate) fn price(given: PriceInput) -> Result<Price, Problem> {
    if !(0..=AMOUNT_MAX).contains(&given.amount_minor) {
        let got = given.amount_minor;
        return Err(Problem::invalid(format!("price.amount_minor: expected 0 to {AMOUNT_MAX}, got {got}")));
    }
    if given.currency.len() != 3 || !given.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Problem::invalid("price.currency: expected three upper-case letters as in ISO 4217"));
    }
    Ok(Price { amount_minor: given.amount_minor, currency: given.currency })
}

/// Reads a secret without ever holding it in a type that prints.
pub(crate) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// Tells a field that is `null` from one that is absent (with `#[serde(default)]`).
#[expect(clippy::option_option, reason = "absent, null and a value are three different wishes")]
pub(crate) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// The same for a time (RFC 3339).
#[expect(clippy::option_option, reason = "absent, null and a value are three different wishes")]
pub(crate) fn nullable_time<'de, D>(
    deserializer: D,
) -> Result<Option<Option<lectern_domain::Timestamp>>, D::Error>
where
    D: Deserializer<'de>,
{
    time::serde::rfc3339::option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (given, expected) in [
            ("Ada@Example.ORG", Some("ada@example.org")),
            ("  ada@example.org\n", Some("ada@example.org")),
            ("a.b+c_d-e'f@sub.example.co", Some("a.b+c_d-e'f@sub.example.co")),
            ("jürgen@müller.example", Some("jürgen@müller.example")),
            ("", None),
            ("@", None),
            ("ada", None),
            ("ada@", None),
            ("ada@localhost", None),
            ("@example.org", None),
            ("ada@@example.org", None),
            ("ada@exa mple.org", None),
            ("a da@example.org", None),
            (".ada@example.org", None),
            ("a..da@example.org", None),
            ("ada@.example.org", None),
            ("ada@example.org.", None),
            ("ada@-example.org", None),
            ("ada@example.org\0", None),
            ("ada\r\nbcc: x@example.org", None),
            ("\"ada\"@example.org", None),
            ("ada@[192.0.2.1]", None),
        ] {
            assert_eq!(email(given).ok().as_deref(), expected, "{given:?}");
        }
        let local = "a".repeat(64);
        assert!(email(&format!("{local}@example.org")).is_ok());
        assert!(email(&format!("a{local}@example.org")).is_err());
        let long = format!("a@{}org", "example.".repeat(32));
        assert!(long.len() > 254 && email(&long).is_err());
    }

    #[test]
    fn lines_and_texts() {
        assert_eq!(line("t", "  A title ").unwrap(), "A title");
        assert!(line("t", &"ä".repeat(200)).is_ok());
        for bad in ["", "   ", "a\nb", "a\0b", &"ä".repeat(201)] {
            assert!(line("t", bad).is_err(), "{bad:?}");
        }
        assert_eq!(text("t", "a\nb ".into(), 4).unwrap(), "a\nb ");
        assert!(text("t", "äöüß".into(), 4).is_ok());
        assert!(text("t", "12345".into(), 4).is_err());
        assert!(text("t", "a\0b".into(), 4).is_err());
    }

    #[test]
    fn prices_and_passwords() {
        for (amount_minor, currency, ok) in [
            (0, "EUR", true),
            (AMOUNT_MAX, "JPY", true),
            (-1, "EUR", false),
            (AMOUNT_MAX + 1, "EUR", false),
            (1, "eur", false),
            (1, "EURO", false),
            (1, "", false),
            (1, "É1", false),
        ] {
            assert_eq!(
                price(PriceInput { amount_minor, currency: currency.into() }).is_ok(),
                ok,
                "{currency}"
            );
        }
        for (length, ok) in [(0, false), (9, false), (10, true), (1_024, true), (1_025, false)] {
            assert_eq!(new_password(&"x".repeat(length).into()).is_ok(), ok, "{length}");
        }
    }
}
