//! Who may connect: how many connections one address and all of them may have, above all those that have not said who they are.
//!
//! A connection is half-open from when it is accepted until its CONNECT frame was read. An address is one of IPv4, or a /64 of IPv6, which is what one client is commonly given. Whoever goes beyond a limit is refused at once;
//! nobody who is connected is touched. Deliberately absent: clocks, sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use platform::BootTime;

/// Between two warnings that connections were refused.
const WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// How many connections there may be, beside `connections_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Half-open connections of all addresses.
    pub half_open_max: usize,
    /// Half-open connections of one address.
    pub half_open_per_address_max: usize,
    /// Connections of one address; `None`: no limit of its own.
    pub connections_per_address_max: Option<usize>,
}

/// One IPv4 address, or one /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Network(IpAddr);

impl Network {
    fn of(address: IpAddr) -> Network {
        Network(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Connections,
    ConnectionsOfAddress,
    HalfOpen,
    HalfOpenOfAddress,
}

#[derive(Debug, Default)]
struct Held {
    connections: usize,
    half_open: usize,
}

/// Everybody who is connected, by address, and how many were refused.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: AdmissionLimits,
    addresses: BTreeMap<Network, Held>,
    half_open: usize,
    refused: u64,
    refused_since_warning: u64,
    next_warning: BootTime,
}

impl Admission {
    pub(crate) fn new(limits: AdmissionLimits) -> Admission {
        Admission {
            limits,
            addresses: BTreeMap::new(),
            half_open: 0,
            refused: 0,
            refused_since_warning: 0,
            next_warning: BootTime(0),
        }
    }

    /// Lets a connection in, half-open, or says why not.
    pub(crate) fn admit(&mut self, peer: SocketAddr) -> Result<Network, Refused> {
        let network = Network::of(peer.ip());
        let limits = &self.limits;
        if self.half_open >= limits.half_open_max {
            return Err(Refused::HalfOpen);
        }
        if let Some(held) = self.addresses.get(&network) {
            if held.half_open >= limits.half_open_per_address_max {
                return Err(Refused::HalfOpenOfAddress);
            }
            if limits
                .connections_per_address_max
                .is_some_and(|max| held.connections >= max)
            {
                return Err(Refused::ConnectionsOfAddress);
            }
        }
        let held = self.addresses.entry(network).or_default();
        held.connections += 1;
        held.half_open += 1;
        self.half_open += 1;
        Ok(network)
    }

    /// A half-open connection has said CONNECT.
    pub(crate) fn introduced(&mut self, network: Network) {
        self.half_open -= 1;
        if let Some(held) = self.addresses.get_mut(&network) {
            held.half_open -= 1;
        }
    }

    /// A connection is gone.
    pub(crate) fn left(&mut self, network: Network, is_half_open: bool) {
        if is_half_open {
            self.introduced(network);
        }
        if let Some(held) = self.addresses.get_mut(&network) {
            held.connections -= 1;
            if held.connections == 0 {
                self.addresses.remove(&network);
            }
        }
    }

    /// Connections that were refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Counts a refusal; what to warn of, unless that was done a short while ago.
    pub(crate) fn refuse(&mut self, now: BootTime, peer: SocketAddr, why: Refused) -> Option<String> {
        self.refused += 1;
        self.refused_since_warning += 1;
        if now < self.next_warning {
            return None;
        }
        self.next_warning = now + WARNING_INTERVAL;
        let count = std::mem::take(&mut self.refused_since_warning);
        let connections = if count == 1 {
            "a connection was"
        } else {
            "connections were"
        };
        let count = if count == 1 { String::new() } else { format!("{count} ") };
        let why = match why {
            Refused::Connections => "there are as many as limits.connections_max allows".to_owned(),
            Refused::ConnectionsOfAddress => {
                "its address has as many as limits.connections_per_address_max allows".to_owned()
            }
            Refused::HalfOpen => format!(
                "{} connections have not said CONNECT, as many as limits.half_open_max allows",
                self.half_open
            ),
            Refused::HalfOpenOfAddress => {
                "its address has as many that have not said CONNECT as limits.half_open_per_address_max allows"
                    .to_owned()
            }
        };
        Some(format!(
            "{count}{connections} refused since this was last said, the newest from {peer}: {why}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(AdmissionLimits {
            half_open_max: 5,
            half_open_per_address_max: 2,
            connections_per_address_max: Some(3),
        })
    }

    fn peer(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 1234)
    }

    #[test]
    fn an_address_has_few_half_open_connections_and_others_do_not_care() {
        let mut admission = admission();
        let first = admission.admit(peer("10.0.0.1")).unwrap();
        admission.admit(peer("10.0.0.1")).unwrap();
        assert_eq!(admission.admit(peer("10.0.0.1")), Err(Refused::HalfOpenOfAddress));
        admission.admit(peer("10.0.0.2")).unwrap();
        admission.introduced(first);
        admission.admit(peer("10.0.0.1")).unwrap();
    }

    #[test]
    fn an_ipv6_address_stands_for_its_64_bit_network_and_a_mapped_one_for_its_ipv4_address() {
        let mut admission = admission();
        admission.admit(peer("2001:db8:1:2::1")).unwrap();
        admission.admit(peer("2001:db8:1:2:ffff::9")).unwrap();
        assert_eq!(
            admission.admit(peer("2001:db8:1:2::3")),
            Err(Refused::HalfOpenOfAddress)
        );
        admission.admit(peer("2001:db8:1:3::1")).unwrap();
        assert_eq!(
            Network::of("::ffff:10.0.0.1".parse().unwrap()),
            Network::of("10.0.0.1".parse().unwrap())
        );
    }

    #[test]
    fn connections_of_one_address_are_limited_whoever_they_are() {
        let mut admission = admission();
        let mut last = None;
        for _ in 0..3 {
            let network = admission.admit(peer("10.0.0.1")).unwrap();
            admission.introduced(network);
            last = Some(network);
        }
        assert_eq!(admission.admit(peer("10.0.0.1")), Err(Refused::ConnectionsOfAddress));
        admission.left(last.unwrap(), false);
        admission.admit(peer("10.0.0.1")).unwrap();
    }

    #[test]
    fn all_half_open_connections_together_are_limited_and_forgotten_when_they_are_gone() {
        let mut admission = admission();
        let networks: Vec<Network> = (1..=5)
            .map(|last| admission.admit(peer(&format!("10.0.0.{last}"))).unwrap())
            .collect();
        assert_eq!(admission.admit(peer("10.0.0.9")), Err(Refused::HalfOpen));
        networks.into_iter().for_each(|network| admission.left(network, true));
        assert_eq!(admission.half_open, 0);
        assert!(admission.addresses.is_empty());
        admission.admit(peer("10.0.0.9")).unwrap();
    }

    #[test]
    fn many_refusals_are_warned_of_once_in_a_while_and_counted() {
        let mut admission = admission();
        let first = admission.refuse(BootTime(1), peer("10.0.0.1"), Refused::HalfOpenOfAddress);
        let first = first.unwrap();
        assert!(first.starts_with("a connection was refused"), "{first}");
        assert!(first.contains("limits.half_open_per_address_max"), "{first}");
        for _ in 0..1000 {
            let warning = admission.refuse(BootTime(2), peer("10.0.0.1"), Refused::HalfOpenOfAddress);
            assert_eq!(warning, None);
        }
        let later = BootTime(1) + WARNING_INTERVAL;
        let second = admission.refuse(later, peer("10.0.0.1"), Refused::Connections).unwrap();
        assert!(second.starts_with("1001 connections were refused"), "{second}");
        assert_eq!(admission.refused(), 1002);
    }
}
