//! The list of users: the window held of it, marks, orders, filters, and what nobody matches.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::fixture::{COLOUR, Console, row};
use crate::app::directory::ListFrom;
use crate::console::link::Request;
use crate::console::model::{Marks, WINDOW_PAGE_ROWS};
use crate::console::update::Msg;
use crate::domain::user::FactorState;
use crate::domain::user_filter::{UserFilter, UserSort};

/// As many users as a window never holds at once.
fn many(count: u64) -> Console {
    let console = Console::unconnected(COLOUR, 80, 24);
    let users = (0..count).map(|n| row(n, &format!("user{n:05}@example.com"), "A User", FactorState::On));
    *console.server.users.lock().unwrap() = users.collect();
    let mut console = console.connected();
    console.keys("\n");
    console
}

fn email(console: &Console) -> &str {
    &console.model.users.chosen_row().expect("somebody is chosen").email
}

fn find(console: &Console) -> crate::app::directory::FindUsers {
    let asked = console.server.asked.lock().unwrap();
    let finds = asked.iter().rev().find_map(|request| match request {
        Request::Find(find) => Some(find.clone()),
        _ => None,
    });
    finds.expect("something was searched")
}

#[test]
fn the_cursor_walks_through_a_long_list_and_little_is_held() {
    let mut console = many(1_000);
    for index in 1..1_000 {
        console.keys("j");
        assert_eq!(email(&console), format!("user{index:05}@example.com"));
        assert!(console.model.users.rows().len() <= 3 * WINDOW_PAGE_ROWS);
    }
    assert_eq!(console.model.users.position(), Some(999));
    for index in (0..999).rev() {
        console.keys("k");
        assert_eq!(email(&console), format!("user{index:05}@example.com"));
    }
    assert_eq!(console.model.users.position(), Some(0));
}

#[test]
fn first_last_and_percent_are_one_question_each() {
    let mut console = many(10_000);
    console.keys("G");
    assert_eq!(email(&console), "user09999@example.com");
    console.keys("g");
    assert_eq!(email(&console), "user00000@example.com");
    console.keys(":50%\n");
    assert_eq!(email(&console), "user05000@example.com");
    assert!(console.screen().contains("about 5,001"));
    console.keys("k");
    assert_eq!(email(&console), "user04999@example.com", "what lies before was read too");
    console.keys(":100%\n");
    assert_eq!(email(&console), "user09999@example.com");
}

#[test]
fn a_page_beyond_the_edge_is_gone_when_it_is_there() {
    let mut console = many(1_000);
    console.keys("GkkkkG");
    console.keys("g");
    for _ in 0..20 {
        console.key(KeyCode::PageDown);
    }
    assert_eq!(email(&console), format!("user{:05}@example.com", 20 * 16));
    // The answer is late: the edge says so, and the rest of the way is gone afterwards.
    console.hold = true;
    for _ in 0..20 {
        console.key(KeyCode::PageDown);
    }
    assert!(console.model.users.beyond > 0 && console.screen().contains("  ..."), "{}", console.screen());
    console.release();
    assert_eq!(console.model.users.beyond, 0);
    assert!(console.model.users.position().is_some_and(|position| position > 400));
}

#[test]
fn a_refresh_keeps_place_and_cursor_deep_in_the_list() {
    let mut console = many(10_000);
    console.keys(":50%\njjjjj");
    let at = email(&console).to_owned();
    for _ in 0..5 {
        console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
        assert_eq!(email(&console), at);
        assert!(console.model.users.position().is_some_and(|position| position == 5_005));
    }
}

#[test]
fn marks_are_by_user_and_outlive_searches() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("\n jj ");
    assert_eq!(console.model.users.marks.count().count, 2);
    console.keys("/anna.smith@edu\n");
    assert_eq!(console.model.users.marks.count().count, 2);
    assert!(console.screen().contains("2 marked"));
    assert!(console.screen().contains(">+anna.smith@edu"));
    console.keys("/joanna\n");
    console.keys("Wa");
    assert!(console.screen().contains("2 of the marked are not in this list"), "{}", console.screen());
    console.key(KeyCode::Esc);
    console.keys("u");
    assert!(console.model.users.marks.is_empty());
}

#[test]
fn a_range_is_marked_from_where_it_began() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("\njVjjV");
    assert_eq!(console.model.users.marks.count().count, 3);
    console.keys("uV");
    console.key(KeyCode::Esc);
    console.key(KeyCode::Esc);
    console.keys("jV");
    assert!(console.model.users.marks.is_empty() && console.model.users.range_from.is_some(), "begun anew");
}

#[test]
fn all_that_match_are_marked_whether_held_or_not() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("\n*");
    assert!(matches!(&console.model.users.marks, Marks::Users(users) if users.len() == 6));
    let mut console = many(1_000);
    console.keys("fs*");
    let Marks::Matching { query, hits } = &console.model.users.marks else { panic!("only those held") };
    assert_eq!((query.filters.as_slice(), hits.count), (&[UserFilter::Staff(true)][..], 500));
    assert!(console.screen().contains("500 marked"));
    console.keys(" ");
    assert_eq!(console.model.users.marks.count().count, 500, "one of them is not taken out");
    console.keys("x");
    assert!(!console.screen().contains(">+"), "it is another list");
}

#[test]
fn nobody_found_says_how_many_there_are_without_the_filter() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("joanna.swan\nfs");
    let words = console.screen().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("No user matches joanna.swan with role:staff. x drops the filter, 1 matches without it."));
}

#[test]
fn what_begins_like_a_filter_and_is_none_says_so() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("role:nonsense\n");
    assert!(console.screen().contains("role:nonsense is no filter and was searched as text"), "{}", console.screen());
}

#[test]
fn orders_and_filters_are_asked_for() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("\nsl");
    assert_eq!(find(&console).sort, UserSort::LastLogin);
    assert!(console.screen().contains("sort: last sign-in"));
    console.keys("fifp");
    assert_eq!(find(&console).filters, [UserFilter::SignedInWithin { days: 90 }, UserFilter::MailPending]);
    assert!(console.screen().contains("[in:90d] [mail:pending x]"), "{}", console.screen());
}

#[test]
fn the_order_stays_while_keys_are_pressed_and_says_what_waits() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("\n");
    console.server.status.lock().unwrap().audit_newest += 3;
    console.pass(900);
    console.keys("j");
    console.pass(200);
    assert!(console.model.outdated);
    assert!(console.screen().contains("3 changes, Ctrl-R to re-sort"), "{}", console.screen());
    console.pass(900);
    assert!(!console.model.outdated, "a second without a key");
}

#[test]
fn namesakes_and_look_alikes_are_flagged() {
    let mut console = Console::new(COLOUR, 80, 24);
    let mut cyrillic = row(8, "anna@ex\u{430}mple.com", "Anna", FactorState::On);
    cyrillic.is_namesake = false;
    console.server.users.lock().unwrap().push(cyrillic);
    console.keys("anna@\n");
    let screen = console.screen();
    assert!(screen.contains("▲ Anna "), "{screen}");
    assert!(screen.contains("reads like example.com"), "{screen}");
}

#[test]
fn marked_sessions_end_one_after_the_other() {
    let mut console = Console::new(COLOUR, 80, 24).at_anna();
    console.keys("\nll j ");
    assert_eq!(console.model.tab_marks.len(), 2);
    assert!(console.screen().contains("+         "));
    console.dialog('s');
    assert!(console.screen().contains("End sessions"));
    console.keys("\tstolen laptop\ty");
    let asked = console.server.asked.lock().unwrap().clone();
    let ended: Vec<_> = asked
        .iter()
        .filter_map(|request| match request {
            Request::RevokeSessions(revoke) => revoke.id.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(ended, ["s1", "s2"]);
    assert!(console.model.tab_marks.is_empty() && console.screen().contains("2 of them"), "{}", console.screen());
}

#[test]
fn without_marks_or_choice_all_keys_need_a_proof() {
    let mut console = Console::new(COLOUR, 80, 24).at_anna();
    console.dialog('k');
    let screen = console.screen();
    assert!(screen.contains("Revoke all API keys") && screen.contains("Type the part before the @"), "{screen}");
    console.key(KeyCode::Esc);
    console.keys("\nlll");
    console.dialog('k');
    let screen = console.screen();
    assert!(screen.contains("revoke ci-upload (last used 2026-11-23)") && !screen.contains("before the @"), "{screen}");
}

#[test]
fn an_answer_that_comes_late_moves_no_cursor_under_a_menu() {
    for (keys, what) in [("Ga", "menu"), ("G:", "palette"), ("G\n", "detail")] {
        let mut console = many(10_000);
        console.keys("W");
        console.hold = true;
        console.keys(keys);
        console.release();
        assert_eq!(email(&console), "user00000@example.com", "{what}");
    }
}

#[test]
fn a_menu_closes_when_its_user_is_gone() {
    for keys in ["a", ":"] {
        let mut console = many(10);
        console.keys(keys);
        let gone = console.model.users.chosen;
        console.model.users.chosen = None;
        console.pass(1_100);
        assert!(gone.is_some() && console.model.overlay.is_none(), "{keys}\n{}", console.screen());
    }
}

#[test]
fn words_typed_without_a_server_are_searched_from_the_start_when_it_is_back() {
    let mut console = many(1_000);
    console.keys(":50%\n");
    console.lose_server();
    console.keys("/user0001");
    *console.server.broken.lock().unwrap() = None;
    console.pass(6_000);
    let asked = find(&console);
    assert_eq!((asked.query.as_str(), asked.from), ("user0001", ListFrom::Start));
    assert_eq!(email(&console), "user00010@example.com", "{}", console.screen());
}

#[test]
fn all_that_match_does_not_mark_who_no_longer_does() {
    let mut console = many(5);
    console.keys("/user\n");
    let first = console.model.users.chosen.unwrap();
    console.server.users.lock().unwrap()[0].email = "renamed@example.com".to_owned();
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
    assert_eq!(console.model.users.chosen, Some(first), "who is under the cursor stays");
    console.keys("*");
    let Marks::Users(marked) = &console.model.users.marks else { panic!("marked one by one") };
    assert!(marked.len() == 4 && !marked.contains(&first), "{marked:?}");
}
