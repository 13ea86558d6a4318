//! The Audit screen: its filter, what follows the newest entry, the export.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::fixture::{COLOUR, Console};
use super::screens::check;
use crate::app::audit::AuditPage;
use crate::app::views::AuditRow;
use crate::console::export::{Page, Stage};
use crate::console::link::{Failure, Request};
use crate::console::model::{Audit, Overlay, ROWS_MAX, Slot};
use crate::console::update::Msg;
use crate::error::Error;

fn audit() -> Console {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("\n3");
    console
}

fn asked_for(console: &Console) -> crate::app::audit::ListAudit {
    let asked = console.server.asked.lock().unwrap();
    let last = asked.iter().rev().find_map(|request| match request {
        Request::Audit(list) => Some(list.clone()),
        _ => None,
    });
    last.unwrap()
}

fn pages(console: &Console) -> Vec<Page> {
    let asked = console.server.asked.lock().unwrap();
    let pages = asked.iter().filter_map(|request| match request {
        Request::Export(export) => Some(export.page.clone()),
        _ => None,
    });
    pages.collect()
}

#[test]
fn a_long_entry_is_read_to_its_end_and_no_further() {
    let mut console = audit();
    let last = "the last words of a long story";
    if let Some(rows) = &mut console.model.audit.rows {
        rows[0].previous_hash = format!("{} {last}", "and so on ".repeat(300));
    }
    console.keys("\n");
    assert!(!console.screen().contains(last), "{}", console.screen());
    console.key(KeyCode::End);
    assert!(console.screen().contains(last), "{}", console.screen());
    let end = console.screen();
    console.keys("jjjk");
    assert_ne!(console.screen(), end, "the first step back is seen");
}

#[test]
fn a_typed_filter_is_listed() {
    let mut console = audit();
    console.keys("/by:jdoe since:7d operators");
    assert!(asked_for(&console).filter == crate::app::audit::AuditFilter::default(), "it counts from Enter on");
    console.keys("\n");
    let filter = asked_for(&console).filter;
    assert_eq!(filter.actor.as_deref(), Some("jdoe"));
    assert!(filter.operators_only && filter.since.is_some());
    console.keys("x");
    assert_eq!(asked_for(&console).filter, crate::app::audit::AuditFilter::default());
}

#[test]
fn a_word_that_is_no_filter_is_told() {
    let mut console = audit();
    console.keys("/who:jdoe\n");
    assert!(console.screen().contains("`who:jdoe` is no filter"), "{}", console.screen());
    console.key(KeyCode::Esc);
    assert!(!console.screen().contains("is no filter"));
}

#[test]
fn a_user_who_is_not_there_is_told_in_the_field() {
    let mut console = audit();
    console.keys("/nobody@example.com");
    *console.server.broken.lock().unwrap() = Some(Failure::Refused(Error::not_found()));
    console.keys("\n");
    assert!(console.model.audit.problem.is_some());
}

fn row(number: u64) -> AuditRow {
    let mut row = Console::new(COLOUR, 80, 24).at_anna().model.detail.unwrap().audit.remove(0);
    row.number = number;
    row
}

fn page(numbers: impl IntoIterator<Item = u64>, next: Option<u64>) -> AuditPage {
    AuditPage { rows: numbers.into_iter().map(row).collect(), next, newest: 100 }
}

#[test]
fn the_newest_is_followed_unless_the_cursor_was_moved() {
    let numbers = |audit: &Audit| audit.rows().iter().map(|row| row.number).collect::<Vec<_>>();
    let mut audit = Audit::default();
    audit.take(page([9, 8, 7], Some(7)), false);
    audit.take(page([6, 5], None), true);
    audit.take(page([11, 10, 9], Some(9)), false);
    assert_eq!(numbers(&audit), [11, 10, 9, 8, 7, 6, 5], "what was read further back stays");
    assert_eq!((audit.chosen, audit.next), (Some(11), None));
    audit.chosen = Some(8);
    audit.take(page([12, 11, 10], Some(10)), false);
    assert_eq!(audit.chosen, Some(8));
    audit.take(page([40, 39], Some(39)), false);
    assert_eq!(numbers(&audit), [40, 39], "entries between would be missing");
    assert_eq!((audit.chosen, audit.next), (Some(40), Some(39)));
}

#[test]
fn what_is_filtered_goes_to_a_file() {
    let mut console = audit();
    console.keys("eaudit.jsonl\n");
    assert!(matches!(pages(&console).as_slice(), [Page::First { replace: false }, Page::Next(_)]));
    assert!(console.screen().contains("520 lines written to audit.jsonl"), "{}", console.screen());
}

#[test]
fn no_file_is_replaced_unasked() {
    let mut console = audit();
    console.keys("etaken\n");
    assert!(console.screen().contains("there is such a file"));
    console.keys("n");
    let Some(Overlay::Export(export)) = &console.model.overlay else { panic!("closed") };
    assert_eq!(export.stage, Stage::Asking);
    console.keys("\ny");
    assert!(pages(&console).iter().any(|page| matches!(page, Page::First { replace: true })));
    assert!(console.screen().contains("520 lines written to taken"));
}

#[test]
fn a_file_that_cannot_be_written_says_why() {
    let mut console = audit();
    console.keys("eforbidden\n");
    assert!(console.screen().contains("permission denied"));
    console.key(KeyCode::Esc);
    assert!(console.model.overlay.is_none());
}

#[test]
fn screens() {
    check("audit_filtered", |console| console.keys("\n3/by:jdoe since:30d\n"));
    check("audit_export", |console| console.keys("\n3/by:jdoe since:30d\netaken\n"));
    check("audit_typing", |console| console.keys("\n3/"));
    check("audit_problem", |console| console.keys("\n3/who:jdoe\n"));
    check("audit_empty", |console| {
        console.keys("\n3");
        console.model.audit.rows = Some(Vec::new());
    });
    check("audit_loading", |console| {
        console.hold = true;
        console.keys("\n3");
    });
    check("audit_lost", |console| {
        console.keys("\n3");
        console.lose_server();
    });
}

#[test]
fn a_new_device_can_be_demanded_from_a_day_on() {
    let mut console = Console::new(COLOUR, 80, 24).at_anna();
    console.dialog('e');
    console.keys("\t1\tlost her phone abroad\tsoon\tanna.smith\t\n");
    assert!(console.screen().contains("a day as in 2026-12-01"), "{}", console.screen());
    let Some(Overlay::Dialog(dialog)) = &mut console.model.overlay else { panic!("closed") };
    dialog.focus = crate::console::dialog::Part::From;
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    console.keys("2026-12-01\t\t\n");
    let asked = console.server.asked.lock().unwrap().clone();
    let demand = asked.iter().find_map(|request| match request {
        Request::Demand(demand) => Some(demand.clone()),
        _ => None,
    });
    let demand = demand.unwrap();
    assert_eq!(demand.from.map(crate::domain::time::Timestamp::to_rfc3339_z).as_deref(), Some("2026-12-01T00:00:00Z"));
    assert_eq!(demand.proof.confirm.as_deref(), Some("anna.smith"));
}

#[test]
fn demand_dialog() {
    check("demand_dialog", |console| {
        console.keys("anna.smith@corp\nW");
        console.dialog('e');
    });
}

#[test]
fn a_page_of_the_old_filter_is_not_joined_to_the_new_list() {
    let mut console = audit();
    console.model.audit.next = Some(48_000);
    console.hold = true;
    console.keys("j");
    assert!(console.model.is_awaiting(Slot::MoreAudit));
    console.keys("fevent:user\n");
    assert!(!console.model.is_awaiting(Slot::MoreAudit));
    console.release();
    assert_eq!(console.model.audit.rows().len(), 2, "{}", console.screen());
}

#[test]
fn what_is_new_each_second_does_not_grow_without_bound() {
    let one = super::fixture::detail(super::fixture::users().remove(1)).audit.remove(0);
    let page = |newest: u64| AuditPage {
        rows: (newest - 199..=newest).rev().map(|number| AuditRow { number, ..one.clone() }).collect(),
        next: Some(newest - 199),
        newest,
    };
    let mut audit = Audit::default();
    for newest in (1_000..20_000).step_by(100) {
        audit.take(page(newest), false);
    }
    assert_eq!(audit.rows().len(), ROWS_MAX);
    assert_eq!(audit.next, audit.rows().last().map(|row| row.number), "the rest is read again when it is wanted");
    assert_eq!(audit.chosen_index(), 0, "the cursor follows the newest");
}

#[test]
fn nothing_stays_of_a_file_that_will_not_be_whole() {
    let dropped = |console: &Console| {
        let asked = console.server.asked.lock().unwrap();
        asked.iter().filter(|request| matches!(request, Request::DiscardExport(_))).count()
    };
    let mut console = audit();
    console.hold = true;
    console.keys("eaudit.jsonl\n");
    console.hold = false;
    console.lose_server();
    assert_eq!(dropped(&console), 1, "the link goes");
    assert!(console.screen().contains("no file was written"), "{}", console.screen());
    let mut console = audit();
    console.keys("eforbidden\n");
    assert_eq!(dropped(&console), 1, "a page is refused");
    let mut console = audit();
    console.keys("etaken\n");
    assert_eq!(dropped(&console), 0, "nothing was begun");
}
