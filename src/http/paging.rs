//! Pages of a list: reading `limit` and `offset`, and the links to the pages beside it (spec §1.10).

use form_urlencoded::Serializer;
use serde::Serialize;

/// Entries on a page when nothing is said, and at most (W-41).
pub const LIMIT_DEFAULT: usize = 100;
pub const LIMIT_MAX: usize = 1000;

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub limit: usize,
    pub offset: usize,
}

/// A page as it is sent.
#[derive(Debug, Serialize)]
pub struct Paged<T> {
    pub count: u64,
    pub next: Option<String>,
    pub previous: Option<String>,
    pub results: Vec<T>,
}

impl Window {
    /// Junk counts as not said, without an error.
    #[must_use]
    pub fn of(query: &str) -> Self {
        let number = |name| parameter(query, name).and_then(|text| text.trim().parse::<usize>().ok());
        Self {
            limit: number("limit").filter(|limit| *limit > 0).unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
            offset: number("offset").unwrap_or(0),
        }
    }

    /// The page with its links; `base` is the absolute address of the list, without its query.
    #[must_use]
    pub fn page<T>(self, base: &str, query: &str, count: u64, results: Vec<T>) -> Paged<T> {
        let after = self.offset.saturating_add(self.limit);
        let next = (count > after as u64).then(|| self.link(base, query, after));
        let before = self.offset.saturating_sub(self.limit);
        let previous = (self.offset > 0).then(|| self.link(base, query, before));
        Paged { count, next, previous, results }
    }

    /// The list at another offset; the other parameters stay, and the first page is the one without an offset.
    fn link(self, base: &str, query: &str, offset: usize) -> String {
        let mut link = Serializer::for_suffix(format!("{base}?"), base.len() + 1);
        let others = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "limit" && name != "offset");
        link.extend_pairs(others).append_pair("limit", &self.limit.to_string());
        if offset > 0 {
            link.append_pair("offset", &offset.to_string());
        }
        link.finish()
    }
}

/// The last value of a query parameter; an empty one counts as not said.
#[must_use]
pub fn parameter(query: &str, name: &str) -> Option<String> {
    let values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    values.last().map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_window(query: &str, limit: usize, offset: usize) {
        assert_eq!(Window::of(query), Window { limit, offset }, "{query}");
    }

    #[test]
    fn junk_means_the_default() {
        check_window("", 100, 0);
        check_window("limit=5&offset=10", 5, 10);
        check_window("limit=0&offset=-1", 100, 0);
        check_window("limit=x&offset=", 100, 0);
        check_window("limit=5000", 1000, 0);
        check_window("limit=99999999999999999999999", 100, 0);
    }

    #[track_caller]
    fn check_links(query: &str, next: Option<&str>, previous: Option<&str>) {
        let page = Window::of(query).page::<()>("https://a.example/api/users/", query, 5, Vec::new());
        assert_eq!((page.next.as_deref(), page.previous.as_deref()), (next, previous), "{query}");
    }

    #[test]
    fn links_lead_to_both_sides_and_keep_the_rest() {
        let base = "https://a.example/api/users/";
        check_links("", None, None);
        check_links("limit=5", None, None);
        check_links("limit=2", Some(&format!("{base}?limit=2&offset=2")), None);
        check_links("limit=2&offset=2", Some(&format!("{base}?limit=2&offset=4")), Some(&format!("{base}?limit=2")));
        check_links("limit=2&offset=1", Some(&format!("{base}?limit=2&offset=3")), Some(&format!("{base}?limit=2")));
        check_links("limit=2&offset=4", None, Some(&format!("{base}?limit=2&offset=2")));
        check_links("email=a%40b.c&limit=2&x=1", Some(&format!("{base}?email=a%40b.c&x=1&limit=2&offset=2")), None);
        check_links(
            &format!("offset={}", usize::MAX),
            None,
            Some(&format!("{base}?limit=100&offset={}", usize::MAX - 100)),
        );
    }

    #[test]
    fn the_last_of_two_parameters_counts() {
        assert_eq!(parameter("a=1&a=2", "a").as_deref(), Some("2"));
        assert_eq!(parameter("a=", "a"), None);
    }
}
