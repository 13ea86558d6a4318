//! Lists of users from the indexes on disk, for the time before the column is there: the same users in the same order,
//! with fewer exact counts. A rare filter is read whole; else the order's own index is walked, and the filters look at
//! the users of a page, so many in one call at most.

use std::collections::BTreeSet;

use super::{From, Wanted};
use crate::app::Context;
use crate::app::directory::Hits;
use crate::domain::id::UserId;
use crate::domain::text;
use crate::domain::user::{FactorState, User};
use crate::domain::user_filter::{UserFilter, UserSort};
use crate::domain::user_place::{Place, first_second_within, is_descending, name_key, second_of};
use crate::domain::user_search::Class;
use crate::error::Result;
use crate::records::keys;
use crate::store::{Order, PAGE_ENTRIES_MAX};

/// Users looked at in one call.
const LOOK_MAX: usize = 2_000;
/// So few users of a filter are read whole.
const RARE_MAX: usize = 1_000;
/// Users looked at for words.
const CANDIDATES_MAX: usize = 1_000;

/// A window of a list.
pub struct Indexed {
    pub users: Vec<(Place, User)>,
    /// Where to go on; `None` at that end of the list.
    pub before: Option<Place>,
    pub after: Option<Place>,
    pub hits: Hits,
    pub position: Option<u64>,
}

impl Context<'_> {
    pub(in crate::app) async fn list_from_indexes(
        &self,
        wanted: &Wanted,
        from: &From,
        limit: usize,
    ) -> Result<Indexed> {
        if !wanted.terms.is_empty() {
            let ids = self.word_candidates(wanted).await?;
            return Ok(window(self.in_order(ids, wanted).await?, wanted.sort, from, limit, false));
        }
        match self.rare(wanted).await? {
            Some(ids) => Ok(window(self.in_order(ids, wanted).await?, wanted.sort, from, limit, true)),
            None => self.walk(wanted, from, limit).await,
        }
    }

    pub(in crate::app) async fn count_from_indexes(&self, wanted: &Wanted) -> Result<Hits> {
        if wanted.terms.is_empty()
            && let Some(count) = self.counted(&wanted.filters).await?
        {
            return Ok(Hits { count, is_exact: true });
        }
        Ok(self.list_from_indexes(wanted, &From::Start, LOOK_MAX).await?.hits)
    }

    /// Users whose address starts with what was typed, or with a word that starts with the longest word typed.
    async fn word_candidates(&self, wanted: &Wanted) -> Result<Vec<UserId>> {
        let terms = &wanted.terms;
        let prefix = keys::email(terms.whole());
        let listed = self.records().user_list(&[prefix], None, CANDIDATES_MAX, Order::Ascending).await?;
        let mut ids: Vec<UserId> = listed.into_iter().map(|(_, id)| id).collect();
        if let Some(word) = text::words(terms.longest()).iter().max_by_key(|word| word.len()) {
            ids.extend(self.records().user_ids_by_word(word, CANDIDATES_MAX).await?);
        }
        ids.extend(wanted.id);
        Ok(ids)
    }

    /// Of these users those that match, in the order of the list.
    async fn in_order(&self, mut ids: Vec<UserId>, wanted: &Wanted) -> Result<Vec<(Place, User)>> {
        ids.sort_unstable();
        ids.dedup();
        let mut list = Vec::new();
        for user in self.records().users(&ids).await? {
            if let Some(place) = self.place_if_matching(&user, wanted).await? {
                list.push((place, user));
            }
        }
        list.sort_by(|(one, _), (other, _)| one.compare(other, wanted.sort));
        Ok(list)
    }

    /// A user's place in the list; `None` when the user does not belong there.
    async fn place_if_matching(&self, user: &User, wanted: &Wanted) -> Result<Option<Place>> {
        let name = text::folded(&user.full_name());
        let class = match wanted.id {
            Some(id) if id == user.id => Some(Class::Exact),
            _ => wanted.terms.class(user.email.as_str(), &name),
        };
        let Some(class) = class else { return Ok(None) };
        for filter in &wanted.filters {
            if !self.passes(user, *filter).await? {
                return Ok(None);
            }
        }
        Ok(Some(match wanted.sort {
            UserSort::Email => Place::by_email(class, user.email.as_str(), user.id),
            UserSort::EmailDescending => Place::by_email_descending(user.email.as_str(), user.id),
            UserSort::Created => Place::by_second(second_of(Some(user.date_joined)), user.id),
            UserSort::LastLogin => Place::by_second(second_of(user.last_login), user.id),
            UserSort::Name => Place::by_name(name_key(&name), user.id),
        }))
    }

    async fn passes(&self, user: &User, filter: UserFilter) -> Result<bool> {
        let factor = &user.second_factor;
        Ok(match filter {
            UserFilter::Staff(is_staff) => user.is_staff == is_staff,
            UserFilter::State(state) => factor.state() == state,
            UserFilter::Locked => {
                factor.state() == FactorState::Locked || factor.waits_until().is_some_and(|until| self.now < until)
            }
            UserFilter::CodesAtMost(codes) => factor.is_enabled() && factor.backup_codes.len() <= usize::from(codes),
            UserFilter::MailPending => user.pending_email.is_some(),
            UserFilter::SignedInWithin { days } => second_of(user.last_login) >= first_second_within(days, self.now),
            UserFilter::MadeWithin { days } => second_of(Some(user.date_joined)) >= first_second_within(days, self.now),
            UserFilter::MailFailed | UserFilter::HasKeys | UserFilter::HasSessions => {
                let besides = self.records().user_besides(user.id, self.now).await?;
                besides.is_some_and(|besides| match filter {
                    UserFilter::MailFailed => besides.has_failed_mail,
                    UserFilter::HasKeys => besides.has_keys,
                    _ => besides.has_sessions,
                })
            }
        })
    }

    /// The users of a filter that has few, if one has.
    async fn rare(&self, wanted: &Wanted) -> Result<Option<Vec<UserId>>> {
        for filter in &wanted.filters {
            if let Some(ids) = self.users_of(*filter).await? {
                return Ok(Some(ids));
            }
        }
        Ok(None)
    }

    /// All users that a filter could let through, when an index says who and they are few.
    async fn users_of(&self, filter: UserFilter) -> Result<Option<Vec<UserId>>> {
        let first = |days| first_second_within(days, self.now).to_be_bytes();
        match filter {
            UserFilter::Staff(_) | UserFilter::State(_) | UserFilter::HasSessions => Ok(None),
            UserFilter::Locked => {
                let states = [true, false].map(|is_staff| keys::user_state_prefix(is_staff, FactorState::Locked));
                let Some(mut ids) = self.few(&states, None).await? else { return Ok(None) };
                let after = keys::user_waits_after(self.now);
                let Some(waits) = self.few(&[keys::USER_WAITS.to_vec()], Some(after)).await? else { return Ok(None) };
                ids.extend(waits);
                Ok(Some(ids))
            }
            UserFilter::CodesAtMost(codes) => {
                if self.records().users_with_codes(codes).await?.is_none_or(|count| count > RARE_MAX as u64) {
                    return Ok(None);
                }
                let prefixes: Vec<Vec<u8>> = (0..=codes).map(keys::user_codes_prefix).collect();
                self.few(&prefixes, None).await
            }
            UserFilter::MailPending => self.few(&[keys::USER_PENDING_EMAIL.to_vec()], None).await,
            UserFilter::SignedInWithin { days } => self.newest(keys::USER_SIGNED_IN, first(days)).await,
            UserFilter::MadeWithin { days } => self.newest(keys::USER_CREATED, first(days)).await,
            UserFilter::MailFailed => self.leading(keys::USER_FAILED_MAIL).await,
            UserFilter::HasKeys => self.leading(keys::USER_API_KEY).await,
        }
    }

    /// The users at the end of all entries, when they are few.
    async fn few(&self, prefixes: &[Vec<u8>], after: Option<Vec<u8>>) -> Result<Option<Vec<UserId>>> {
        let mut ids = Vec::new();
        let after = after.and_then(|after| Some(after.strip_prefix(prefixes.first()?.as_slice())?.to_vec()));
        for prefix in prefixes {
            let prefix = std::slice::from_ref(prefix);
            let listed = self.records().user_list(prefix, after.as_deref(), PAGE_ENTRIES_MAX, Order::Ascending).await?;
            if listed.len() >= RARE_MAX {
                return Ok(None);
            }
            ids.extend(listed.into_iter().map(|(_, id)| id));
        }
        Ok(Some(ids))
    }

    /// The users of an index by seconds from this one on, when they are few.
    async fn newest(&self, prefix: &[u8], first: [u8; 4]) -> Result<Option<Vec<UserId>>> {
        let listed = self.records().user_list(&[prefix.to_vec()], None, RARE_MAX, Order::Descending).await?;
        let newest: Vec<UserId> =
            listed.iter().take_while(|(behind, _)| behind.as_slice() >= &first[..]).map(|(_, id)| *id).collect();
        Ok((newest.len() < RARE_MAX).then_some(newest))
    }

    /// The users at the front of all entries, when they are few.
    async fn leading(&self, prefix: &[u8]) -> Result<Option<Vec<UserId>>> {
        let page = self.records().store().scan(prefix, None, PAGE_ENTRIES_MAX, Order::Ascending).await?;
        let ids: BTreeSet<UserId> =
            page.entries.iter().filter_map(|entry| keys::parse_leading_user(&entry.key, prefix)).collect();
        Ok((page.next.is_none()).then(|| ids.into_iter().collect()))
    }

    /// Walks the index of the order.
    async fn walk(&self, wanted: &Wanted, from: &From, limit: usize) -> Result<Indexed> {
        let is_forward = match from {
            From::Start | From::After(_) => true,
            From::End | From::Before(_) => false,
            // Without the column nobody knows where that is.
            From::Share(percent) => *percent < 50,
        };
        let order = if is_descending(wanted.sort) == is_forward { Order::Descending } else { Order::Ascending };
        let prefixes = prefixes(wanted);
        let mut behind = match from {
            From::After(place) | From::Before(place) => Some(behind_prefix(place, wanted.sort)),
            From::Start | From::End | From::Share(_) => None,
        };
        let began_inside = behind.is_some();
        let (mut users, mut looked_at, mut last) = (Vec::new(), 0, None);
        // One more than wanted tells whether the list goes on.
        while users.len() <= limit && looked_at < LOOK_MAX {
            let room = (limit + 1 - users.len()).clamp(50, PAGE_ENTRIES_MAX);
            let listed = self.records().user_list(&prefixes, behind.as_deref(), room, order).await?;
            let is_end = listed.len() < room;
            looked_at += listed.len();
            let ids: Vec<UserId> = listed.iter().map(|(_, id)| *id).collect();
            let mut found = self.records().users(&ids).await?.into_iter().peekable();
            for (suffix, id) in listed {
                last = place_at(&suffix, id, wanted.sort);
                behind = Some(suffix);
                let Some(user) = found.next_if(|user| user.id == id) else { continue };
                if let Some(place) = self.place_if_matching(&user, wanted).await? {
                    users.push((place, user));
                    if users.len() > limit {
                        break;
                    }
                }
            }
            if is_end && users.len() <= limit {
                last = None;
                break;
            }
        }
        if users.len() > limit {
            users.truncate(limit);
            last = users.last().map(|(place, _): &(Place, User)| place.clone());
        }
        let count = self.counted(&wanted.filters).await?;
        let found = users.len() as u64;
        let back = users.first().map(|(place, _)| place.clone()).filter(|_| began_inside);
        if !is_forward {
            users.reverse();
        }
        let (before, after) = if is_forward { (back, last) } else { (last, back) };
        Ok(Indexed {
            position: match (is_forward, began_inside, count) {
                (true, false, _) => Some(0),
                (false, false, Some(count)) => Some(count.saturating_sub(found)),
                _ => None,
            },
            hits: Hits {
                count: count.unwrap_or(found),
                is_exact: count.is_some() || (before.is_none() && after.is_none()),
            },
            users,
            before,
            after,
        })
    }

    /// How many users these filters let through, where counters say so.
    async fn counted(&self, filters: &[UserFilter]) -> Result<Option<u64>> {
        let (mut is_staff, mut state) = (None, None);
        for filter in filters {
            match filter {
                UserFilter::Staff(wanted) => is_staff = Some(*wanted),
                UserFilter::State(wanted) => state = Some(*wanted),
                UserFilter::MailPending if filters.len() == 1 => {
                    return Ok(Some(self.records().pending_emails().await?.0));
                }
                UserFilter::CodesAtMost(codes) if filters.len() == 1 => {
                    return Ok(self.records().users_with_codes(*codes).await?);
                }
                _ => return Ok(None),
            }
        }
        let mut count = 0;
        for (role, one) in roles_and_states(is_staff, state) {
            count += self.records().users_in_state(role, one).await?;
        }
        Ok(Some(count))
    }
}

fn roles_and_states(is_staff: Option<bool>, state: Option<FactorState>) -> impl Iterator<Item = (bool, FactorState)> {
    let roles = [true, false].into_iter().filter(move |role| is_staff.is_none_or(|wanted| wanted == *role));
    roles.flat_map(move |role| {
        let states = FactorState::ALL.into_iter().filter(move |one| state.is_none_or(|wanted| wanted == *one));
        states.map(move |state| (role, state))
    })
}

/// The ranges of keys in which the order's index, as narrow as the filters allow, lies.
fn prefixes(wanted: &Wanted) -> Vec<Vec<u8>> {
    let staff = wanted.filters.iter().find_map(|filter| match filter {
        UserFilter::Staff(is_staff) => Some(*is_staff),
        _ => None,
    });
    let state = wanted.filters.iter().find_map(|filter| match filter {
        UserFilter::State(state) => Some(*state),
        _ => None,
    });
    match wanted.sort {
        UserSort::Email | UserSort::EmailDescending if staff.is_some() || state.is_some() => {
            roles_and_states(staff, state).map(|(role, state)| keys::user_state_prefix(role, state)).collect()
        }
        UserSort::Email | UserSort::EmailDescending => vec![keys::EMAIL.to_vec()],
        UserSort::Created => vec![keys::USER_CREATED.to_vec()],
        UserSort::LastLogin => vec![keys::USER_SIGNED_IN.to_vec()],
        UserSort::Name => vec![keys::NAME.to_vec()],
    }
}

/// What stands behind the prefix in the key of a place.
fn behind_prefix(place: &Place, sort: UserSort) -> Vec<u8> {
    match sort {
        UserSort::Email => place.key.get(1..).unwrap_or_default().to_vec(),
        UserSort::EmailDescending => place.key.clone(),
        UserSort::Created | UserSort::LastLogin => [place.key.as_slice(), place.id.as_bytes()].concat(),
        UserSort::Name => [place.key.as_slice(), b"\0", place.id.as_bytes()].concat(),
    }
}

/// The place of a user at what stands behind the prefix of a key.
fn place_at(behind: &[u8], id: UserId, sort: UserSort) -> Option<Place> {
    let before_id = || behind.len().checked_sub(16).and_then(|end| behind.get(..end));
    let key = match sort {
        UserSort::Email => [&[Class::Prefix.rank()], behind].concat(),
        UserSort::EmailDescending => behind.to_vec(),
        UserSort::Created | UserSort::LastLogin => before_id()?.to_vec(),
        UserSort::Name => before_id()?.strip_suffix(b"\0")?.to_vec(),
    };
    Some(Place { key, id })
}

/// A window of a whole list.
fn window(list: Vec<(Place, User)>, sort: UserSort, from: &From, limit: usize, is_exact: bool) -> Indexed {
    let count = list.len();
    let (start, end) = from.range(count, limit, |place, or_at| {
        list.partition_point(|(at, _)| {
            let order = at.compare(place, sort);
            order.is_lt() || or_at && order.is_eq()
        })
    });
    let users: Vec<(Place, User)> = list.into_iter().take(end).skip(start).collect();
    Indexed {
        before: users.first().map(|(place, _)| place.clone()).filter(|_| start > 0),
        after: users.last().map(|(place, _)| place.clone()).filter(|_| end < count),
        hits: Hits { count: count as u64, is_exact },
        position: Some(start as u64),
        users,
    }
}
