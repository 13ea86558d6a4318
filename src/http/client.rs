//! Who is at the other end: the address behind trusted proxies, the user agent, and the id of the request.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{HeaderName, USER_AGENT};

use crate::config::parse_network;

/// Characters kept of a user agent.
pub const USER_AGENT_CHARS_MAX: usize = 300;

/// Request ids for which randomness is fetched at once.
const IDS_AT_ONCE: usize = 64;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Reads addresses and CIDR networks; the error names the first that is neither.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        texts
            .iter()
            .map(|text| {
                parse_network(text)
                    .map(|(address, bits)| Network { address, prefix: bits.into() })
                    .ok_or_else(|| format!("`{text}` is not an address or a network such as 10.0.0.0/8"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The client's address. The list is walked from the right, because only its right end was written by proxies of
    /// ours; the first hop that is not one of them is the client (W-28).
    #[must_use]
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        for hop in lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
            let Some(address) = parse_hop(hop) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// An address, alone or with a port, as proxies write it.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    bare.parse::<IpAddr>().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|at| at.ip())).map(|ip| ip.to_canonical())
}

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => (ours.to_bits() ^ other.to_bits()).leading_zeros() >= self.prefix,
            (IpAddr::V6(ours), IpAddr::V6(other)) => (ours.to_bits() ^ other.to_bits()).leading_zeros() >= self.prefix,
            _ => false,
        }
    }
}

/// The user agent, cut and without control characters; it is shown on terminals.
#[must_use]
pub fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    Some(text.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect())
}

/// A new id for a request: a random UUID, never one that the client chose.
#[must_use]
pub fn request_id() -> String {
    // Asking the system for each id alone would cost more than all the rest of it.
    thread_local!(static RANDOM: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) });
    let bytes = RANDOM.with_borrow_mut(|kept| {
        if kept.is_empty() {
            let mut fresh = [[0; 16]; IDS_AT_ONCE];
            // Without randomness nothing here could log in; the id alone may be dull.
            let _ = getrandom::fill(fresh.as_flattened_mut());
            kept.extend(fresh);
        }
        kept.pop().unwrap_or_default()
    });
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(trusted: &[&str], peer: &str, forwarded: &[&str], client: &str) {
        let trusted = TrustedProxies::parse(&trusted.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let found = trusted.client_address(peer.parse().unwrap(), &headers);
        assert_eq!(found.to_string(), client, "{peer} {forwarded:?}");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        check(&[], "203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        check(&["10.0.0.0/8"], "203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        check(&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.1"], "198.51.100.1");
        check(&["10.0.0.0/8"], "10.1.2.3", &[], "10.1.2.3");
        check(&["10.1.2.3"], "::ffff:10.1.2.3", &["198.51.100.1"], "198.51.100.1");
        check(&["::ffff:10.0.0.0/104"], "::ffff:10.1.2.3", &["198.51.100.1"], "198.51.100.1");
        check(&["::/0"], "2001:db8::1", &["198.51.100.1"], "198.51.100.1");
        check(&["::/0"], "10.1.2.3", &["198.51.100.1"], "10.1.2.3");
    }

    #[test]
    fn the_list_is_walked_from_the_right() {
        check(&["10.0.0.0/8"], "10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1");
        check(&["10.0.0.0/8"], "10.0.0.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1");
        check(&["10.0.0.0/8"], "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn junk_ends_the_walk() {
        check(&["10.0.0.0/8"], "10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1");
        check(&["10.0.0.0/8"], "10.0.0.1", &["unknown, 10.0.0.7"], "10.0.0.7");
        check(&["10.0.0.0/8"], "10.0.0.1", &[""], "10.0.0.1");
    }

    #[test]
    fn hops_may_carry_a_port() {
        check(&["::1"], "::1", &["198.51.100.1:4711"], "198.51.100.1");
        check(&["::1"], "::1", &["[2001:db8::7]:4711"], "2001:db8::7");
        check(&["2001:db8::/32"], "2001:db8::1", &["[2001:db9::7]"], "2001:db9::7");
    }

    #[test]
    fn a_network_that_is_none_is_named() {
        for bad in ["10.0.0.0/33", "proxy", "::/129", "10.0.0.0/x"] {
            assert!(TrustedProxies::parse(&[bad.to_owned()]).unwrap_err().contains(bad));
        }
    }

    #[test]
    fn a_user_agent_is_cut() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, "x".repeat(900).parse().unwrap());
        assert_eq!(user_agent(&headers).unwrap().len(), USER_AGENT_CHARS_MAX);
        assert_eq!(user_agent(&HeaderMap::new()), None);
    }
}
