//! Namespaces, devices and routes of private networks, in the language of `ip` and `tc`.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use crate::isolators::IsolatorError;

/// Where `ip netns` keeps namespaces that have names.
const NAMESPACES: &str = "/run/netns";
const SETTINGS: &str = "/proc/sys/net/ipv4";

/// The file of a namespace.
pub(super) fn namespace(device: &str) -> PathBuf {
    Path::new(NAMESPACES).join(device)
}

/// Whether the machine has that device.
pub(super) fn is_there(device: &str) -> bool {
    Path::new(SETTINGS).join("conf").join(device).exists()
}

/// The machine's side: a namespace, and a device of the same name that leads there.
pub(super) fn outside(device: &str, gateway: Ipv4Addr, address: Ipv4Addr) -> String {
    format!(
        "\
netns add {device}
link add {device} type veth peer name eth0 netns {device}
addr add {gateway}/32 dev {device}
link set {device} up
route add {address}/32 dev {device} src {gateway}
"
    )
}

/// The task's side. Its address is a net of its own, so that all it sends goes to the machine.
pub(super) fn inside(gateway: Ipv4Addr, address: Ipv4Addr) -> String {
    format!(
        "\
link set lo up
addr add {address}/32 dev eth0
link set eth0 up
route add {gateway}/32 dev eth0 scope link
route add default via {gateway}
"
    )
}

/// A bound on what the task sends: it has a tenth of a second's worth at once.
pub(super) fn egress(mbit: u32) -> String {
    let burst = u64::from(mbit) * 1_000_000 / 8 / 10;
    let burst = burst.max(16_384);
    format!("qdisc add dev eth0 root tbf rate {mbit}mbit burst {burst} latency 50ms\n")
}

/// What the machine does with packets of that device. It becomes a router, as it must between tasks
/// and others; the rules say what is forwarded to tasks.
pub(super) fn set_up_machine(device: &str) -> Result<(), IsolatorError> {
    let of_device = |name: &str| format!("{SETTINGS}/conf/{device}/{name}");
    for (path, value) in [
        (format!("{SETTINGS}/ip_forward"), "1"),
        // Connections to a published port at 127.0.0.1 leave by this device.
        (of_device("route_localnet"), "1"),
        // No sender but the task itself.
        (of_device("rp_filter"), "1"),
        // The way by the machine is the only one.
        (of_device("send_redirects"), "0"),
    ] {
        let is_set = fs::read_to_string(&path).is_ok_and(|now| now.trim() == value);
        if !is_set {
            fs::write(&path, value).map_err(|source| IsolatorError::File {
                action: "write",
                path: path.into(),
                source,
            })?;
        }
    }
    Ok(())
}
