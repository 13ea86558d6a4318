//! Lists of users against a model that looks at every user: from the column in memory, and from the indexes on disk.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::app::jobs::Selection;
use crate::app::search::{From, Indexed, Wanted};
use crate::domain::api_key::ApiKey;
use crate::domain::email::EmailAddress;
use crate::domain::id::SessionId;
use crate::domain::job::JobKind;
use crate::domain::text;
use crate::domain::user::{BackupCode, TotpDevice};
use crate::domain::user_filter::{UserFilter, UserSort};
use crate::domain::user_place::{Place, first_second_within, name_key, second_of};
use crate::domain::user_search::Terms;
use crate::domain::vault::Sealed;
use crate::records::{OutboxRecord, give_up_mail, put_api_key, put_session, queue_mail, remove_api_key, remove_user};

const FIRST: &[&str] = &["", "Anna", "ANNA", "Joanna", "Łukasz", "Zoë", "J."];
const LAST: &[&str] = &["", "Smith", "smith", "Schmidt", "von Smithereen", "\u{fb03}n"];
const LOCAL: &[&str] = &["anna.smith", "anna", "joanna.s", "a", "smith", "zoë.x", "lukasz-s"];
const DOMAIN: &[&str] = &["corp.example.com", "edu.example.com", "x.io"];
const DAY: i64 = 86_400;

/// A change to one of a few users.
#[derive(Clone, Debug)]
enum Step {
    Create { email: usize, first: usize, last: usize, made: i64 },
    Delete,
    Rename { first: usize, last: usize },
    ChangeEmail { email: usize },
    Staff(bool),
    State(FactorState),
    Codes(usize),
    Fail(u32),
    Stage(bool),
    Login(i64),
    AddKey,
    RemoveKey,
    AddSession,
    EndSessions,
    FailMail,
}

fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(usize, Step)>> {
    let addresses = LOCAL.len() * DOMAIN.len();
    let step = prop_oneof![
        8 => (0..addresses, 0..FIRST.len(), 0..LAST.len(), 0..100_i64)
            .prop_map(|(email, first, last, made)| Step::Create { email, first, last, made }),
        1 => Just(Step::Delete),
        2 => (0..FIRST.len(), 0..LAST.len()).prop_map(|(first, last)| Step::Rename { first, last }),
        1 => (0..addresses).prop_map(|email| Step::ChangeEmail { email }),
        2 => any::<bool>().prop_map(Step::Staff),
        3 => prop::sample::select(FactorState::ALL.to_vec()).prop_map(Step::State),
        2 => (0..6_usize).prop_map(Step::Codes),
        1 => (0..12_u32).prop_map(Step::Fail),
        2 => any::<bool>().prop_map(Step::Stage),
        3 => (0..100_i64).prop_map(Step::Login),
        2 => Just(Step::AddKey),
        1 => Just(Step::RemoveKey),
        2 => Just(Step::AddSession),
        1 => Just(Step::EndSessions),
        1 => Just(Step::FailMail),
    ];
    prop::collection::vec((0..20_usize, step), count)
}

/// One question.
#[derive(Clone, Debug)]
struct Question {
    query: String,
    filters: Vec<UserFilter>,
    sort: UserSort,
    limit: usize,
}

impl Question {
    /// Of two filters of one kind the later one.
    fn meant(&self) -> Vec<UserFilter> {
        let later = |index: usize| self.filters.iter().skip(index + 1);
        let is_last = |(index, filter): &(usize, &UserFilter)| !later(*index).any(|other| other.same_kind(**filter));
        self.filters.iter().enumerate().filter(is_last).map(|(_, filter)| *filter).collect()
    }
}

fn questions() -> impl Strategy<Value = Question> {
    let words = prop::sample::select(vec![
        "",
        "",
        "",
        "a",
        "anna",
        "anna.s",
        "smith",
        "SMITH",
        "example",
        "na smi",
        "ffin",
        "zoë",
        "anna.smith@x.io",
        "j. von",
        "nobody-at-all",
        "łuk",
        "@x",
        ".",
    ]);
    let filter = prop_oneof![
        any::<bool>().prop_map(UserFilter::Staff),
        prop::sample::select(FactorState::ALL.to_vec()).prop_map(UserFilter::State),
        Just(UserFilter::Locked),
        (0..6_u8).prop_map(UserFilter::CodesAtMost),
        Just(UserFilter::MailPending),
        Just(UserFilter::MailFailed),
        (1..120_u16).prop_map(|days| UserFilter::SignedInWithin { days }),
        (1..120_u16).prop_map(|days| UserFilter::MadeWithin { days }),
        Just(UserFilter::HasKeys),
        Just(UserFilter::HasSessions),
    ];
    let filters = prop::collection::vec(filter, 0..3);
    let sort = prop::sample::select(UserSort::ALL.to_vec());
    (words, filters, sort, 1..7_usize).prop_map(|(words, filters, sort, limit)| Question {
        query: words.to_owned(),
        filters,
        sort,
        limit,
    })
}

/// What the model knows of a user besides the record.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    keys: Vec<ApiKey>,
    /// Epochs of sessions.
    sessions: Vec<u32>,
    has_failed_mail: bool,
}

#[derive(Clone, Debug, Default)]
struct Model {
    users: Vec<User>,
    besides: BTreeMap<UserId, Known>,
    count: u64,
}

fn address(number: usize) -> EmailAddress {
    let (local, domain) = (LOCAL[number % LOCAL.len()], DOMAIN[number / LOCAL.len()]);
    EmailAddress::parse(&format!("{local}@{domain}")).unwrap()
}

impl Model {
    /// Makes one change in the store and here. With `shared` somebody else may change the same users meanwhile, and the
    /// model is not kept.
    async fn step(&mut self, app: &App, place: usize, step: Step, now: Timestamp) {
        let commit = async |batch| matches!(app.records().store().commit(batch).await.unwrap(), Commit::Done(_));
        if let Step::Create { email, first, last, made } = step {
            self.count += 1;
            let number = self.count;
            // Ids that are not always made in order, as those of an import.
            let id = UserId(uuid::Uuid::from_u128((u128::from(number * 7 % 5) << 64) + u128::from(number)));
            let made = now.plus_seconds(-made * DAY - 5);
            let mut user = User::new(id, number, format!("d{number}"), address(email), made);
            (user.first_name, user.last_name) = (FIRST[first].to_owned(), LAST[last].to_owned());
            if commit(put_user(Batch::default(), None, &user)).await {
                self.users.push(user);
                self.besides.insert(id, Known::default());
            }
            return;
        }
        let Some(known) = self.users.get(place) else { return };
        let before = app.records().user(known.id).await.unwrap().unwrap();
        let mut user = before.value.clone();
        let factor = &mut user.second_factor;
        match step {
            Step::Create { .. } => {}
            Step::Delete => {
                if commit(remove_user(Batch::default(), &before)).await {
                    self.users.remove(place);
                    self.besides.remove(&user.id);
                }
                return;
            }
            Step::Rename { first, last } => {
                (user.first_name, user.last_name) = (FIRST[first].to_owned(), LAST[last].to_owned());
            }
            Step::ChangeEmail { email } => user.change_email(address(email), now),
            Step::Staff(is_staff) => user.is_staff = is_staff,
            Step::State(state) => {
                factor.enrol_from = (state == FactorState::Enrol).then_some(now);
                let device = TotpDevice {
                    secret: Sealed(Vec::new()),
                    confirmed_at: now,
                    last_used_at: None,
                    last_step: -1,
                    disabled: state == FactorState::Locked,
                };
                factor.totp = matches!(state, FactorState::On | FactorState::Locked).then_some(device);
            }
            Step::Codes(codes) => {
                factor.backup_codes = vec![BackupCode { mac: [0; 32], sealed: Sealed(Vec::new()) }; codes];
            }
            Step::Fail(count) => factor.totp_failures = Failures { count, last_at: now.plus_seconds(-30) },
            Step::Stage(is_staged) => {
                user.pending_email = is_staged.then(|| address(0));
                user.pending_email_at = is_staged.then_some(now);
            }
            Step::Login(days) => user.last_login = Some(now.plus_seconds(-days * DAY - 7)),
            Step::AddKey | Step::RemoveKey | Step::AddSession | Step::FailMail => {
                self.step_besides(app, user.id, user.session_epoch, step, now).await;
                return;
            }
            Step::EndSessions => user.end_presence(),
        }
        if commit(put_user(Batch::default(), Some(&before), &user)).await {
            self.users[place] = user;
        }
    }

    async fn step_besides(&mut self, app: &App, user: UserId, epoch: u32, step: Step, now: Timestamp) {
        self.count += 1;
        let number = self.count;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let id = uuid::Uuid::from_u128(u128::from(number));
        let known = self.besides.get_mut(&user).unwrap();
        let batch = match step {
            Step::AddKey => {
                let key = ApiKey {
                    id: format!("k{number}"),
                    user,
                    label: String::new(),
                    description: None,
                    mask: String::new(),
                    hash: bytes,
                    created_at: now,
                    last_used_at: None,
                    last_rolled_at: None,
                    scopes: vec!["*".to_owned()],
                    scoped_teams: Vec::new(),
                    scoped_organizations: Vec::new(),
                };
                known.keys.push(key.clone());
                put_api_key(Batch::default(), None, &key)
            }
            Step::RemoveKey => {
                let Some(key) = known.keys.pop() else { return };
                remove_api_key(Batch::default(), &key)
            }
            Step::AddSession => {
                known.sessions.push(epoch);
                let session = Session {
                    id: SessionId(id),
                    user: Some(user),
                    epoch,
                    created_at: now,
                    expires_at: now.plus_seconds(1_000 * DAY),
                    authenticated_at: now,
                    verified_at: None,
                    last_activity: now,
                    login_method: String::new(),
                    address: None,
                    user_agent: String::new(),
                    pending_login: None,
                };
                put_session(Batch::default(), &bytes, &session)
            }
            _ => {
                known.has_failed_mail = true;
                let mail = OutboxRecord {
                    id: *id.as_bytes(),
                    user: Some(user),
                    due: now,
                    queued_at: now,
                    attempts: 1,
                    last_error: None,
                    sealed: Sealed(Vec::new()),
                };
                let queued = app.records().store().commit(queue_mail(Batch::default(), &mail)).await.unwrap();
                let Commit::Done(receipt) = queued else { panic!() };
                let mail = Versioned { value: mail, version: receipt.version };
                give_up_mail(Batch::default(), &mail, &mail.value, now.plus_seconds(DAY))
            }
        };
        assert_ne!(app.records().store().commit(batch).await.unwrap(), Commit::Conflict);
    }

    fn passes(&self, user: &User, filter: UserFilter, now: Timestamp) -> bool {
        let factor = &user.second_factor;
        let known = &self.besides[&user.id];
        match filter {
            UserFilter::Staff(is_staff) => user.is_staff == is_staff,
            UserFilter::State(state) => factor.state() == state,
            UserFilter::Locked => factor.state() == FactorState::Locked || factor.totp_failures.is_waiting(now),
            UserFilter::CodesAtMost(codes) => factor.totp.is_some() && factor.backup_codes.len() <= usize::from(codes),
            UserFilter::MailPending => user.pending_email.is_some(),
            UserFilter::MailFailed => known.has_failed_mail,
            UserFilter::SignedInWithin { days } => {
                user.last_login.is_some_and(|at| second_of(Some(at)) >= first_second_within(days, now))
            }
            UserFilter::MadeWithin { days } => second_of(Some(user.date_joined)) >= first_second_within(days, now),
            UserFilter::HasKeys => !known.keys.is_empty(),
            UserFilter::HasSessions => known.sessions.contains(&user.session_epoch),
        }
    }

    /// The list that a question means, without what is merely near.
    fn list(&self, question: &Question, now: Timestamp) -> Vec<UserId> {
        let terms = Terms::new(&question.query);
        let mut list: Vec<Place> = Vec::new();
        for user in &self.users {
            let name = text::folded(&user.full_name());
            let Some(class) = terms.class(user.email.as_str(), &name) else { continue };
            if !question.meant().iter().all(|filter| self.passes(user, *filter, now)) {
                continue;
            }
            list.push(match question.sort {
                UserSort::Email => Place::by_email(class, user.email.as_str(), user.id),
                UserSort::EmailDescending => Place::by_email_descending(user.email.as_str(), user.id),
                UserSort::Created => Place::by_second(second_of(Some(user.date_joined)), user.id),
                UserSort::LastLogin => Place::by_second(second_of(user.last_login), user.id),
                UserSort::Name => Place::by_name(name_key(&name), user.id),
            });
        }
        list.sort_by(|one, other| one.compare(other, question.sort));
        list.into_iter().map(|place| place.id).collect()
    }

    fn is_near(&self, id: UserId, question: &Question) -> bool {
        let user = self.users.iter().find(|user| user.id == id).unwrap();
        let terms = Terms::new(&question.query);
        let name = text::folded(&user.full_name());
        terms.class(user.email.as_str(), &name).is_none() && terms.is_near(user.email.as_str(), &name)
    }
}

fn find(question: &Question, from: ListFrom) -> FindUsers {
    let Question { query, filters, sort, limit } = question.clone();
    FindUsers { query, filters, sort, from, limit }
}

/// The whole list window by window, from one end to the other, and what it says of itself checked on the way.
async fn pages(world: &World, question: &Question, is_forward: bool) -> (Vec<UserId>, Hits) {
    let mut from = if is_forward { ListFrom::Start } else { ListFrom::End };
    let mut windows: Vec<Vec<UserId>> = Vec::new();
    loop {
        let page = world.run(&operator(), find(question, from)).await.unwrap();
        let passed: u64 = windows.iter().map(|window| window.len() as u64).sum();
        let rows = page.rows.len() as u64;
        let expected = if is_forward { passed } else { page.hits.count - passed - rows };
        assert_eq!(page.position, Some(expected), "{question:?}");
        assert_eq!(page.before.is_some(), expected > 0);
        assert_eq!(page.after.is_some(), expected + rows < page.hits.count);
        windows.push(page.rows.iter().map(|row| row.uuid).collect());
        let next = if is_forward { page.after } else { page.before };
        match next {
            Some(place) if is_forward => from = ListFrom::After(place),
            Some(place) => from = ListFrom::Before(place),
            None => {
                if !is_forward {
                    windows.reverse();
                }
                return (windows.concat(), page.hits);
            }
        }
    }
}

/// The same from the indexes on disk, which say less of themselves.
async fn pages_from_indexes(world: &World, question: &Question, is_forward: bool) -> Vec<UserId> {
    let actor = Actor { identity: operator(), address: None, user_agent: None, request_id: String::new() };
    let cx = Context { app: &world.app, actor: &actor, now: world.now, step: None, approved: None };
    let wanted = Wanted {
        terms: Terms::new(&question.query),
        id: None,
        filters: question.meant(),
        sort: question.sort,
        now: world.now,
    };
    let mut from = if is_forward { From::Start } else { From::End };
    let mut windows: Vec<Vec<UserId>> = Vec::new();
    loop {
        let Indexed { users, before, after, hits, position } =
            cx.list_from_indexes(&wanted, &from, question.limit).await.unwrap();
        windows.push(users.iter().map(|(place, _)| place.id).collect());
        if hits.is_exact && is_forward {
            let passed: u64 = windows.iter().rev().skip(1).map(|window| window.len() as u64).sum();
            assert!(position.is_none_or(|position| position == passed), "{question:?}");
        }
        let next = if is_forward { after } else { before };
        match next {
            Some(place) if is_forward => from = From::After(place),
            Some(place) => from = From::Before(place),
            None => {
                if !is_forward {
                    windows.reverse();
                }
                return windows.concat();
            }
        }
    }
}

async fn check(world: &World, model: &Model, question: &Question) {
    let expected = model.list(question, world.now);
    for is_forward in [true, false] {
        let (found, hits) = pages(world, question, is_forward).await;
        let same: Vec<UserId> =
            found.iter().copied().filter(|id| expected.contains(id) || !model.is_near(*id, question)).collect();
        assert_eq!(same, expected, "column, {question:?}");
        assert_eq!(hits, Hits { count: found.len() as u64, is_exact: true });
        let count = CountUsers { query: question.query.clone(), filters: question.filters.clone() };
        assert_eq!(world.run(&operator(), count).await.unwrap(), hits);

        // Inside words the indexes find nothing, and what they find of words is right.
        let listed = pages_from_indexes(world, question, is_forward).await;
        if question.query.is_empty() {
            assert_eq!(listed, expected, "indexes, {question:?}");
        } else {
            let mut rest = expected.iter();
            assert!(listed.iter().all(|id| rest.any(|other| other == id)), "indexes, {question:?}");
        }
    }
    let whole = found_at(world, question, ListFrom::Share(0)).await;
    for percent in [1, 37, 50, 99, 100, 255] {
        let page = world.run(&operator(), find(question, ListFrom::Share(percent))).await.unwrap();
        let count = usize::try_from(page.hits.count).unwrap();
        let last = count.saturating_sub(question.limit);
        assert_eq!(page.position, Some((count * usize::from(percent) / 100).min(last) as u64));
    }
    let names: Vec<String> = model.users.iter().map(User::full_name).map(|name| text::folded(&name)).collect();
    for row in whole {
        let name = text::folded(&row.name);
        let same = names.iter().filter(|other| **other == name).count();
        assert_eq!(row.is_namesake, !name.is_empty() && same > 1, "{name}");
        assert_eq!(row.has_keys, Some(!model.besides[&row.uuid].keys.is_empty()));
        let detail = world.run(&operator(), InspectUser { user: UserRef(row.uuid.to_string()) }).await.unwrap();
        assert_eq!((detail.row.is_namesake, detail.row.has_keys), (row.is_namesake, row.has_keys), "{name}");
    }
}

async fn found_at(world: &World, question: &Question, from: ListFrom) -> Vec<views::UserRow> {
    world.run(&operator(), find(question, from)).await.unwrap().rows
}

async fn ready(world: &World) {
    // Words ask for the column; it is there when the answer is.
    let question = Question { query: "x".to_owned(), filters: Vec::new(), sort: UserSort::Email, limit: 1 };
    world.run(&operator(), find(&question, ListFrom::Start)).await.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Some changes come before the column is built, the others are taken over.
    #[test]
    fn lists_are_the_models(
        before in steps(0..60),
        after in steps(0..60),
        questions in prop::collection::vec(questions(), 1..8),
    ) {
        runtime().block_on(async {
            let world = World::new();
            let mut model = Model::default();
            for (place, step) in before {
                model.step(&world.app, place, step, world.now).await;
            }
            ready(&world).await;
            for (place, step) in after {
                model.step(&world.app, place, step, world.now).await;
            }
            for question in &questions {
                check(&world, &model, question).await;
            }
        });
    }
}

/// Four writers at once, and somebody who looks all the time: nobody is seen twice in a window, and in the end everything
/// is as the store has it.
#[test]
fn lists_are_right_while_others_write() {
    runtime().block_on(async {
        let world = Arc::new(World::new());
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4_u64 {
            let strategy = (steps(400..500), prop::collection::vec(questions(), 1));
            let (steps, _) = strategy.new_tree(&mut runner).unwrap().current();
            let world = Arc::clone(&world);
            writers.spawn(async move {
                // Users of its own; the addresses they fight for.
                let mut model = Model { count: writer * 1_000_000, ..Model::default() };
                for (place, step) in steps {
                    model.step(&world.app, place, step, world.now).await;
                    tokio::task::yield_now().await;
                }
                model
            });
        }
        let questions = prop::collection::vec(questions(), 60..61).new_tree(&mut runner).unwrap().current();
        for question in &questions {
            let rows = found_at(&world, &Question { limit: 500, ..question.clone() }, ListFrom::Start).await;
            let ids: BTreeSet<UserId> = rows.iter().map(|row| row.uuid).collect();
            assert_eq!(ids.len(), rows.len());
        }
        let mut all = Model::default();
        while let Some(model) = writers.join_next().await {
            let model = model.unwrap();
            all.users.extend(model.users);
            all.besides.extend(model.besides);
        }
        ready(&world).await;
        for question in &questions {
            check(&world, &all, question).await;
        }
    });
}

/// What a slip of a key away is found when nothing else is.
#[tokio::test]
async fn slips_are_forgiven_when_there_is_nothing_better() {
    let world = World::new();
    world.create("joanna.schmidt@example.com", false).await;
    world.create("bert@example.com", false).await;
    let found = async |query: &str| {
        let question = Question { query: query.to_owned(), filters: Vec::new(), sort: UserSort::Email, limit: 9 };
        let rows = found_at(&world, &question, ListFrom::Start).await;
        rows.iter().map(|row| row.email.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found("schmitd").await, ["joanna.schmidt@example.com"]);
    assert_eq!(found("johanna.schmidt").await, ["joanna.schmidt@example.com"]);
    assert_eq!(found("brt").await, Vec::<String>::new());
    assert_eq!(found("bext").await, ["bert@example.com"]);
    assert_eq!(found("zzzz").await, Vec::<String>::new());
}

/// A number or an id finds its user, before whoever has it in the address.
#[tokio::test]
async fn ids_find_their_user_first() {
    let world = World::new();
    world.create("2@example.com", false).await;
    let second = world.create("b@example.com", false).await;
    for query in ["2".to_owned(), second.to_string()] {
        let question = Question { query, filters: Vec::new(), sort: UserSort::Email, limit: 9 };
        let rows = found_at(&world, &question, ListFrom::Start).await;
        assert_eq!(rows.first().map(|row| row.uuid), Some(second));
    }
}

/// A search of a command without a server, on a store in which a user cannot be read: it ends, and finds the others.
#[tokio::test]
async fn a_user_who_cannot_be_read_does_not_hold_up_the_search() {
    let world = World::new();
    let (ada, broken) = (world.create("ada@example.com", false).await, world.create("anna@example.com", false).await);
    world.commit(Batch::default().put(keys::user(broken), b"?".to_vec())).await;
    let question = Question { query: "ada".to_owned(), filters: Vec::new(), sort: UserSort::Email, limit: 5 };
    let operator = operator();
    let found = async |query: &str| {
        let question = Question { query: query.to_owned(), ..question.clone() };
        let page = world.run(&operator, find(&question, ListFrom::Start));
        let page = tokio::time::timeout(std::time::Duration::from_secs(10), page).await.unwrap().unwrap();
        assert!(page.hits.is_exact, "from the column");
        page.rows.iter().map(|row| row.uuid).collect::<Vec<UserId>>()
    };
    assert_eq!(found("ada").await, [ada]);
    // Nor does one whom nobody can read any more.
    let later = world.create("later@example.com", false).await;
    assert_eq!(found("later").await, [later]);
    world.commit(Batch::default().put(keys::user(later), b"?".to_vec())).await;
    assert_eq!(found("later").await, []);
    assert_eq!(found("ada").await, [ada]);
}

/// Where the column cannot be built, no act on many leaves somebody out, and nobody waits for it.
#[tokio::test]
async fn without_the_column_no_job_is_made_of_words() {
    let world = World::new();
    world.create("ada@example.com", false).await;
    world.commit(Batch::default().put(keys::USERS_COUNTER.to_vec(), b"?".to_vec())).await;
    let of = |query: &str| DraftJob {
        kind: JobKind::RemindToEnrol,
        selection: Selection::Matching { query: query.to_owned(), filters: vec![UserFilter::Staff(false)] },
    };
    let code = code_of(world.run(&operator(), of("da")).await);
    assert_eq!(code, "database_unavailable");
    assert_eq!(world.run(&operator(), of("")).await.unwrap().users, 1);
}

/// More users than one page of the store holds.
#[tokio::test]
async fn a_count_from_the_indexes_is_exact_or_says_that_it_is_not() {
    let world = World::new();
    for number in 1..=1_500 {
        let id = UserId(uuid::Uuid::from_u128(u128::from(number)));
        let email = EmailAddress::parse(&format!("user{number}@example.com")).unwrap();
        let user = User::new(id, number, format!("d{number}"), email, world.now);
        world.commit(put_user(Batch::default(), None, &user)).await;
    }
    let count = CountUsers { query: String::new(), filters: vec![UserFilter::MadeWithin { days: 7 }] };
    let hits = world.run(&operator(), count).await.unwrap();
    assert_eq!(hits, Hits { count: 1_500, is_exact: true });
}
