//! What can be copied, or shown alone: names and numbers of what is under the cursor. Never a secret: the operations do
//! not send any here, and a new device's key is not among these.

use super::model::{Focus, Model, Screen, Tab};
use crate::app::views::AuditRow;

/// One line of the copy menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub letter: char,
    pub label: &'static str,
    pub text: String,
}

fn value(letter: char, label: &'static str, text: impl Into<String>) -> Value {
    Value { letter, label, text: text.into() }
}

/// What there is to copy, the most wanted first.
#[must_use]
pub fn values(model: &Model) -> Vec<Value> {
    match model.screen {
        Screen::Audit => model.audit.rows().get(model.audit.chosen_index()).map(entry).unwrap_or_default(),
        Screen::Users(focus) => user(model, focus),
        Screen::Home => attention(model).unwrap_or_default(),
        Screen::Jobs => job(model),
    }
}

/// The line under the cursor: who they are as Find takes it, and how many.
fn attention(model: &Model) -> Option<Vec<Value>> {
    let item = model.home.overview.as_ref()?.attention.get(model.home.row)?;
    let filters: Vec<String> = item.filters.iter().map(ToString::to_string).collect();
    Some(vec![value('f', "filter", filters.join(" ")), value('n', "number", item.count.to_string())])
}

fn job(model: &Model) -> Vec<Value> {
    let jobs = &model.jobs;
    if let Some(open) = &jobs.open {
        let result = open.result(open.cursor);
        let email = result.map(|result| value('e', "e-mail address", &result.email));
        let audit = result.and_then(|result| result.audit_number);
        let audit = audit.map(|number| value('a', "audit number", number.to_string()));
        return [email, audit].into_iter().flatten().chain([value('i', "id of the job", &open.row.id)]).collect();
    }
    if let Some(row) = jobs.chosen_approval() {
        return vec![value('i', "id", &row.id), value('e', "e-mail address", &row.email)];
    }
    jobs.chosen_job().map(|row| vec![value('i', "id of the job", &row.id)]).unwrap_or_default()
}

fn user(model: &Model, focus: Focus) -> Vec<Value> {
    let Some(row) = model.users.chosen_row() else { return Vec::new() };
    let mut values = vec![
        value('e', "e-mail address", &row.email),
        value('n', "name", &row.name),
        value('i', "id", row.id.to_string()),
        value('u', "uuid", row.uuid.to_string()),
    ];
    values.retain(|value| !value.text.is_empty());
    let Some(detail) = model.chosen_detail() else { return values };
    values.extend(detail.pending_email.as_ref().map(|pending| value('p', "pending e-mail", pending)));
    if focus != Focus::Detail {
        return values;
    }
    match model.tab {
        Tab::Sessions => {
            let session = detail.sessions.get(model.tab_row);
            values.extend(session.and_then(|session| session.address.as_ref()).map(|from| value('a', "address", from)));
        }
        Tab::Keys => {
            let key = detail.api_keys.get(model.tab_row);
            values.extend(key.map(|key| value('k', "label of the key", &key.label)));
            let mask = key.and_then(|key| key.mask_value.as_ref());
            values.extend(mask.map(|mask| value('m', "masked key", mask)));
        }
        Tab::Audit => values.extend(detail.audit.get(model.tab_row).map(entry).unwrap_or_default().into_iter().take(2)),
        Tab::Overview | Tab::TwoFactor => {}
    }
    values
}

fn entry(row: &AuditRow) -> Vec<Value> {
    let record = &row.record;
    let mut values =
        vec![value('a', "audit number", row.number.to_string()), value('r', "request id", &record.request_id)];
    if let Some(target) = &record.target {
        values.push(value('e', "e-mail address", &target.email));
        values.push(value('u', "uuid", target.id.to_string()));
    }
    values.extend(record.address.as_ref().map(|address| value('d', "address", address)));
    values
}
