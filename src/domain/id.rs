//! Identifiers. A type of its own for each, so that one cannot be passed for another.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the hyphenated form; `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(Self)).flatten()
            }

            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(formatter)
            }
        }
    };
}

uuid_id!(
    /// A user: UUIDv7, `uuid` on the wire.
    UserId
);
uuid_id!(
    /// A login session: derived one-way from the session key (spec §2.11).
    SessionId
);
uuid_id!(
    /// An organization: UUIDv7.
    OrganizationId
);
uuid_id!(
    /// A user in an organization: UUIDv7.
    MembershipId
);
uuid_id!(
    /// An invite: UUIDv7, whose random part is the secret of the sign-up link.
    InviteId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let text = "01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11";
        assert_eq!(UserId::parse(text).map(|id| id.to_string()).as_deref(), Some(text));
        assert_eq!(UserId::parse(&text.to_uppercase()).map(|id| id.to_string()).as_deref(), Some(text));
        for other in
            ["", "@me", "01990f5c1f2e70008b1d5a0f3b9d2c11", &format!("{{{text}}}"), &text[1..], "é".repeat(18).as_str()]
        {
            assert_eq!(UserId::parse(other), None, "{other}");
        }
    }
}
