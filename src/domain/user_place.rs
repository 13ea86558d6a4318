//! Places in a listing of users: what it is ordered by, so that the next window goes on where the last one ended,
//! whatever was changed in between. Pure.

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};

use super::id::UserId;
use super::text;
use super::time::Timestamp;
use super::user_filter::UserSort;
use super::user_search::Class;

/// Characters of a name that count in the order.
pub const NAME_CHARS_MAX: usize = 80;

/// The place of one user in a listing: what the listing is ordered by, and the id among equals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Ordered as bytes.
    pub key: Vec<u8>,
    pub id: UserId,
}

impl Place {
    /// In a listing by address; `class` is [`Class::Prefix`] where nothing was searched for.
    #[must_use]
    pub fn by_email(class: Class, email: &str, id: UserId) -> Self {
        Self { key: [&[class.rank()], email.as_bytes()].concat(), id }
    }

    /// In a listing by address from behind.
    #[must_use]
    pub fn by_email_descending(email: &str, id: UserId) -> Self {
        Self { key: email.as_bytes().to_vec(), id }
    }

    /// In a listing by a time; 0 is never.
    #[must_use]
    pub fn by_second(second: u32, id: UserId) -> Self {
        Self { key: second.to_be_bytes().to_vec(), id }
    }

    /// In a listing by name, as [`name_key`] writes it.
    #[must_use]
    pub fn by_name(name_key: &[u8], id: UserId) -> Self {
        Self { key: name_key.to_vec(), id }
    }

    /// Reads what `Display` wrote; `None` for anything else.
    #[must_use]
    pub fn parse(written: &str) -> Option<Self> {
        let bytes = text::unhex(written)?;
        let (key, id) = bytes.split_last_chunk::<16>()?;
        Some(Self { key: key.to_vec(), id: UserId(uuid::Uuid::from_bytes(*id)) })
    }

    /// The second of [`Place::by_second`].
    #[must_use]
    pub fn second(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.key.as_slice().try_into().ok()?))
    }

    /// The class and address of [`Place::by_email`].
    #[must_use]
    pub fn class_and_email(&self) -> Option<(u8, &str)> {
        let (class, email) = self.key.split_first()?;
        Some((*class, std::str::from_utf8(email).ok()?))
    }

    /// Which of two comes first in a listing of this order.
    #[must_use]
    pub fn compare(&self, other: &Self, sort: UserSort) -> Ordering {
        let ascending = (&self.key, self.id).cmp(&(&other.key, other.id));
        if is_descending(sort) { ascending.reverse() } else { ascending }
    }
}

/// Whether the greatest key comes first.
#[must_use]
pub const fn is_descending(sort: UserSort) -> bool {
    matches!(sort, UserSort::EmailDescending | UserSort::Created | UserSort::LastLogin)
}

impl Display for Place {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&text::hex(&[self.key.as_slice(), self.id.as_bytes()].concat()))
    }
}

/// A time as listings order and filter by it: whole seconds since 1970, where 0 means never and 1 also everything
/// before.
#[must_use]
pub fn second_of(at: Option<Timestamp>) -> u32 {
    at.map_or(0, |at| u32::try_from(at.as_seconds().max(1)).unwrap_or(u32::MAX))
}

/// The first second that counts as within so many days.
#[must_use]
pub fn first_second_within(days: u16, now: Timestamp) -> u32 {
    second_of(Some(now.plus_seconds(-i64::from(days) * 86_400)))
}

/// A full name as the name index and listings order by it: folded, and cut; a byte behind every text when there is none.
#[must_use]
pub fn name_key(folded_name: &str) -> &[u8] {
    if folded_name.is_empty() {
        return &[u8::MAX];
    }
    if folded_name.len() <= NAME_CHARS_MAX {
        return folded_name.as_bytes();
    }
    let end = folded_name.char_indices().nth(NAME_CHARS_MAX).map_or(folded_name.len(), |(at, _)| at);
    folded_name.as_bytes().get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn places_are_text_and_come_back() {
        let places = [
            Place::by_email(Class::WordStart, "a@b.example", id(1)),
            Place::by_email_descending("", id(2)),
            Place::by_second(7, id(3)),
            Place::by_name(name_key(""), id(u128::MAX)),
        ];
        for place in places {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        for text in ["", "x", "00", &"0".repeat(31)] {
            assert_eq!(Place::parse(text), None);
        }
        assert_eq!(Place::by_second(7, id(3)).second(), Some(7));
        assert_eq!(Place::by_email(Class::Exact, "a@b", id(1)).class_and_email(), Some((0, "a@b")));
    }

    #[test]
    fn the_order_is_the_listings() {
        let order = |one: &Place, other: &Place, sort| one.compare(other, sort);
        let (early, late, later) = (Place::by_second(0, id(9)), Place::by_second(5, id(1)), Place::by_second(5, id(2)));
        assert_eq!(order(&later, &late, UserSort::LastLogin), Ordering::Less);
        assert_eq!(order(&late, &early, UserSort::Created), Ordering::Less);
        let name = |name: &str| Place::by_name(name_key(name), id(0));
        assert_eq!(order(&name("\u{10ffff}"), &name(""), UserSort::Name), Ordering::Less);
        assert_eq!(name_key(&"ä".repeat(100)).len(), 2 * NAME_CHARS_MAX);
    }

    #[test]
    fn times_are_seconds() {
        let at = |seconds| Some(Timestamp::from_seconds(seconds));
        for (time, second) in [(None, 0), (at(-5), 1), (at(0), 1), (at(7), 7), (at(i64::from(u32::MAX) + 9), u32::MAX)]
        {
            assert_eq!(second_of(time), second);
        }
        assert_eq!(first_second_within(1, Timestamp::from_seconds(100_000)), 13_600);
    }
}
