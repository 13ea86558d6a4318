//! The description of the HTTP API in OpenAPI 3.1, made from what the handlers use.
//!
//! * Paths and methods, who may call, scopes, and the errors that follow from those come from the table in `router`.
//! * Fields of bodies come from `Operation::INPUTS`, which is also what lets a field through to the operation.
//! * Answers come from the types that are sent, which derive [`utoipa::ToSchema`].
//! * Words, examples and an operation's own errors stand in the files beside this one, one for each resource.
//!
//! **A new endpoint** brings four things: its line in `router`, `INPUTS` on its operation if it reads a body,
//! `derive(ToSchema)` on what it answers, and a [`Description`] here, in the file of its resource. Then
//! `scripts/openapi` writes `assets/openapi.json` again. Tests fail when one is missing: `routes_and_descriptions` below
//! when an endpoint is not described or a described one is not there; `the_kept_document_is_current` when the file was
//! not written again; the harness of `tests/it` when any answer in any test has a status, an error code or a shape
//! that the document does not have; and `tests/it/openapi.rs` when a declared field is not read as it is declared.
//!
//! The document is kept and compiled in as text: serving it costs nothing, and a change of the API shows in a diff.

mod api_keys;
mod assemble;
mod describe;
mod failures;
mod invites;
mod login;
mod organizations;
mod preferences;
mod schema;
mod sessions;
mod signup;
mod users;

use serde_json::Value;

use super::router::{Endpoint, Router};
use crate::app::App;
use describe::Description;

/// The document as it is served: `assets/openapi.json` without its indentation.
pub const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// The document as it is kept and printed.
pub fn pretty() -> Result<String, serde_json::Error> {
    let document: Value = serde_json::from_str(DOCUMENT)?;
    Ok(format!("{document:#}"))
}

/// The document made anew. An error names what is wrong with the table of routes.
pub fn generate() -> Result<Value, String> {
    let router = Router::<App>::new().map_err(|error| error.to_string())?;
    Ok(assemble::document(&described(&router)))
}

/// Each described endpoint with its entry in the table of routes.
fn described(router: &Router<App>) -> Vec<(Description, &Endpoint<App>)> {
    let mut found = Vec::new();
    for description in descriptions() {
        let endpoint = router.endpoints().find(|(template, method, _)| description.is_of(template, method));
        if let Some((_, _, endpoint)) = endpoint {
            found.push((description, endpoint));
        }
    }
    found
}

fn descriptions() -> Vec<Description> {
    [
        users::descriptions(),
        preferences::descriptions(),
        sessions::descriptions(),
        login::descriptions(),
        api_keys::descriptions(),
        signup::descriptions(),
        invites::descriptions(),
        organizations::descriptions(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::router::BodyRule;

    /// A way for `scripts/openapi` to write the file.
    const WRITE: &str = "DOORWARD_WRITE_OPENAPI";

    #[test]
    fn the_kept_document_is_current() {
        const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/openapi.json");
        let document = format!("{:#}\n", generate().unwrap());
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(KEPT, &document).unwrap();
        } else {
            let is_current = document == std::fs::read_to_string(KEPT).unwrap();
            assert!(is_current, "assets/openapi.json is not current: run scripts/openapi and look at the diff");
            assert_eq!(document.trim_end(), pretty().unwrap());
        }
    }

    #[test]
    fn routes_and_descriptions() {
        let router = Router::<App>::new().unwrap();
        let existing: BTreeSet<String> =
            router.endpoints().map(|(template, method, _)| format!("{method} {template}")).collect();
        let described: Vec<String> =
            descriptions().iter().map(|one| format!("{} {}", one.method, one.template)).collect();
        let set: BTreeSet<String> = described.iter().cloned().collect();
        assert_eq!(set.len(), described.len(), "an endpoint is described twice");
        let missing: Vec<&String> = set.difference(&existing).collect();
        assert!(missing.is_empty(), "described, but not in the table of routes: {missing:?}");
        let undescribed: Vec<&String> = existing.difference(&set).collect();
        assert!(undescribed.is_empty(), "not described (see the top of http/openapi/mod.rs): {undescribed:?}");
    }

    #[test]
    fn endpoints_with_fields_declare_them() {
        let router = Router::<App>::new().unwrap();
        for (template, method, endpoint) in router.endpoints() {
            let has_fields = endpoint.body != BodyRule::Ignored;
            assert_eq!(has_fields, !endpoint.inputs.is_empty(), "{method} {template}: Operation::INPUTS");
        }
    }

    #[test]
    fn ids_are_unique() {
        let all = descriptions();
        let ids: BTreeSet<&str> = all.iter().map(|one| one.id).collect();
        assert_eq!(ids.len(), all.len());
    }
}
