//! A network of one row: a namespace of its own, in which the row's thread and all that it starts live, with addresses and
//! packet filter rules that nobody else sees.
//!
//! Everything is on the loopback device there. Rules stand in the INPUT chain: a packet that is dropped has been sent, as on a
//! real wire. Servers listen on all addresses; the agent goes to [`Network::address`], and rules match that address, so that
//! the oracle still reaches every server through 127.0.0.1.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The namespace of a row.
pub struct Network {
    name: String,
}

/// Plays a row in a network of its own, or says why that cannot be had here.
pub fn in_a_network(play: fn(&Network) -> String) -> Result<String, String> {
    let network = Network::create()?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            network.enter();
            play(&network)
        });
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}

impl Network {
    fn create() -> Result<Network, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("taffrail-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        run("ip", &["netns", "add", &name])?;
        let network = Network { name };
        let inside = |words: &[&str]| {
            let mut all = vec!["netns", "exec", network.name.as_str()];
            all.extend(words);
            run("ip", &all)
        };
        inside(&["ip", "link", "set", "lo", "up"])?;
        for number in 0..8 {
            inside(&["ip", "address", "add", &format!("{}/32", address_of(number)), "dev", "lo"])?;
        }
        for matched in
            [&["-p", "tcp", "-m", "conntrack", "--ctstate", "ESTABLISHED"][..], &["-p", "tcp", "-j", "REJECT"]]
        {
            inside(&[&["iptables", "-A", "INPUT"], matched].concat())?;
        }
        inside(&["iptables", "-F"])?;
        Ok(network)
    }

    fn enter(&self) {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("open the namespace");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("enter the namespace");
    }

    /// Its name, for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the agent finds the server or proxy of this number.
    pub fn address(&self, number: u8) -> SocketAddr {
        SocketAddr::from((address_of(number), port_of(number)))
    }

    /// Where a server or proxy of this number listens.
    pub fn listen(&self, number: u8) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port_of(number)))
    }

    /// Adds a rule for what the agent sends to this number: a match, and what becomes of it (`-j DROP`).
    pub fn on_the_way_to(&self, number: u8, rule: &str) {
        self.rule(&format!("-p tcp -d {} --dport {} {rule}", address_of(number), port_of(number)));
    }

    /// The same for what comes back to the agent.
    pub fn on_the_way_from(&self, number: u8, rule: &str) {
        self.rule(&format!("-p tcp -s {} --sport {} {rule}", address_of(number), port_of(number)));
    }

    /// Adds a rule for what arrives anywhere in the network.
    pub fn rule(&self, rule: &str) {
        let words: Vec<&str> = ["-A", "INPUT"].into_iter().chain(rule.split_whitespace()).collect();
        run("iptables", &words).unwrap_or_else(|error| panic!("iptables {rule}: {error}"));
    }

    /// Takes all rules away.
    pub fn lift(&self) {
        run("iptables", &["-F"]).expect("take the rules away");
    }

    /// The agent's ports of the connections that it has to this number now.
    pub fn connections_to(&self, number: u8) -> Vec<u16> {
        let table = std::fs::read_to_string("/proc/thread-self/net/tcp").expect("read the connections");
        let (address, port) = (u32::from_ne_bytes(address_of(number).octets()), port_of(number));
        let remote = format!("{address:08X}:{port:04X}");
        let connections = table.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (local, to, state) = (words.nth(1)?, words.next()?, words.next()?);
            let established = to == remote && state == "01";
            established.then(|| u16::from_str_radix(local.rsplit(':').next()?, 16).ok()).flatten()
        });
        connections.collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = run("ip", &["netns", "delete", &self.name]);
        let _ = std::fs::remove_dir_all(format!("/etc/netns/{}", self.name));
    }
}

fn address_of(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number + 1)
}

fn port_of(number: u8) -> u16 {
    6461 + u16::from(number)
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program} {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
    }
}
