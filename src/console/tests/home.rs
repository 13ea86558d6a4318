//! Home: the figures, and the way from them to the users.

use crossterm::event::KeyCode;

use super::fixture::{COLOUR, Console};
use super::screens::check;
use crate::console::link::{Failure, Request};
use crate::console::model::{Focus, Screen};
use crate::domain::user::FactorState;
use crate::domain::user_filter::UserFilter;
use crate::error::Error;

fn home() -> Console {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("\n1");
    console
}

#[test]
fn screens() {
    check("home", |console| console.keys("\n1"));
    check("home_loading", |console| {
        console.hold = true;
        console.keys("\n1");
    });
    check("home_error", |console| {
        *console.server.broken.lock().unwrap() = Some(Failure::Refused(Error::internal("the disk is full")));
        console.keys("\n1");
    });
    check("home_lost", |console| {
        console.keys("\n1");
        console.lose_server();
    });
    check("home_empty", |console| {
        console.keys("\n1");
        let overview = console.model.home.overview.as_mut().unwrap();
        overview.attention.iter_mut().for_each(|item| item.count = 0);
        overview.roles.iter_mut().for_each(|role| (role.with, role.of) = (0, 0));
        overview.enrolments_per_day = vec![0; 60];
        overview.last_actions.clear();
        (overview.with_week_ago, overview.resets_usual) = (None, None);
    });
}

#[test]
fn enter_lists_the_users_behind_the_line() {
    let mut console = home();
    console.keys("jj\n");
    assert_eq!(console.model.screen, Screen::Users(Focus::List));
    assert_eq!(console.model.users.filters, [UserFilter::Staff(true), UserFilter::State(FactorState::Off)]);
    let asked = console.server.asked.lock().unwrap().clone();
    let Some(Request::Find(find)) = asked.iter().rev().find(|request| matches!(request, Request::Find(_))) else {
        panic!("nothing was searched")
    };
    assert_eq!((find.filters.len(), find.query.as_str()), (2, ""));
}

#[test]
fn the_cursor_stays_on_the_lines() {
    let mut console = home();
    console.keys("kkkk");
    assert_eq!(console.model.home.row, 0);
    console.keys("Gjj");
    assert_eq!(console.model.home.row, 5);
    console.key(KeyCode::Esc);
    assert_eq!(console.model.screen, Screen::Users(Focus::List));
}

#[test]
fn the_figures_follow_what_happens() {
    let mut console = home();
    let read = |console: &Console| {
        console.server.asked.lock().unwrap().iter().filter(|request| matches!(request, Request::Overview(_))).count()
    };
    let before = read(&console);
    console.model.status.as_mut().unwrap().audit_newest -= 1;
    console.pass(1_100);
    console.pass(1_100);
    assert_eq!(read(&console), before + 1);
}

#[test]
fn nobody_is_no_share() {
    let mut console = home();
    let overview = console.model.home.overview.as_mut().unwrap();
    overview.roles.iter_mut().for_each(|role| (role.with, role.of) = (0, 0));
    let screen = console.screen();
    assert!(screen.contains("no users yet") && !screen.contains("0 of 0") && !screen.contains("100 %"), "{screen}");
}
