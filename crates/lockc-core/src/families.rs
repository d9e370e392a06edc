//! Socket families and netlink protocols: which of them every container may use, and the names by
//! which a policy adds others (`socket_families`). Kernel side, configuration, events and
//! docs/sockets.md follow this table.
//!
//! Common families are allowed. The rest is kernel code that few containers need (AF_ALG, vsock,
//! TIPC, RDS, …), mostly reachable without privileges: a policy must name it. Otherwise the errno
//! says that the family does not exist, so programs behave as on a kernel without it.

/// include/linux/socket.h
pub const AF_UNIX: u32 = 1;
/// See [`AF_UNIX`].
pub const AF_INET: u32 = 2;
/// See [`AF_UNIX`].
pub const AF_INET6: u32 = 10;
/// See [`AF_UNIX`].
pub const AF_NETLINK: u32 = 16;
/// See [`AF_UNIX`].
pub const AF_PACKET: u32 = 17;
/// Families have numbers below this one (`AF_MAX` is 46 in Linux 7.2); the bits above name netlink
/// protocols.
pub const MAX_FAMILY: u32 = 48;

/// include/uapi/linux/netlink.h
pub const NETLINK_KOBJECT_UEVENT: u32 = 15;
/// The bit that lets containers join the groups of [`NETLINK_KOBJECT_UEVENT`].
pub const UEVENT_BIT: u32 = 63;

/// What a socket family or a netlink protocol is to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every container may use it, as far as no other rule forbids it.
    Open,
    /// Only where a policy names it: the bit in
    /// [`ContainerEntry::families`](crate::abi::ContainerEntry::families).
    Named(u32),
    /// Never.
    Closed,
}

impl Access {
    /// Whether a container may use it whose policy names the families `named`.
    #[inline(always)]
    pub const fn allows(self, named: u64) -> bool {
        match self {
            Self::Open => true,
            Self::Named(bit) => named >> (bit & 63) & 1 != 0,
            Self::Closed => false,
        }
    }
}

/// Access to a socket family.
#[inline(always)]
pub const fn family(family: u32) -> Access {
    match family {
        AF_UNIX | AF_INET | AF_INET6 | AF_NETLINK | AF_PACKET => Access::Open,
        0..MAX_FAMILY => Access::Named(family),
        _ => Access::Closed,
    }
}

/// Access to a protocol of netlink. Open are those that are confined to the network namespace, or
/// that the kernel guards by a capability in the namespace's user namespace.
#[inline(always)]
pub const fn netlink(protocol: u32) -> Access {
    match protocol {
        // route, sock_diag, xfrm, audit, netfilter, kobject_uevent (its groups aside), generic
        0 | 4 | 6 | 9 | 12 | NETLINK_KOBJECT_UEVENT | 16 => Access::Open,
        2 => Access::Named(56),
        7 => Access::Named(57),
        8 => Access::Named(58),
        11 => Access::Named(59),
        18 => Access::Named(60),
        20 => Access::Named(61),
        21 => Access::Named(62),
        _ => Access::Closed,
    }
}

/// The number by which an event names a family, and for netlink the protocol.
#[inline(always)]
pub const fn event_number(family: u32, protocol: u32) -> u64 {
    if family == AF_NETLINK { family as u64 | (protocol as u64 + 1) << 16 } else { family as u64 }
}

/// What a policy can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name in `socket_families`.
    pub name: &'static str,
    /// Its bit.
    pub bit: u32,
    /// What it is, and who needs it.
    pub about: &'static str,
}

macro_rules! families {
    ($($name:literal $bit:literal $about:literal;)*) => {
        /// Everything that a policy can name.
        pub const FAMILIES: &[Family] = &[$(Family { name: $name, bit: $bit, about: $about },)*];
    };
}

families! {
    "ax25" 3 "amateur radio";
    "ipx" 4 "gone since Linux 5.15";
    "appletalk" 5 "AppleTalk: netatalk 2";
    "netrom" 6 "amateur radio";
    "atmpvc" 8 "ATM: PPPoA";
    "x25" 9 "X.25";
    "rose" 11 "amateur radio";
    "key" 15 "IPsec keys: setkey, racoon; every message needs CAP_NET_ADMIN";
    "atmsvc" 20 "ATM";
    "rds" 21 "Reliable Datagram Sockets: Oracle RAC";
    "pppox" 24 "PPPoE, PPTP, L2TP: pppd";
    "llc" 26 "IEEE 802.2";
    "ib" 27 "InfiniBand addresses";
    "mpls" 28 "no sockets";
    "can" 29 "CAN bus: vehicles, industry";
    "tipc" 30 "Transparent Inter-Process Communication of clusters";
    "bluetooth" 31 "Bluetooth: bluez";
    "iucv" 32 "z/VM";
    "rxrpc" 33 "RxRPC: AFS tools";
    "isdn" 34 "ISDN";
    "phonet" 35 "Nokia's modems: ofono";
    "ieee802154" 36 "low-power radio";
    "caif" 37 "ST-Ericsson's modems";
    "alg" 38 "the kernel's ciphers: cryptsetup benchmark, iwd, bluez, libkcapi";
    "nfc" 39 "near field communication";
    "vsock" 40 "virtual machine and its host: agents in guests, QEMU";
    "kcm" 41 "Kernel Connection Multiplexor";
    "qipcrtr" 42 "Qualcomm's modems and processors";
    "smc" 43 "Shared Memory Communications: smc_run";
    "xdp" 44 "AF_XDP: DPDK, Suricata; needs CAP_NET_RAW too";
    "mctp" 45 "Management Component Transport: OpenBMC";
    "netlink-usersock" 56 "netlink between programs";
    "netlink-selinux" 57 "SELinux: policy reloaded, enforcing or not";
    "netlink-iscsi" 58 "iSCSI: iscsid";
    "netlink-connector" 59 "tasks of the host that fork, execute and exit: cgrulesengd, forkstat";
    "netlink-scsi-transport" 60 "SCSI adapters of the host";
    "netlink-rdma" 61 "RDMA devices: rdma, libibverbs";
    "netlink-crypto" 62 "the kernel's ciphers";
    "netlink-uevent" 63 "device events of the whole host: udevd, libusb without udev";
}

/// What a policy calls so, if there is one.
pub fn by_name(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}

/// What an event's number stands for.
pub fn in_event(number: u64) -> (u32, Option<u32>) {
    (number as u32 & 0xffff, (number as u32 >> 16).checked_sub(1))
}

/// What a policy has to name for a family, or for a protocol of netlink that an event tells.
pub fn needed(number: u64) -> Option<&'static Family> {
    let access = match in_event(number) {
        (AF_NETLINK, Some(NETLINK_KOBJECT_UEVENT)) => Access::Named(UEVENT_BIT),
        (AF_NETLINK, Some(protocol)) => netlink(protocol),
        (number, _) => family(number),
    };
    FAMILIES.iter().find(|family| access == Access::Named(family.bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_has_one_name() {
        for (index, one) in FAMILIES.iter().enumerate() {
            assert!(
                FAMILIES[..index].iter().all(|other| other.bit < one.bit && other.name != one.name),
                "{}",
                one.name
            );
            assert_eq!(by_name(one.name), Some(one));
        }
    }

    #[test]
    fn what_can_be_named_is_reached_by_it_alone() {
        for protocol in 0..32 {
            if let Access::Named(bit) = netlink(protocol) {
                assert!(
                    bit >= MAX_FAMILY && FAMILIES.iter().any(|family| family.bit == bit),
                    "{protocol}"
                );
            }
        }
        for number in 0..MAX_FAMILY {
            assert_eq!(family(number).allows(0), family(number) == Access::Open);
            assert!(
                family(number).allows(1 << number) && !family(number).allows(0)
                    || family(number) == Access::Open
            );
        }
        assert_eq!(family(MAX_FAMILY), Access::Closed, "a bit of netlink's");
        assert_eq!(needed(event_number(40, 0)).map(|family| family.name), Some("vsock"));
        assert_eq!(
            needed(event_number(AF_NETLINK, 11)).map(|family| family.name),
            Some("netlink-connector")
        );
        assert_eq!(
            needed(event_number(AF_NETLINK, 15)).map(|family| family.name),
            Some("netlink-uevent")
        );
        assert_eq!(needed(event_number(AF_INET, 6)), None);
        assert_eq!(needed(event_number(AF_NETLINK, 0)), None);
    }
}
