//! Why a code is or is not accepted. Looks only: the code is not used up.

use tui_input::Input;

use crate::app::reset::CodeExplanation;
use crate::app::views::{UserDetail, UserRef};
use crate::domain::totp::STEP_SECONDS;

/// A code that is looked into.
#[derive(Debug)]
pub struct Explain {
    pub user: UserRef,
    pub email: String,
    pub name: String,
    pub code: Input,
    /// Asked, not yet answered.
    pub sent: bool,
    pub answer: Option<CodeExplanation>,
    pub problem: Option<String>,
}

impl Explain {
    #[must_use]
    pub fn new(detail: &UserDetail) -> Self {
        Self {
            user: UserRef(detail.row.uuid.to_string()),
            email: detail.row.email.clone(),
            name: detail.row.name.clone(),
            code: Input::default(),
            sent: false,
            answer: None,
            problem: None,
        }
    }
}

/// The drift of a phone's clock in words, from the steps between its code and now; `None` when there is none worth a
/// word.
#[must_use]
pub fn drift(steps: i64) -> Option<String> {
    let seconds = steps.saturating_abs().saturating_mul(STEP_SECONDS);
    let how = if steps < 0 { "slow" } else { "fast" };
    let about = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h", (seconds + 1_800) / 3_600),
    };
    (steps != 0).then(|| format!("phone clock about {about} {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_has_a_direction() {
        assert_eq!(drift(-3).as_deref(), Some("phone clock about 90 s slow"));
        assert_eq!(drift(1).as_deref(), Some("phone clock about 30 s fast"));
        assert_eq!(drift(-120).as_deref(), Some("phone clock about 60 min slow"));
        assert_eq!(drift(241).as_deref(), Some("phone clock about 2 h fast"));
        assert_eq!(drift(0), None);
    }
}
