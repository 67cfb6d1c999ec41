//! What is forwarded to private networks, in the language of `nft`.
//!
//! | chain | rule |
//! |---|---|
//! | `raw` | nobody sends to the machine's loopback from outside, though replies to it come that way |
//! | `arriving`, `leaving` | a published port of the machine leads to its task, whoever asks |
//! | `returning` | tasks go out by the machine's address, and are asked by an address that they can answer |
//! | `between` | tasks get what belongs to their connections and what is for published ports, nothing else |
//! | `beside` | so do processes of the machine, but root's: health checks |
//!
//! A script is one transaction. It says all of the rules anew, so that what somebody else removed is
//! there again.

use std::{fmt::Write as _, net::Ipv4Addr};

use super::Subnet;

/// The rules for devices and a table of that prefix, with all that is published: port of the machine,
/// address and port of a task.
pub(super) fn all(
    prefix: &str,
    subnet: &Subnet,
    published: impl Iterator<Item = (u16, Ipv4Addr, u16)>,
) -> String {
    let devices = format!("\"{prefix}-*\"");
    let mut elements = String::new();
    for (port, address, inside) in published {
        let _ = write!(elements, "{port} : {address} . {inside}, ");
    }
    let elements = match elements.is_empty() {
        true => elements,
        false => format!("add element ip {prefix} ports {{ {elements}}}\n"),
    };
    format!(
        "\
add table ip {prefix}
flush table ip {prefix}
add map ip {prefix} ports {{ type inet_service : ipv4_addr . inet_service; }}
flush map ip {prefix} ports
table ip {prefix} {{
  chain raw {{
    type filter hook prerouting priority -300;
    iifname {devices} ip daddr 127.0.0.0/8 drop;
  }}
  chain arriving {{
    type nat hook prerouting priority -100;
    fib daddr type local meta l4proto {{ tcp, udp }} dnat to th dport map @ports;
  }}
  chain leaving {{
    type nat hook output priority -100;
    fib daddr type local meta l4proto {{ tcp, udp }} dnat to th dport map @ports;
  }}
  chain returning {{
    type nat hook postrouting priority 100;
    ip saddr {subnet} oifname != {devices} masquerade;
    ip saddr {{ 127.0.0.0/8, {subnet} }} oifname {devices} masquerade;
  }}
  chain between {{
    type filter hook forward priority 0;
    oifname != {devices} accept;
    ct state established,related accept;
    ct status dnat accept;
    reject with icmp type admin-prohibited;
  }}
  chain beside {{
    type filter hook output priority 0;
    oifname != {devices} accept;
    ct state established,related accept;
    ct status dnat accept;
    meta skuid 0 accept;
    reject with icmp type admin-prohibited;
  }}
}}
{elements}"
    )
}

/// Nothing is left of them.
pub(super) fn none(prefix: &str) -> String {
    format!("add table ip {prefix}\ndelete table ip {prefix}\n")
}
