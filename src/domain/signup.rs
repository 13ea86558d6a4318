//! What sign-ups ask for (spec §3.6), read and checked. Whether an address or an invite can be used is for `app` to say.

use super::email::EmailAddress;
use super::fields::{FieldError, Fields};
use super::input::Input;
use super::password::PASSWORD_CHARS_MAX;
use super::secret::Secret;
use super::text;

/// Longest names and role, in characters.
const NAME_CHARS_MAX: usize = 128;
/// Longest name of an organization that is made from a person's.
const MADE_UP_NAME_CHARS_MAX: usize = 64;
const REFERRAL_CHARS_MAX: usize = 1000;

const FIRST_NAME: Input = Input::filled("first_name", NAME_CHARS_MAX, "");
const ROLE: Input = Input::text("role_at_organization", NAME_CHARS_MAX, "");

/// A new account with an organization of its own.
#[derive(Clone, Debug)]
pub struct SignupForm {
    pub person: Person,
    pub last_name: String,
    pub email: EmailAddress,
    pub organization_name: String,
    /// A path on this site, to go on to.
    pub next_url: Option<String>,
}

/// What every new account has.
#[derive(Clone, Debug)]
pub struct Person {
    pub first_name: String,
    /// `None`: an account that no password can be used for. Its strength is not checked yet.
    pub password: Option<Secret>,
    pub role_at_organization: String,
}

/// The form, and the first problem of those fields that are declared behind the password: a weak one is reported before
/// it.
pub struct Read<T> {
    pub form: T,
    pub behind_password: Result<(), FieldError>,
}

impl SignupForm {
    /// What [`SignupForm::read`] looks at.
    pub const INPUTS: &'static [Input] = &[
        FIRST_NAME.required(),
        Input::text("last_name", NAME_CHARS_MAX, ""),
        Input::email("email", "").required(),
        Input::secret("password", PASSWORD_CHARS_MAX, "Null for an account that no password opens.")
            .required()
            .nullable(),
        Input::text("organization_name", NAME_CHARS_MAX, "Unless said, one that is made of the first name."),
        ROLE,
        Input::text("referral_source", REFERRAL_CHARS_MAX, "Not looked at."),
        Input::text("next_url", 0, "A path of this site that `redirect_url` leads to; anything else is ignored."),
    ];

    /// Reads a body; the first problem is reported, in the order of the table.
    pub fn read(fields: &Fields, allow_plus_addresses: bool) -> Result<Read<Self>, FieldError> {
        let first_name = first_name(fields)?;
        let last_name = display_name(fields, "last_name")?;
        let email = fields.email("email")?.ok_or_else(|| FieldError::required("email"))?;
        check_plus(&email, allow_plus_addresses, "email")?;
        let password = match fields.nullable_text("password")? {
            None => return Err(FieldError::required("password")),
            Some(None) => None,
            Some(Some(_)) => fields.secret("password")?,
        };
        let organization_name = display_name(fields, "organization_name");
        let role = role(fields);
        let referral_source = fields.limited_text("referral_source", REFERRAL_CHARS_MAX);
        let next_url = fields.text("next_url");
        let behind_password = organization_name
            .as_ref()
            .map(drop)
            .and(role.as_ref().map(drop))
            .and(referral_source.as_ref().map(drop))
            .and(next_url.as_ref().map(drop))
            .map_err(Clone::clone);
        let organization_name = organization_name.unwrap_or_default();
        let organization_name =
            if organization_name.is_empty() { organization_of(&first_name) } else { organization_name };
        let next_url = next_url.unwrap_or_default().filter(|next| text::is_safe_path(next));
        let person = Person { first_name, password, role_at_organization: role.unwrap_or_default() };
        Ok(Read { form: Self { person, last_name, email, organization_name, next_url }, behind_password })
    }
}

impl Person {
    /// What [`Person::read`] looks at, for those who have no account.
    pub const INPUTS: &'static [Input] = &[FIRST_NAME, Input::secret("password", PASSWORD_CHARS_MAX, ""), ROLE];

    /// Reads the body of somebody without an account who accepts an invite.
    pub fn read(fields: &Fields) -> Result<Read<Self>, FieldError> {
        let first_name = first_name(fields)?;
        let password = Some(fields.secret("password")?.ok_or_else(|| FieldError::required("password"))?);
        let role = role(fields);
        let behind_password = role.as_ref().map(drop).map_err(Clone::clone);
        let form = Self { first_name, password, role_at_organization: role.unwrap_or_default() };
        Ok(Read { form, behind_password })
    }
}

/// Whether the settings let an address with a `+` tag have an account (spec §5, row 13).
pub fn check_plus(email: &EmailAddress, is_allowed: bool, attr: &'static str) -> Result<(), FieldError> {
    if is_allowed || !email.has_plus_tag() {
        return Ok(());
    }
    let detail = "Email addresses with a '+' aren't supported. Please use your primary email address.";
    Err(FieldError::new("plus_addressing_not_allowed", detail, attr))
}

fn first_name(fields: &Fields) -> Result<String, FieldError> {
    fields.required_text("first_name")?;
    display_name(fields, "first_name")
}

fn display_name(fields: &Fields, name: &'static str) -> Result<String, FieldError> {
    let value = fields.limited_text(name, NAME_CHARS_MAX)?.unwrap_or_default();
    text::check_display_name(name, &value)?;
    Ok(value)
}

fn role(fields: &Fields) -> Result<String, FieldError> {
    Ok(fields.limited_text("role_at_organization", NAME_CHARS_MAX)?.unwrap_or_default())
}

fn organization_of(first_name: &str) -> String {
    const ENDING: &str = "'s Organization";
    let name: String = first_name.chars().take(MADE_UP_NAME_CHARS_MAX - ENDING.len()).collect();
    format!("{name}{ENDING}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(change: Value) -> Fields {
        let body = json!({"first_name": "Ada", "email": "Ada@Example.com", "password": " pass "});
        let (Value::Object(mut body), Value::Object(change)) = (body, change) else { unreachable!() };
        body.extend(change);
        Fields(body)
    }

    fn read(change: Value) -> Result<SignupForm, FieldError> {
        let read = SignupForm::read(&fields(change), false)?;
        read.behind_password.map(|()| read.form)
    }

    #[test]
    fn the_least_that_is_needed() {
        let form = read(json!({})).unwrap();
        assert_eq!(form.email.as_str(), "ada@example.com");
        assert_eq!(form.organization_name, "Ada's Organization");
        assert_eq!(form.person.password.unwrap().expose(), " pass ");
        assert_eq!((form.last_name.as_str(), form.person.role_at_organization.as_str(), form.next_url), ("", "", None));
        let long = read(json!({"first_name": "a".repeat(128)})).unwrap().organization_name;
        assert_eq!(long.chars().count(), 64);
        assert!(long.ends_with("a's Organization"));
        assert_eq!(read(json!({"organization_name": " "})).unwrap().organization_name, "Ada's Organization");
    }

    #[test]
    fn all_that_can_be_said() {
        let form = read(json!({
            "last_name": " Lovelace ", "password": null, "organization_name": "Engines", "role_at_organization": "Poet",
            "referral_source": "a friend", "next_url": "/insights?a=b",
        }))
        .unwrap();
        assert_eq!((form.last_name.as_str(), form.organization_name.as_str()), ("Lovelace", "Engines"));
        assert!(form.person.password.is_none());
        assert_eq!(form.person.role_at_organization, "Poet");
        assert_eq!(form.next_url.as_deref(), Some("/insights?a=b"));
        for elsewhere in ["//evil.example", "https://evil.example", "insights", ""] {
            assert_eq!(read(json!({"next_url": elsewhere})).unwrap().next_url, None, "{elsewhere}");
        }
    }

    #[test]
    fn the_first_problem_is_reported() {
        let long = "a".repeat(129);
        for (change, code, attr) in [
            (json!({"first_name": null, "email": "x"}), "null", "first_name"),
            (json!({"first_name": " "}), "blank", "first_name"),
            (json!({"first_name": long, "email": "x"}), "max_length", "first_name"),
            (json!({"first_name": "<b>"}), "invalid_bracket", "first_name"),
            (json!({"last_name": "www.evil"}), "invalid_url", "last_name"),
            (json!({"last_name": long}), "max_length", "last_name"),
            (json!({"email": "x", "password": ""}), "invalid_input", "email"),
            (json!({"email": "a+b@example.com"}), "plus_addressing_not_allowed", "email"),
            (json!({"password": "", "organization_name": long}), "blank", "password"),
            (json!({"password": ["a"]}), "invalid_input", "password"),
            (json!({"organization_name": long, "role_at_organization": long}), "max_length", "organization_name"),
            (json!({"organization_name": "a\u{202e}"}), "invalid_invisible_char", "organization_name"),
            (json!({"role_at_organization": long}), "max_length", "role_at_organization"),
            (json!({"referral_source": "a".repeat(1001)}), "max_length", "referral_source"),
            (json!({"next_url": ["/"]}), "invalid_input", "next_url"),
        ] {
            let error = read(change.clone()).unwrap_err();
            assert_eq!((&*error.code, error.attr.as_deref()), (code, Some(attr)), "{change}");
        }
        for name in ["first_name", "email", "password"] {
            let mut fields = fields(json!({}));
            fields.0.remove(name);
            assert_eq!(SignupForm::read(&fields, true).err(), Some(FieldError::required(name)));
        }
        assert!(SignupForm::read(&fields(json!({"email": "a+b@example.com"})), true).is_ok());
    }

    #[test]
    fn whoever_accepts_an_invite_brings_a_name_and_a_password() {
        let read = |change: Value| Person::read(&fields(change)).map(|read| read.form).map_err(|error| error.code);
        assert_eq!(read(json!({})).unwrap().first_name, "Ada");
        assert_eq!(read(json!({"password": null})).unwrap_err(), "null");
        assert_eq!(read(json!({"first_name": ""})).unwrap_err(), "blank");
        let behind = Person::read(&fields(json!({"role_at_organization": "a".repeat(129)}))).unwrap();
        assert!(behind.behind_password.is_err());
    }
}
