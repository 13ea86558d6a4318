//! The filter of the audit trail as it is typed: `by:jdoe on:anna@example.com event:two_factor since:7d operators`.

use crate::app::audit::AuditFilter;
use crate::app::views::UserRef;
use crate::domain::audit::Event;
use crate::domain::time::Timestamp;

const DAY_SECONDS: i64 = 86_400;

/// What can be typed, for help.
pub const WORDS: &str = "by:NAME on:USER event:START since:7d until:2026-11-20 operators";

/// Reads a filter at the moment `now`; the error says which word was not understood.
///
/// Times are `30m`, `12h`, `7d` (back from now), `today`, `yesterday` or a date, UTC. `since` is their beginning, `until`
/// the end of such a day. A word of its own is whom it is about when it holds an `@`, and else the start of an event.
pub fn parse(text: &str, now: Timestamp) -> Result<AuditFilter, String> {
    let mut filter = AuditFilter::default();
    for word in text.split_whitespace() {
        let unread = || format!("`{word}` is no filter; there are {WORDS}");
        match word.split_once(':') {
            Some((_, "")) => return Err(unread()),
            Some(("by", name)) => filter.actor = Some(name.to_owned()),
            Some(("on", user)) => filter.user = Some(UserRef(user.to_owned())),
            Some(("event", start)) => filter.event = Some(event(start)?),
            Some(("since", when)) => filter.since = Some(moment(when, now, 0).ok_or_else(unread)?),
            Some(("until", when)) => filter.until = Some(moment(when, now, DAY_SECONDS).ok_or_else(unread)?),
            Some(_) => return Err(unread()),
            None if word == "operators" => filter.operators_only = true,
            None if word.contains('@') => filter.user = Some(UserRef(word.to_owned())),
            None => filter.event = Some(event(word)?),
        }
    }
    Ok(filter)
}

/// What was meant by the start of an event's name, or by a part of it. A search that can find nothing is told, since it
/// would look like an answer.
fn event(text: &str) -> Result<String, String> {
    let names = || Event::ALL.iter().map(|event| event.as_str());
    if names().any(|name| name.starts_with(text)) {
        return Ok(text.to_owned());
    }
    let meant: Vec<&str> = names().filter(|name| name.contains(text)).collect();
    match meant.as_slice() {
        [] => Err(format!("no event has `{text}` in its name; Enter on an entry shows what its event is called")),
        [name] => Ok((*name).to_owned()),
        several => Err(format!("no event begins with `{text}`; there are {}", several.join(", "))),
    }
}

/// The moment so many `day_seconds` into a day that is named, or a span before now.
fn moment(text: &str, now: Timestamp, day_seconds: i64) -> Option<Timestamp> {
    let today = now.as_seconds().div_euclid(DAY_SECONDS) * DAY_SECONDS;
    let day = match text {
        "today" => Some(Timestamp::from_seconds(today)),
        "yesterday" => Some(Timestamp::from_seconds(today - DAY_SECONDS)),
        _ if text.len() == "2026-11-20".len() => Timestamp::parse(text),
        _ => None,
    };
    if let Some(day) = day {
        return Some(day.plus_seconds(day_seconds));
    }
    let unit = text.chars().last()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| (0..100_000).contains(count))?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => DAY_SECONDS,
        _ => return None,
    };
    Some(now.plus_seconds(-(count * seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filters() {
        // 2025-09-01 12:34:56 UTC.
        let now = Timestamp::from_seconds(1_756_730_096);
        let filter = parse("by:jdoe on:anna@example.com event:two_factor since:7d until:yesterday operators", now);
        let filter = filter.unwrap();
        assert_eq!(filter.actor.as_deref(), Some("jdoe"));
        assert_eq!(filter.user, Some(UserRef("anna@example.com".to_owned())));
        assert_eq!(filter.event.as_deref(), Some("two_factor"));
        assert_eq!(filter.since, Some(now.plus_seconds(-7 * DAY_SECONDS)));
        assert_eq!(filter.until.map(Timestamp::to_rfc3339_z).as_deref(), Some("2025-09-01T00:00:00Z"));
        assert!(filter.operators_only);
        let filter = parse("anna@example.com user.log since:2025-08-30", now).unwrap();
        assert_eq!(filter.user, Some(UserRef("anna@example.com".to_owned())));
        assert_eq!(filter.event.as_deref(), Some("user.log"));
        assert_eq!(filter.since.map(Timestamp::to_rfc3339_z).as_deref(), Some("2025-08-30T00:00:00Z"));
        assert!(parse("", now).is_ok());
    }

    #[test]
    fn a_part_of_an_events_name_is_enough_where_it_is_one() {
        let event = |text| parse(text, Timestamp::from_seconds(0)).map(|filter| filter.event.unwrap());
        assert_eq!(event("event:setup"), Ok("two_factor.setup_started".to_owned()));
        assert_eq!(
            event("started_at"),
            Err("no event has `started_at` in its name; Enter on an entry shows what its event is called".to_owned())
        );
        assert!(event("event:reset").unwrap_err().contains("two_factor.reset"));
    }

    #[test]
    fn other_words_are_told() {
        let now = Timestamp::from_seconds(1_756_730_096);
        for text in ["by:", "who:jdoe", "since:soon", "since:7y", "until:", "since:-1d", "since:é"] {
            assert!(parse(text, now).is_err_and(|error| error.contains(text)), "{text}");
        }
    }
}
