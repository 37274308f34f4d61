//! Requests that one client may send: the generic cell rate algorithm (a leaky bucket that stores one time for each
//! client), in a table of bounded size.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::keys::Digest;

/// Clients with an allowance of their own. While the table is full, all further clients share one allowance.
const CLIENTS: usize = 1 << 16;
/// Least time between two sweeps of the table.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    Key(Digest),
    /// A client without a valid key.
    Address(IpAddr),
}

impl Client {
    /// The client at an address: an IPv4 address, or the /64 network of an IPv6 address, since providers give each
    /// customer a /64.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & !u128::from(u64::MAX);
                Ipv6Addr::from(network).into()
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// Between two requests at the steady rate.
    interval: Duration,
    /// How far ahead of that rate a client may be.
    ahead: Duration,
    began: Instant,
    clients: usize,
    table: Mutex<Table>,
}

/// Times, counted from `began`, at which the whole allowance is available again.
#[derive(Debug, Default)]
struct Table {
    due: HashMap<Client, Duration>,
    shared: Duration,
    swept: Duration,
}

impl RateLimiter {
    /// `rate` requests a second, `burst` at once.
    pub(crate) fn new(rate: f64, burst: u32) -> Self {
        let interval = Duration::from_secs_f64(1.0 / rate);
        Self {
            interval,
            ahead: interval.saturating_mul(burst.saturating_sub(1)),
            began: Instant::now(),
            clients: CLIENTS,
            table: Mutex::default(),
        }
    }

    /// Counts a request, or returns the time after which the next one is accepted; a refused request does not count.
    pub(crate) fn check(&self, client: Client, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.began);
        let mut table = self.table.lock();
        let table = &mut *table;
        let full = table.due.len() >= self.clients;
        if full && now.saturating_sub(table.swept) >= SWEEP {
            // A client with its whole allowance needs no entry.
            table.due.retain(|_, due| *due > now);
            table.swept = now;
        }
        let due = if table.due.len() < self.clients || table.due.contains_key(&client) {
            table.due.entry(client).or_default()
        } else {
            &mut table.shared
        };
        let start = now.max(*due);
        match (start - now).checked_sub(self.ahead) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *due = start.saturating_add(self.interval);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> Client {
        Client::at([10, 0, 0, n].into())
    }

    #[test]
    fn a_burst_then_the_rate() {
        let limiter = RateLimiter::new(2.0, 3);
        let at = |ms| limiter.began + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(limiter.check(client(1), at(0)), Ok(()));
        }
        assert_eq!(limiter.check(client(1), at(0)), Err(Duration::from_millis(500)));
        assert_eq!(limiter.check(client(1), at(400)), Err(Duration::from_millis(100)));
        assert_eq!(limiter.check(client(2), at(400)), Ok(()), "another client");
        assert_eq!(limiter.check(client(1), at(500)), Ok(()), "refusals do not count");
        assert!(limiter.check(client(1), at(500)).is_err());
        // After a pause the whole burst is there again, and no more.
        for _ in 0..3 {
            assert_eq!(limiter.check(client(1), at(60_000)), Ok(()));
        }
        assert!(limiter.check(client(1), at(60_000)).is_err());
    }

    #[test]
    fn the_table_has_a_bound() {
        let mut limiter = RateLimiter::new(1.0, 1);
        limiter.clients = 2;
        let at = |s| limiter.began + Duration::from_secs(s);
        assert!(limiter.check(client(1), at(1)).is_ok());
        assert!(limiter.check(client(2), at(1)).is_ok());
        // New clients share one allowance; known ones keep their own.
        assert!(limiter.check(client(3), at(1)).is_ok());
        assert!(limiter.check(client(4), at(1)).is_err());
        assert!(limiter.check(client(1), at(1)).is_err());
        // Later, the sweep removes the clients that have paused.
        assert!(limiter.check(client(4), at(10)).is_ok());
        assert!(limiter.check(client(3), at(10)).is_ok());
        assert!(limiter.table.lock().due.len() <= 2);
    }

    #[test]
    fn addresses_of_one_customer_are_one_client() {
        let at = |s: &str| Client::at(s.parse().unwrap());
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }
}
