//! What was asked and answered, and whether it could have happened one after the other.
//!
//! The search is that of Wing and Gong, with Lowe's memory of what was tried: of the calls that had begun before every
//! other one ended, take one that the model allows, and go on; if nothing is left, there is an order that explains all.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// The object in a sequential world.
pub trait Model: Clone + Eq + Hash + Debug {
    /// A call together with its answer.
    type Event: Clone + Debug;

    /// What the object is after the event; `None` when it could not have been answered so.
    fn after(&self, event: &Self::Event) -> Option<Self>;

    /// Whether such an event never changes anything, wherever it stands.
    fn only_looks(event: &Self::Event) -> bool;
}

/// An event and the moments around it, as places in one order of all of them.
#[derive(Clone, Debug)]
pub struct Call<E> {
    begun: u32,
    ended: u32,
    event: E,
}

/// Takes notes of calls from many tasks.
pub struct Recorder<E> {
    moment: AtomicU32,
    calls: Mutex<Vec<Call<E>>>,
}

impl<E> Recorder<E> {
    pub fn new() -> Self {
        Self { moment: AtomicU32::new(0), calls: Mutex::default() }
    }

    /// A moment: after everything that has ended, before everything that will begin.
    pub fn now(&self) -> u32 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    /// Notes what began at that moment and has just ended.
    pub fn note(&self, begun: u32, event: E) {
        self.note_between(begun, self.now(), event);
    }

    /// Notes what began and ended at these moments.
    pub fn note_between(&self, begun: u32, ended: u32, event: E) {
        self.calls.lock().unwrap().push(Call { begun, ended, event });
    }

    pub fn take(&self) -> Vec<Call<E>> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

/// Panics with the history unless some order explains it.
#[track_caller]
pub fn check<M: Model>(initial: &M, calls: &[Call<M::Event>], told: &str) {
    if let Err(stuck) = explain(initial, calls) {
        let mut shown: Vec<_> = calls.iter().collect();
        shown.sort_by_key(|call| call.begun);
        let lines: Vec<String> =
            shown.iter().map(|call| format!("  {:>3} to {:>3}  {:?}", call.begun, call.ended, call.event)).collect();
        panic!(
            "no order explains these calls; {told}\n{}\nfrom {initial:?}\nThe longest part that can be explained:\n{}",
            lines.join("\n"),
            stuck.join("\n")
        );
    }
}

/// Whether some order explains the calls; if not, the longest beginning of one that was found.
fn explain<M: Model>(initial: &M, calls: &[Call<M::Event>]) -> Result<(), Vec<String>> {
    assert!(calls.len() <= 128, "{} calls are more than a mask holds", calls.len());
    let mut search = Search { calls, tried: HashSet::new(), path: Vec::new(), longest: Vec::new() };
    if search.goes_on(0, initial) {
        return Ok(());
    }
    Err(search.longest.iter().map(|&at| format!("  {:?}", calls[at].event)).collect())
}

struct Search<'a, M: Model> {
    calls: &'a [Call<M::Event>],
    /// What was done, and what the object then was, from where nothing leads on.
    tried: HashSet<(u128, M)>,
    path: Vec<usize>,
    longest: Vec<usize>,
}

impl<M: Model> Search<'_, M> {
    fn goes_on(&mut self, done: u128, model: &M) -> bool {
        let calls = self.calls;
        let open = |at: &usize| done & (1 << at) == 0;
        let Some(first_end) = (0..calls.len()).filter(open).map(|at| calls[at].ended).min() else { return true };
        if self.path.len() > self.longest.len() {
            self.longest.clone_from(&self.path);
        }
        if !self.tried.insert((done, model.clone())) {
            return false;
        }
        let mut next = Vec::new();
        for at in (0..calls.len()).filter(open).filter(|&at| calls[at].begun < first_end) {
            let Some(after) = model.after(&calls[at].event) else { continue };
            // What is explained and changes nothing can as well be first.
            if M::only_looks(&calls[at].event) {
                next = vec![(at, after)];
                break;
            }
            next.push((at, after));
        }
        for (at, after) in next {
            self.path.push(at);
            if self.goes_on(done | 1 << at, &after) {
                return true;
            }
            self.path.pop();
        }
        false
    }
}

mod tests {
    use super::*;

    /// A number that is written and read.
    impl Model for u8 {
        type Event = (&'static str, u8);

        fn after(&self, (what, value): &Self::Event) -> Option<Self> {
            match *what {
                "write" => Some(*value),
                "read" => (self == value).then_some(*self),
                _ => unreachable!("{what}"),
            }
        }

        fn only_looks((what, _): &Self::Event) -> bool {
            *what == "read"
        }
    }

    #[track_caller]
    fn check(calls: &[(u32, u32, &'static str, u8)], is_explained: bool) {
        let calls: Vec<_> =
            calls.iter().map(|&(begun, ended, what, value)| Call { begun, ended, event: (what, value) }).collect();
        assert_eq!(explain(&0, &calls).is_ok(), is_explained, "{calls:?}");
    }

    #[test]
    fn what_overlaps_may_be_in_either_order_and_what_does_not_may_not() {
        check(&[], true);
        check(&[(0, 1, "read", 0), (2, 3, "write", 1), (4, 5, "read", 1)], true);
        check(&[(0, 1, "write", 1), (2, 3, "read", 0)], false);
        check(&[(0, 3, "write", 1), (1, 2, "read", 0)], true);
        check(&[(0, 3, "write", 1), (1, 2, "read", 1)], true);
        check(&[(0, 1, "read", 1)], false);
        // Once somebody has seen it, nobody sees what was before.
        check(&[(0, 9, "write", 1), (1, 2, "read", 1), (3, 4, "read", 0)], false);
        check(&[(0, 9, "write", 1), (1, 4, "read", 1), (2, 5, "read", 0)], true);
        // Two writes, and two readers who saw them in different orders.
        check(&[(0, 9, "write", 1), (0, 9, "write", 2), (1, 2, "read", 1), (3, 4, "read", 2)], true);
        check(
            &[(0, 9, "write", 1), (0, 9, "write", 2), (1, 2, "read", 1), (3, 4, "read", 2), (5, 6, "read", 1)],
            false,
        );
    }
}
