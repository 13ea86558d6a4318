//! How many connections each client address holds, so that one client does not hold them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::client::TrustedProxies;

/// Counts connections by address; of IPv6 by the /64, since one customer has all of it. There are never more entries than
/// connections.
pub struct PerAddress {
    max: usize,
    proxies: TrustedProxies,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection that is counted until this is dropped.
pub struct Place {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: Option<IpAddr>,
}

impl PerAddress {
    #[must_use]
    pub fn new(max: usize, proxies: TrustedProxies) -> Self {
        Self { max, proxies, held: Arc::default() }
    }

    /// A place for one more connection of this address; `None` when it holds as many as it may. A proxy that is trusted
    /// has many clients behind it and is not counted.
    #[must_use]
    pub fn take(&self, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let address = (!self.proxies.trusts(peer)).then(|| network_of(peer));
        if let Some(address) = address {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let count = held.get(&address).copied().unwrap_or_default();
            if count >= self.max {
                return None;
            }
            held.insert(address, count + 1);
        }
        Some(Place { held: Arc::clone(&self.held), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&address)),
        }
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gives_them_back() {
        let places = PerAddress::new(2, TrustedProxies::parse(&["10.0.0.0/8".to_owned()]).unwrap());
        let take = |address: &str| places.take(address.parse().unwrap());
        let _one = take("192.0.2.1").unwrap();
        let two = take("::ffff:192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        let _other = take("192.0.2.2").unwrap();
        drop(two);
        let _two = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());

        let _left = take("2001:db8::1").unwrap();
        let _right = take("2001:db8::ffff:1").unwrap();
        assert!(take("2001:db8::2").is_none(), "the same /64");
        let next = take("2001:db8:0:1::1").unwrap();
        drop(next);

        let of_proxy: Vec<_> = (0..5).map(|_| take("10.1.2.3").unwrap()).collect();
        drop(of_proxy);
        assert_eq!(places.held.lock().unwrap().len(), 3, "nothing is kept of those who went");
    }
}
