//! One agent with its servers under fire: faults, then peace.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use super::account::{Account, Deck, Fate};
use crate::field::{AgentHost, Host, ServerHost, settled};
use crate::oracle::{Habits, Ledger, Verdict, Writer};
use crate::server::Random;

/// Time between two faults, on average; the shortest are shorter than a start takes.
const BETWEEN: Duration = Duration::from_millis(350);
/// How long a process may take to come to its crash point before it is killed anyhow.
const PATIENCE_AT_A_POINT: Duration = Duration::from_millis(2500);
/// How long a field may take to drain.
const PATIENCE_IN_PEACE: Duration = Duration::from_secs(90);
/// SIGABRT, which a crash point ends with.
const ABORTED: i32 = 6;

/// One agent, its servers, and what is written for them.
pub struct Battlefield {
    // Writers end before their directory does.
    writers: Vec<Writer>,
    agent: AgentHost,
    servers: Vec<ServerHost>,
    directory: tempfile::TempDir,
    ledger: Ledger,
    random: Random,
    account: Account,
}

#[derive(Clone, Copy)]
enum Who {
    Agent,
    Server(usize),
}

impl Battlefield {
    /// Started, with lines of all sources stored: what is rotated away before a tailer first looked, nothing could know of.
    ///
    /// Promises that are to be broken are named for the agent and for the servers (`TAFFRAIL_BREAK`).
    pub fn start(seed: u64, server_count: usize, broken: (&str, &str)) -> Battlefield {
        let mut random = Random::from_seed(seed);
        let directory = tempfile::tempdir().unwrap();
        let logs = directory.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let settings = directory.path().join("server.toml");
        std::fs::write(&settings, "[[retention]]\nfilter = \"service:noise\"\nkeep = \"2s\"\n").unwrap();
        let servers = (0..server_count).map(|number| {
            let name = format!("server-{number}");
            let mut server = ServerHost::new(directory.path(), &name, free_address(&mut random));
            server.host.set("TAFFRAIL_CONFIG", settings.to_str().unwrap());
            server.host.set("TAFFRAIL_STORE_SEAL_ROWS", "300");
            server.host.set("TAFFRAIL_STORE_COMPACTION_CPU_PERCENT", "100");
            server.host.set("TAFFRAIL_BREAK", broken.1);
            server
        });
        let servers = servers.collect();
        let mut agent = AgentHost::new(directory.path());
        agent.host.set("TAFFRAIL_BREAK", broken.0);
        let (ledger, account) = (Ledger::default(), Account::default());
        let mut field = Battlefield { writers: Vec::new(), agent, servers, directory, ledger, random, account };
        field.change_settings();
        for server in &mut field.servers {
            server.wait_until_ready();
        }
        field.agent.host.start();
        field.begin_to_write();
        field
    }

    fn begin_to_write(&mut self) {
        let logs = self.directory.path().join("logs");
        let habits = |burst, pause| {
            let pause = Duration::from_millis(pause);
            Habits { pause, burst, padding: 200, rotate_every: 150, remove_after: None }
        };
        let sources = [("a", habits(4, 60)), ("b", habits(12, 60))];
        for (name, habits) in &sources {
            let habits = Habits { rotate_every: 0, ..habits.clone() };
            let path = logs.join(format!("{name}.log"));
            let first = Writer::file(&self.ledger, name, &path, habits, self.random.seed());
            self.ledger.source(name).wait_for_lines();
            first.stop();
        }
        let first = settled(&self.servers, &self.ledger, Duration::from_secs(60));
        assert!(first.written() > 0 && first.is_clean(), "it does not start: {first}\n{}", self.agent.host.log_text());
        for (name, habits) in sources {
            let path = logs.join(format!("{name}.log"));
            self.writers.push(Writer::file(&self.ledger, name, &path, habits, self.random.seed()));
        }
        // Something that retention and deletions may have; nobody asks for a line of it.
        let noise = logs.join("noise.log");
        self.writers.push(Writer::file(&Ledger::default(), "noise", &noise, habits(3, 100), self.random.seed()));
    }

    /// What happened so far.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Other groups, other ways of reading, other limits, the servers in another order. Which lines there are stays the same.
    fn change_settings(&mut self) {
        let logs = self.directory.path().join("logs");
        let random = &mut self.random;
        let mut group = |names: &[&str], service: &str| {
            let include: Vec<String> = names.iter().map(|name| format!("\"{}/{name}.log\"", logs.display())).collect();
            format!(
                "[[collector.files]]\ninclude = [{}]\nservice = \"{service}\"\nparse = \"{}\"\npoll_interval = \"{}ms\"\n\
                 line_bytes_max = {}\n",
                include.join(", "),
                ["auto", "none"][random.below(2) as usize],
                30 + random.below(200),
                (64 << 10) + random.below(1 << 20),
            )
        };
        let mut groups = vec![group(&["noise"], "noise")];
        groups.extend(match self.agent.host.starts % 3 {
            0 => vec![group(&["a", "b"], "oracle")],
            1 => vec![group(&["b"], "oracle"), group(&["a"], "oracle")],
            _ => vec![group(&["*"], "oracle")],
        });
        let spool_bytes_max = (8u64 << 20) << self.random.below(5);
        let settings = format!("[collector]\nspool_bytes_max = {spool_bytes_max}\n{}", groups.concat());
        let mut to: Vec<String> = self.servers.iter().map(ServerHost::url).collect();
        let first = self.random.below(to.len() as u64) as usize;
        to.rotate_left(first);
        self.agent.configure(&to, &settings, None);
    }

    fn host(&mut self, who: Who) -> &mut Host {
        match who {
            Who::Agent => &mut self.agent.host,
            Who::Server(number) => &mut self.servers[number].host,
        }
    }

    fn any_server(&mut self) -> Who {
        Who::Server(self.random.below(self.servers.len() as u64) as usize)
    }

    fn kill(&mut self, who: Who) {
        if let Who::Server(number) = who {
            self.servers[number].duplicate_batches();
        }
        self.host(who).kill();
    }

    fn start_all(&mut self) {
        for server in &mut self.servers {
            server.host.start();
        }
        self.agent.host.start();
    }

    /// Sleeps for a random time that is exponentially distributed.
    fn wait(&mut self, mean: Duration) {
        let share = (self.random.below(1 << 24) + 1) as f64 / (1 << 24) as f64;
        std::thread::sleep(mean.mul_f64(-share.ln()).min(mean * 6));
    }

    /// One fault; afterwards all run again.
    pub fn fault(&mut self, deck: &Deck) {
        self.wait(BETWEEN);
        let server = self.any_server();
        match self.random.below(12) {
            0 | 1 => {
                self.kill(Who::Agent);
                self.account.count("agent killed", 1);
            }
            2 | 3 => {
                self.kill(server);
                self.account.count("server killed", 1);
            }
            4 => {
                self.kill(server);
                self.kill(Who::Agent);
                self.account.count("both killed", 2);
            }
            5 => self.pause(server),
            8 => {
                self.agent.host.stop();
                self.account.count("agent asked to end", 0);
            }
            6 => {
                self.kill(Who::Agent);
                self.change_settings();
                self.account.count("agent killed, its settings changed", 1);
            }
            7 => {
                self.kill(server);
                self.kill(Who::Agent);
                let address = free_address(&mut self.random);
                let Who::Server(number) = server else { unreachable!("a server was drawn") };
                self.servers[number].listen_at(address);
                self.change_settings();
                self.account.count("both killed, the server moved to another port", 2);
            }
            _ => self.die_at(deck.draw(), server),
        }
        if self.random.below(3) == 0 {
            self.wait(BETWEEN);
        }
        self.start_all();
    }

    /// SIGSTOP for a while; then it goes on, or is killed as it stands.
    fn pause(&mut self, server: Who) {
        let who = if self.random.below(2) == 0 { Who::Agent } else { server };
        self.host(who).running().pause();
        self.wait(Duration::from_millis(900));
        if self.random.below(3) == 0 {
            self.host(who).kill();
            self.account.count("killed while it was stopped", 1);
        } else {
            self.host(who).running().resume();
            self.account.count("stopped for a while", 0);
        }
    }

    /// Starts the one who is meant anew, to die at its crash point.
    fn die_at(&mut self, fate: Fate, server: Who) {
        let point = fate.point();
        let who = if matches!(fate, Fate::Agent(_)) { Who::Agent } else { server };
        let often = ["ship:", "store:", "file:"].iter().any(|prefix| point.starts_with(prefix));
        let rare = ["compaction:", "retention:", "rename", "directory"].iter().any(|part| point.contains(part));
        let visit = 1 + self.random.below(if rare {
            1
        } else if often {
            10
        } else {
            2
        });
        self.kill(who);
        self.account.count("killed, to start anew and die at a crash point", 1);
        self.host(who).start_with(&[("TAFFRAIL_CRASH_AT", &format!("{point}#{visit}"))]);
        let met = self.wait_for_death(who, point);
        self.account.meet(fate, met);
        self.account.kills += 1;
        self.kill(who);
    }

    /// Whether it died by itself. What does not come to pass within a moment is asked for.
    fn wait_for_death(&mut self, who: Who, point: &str) -> bool {
        let deadline = Instant::now() + PATIENCE_AT_A_POINT;
        while Instant::now() < deadline {
            if let Some(status) = self.host(who).running().wait_for_end(Duration::from_millis(300)) {
                let by_itself = status.signal() == Some(ABORTED);
                assert!(by_itself, "it should have died at {point}, but {status}: {}", self.host(who).log_text());
                return true;
            }
            let Who::Server(number) = who else { continue };
            match point.split(':').next() {
                Some("seal" | "split" | "compaction" | "retention") => {
                    self.servers[number].post("/-/seal");
                }
                Some("delete") => {
                    self.servers[number].post("/api/v1/logs/delete?reason=noise&q=service:noise");
                }
                _ => {}
            }
        }
        false
    }

    /// The first server dies with a batch durable and its answer not sent.
    pub fn die_before_the_answer(&mut self) {
        self.die_at(Fate::Server("store:before_receipt"), Who::Server(0));
        self.start_all();
        self.servers[0].wait_until_ready();
    }

    /// The writers stop, all run, and it drains. What became of the lines, and how many resends were recognised.
    pub fn quiet(&mut self) -> (Verdict, u64) {
        self.writers.clear();
        self.start_all();
        for server in &mut self.servers {
            server.wait_until_ready();
        }
        let verdict = settled(&self.servers, &self.ledger, PATIENCE_IN_PEACE);
        let recognised = self.servers.iter_mut().map(ServerHost::duplicate_batches).sum();
        (verdict, recognised)
    }

    /// Peace: all is there once, and a fresh line arrives.
    pub fn peace(mut self) -> Account {
        let (verdict, _) = self.quiet();
        self.must_be_clean(&verdict);
        let fresh = self.directory.path().join("logs/a.log");
        let habits = Habits { rotate_every: 0, ..Habits::steady(50) };
        let writer = Writer::file(&self.ledger, "a", &fresh, habits, self.random.seed());
        std::thread::sleep(Duration::from_millis(500));
        writer.stop();
        let after = settled(&self.servers, &self.ledger, Duration::from_secs(30));
        self.must_be_clean(&after);
        assert!(after.written() > verdict.written(), "a fresh line was written");
        self.account.lines = after.written();
        self.account.reordered = after.reordered();
        self.account.duplicate_batches = self.servers.iter_mut().map(ServerHost::duplicate_batches).sum();
        self.account
    }

    /// Keeps everything for whoever looks into it when it is not.
    fn must_be_clean(&mut self, verdict: &Verdict) {
        if verdict.is_clean() {
            return;
        }
        self.directory.disable_cleanup(true);
        let kept = self.directory.path().display();
        panic!("after {} kills: {verdict}\nkept in {kept}; so far: {:?}", self.account.kills, self.account);
    }
}

/// An address that is free now and that no outgoing connection takes, so that a server finds it again at its next start.
fn free_address(random: &mut Random) -> SocketAddr {
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 20_000 + random.below(10_000) as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
