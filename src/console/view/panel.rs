//! The result panel: what was done, step by step, and what to say to the caller.

use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::{BoxLine, boxed, centred, put_lines, signed, toned};
use crate::app::reset::TwoFactorReset;
use crate::console::keys::{Action, Place};
use crate::console::model::{Model, Panel};
use crate::console::text::{count, fit, shown, time_of_day, wrap};
use crate::console::theme::Tone;
use crate::domain::time::Timestamp;

/// Rows from which on there is room for the heading.
const ROOMY_ROWS: u16 = 20;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, panel: &Panel) {
    let columns = frame.area().width.min(80);
    let room = usize::from(columns).saturating_sub(4);
    let (lines, title) = match panel {
        Panel::Reset { reset, took_ms, at } => (reset_lines(model, reset, *at, room), format!("Done in {took_ms} ms")),
        Panel::Waits { email, text } => {
            let mut lines: Vec<BoxLine> = vec![shown(email).into(), "".into()];
            lines.extend(wrap(&shown(text), room).into_iter().map(BoxLine::from));
            lines.push("".into());
            let key = model.keys.first(Place::List, Action::Jobs);
            let how =
                format!("It is on the Jobs screen ({key}) of every operator's console, for a quarter of an hour.");
            lines.extend(wrap(&how, room).into_iter().map(BoxLine::from));
            (lines, "Waits for a second operator".to_owned())
        }
        Panel::Done { done, took_ms } => {
            let mut lines: Vec<BoxLine> = vec![shown(&done.email).into(), "".into()];
            lines.extend(wrap(&shown(&done.summary), room).into_iter().map(BoxLine::from));
            (lines, format!("Done in {took_ms} ms"))
        }
    };
    let audit = panel
        .audit_number()
        .map_or(String::new(), |number| format!("audit #{}", crate::console::text::thousands(number)));
    let outer = centred(frame, columns, lines.len() + 2);
    let inner = boxed(model, frame, outer, &title, &audit);
    put_lines(frame, inner, lines);
}

/// What it says, as text on lines of so many columns.
pub(super) fn said(model: &Model, panel: &Panel, room: usize) -> Vec<String> {
    match panel {
        Panel::Reset { reset, at, .. } => {
            reset_lines(model, reset, *at, room).iter().map(|line| line.line.to_string().trim().to_owned()).collect()
        }
        Panel::Done { done, .. } => wrap(&shown(&done.summary), room),
        Panel::Waits { text, .. } => wrap(&shown(text), room),
    }
}

fn reset_lines(model: &Model, reset: &TwoFactorReset, at: Timestamp, room: usize) -> Vec<BoxLine> {
    let mut lines: Vec<BoxLine> = Vec::new();
    if model.size.1 >= ROOMY_ROWS {
        lines = vec![Line::from(toned(model, Tone::Title, shown(&reset.email))).into(), "".into()];
    }
    lines.extend(steps(model, reset, room));
    lines.extend(mail_lines(model, reset, at, room));
    lines.push("".into());
    lines.extend(wrap(&sentence(reset), room).into_iter().map(BoxLine::from));
    lines
}

/// The steps with their ticks, two on a line where they fit.
fn steps(model: &Model, reset: &TwoFactorReset, room: usize) -> Vec<BoxLine> {
    let mut steps = Vec::new();
    if reset.totp_removed {
        steps.push("TOTP device removed".to_owned());
    }
    steps.push(format!("{} deleted", count(reset.backup_codes_deleted, "backup code")));
    steps.push(match reset.sessions_ended {
        0 => "no session was signed out".to_owned(),
        ended => format!("{} signed out", count(ended, "session")),
    });
    if reset.remembered_devices_forgotten > 0 {
        steps.push(format!("{} forgotten", count(reset.remembered_devices_forgotten, "remembered device")));
    }
    if reset.api_keys_revoked > 0 {
        steps.push(format!("{} revoked", count(reset.api_keys_revoked, "API key")));
    }
    if reset.enrolment_demanded {
        steps.push("new device asked for at next sign-in".to_owned());
    }
    let across = if room >= 74 { 2 } else { 1 };
    steps
        .chunks(across)
        .map(|pair| {
            let mut spans = Vec::new();
            for step in pair {
                spans.push(toned(model, Tone::Good, format!("{} ", model.theme.tick())));
                spans.push(Span::raw(fit(step, if across == 2 { 36 } else { room.saturating_sub(2) }, "")));
            }
            Line::from(spans).into()
        })
        .collect()
}

/// What became of the notice, as far as it is known.
fn mail_lines(model: &Model, reset: &TwoFactorReset, at: Timestamp, room: usize) -> Vec<BoxLine> {
    if reset.notice_to.is_empty() {
        return vec![Line::from(signed(model, Tone::Care, "no e-mail: mail is off, tell the person yourself")).into()];
    }
    let to: Vec<String> = reset.notice_to.iter().map(|to| shown(to)).collect();
    let delivered = model.detail_asked_at >= at
        && model.chosen_detail().is_some_and(|detail| detail.row.email == reset.email && detail.mails_waiting == 0);
    let (tone, sign, text) = if delivered {
        (Tone::Good, model.theme.tick(), format!("e-mail handed to the mail server for {}", to.join(", ")))
    } else {
        let sign = model.theme.sign(Tone::Waiting);
        (Tone::Waiting, sign, format!("e-mail queued {} for {}", time_of_day(at), to.join(", ")))
    };
    wrap(&text, room.saturating_sub(2))
        .into_iter()
        .enumerate()
        .map(|(index, line)| {
            let sign = if index == 0 { format!("{sign} ") } else { "  ".to_owned() };
            Line::from(vec![toned(model, tone, sign), Span::raw(line)]).into()
        })
        .collect()
}

fn sentence(reset: &TwoFactorReset) -> String {
    let enrol = if reset.enrolment_demanded { "; you will be asked to scan a new code" } else { "" };
    let notice = match reset.notice_to.first() {
        Some(to) => format!(" A notice went to {}.", shown(to)),
        None => String::new(),
    };
    format!(
        "Tell the caller: sign in with your password{enrol}.{notice} If you did not ask for this, call us back at once."
    )
}
