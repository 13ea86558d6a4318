//! Questions to the operations: what is asked, and what is asked again.

use super::audit::read_audit;
use super::detail::inspect;
use super::export::stop;
use super::home::read_overview;
use super::jobs::read_jobs;
use super::unknown::{look_up, unanswered};
use super::users::find_again;
use super::{Cmd, Cmds, INTERRUPT_SECONDS, toast};
use crate::console::link::Request;
use crate::console::model::{Awaited, Model, Overlay, Screen, Slot};

pub(super) fn ask(model: &mut Model, slot: Slot, request: Request) -> Cmd {
    model.serial += 1;
    model.awaited.retain(|awaited| awaited.slot != slot);
    let id = format!("{}-{}", model.session, model.serial);
    model.awaited.push(Awaited { id: id.clone(), slot, serial: model.serial, since: model.now });
    if slot == Slot::Status {
        model.last_status_at = model.now;
    }
    Cmd::Perform { slot, serial: model.serial, id, request }
}

pub(super) fn forget(model: &mut Model, slot: Slot) -> Cmd {
    model.awaited.retain(|awaited| awaited.slot != slot);
    Cmd::Forget(slot)
}

pub(super) const fn is_read(slot: Slot) -> bool {
    !matches!(slot, Slot::Connect | Slot::Status | Slot::Preview | Slot::Write)
}

/// Reads again what is on the screen.
pub(super) fn refresh(model: &mut Model) -> Cmds {
    (model.outdated, model.changes) = (false, 0);
    match model.screen {
        Screen::Users(_) => {
            let mut commands = find_again(model);
            commands.extend(inspect(model));
            commands
        }
        Screen::Audit => read_audit(model),
        Screen::Home => read_overview(model),
        Screen::Jobs => read_jobs(model),
    }
}

pub(super) fn refresh_all(model: &mut Model) -> Cmds {
    let mut commands = refresh(model);
    if model.is_connected() {
        commands.push(ask(model, Slot::Status, Request::Status));
    }
    commands
}

/// What dialogs ask: nobody waits for it once they are closed.
const OF_OVERLAYS: [Slot; 4] = [Slot::Write, Slot::Preview, Slot::Explain, Slot::Draft];

pub(super) fn interrupt(model: &mut Model) -> Cmds {
    if model.help.take().is_some() {
        return Vec::new();
    }
    if matches!(model.overlay, Some(Overlay::Export(_))) {
        return stop(model);
    }
    if let Some(id) = model.awaited.iter().find(|awaited| awaited.slot == Slot::Write).map(|write| write.id.clone()) {
        unanswered(model, id);
    }
    if model.overlay.take().is_some() {
        let mut commands: Cmds = OF_OVERLAYS.iter().map(|slot| forget(model, *slot)).collect();
        commands.extend(look_up(model));
        return commands;
    }
    let reads: Vec<Slot> = model.awaited.iter().map(|awaited| awaited.slot).filter(|slot| is_read(*slot)).collect();
    if !reads.is_empty() {
        return reads.into_iter().map(|slot| forget(model, slot)).collect();
    }
    let again = model.interrupt_at.is_some_and(|at| (0..INTERRUPT_SECONDS).contains(&model.now.seconds_since(at)));
    model.quit = again;
    model.interrupt_at = Some(model.now);
    toast(model, "press Ctrl-C again to quit");
    Vec::new()
}
