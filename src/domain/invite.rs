//! What somebody asks for who invites (spec §2.9), read and checked. Who may invite whom is for `app` to say.

use serde_json::Value;

use super::email::EmailAddress;
use super::fields::{FieldError, Fields};
use super::input::{Input, Kind};
use super::organization::{Invite, Level, TEAMS_PER_ORGANIZATION_MAX};
use super::signup::check_plus;
use super::text;

/// Invites in one request.
pub const INVITES_AT_ONCE_MAX: usize = 20;
const FIRST_NAME_CHARS_MAX: usize = 30;
const MESSAGE_CHARS_MAX: usize = 1000;
const PROJECTS: &str = "private_project_access";

/// An invite to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteForm {
    pub target_email: EmailAddress,
    pub first_name: String,
    pub level: Level,
    pub message: Option<String>,
    /// Projects by number, and whether as an administrator.
    pub private_project_access: Vec<(u64, bool)>,
    pub send_email: bool,
    /// What an older invite for the address allows stays allowed.
    pub combine_pending_invites: bool,
}

impl InviteForm {
    /// What [`InviteForm::read`] looks at.
    pub const INPUTS: &'static [Input] = &[
        Input::email("target_email", "").required(),
        Input::text("first_name", FIRST_NAME_CHARS_MAX, ""),
        Input::of(Kind::Integer, "level", "1 member, 8 administrator, 15 owner; not above one's own. 1 unless said."),
        Input::text("message", MESSAGE_CHARS_MAX, "For the mail. No links.").nullable(),
        Input::of(Kind::Json, PROJECTS, "Objects with the `id` of a project and a `level`: `member` or `admin`.")
            .nullable(),
        Input::boolean("send_email", "True unless said."),
        Input::boolean("combine_pending_invites", "Keep what an older invite for the address allows."),
    ];

    /// Reads a body; the first problem is reported, in the order of the table.
    pub fn read(fields: &Fields, allow_plus_addresses: bool) -> Result<Self, FieldError> {
        let target_email = fields.email("target_email")?.ok_or_else(|| FieldError::required("target_email"))?;
        check_plus(&target_email, allow_plus_addresses, "target_email")?;
        let first_name = fields.limited_text("first_name", FIRST_NAME_CHARS_MAX)?.unwrap_or_default();
        text::check_display_name("first_name", &first_name)?;
        Ok(Self {
            target_email,
            first_name,
            level: level(fields)?,
            message: message(fields)?,
            private_project_access: projects(fields)?,
            send_email: fields.boolean("send_email")?.unwrap_or(true),
            combine_pending_invites: fields.boolean("combine_pending_invites")?.unwrap_or(false),
        })
    }

    /// Reads the elements of a list; what is wrong with one names its place, such as `0__target_email`.
    pub fn read_list(list: &[Value], allow_plus_addresses: bool) -> Result<Vec<Self>, FieldError> {
        if list.len() > INVITES_AT_ONCE_MAX {
            let detail = format!("A maximum of {INVITES_AT_ONCE_MAX} invites can be sent in a single request.");
            return Err(FieldError::general("max_length", detail));
        }
        let mut forms: Vec<Self> = Vec::with_capacity(list.len());
        for (place, element) in list.iter().enumerate() {
            let at_place = |error: FieldError| FieldError {
                attr: error.attr.map(|attr| format!("{place}__{attr}").into()),
                ..error
            };
            let Value::Object(fields) = element else {
                let kind = text::type_name(element);
                let detail = format!("Invalid data. Expected a dictionary, but got {kind}.");
                return Err(FieldError::general("invalid_input", detail));
            };
            let form = Self::read(&Fields(fields.clone()), allow_plus_addresses).map_err(at_place)?;
            if forms.iter().any(|other| other.target_email == form.target_email) {
                let detail = "This email address is in the list more than once.";
                return Err(at_place(FieldError::invalid(detail, "target_email")));
            }
            forms.push(form);
        }
        Ok(forms)
    }

    /// Adds what an older invite allows, as far as `limit`, the inviter's own level, goes.
    pub fn combine(&mut self, older: &Invite, limit: Level) {
        self.level = self.level.max(older.level.min(limit));
        for (project, is_administrator) in &older.private_project_access {
            match self.private_project_access.iter_mut().find(|(other, _)| other == project) {
                Some((_, present)) => *present |= is_administrator,
                None => self.private_project_access.push((*project, *is_administrator)),
            }
        }
        if self.first_name.is_empty() {
            self.first_name.clone_from(&older.first_name);
        }
    }
}

fn level(fields: &Fields) -> Result<Level, FieldError> {
    let value = match fields.value("level") {
        None => return Ok(Level::Member),
        Some(Value::Null) => return Err(FieldError::null("level")),
        Some(value) => value,
    };
    let number = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
    number.and_then(Level::of).ok_or_else(|| {
        let detail = format!("\"{}\" is not a valid choice.", text::printed(value));
        FieldError::new("invalid_choice", detail, "level")
    })
}

fn message(fields: &Fields) -> Result<Option<String>, FieldError> {
    let message = fields.nullable_text("message")?.flatten().filter(|message| !message.is_empty());
    if let Some(message) = &message {
        if message.chars().count() > MESSAGE_CHARS_MAX {
            return Err(FieldError::max_length(MESSAGE_CHARS_MAX, "message"));
        }
        text::check_message("message", message)?;
    }
    Ok(message)
}

fn projects(fields: &Fields) -> Result<Vec<(u64, bool)>, FieldError> {
    let list = match fields.value(PROJECTS) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(FieldError::not_a_list(other, PROJECTS)),
    };
    if list.len() > TEAMS_PER_ORGANIZATION_MAX {
        let detail = format!("Ensure this field has no more than {TEAMS_PER_ORGANIZATION_MAX} elements.");
        return Err(FieldError::new("max_length", detail, PROJECTS));
    }
    let project = |entry: &Value| {
        let id = entry.get("id")?.as_u64()?;
        match entry.get("level")?.as_str()? {
            "member" => Some((id, false)),
            "admin" => Some((id, true)),
            _ => None,
        }
    };
    let detail = "Each project needs an id and a level, which is member or admin.";
    list.iter().map(|entry| project(entry).ok_or_else(|| FieldError::invalid(detail, PROJECTS))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<InviteForm, FieldError> {
        let Value::Object(body) = body else { unreachable!() };
        InviteForm::read(&Fields(body), false)
    }

    #[test]
    fn an_address_is_enough() {
        let form = read(json!({"target_email": " Ada@Example.COM "})).unwrap();
        assert_eq!(form.target_email.as_str(), "ada@example.com");
        assert_eq!((form.level, form.send_email, form.combine_pending_invites), (Level::Member, true, false));
        let form = read(json!({
            "target_email": "ada@example.com", "first_name": "Ada", "level": "8", "message": "Join example.com!",
            "private_project_access": [{"id": 3, "level": "admin"}, {"id": 4, "level": "member"}], "send_email": false,
        }))
        .unwrap();
        assert_eq!(form.level, Level::Administrator);
        assert_eq!(form.private_project_access, [(3, true), (4, false)]);
        assert_eq!(form.message.as_deref(), Some("Join example.com!"));
    }

    #[test]
    fn the_first_problem_is_reported() {
        for (change, code, attr) in [
            (json!({"target_email": "x", "level": 2}), "invalid_input", "target_email"),
            (json!({"target_email": "a+b@example.com"}), "plus_addressing_not_allowed", "target_email"),
            (json!({"first_name": "a".repeat(31)}), "max_length", "first_name"),
            (json!({"first_name": "a\nb"}), "invalid_control_char", "first_name"),
            (json!({"level": 2}), "invalid_choice", "level"),
            (json!({"level": null}), "null", "level"),
            (json!({"level": true}), "invalid_choice", "level"),
            (json!({"message": "see https://evil.example"}), "invalid_url", "message"),
            (json!({"message": "<b>"}), "invalid_bracket", "message"),
            (json!({"message": "a\u{7}"}), "invalid_control_char", "message"),
            (json!({"message": "a".repeat(1001)}), "max_length", "message"),
            (json!({PROJECTS: {}}), "not_a_list", PROJECTS),
            (json!({PROJECTS: [1]}), "invalid_input", PROJECTS),
            (json!({PROJECTS: [{"id": 1, "level": "owner"}]}), "invalid_input", PROJECTS),
            (json!({PROJECTS: [{"id": -1, "level": "admin"}]}), "invalid_input", PROJECTS),
            (json!({"send_email": "maybe"}), "invalid_input", "send_email"),
            (json!({"combine_pending_invites": null}), "null", "combine_pending_invites"),
        ] {
            let mut body = json!({"target_email": "ada@example.com"});
            for (name, value) in change.as_object().unwrap() {
                body[name] = value.clone();
            }
            let error = read(body).unwrap_err();
            assert_eq!((&*error.code, error.attr.as_deref()), (code, Some(attr)), "{change}");
        }
        assert_eq!(read(json!({})), Err(FieldError::required("target_email")));
    }

    #[test]
    fn lists_are_short_and_name_the_place_of_a_problem() {
        let one = |number: usize| json!({"target_email": format!("a{number}@example.com")});
        let list = |list: Vec<Value>| InviteForm::read_list(&list, true);
        assert_eq!(list((0..20).map(one).collect()).unwrap().len(), 20);
        assert_eq!(list((0..21).map(one).collect()).unwrap_err().code, "max_length");
        assert_eq!(list(vec![one(0), json!({})]).unwrap_err().attr.as_deref(), Some("1__target_email"));
        assert_eq!(list(vec![one(0), one(0)]).unwrap_err().attr.as_deref(), Some("1__target_email"));
        assert_eq!(list(vec![json!(1)]).unwrap_err().detail, "Invalid data. Expected a dictionary, but got int.");
    }
}
