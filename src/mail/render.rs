//! What a mail looks like: the templates under `assets/mail`, compiled in. Does not know how a mail travels.
//!
//! Each kind has a text and an HTML template that hold only their own words; `base` puts the greeting before and the
//! signature behind them. The subject is the first line of the text template. HTML is escaped; nothing is loaded from
//! elsewhere and nothing tells us whether a mail was read.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::domain::email::EmailAddress;
use crate::domain::mail::Mail;
use crate::domain::text;
use crate::domain::time::Timestamp;

/// Longest name that a mail greets with or speaks of, in characters.
const NAME_CHARS_MAX: usize = 60;

/// A mail as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// The compiled templates, and the address of the site that they speak of.
pub struct Renderer {
    templates: Environment<'static>,
    site: String,
}

/// The names of both templates of each kind with their source; the text one opens with `Subject: `.
macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(
            (concat!($name, ".txt"), include_str!(concat!("../../assets/mail/", $name, ".txt"))),
            (concat!($name, ".html"), include_str!(concat!("../../assets/mail/", $name, ".html"))),
        )*]
    };
}

const TEMPLATES: &[(&str, &str)] = &templates![
    "base",
    "verify_email",
    "reset_password",
    "login_code",
    "two_factor_reset_link",
    "email_changed_old",
    "email_changed_new",
    "password_changed",
    "two_factor_enabled",
    "two_factor_disabled",
    "two_factor_reset",
    "enrolment_demanded",
    "enrolment_reminder",
    "backup_code_used",
    "backup_codes_regenerated",
    "backup_codes_revoked",
    "api_key_created",
    "api_key_rolled",
    "staff_changed",
    "new_device",
    "email_change_cancelled",
    "account_deleted",
    "invited",
    "member_joined",
];

impl Renderer {
    /// Compiles the templates; fails only when one of them is broken, which the tests exclude.
    pub fn new(site: &str) -> Result<Self, minijinja::Error> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        templates.add_filter("name", shown_name);
        templates.add_filter("utc", |micros: i64| utc(Timestamp::from_micros(micros)));
        for (name, source) in TEMPLATES {
            templates.add_template(name, source)?;
        }
        Ok(Self { templates, site: site.to_owned() })
    }

    /// The words of a mail.
    pub fn render(&self, mail: &Mail) -> Result<Rendered, minijinja::Error> {
        let name = mail.kind.template();
        let facts = context! { mail => Value::from(Serde(&mail.kind)), at => utc(mail.at), site => &self.site };
        let text = self.fill(&format!("{name}.txt"), &facts)?;
        let (head, text) = text.split_once("\n\n").unwrap_or_default();
        let subject = head.trim_start_matches("Subject: ");
        let html = self.fill(&format!("{name}.html"), &facts)?;
        let reply_to = mail.kind.reply_to().map(EmailAddress::as_str);
        let around = |body| context! { greeting => greeting(&mail.name), subject, site => &self.site, reply_to, body };
        Ok(Rendered {
            subject: subject.to_owned(),
            text: self.fill("base.txt", &around(Value::from(text.trim_end())))?,
            html: self.fill("base.html", &around(Value::from_safe_string(html)))?,
        })
    }

    fn fill(&self, template: &str, facts: &Value) -> Result<String, minijinja::Error> {
        self.templates.get_template(template)?.render(facts)
    }
}

/// `Hello Ada,`. Strangers choose names, also of accounts that they make for other people's addresses, so a name that
/// could carry a link or a text of its own is left out.
fn greeting(name: &str) -> String {
    let name = name.trim();
    let is_plain = !name.is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && !name.contains(|c: char| c.is_control() || "/:@<>".contains(c))
        && !name.contains("www.");
    if is_plain { format!("Hello {name},") } else { "Hello,".to_owned() }
}

/// A name of a person or an organization in a mail to others: cut, and replaced by `other` when it breaks the rules for
/// such names (spec §2.4), which not every way into the store has checked.
fn shown_name(name: &str, other: &str) -> String {
    let name = name.trim();
    if name.is_empty() || text::check_display_name("", name).is_err() {
        return other.to_owned();
    }
    let mut shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    if shown.len() < name.len() {
        shown.push('\u{2026}');
    }
    shown
}

/// `1 September 2025 at 12:34 UTC`.
fn utc(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::MIN);
    at.strftime("%-d %B %Y at %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mail::MailKind;

    const LINK: &str = "https://doorward.example/verify_email/0199/abc?next=a&b=c";

    fn mail(name: &str, kind: MailKind) -> Mail {
        let to = EmailAddress::parse("ada@example.com").unwrap();
        Mail { to, name: name.to_owned(), kind, at: Timestamp::from_seconds(1_756_730_096) }
    }

    fn render(name: &str, kind: MailKind) -> Rendered {
        Renderer::new("https://doorward.example").unwrap().render(&mail(name, kind)).unwrap()
    }

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    fn invited(inviter: &str, organization: &str, message: Option<&str>) -> MailKind {
        MailKind::Invited {
            inviter: inviter.into(),
            inviter_email: address("grace@example.com"),
            organization: organization.into(),
            link: LINK.into(),
            message: message.map(Into::into),
        }
    }

    /// One of each kind, with the words that its text must have.
    fn every_kind() -> Vec<(MailKind, &'static str, &'static [&'static str])> {
        use MailKind as K;
        let device = K::NewDevice { device: "Firefox on Linux".into(), address: "192.0.2.7".into() };
        vec![
            (
                K::VerifyEmail { link: Some(LINK.into()), code: Some("081804".into()) },
                "Verify your email address",
                &[LINK, "    081804", "ten minutes"],
            ),
            (K::VerifyEmail { link: Some(LINK.into()), code: None }, "Verify your email address", &[LINK, "one day"]),
            (
                K::VerifyEmail { link: None, code: Some("081804".into()) },
                "Verify your email address",
                &["Enter this code", "    081804", "ten minutes"],
            ),
            (K::ResetPassword { link: LINK.into() }, "Reset your Doorward password", &[LINK, "one day"]),
            (K::LoginCode { code: "081804".into() }, "Your Doorward login code", &["    081804", "ten minutes"]),
            (
                K::TwoFactorResetLink { link: LINK.into() },
                "Reset your two-factor authentication",
                &[LINK, "one hour", "password"],
            ),
            (K::EmailChangedOld, "This is no longer your Doorward account email", &["another email address"]),
            (K::EmailChangedNew, "This is your new Doorward account email", &["Log in with it from"]),
            (K::PasswordChanged, "Your password has been changed", &["1 September 2025 at 12:34 UTC"]),
            (K::TwoFactorEnabled, "You've enabled 2FA protection", &["backup codes"]),
            (K::TwoFactorDisabled, "You've disabled 2FA protection", &["password alone"]),
            (
                K::TwoFactorReset { sessions_ended: true, keys_revoked: true },
                "Your two-factor authentication was reset",
                &["logged out everywhere", "keys have been revoked", "https://doorward.example"],
            ),
            (K::EnrolmentReminder { from: None }, "Set up two-factor authentication", &["https://doorward.example"]),
            (
                K::EnrolmentReminder { from: Some(Timestamp::from_seconds(1_756_730_096)) },
                "Two-factor authentication is required for your account",
                &["1 September 2025 at 12:34 UTC", "https://doorward.example"],
            ),
            (
                K::EnrolmentDemanded { from: Some(Timestamp::from_seconds(1_756_730_096)), has_device: true },
                "Set up a new authenticator",
                &["by 1 September 2025 at 12:34 UTC", "goes on working", "https://doorward.example"],
            ),
            (
                K::EnrolmentDemanded { from: None, has_device: false },
                "Set up a new authenticator",
                &["set up an authenticator", "after your next login"],
            ),
            (
                K::BackupCodeUsed { remaining: 3 },
                "A backup code was used for your account",
                &["3 backup codes are left"],
            ),
            (
                K::BackupCodesRegenerated { replaced: true },
                "New backup codes were created for your account",
                &["1 September 2025 at 12:34 UTC", "from before no longer work"],
            ),
            (
                K::ApiKeyCreated { label: "CI & builds".into() },
                "A new API key was created for your account",
                &["    CI & builds", "change of the password does not end it", "https://doorward.example"],
            ),
            (
                K::ApiKeyRolled { label: "CI".into() },
                "An API key of your account got a new value",
                &["    CI", "old value no longer works"],
            ),
            (
                K::StaffChanged { is_staff: true },
                "Your account now has staff rights",
                &["Set up two-factor", "https://doorward.example"],
            ),
            (K::StaffChanged { is_staff: false }, "Your account no longer has staff rights", &["were taken from"]),
            (K::BackupCodesRevoked, "Your backup codes were revoked", &["authenticator works as before"]),
            (device, "A new device logged into your account", &["Firefox on Linux", "192.0.2.7", "12:34 UTC"]),
            (K::EmailChangeCancelled, "The change of your email address was cancelled", &["stays as it was"]),
            (K::AccountDeleted, "Your Doorward account was deleted", &["cannot be undone"]),
            (
                invited("Grace Hopper", "Engines", Some("See you there!")),
                "Grace Hopper invited you to join Engines on Doorward",
                &["Grace Hopper (grace@example.com)", LINK, "    See you there!", "three days", "go to grace@"],
            ),
            (invited("Grace Hopper", "Engines", None), "Grace Hopper invited you to join Engines on Doorward", &[LINK]),
            (
                K::MemberJoined {
                    member: "Alan Turing".into(),
                    member_email: address("alan@example.com"),
                    organization: "Engines".into(),
                },
                "Alan Turing joined you on Doorward",
                &["Alan Turing (alan@example.com) is now a member of Engines", "settings"],
            ),
        ]
    }

    #[test]
    fn every_kind_says_what_it_must_in_both_parts() {
        for (kind, subject, words) in every_kind() {
            let template = kind.template();
            let rendered = render("Ada", kind);
            assert_eq!(rendered.subject, subject, "{template}");
            assert!(rendered.text.starts_with("Hello Ada,\n\n"), "{template}: {}", rendered.text);
            let unescaped = rendered.html.replace("&amp;", "&").replace("&#x2f;", "/").replace("&#x27;", "'");
            for word in words {
                assert!(rendered.text.contains(word), "{template}: `{word}` in {}", rendered.text);
                assert!(unescaped.contains(word.trim()), "{template}: `{word}` in {}", rendered.html);
            }
            for part in [&rendered.subject, &rendered.text, &rendered.html] {
                assert!(!part.contains("{{") && !part.contains("{%"), "{template}: {part}");
            }
            assert!(rendered.text.lines().all(|line| line.len() <= 78), "{template}: {}", rendered.text);
            assert!(!rendered.html.contains("<img") && !rendered.html.contains("src="), "{template}");
        }
    }

    #[test]
    fn every_template_belongs_to_a_kind() {
        let kinds: Vec<&str> = every_kind().iter().map(|(kind, ..)| kind.template()).collect();
        for (name, _) in TEMPLATES {
            let stem = name.split('.').next().unwrap();
            assert!(stem == "base" || kinds.contains(&stem), "{name}");
        }
    }

    #[test]
    fn html_escapes_what_people_choose() {
        let kind = MailKind::NewDevice { device: "<script>alert(1)</script>".into(), address: "\"'&".into() };
        let html = render("Ada & \"Bob\" O'Hara", kind).html;
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&lt;script&gt;"), "{html}");
        assert!(html.contains("Ada &amp; &quot;Bob&quot; O&#x27;Hara"), "{html}");
    }

    #[test]
    fn a_name_cannot_carry_a_link_or_a_text() {
        let long = "a".repeat(61);
        for name in ["", " ", "http://evil.example", "see www.evil.example", "Ada\n\nYou won", "a@b.example", &long] {
            assert!(render(name, MailKind::AccountDeleted).text.starts_with("Hello,\n"), "{name:?}");
        }
        assert!(render("J.R.R. Tolkien", MailKind::AccountDeleted).text.starts_with("Hello J.R.R. Tolkien,\n"));
    }

    #[test]
    fn names_of_strangers_are_cut_and_carry_nothing() {
        for (inviter, organization, subject) in [
            ("", "Engines", "grace@example.com invited you to join Engines on Doorward"),
            ("Go to evil.com", "www.evil", "grace@example.com invited you to join an organization on Doorward"),
            ("Ada\nBcc: eve", "R&D / Ops", "grace@example.com invited you to join R&D / Ops on Doorward"),
        ] {
            assert_eq!(render("", invited(inviter, organization, None)).subject, subject);
        }
        let long = render("", invited(&"a".repeat(61), "Engines", None)).subject;
        assert!(long.starts_with(&format!("{}\u{2026} invited", "a".repeat(60))), "{long}");
    }

    /// Whoever makes a key in somebody else's session chooses what it is called.
    #[test]
    fn the_name_of_a_key_carries_nothing() {
        for label in ["see www.evil.example", "http://evil.example", "CI\n\nYou won", ""] {
            let text = render("Ada", MailKind::ApiKeyCreated { label: label.into() }).text;
            assert!(
                text.contains("    (see your account settings)\n") && !text.contains("evil") && !text.contains("won"),
                "{text}"
            );
        }
    }

    #[test]
    fn numbers_of_codes_read_well() {
        for (remaining, words) in
            [(0, "No backup codes are left"), (1, "1 backup code is left"), (2, "2 backup codes are")]
        {
            let text = render("Ada", MailKind::BackupCodeUsed { remaining }).text;
            assert!(text.contains(words), "{text}");
        }
        let text = render("Ada", MailKind::BackupCodesRegenerated { replaced: false }).text;
        assert!(!text.contains("before"), "{text}");
        let text = render("Ada", MailKind::TwoFactorReset { sessions_ended: false, keys_revoked: false }).text;
        assert!(!text.contains("logged out") && !text.contains("keys"), "{text}");
    }
}
