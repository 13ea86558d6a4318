//! The window that asks for a file, and shows how much of it is written.

use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::dialog::underlined;
use super::{BoxLine, boxed, centred, field_text, put_lines, signed, toned};
use crate::console::export::{Export, Stage, What};
use crate::console::model::Model;
use crate::console::text::{cut, shown, thousands};
use crate::console::theme::Tone;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, export: &Export) {
    let columns = frame.area().width.min(76);
    let room = usize::from(columns).saturating_sub(4);
    let lines = lines(model, export, room);
    let outer = centred(frame, columns, lines.len() + 2);
    let inner = boxed(model, frame, outer, "Export", "");
    put_lines(frame, inner, lines);
}

fn lines(model: &Model, export: &Export, room: usize) -> Vec<BoxLine> {
    let what = match &export.what {
        What::Audit(_) => "The entries that are filtered, oldest first, as JSON lines.".to_owned(),
        What::Matching(_) => "All users that match, as JSON lines.".to_owned(),
        What::Users(users) => format!("The {} marked users, as JSON lines.", thousands(users.len() as u64)),
    };
    let (text, at) = field_text(&export.path, room.saturating_sub(6));
    let is_asking = export.stage == Stage::Asking;
    let field = BoxLine {
        line: Line::from(vec![Span::raw("File  "), underlined(text)]),
        focused: is_asking,
        cursor: is_asking.then_some(6 + at),
    };
    let mut lines: Vec<BoxLine> = vec![what.into(), "".into(), field, "".into()];
    lines.push(match (export.stage, &export.problem) {
        (_, Some(problem)) => {
            let text = cut(&shown(problem), room.saturating_sub(2), model.theme.ellipsis());
            Line::from(signed(model, Tone::Bad, &text)).into()
        }
        (Stage::Asking, None) => "Enter writes it; only you can read the file.".into(),
        (Stage::Exists, None) => Line::from(vec![
            signed(model, Tone::Care, "there is such a file.  "),
            toned(model, Tone::Key, "y"),
            Span::raw(" replaces it  "),
            toned(model, Tone::Key, "n"),
            Span::raw(" another name"),
        ])
        .into(),
        (Stage::Writing { rows }, None) => format!("{} written ...  Esc stops", thousands(rows as u64)).into(),
    });
    lines
}
