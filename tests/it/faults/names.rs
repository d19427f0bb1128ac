//! Rows 13 and 14: names that lead elsewhere or nowhere, and certificates that expire and are renewed.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::Row;
use super::link::seconds;
use super::network::Network;
use super::proxy::Proxy;
use super::scene::{PATIENCE, Scene};
use crate::field::within;

/// The rows.
pub const ROWS: &[Row] = &[
    ("13", "a name that leads elsewhere, then nowhere", moving_name),
    ("14a", "the server's certificate expires and is renewed", expiring_certificate),
    ("14b", "the server's authority is another", other_authority),
    ("14c", "the agent's certificate expires and is renewed", agents_certificate),
];

const NAME: &str = "logs.test";
const PORT: u16 = 7000;

fn moving_name(network: &Network) -> String {
    let mut scene = Scene::set(network, 1);
    let files = format!("/etc/netns/{}", network.name());
    fs::create_dir_all(&files).expect("make a place for the network's files");
    let hosts = Path::new(&files).join("hosts");
    // The same file all the time: it is mounted over /etc/hosts of the agent.
    let lead_to = |address: Option<SocketAddr>| {
        let line = address.map_or(String::new(), |address| format!("{} {NAME}\n", address.ip()));
        fs::write(&hosts, format!("127.0.0.1 localhost\n{line}")).expect("write the hosts");
    };
    fs::write(Path::new(&files).join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        .expect("write the resolver's file");
    let [here, there] = [4, 5].map(|number| SocketAddr::new(network.address(number).ip(), PORT));
    let upstream = scene.servers[0].address;
    let (first, second) = (Proxy::start(here, &[upstream]), Proxy::start(there, &[upstream]));
    lead_to(Some(here));
    scene.agent.host.prefix = ["ip", "netns", "exec", network.name()].map(str::to_owned).into();
    scene.start_agent(&[format!("http://{NAME}:{PORT}")]);
    scene.start_writing();
    assert!(first.requests()[0] > 0 && second.requests()[0] == 0);

    lead_to(Some(there));
    network.rule(&format!("-p tcp -d {} --dport {PORT} -j DROP", here.ip()));
    let moved = scene.until_it_flows_to(0);
    // What was under way when the name moved may have flowed first.
    let follows = within(PATIENCE, || (second.requests()[0] > 0).then_some(()));
    assert!(follows.is_some(), "it follows the name");

    lead_to(None);
    second.close_connections();
    scene.goes_on(2);
    let stayed = scene.until_it_flows_to(0);
    scene.goes_on(3);
    lead_to(Some(there));
    format!(
        "followed after {}, kept the last address after {}, {}",
        seconds(moved),
        seconds(stayed),
        scene.ends_clean()
    )
}

/// Whoever signs the certificates of servers and agents.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// A certificate for this name, good until this year, and its key.
    fn signs(&self, name: &str, last_year: i32) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("parameters");
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }

    /// What a server at this address speaks; it asks agents for a certificate of `agents`.
    fn server(&self, address: SocketAddr, last_year: i32, agents: Option<&Authority>) -> ServerConfig {
        let (certificate, key) = self.signs(&address.ip().to_string(), last_year);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().expect("versions");
        let config = match agents {
            None => config.with_no_client_auth(),
            Some(agents) => {
                let mut roots = RootCertStore::empty();
                roots.add(agents.0.der().clone()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                config.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        config.with_single_cert(vec![certificate.der().clone()], key).expect("a TLS configuration")
    }
}

/// An agent that believes the authority in a file, a proxy that speaks `tls` before its server, and lines that arrive.
fn begin_with_tls(
    network: &Network,
    authority: &Authority,
    tls: ServerConfig,
    settings: &str,
) -> (Scene, Proxy, PathBuf) {
    let scene = Scene::set(network, 1);
    let ca_file = scene.directory.path().join("authority.pem");
    fs::write(&ca_file, authority.0.pem()).expect("write the authority");
    let mut scene = scene.with_settings(&format!("[collector.tls]\nca_file = {ca_file:?}\n{settings}"));
    let proxy = Proxy::start(network.listen(4), &[scene.servers[0].address]);
    proxy.set_tls(tls);
    scene.start_agent(&[format!("https://{}", network.address(4))]);
    scene.start_writing();
    (scene, proxy, ca_file)
}

/// From now on the server shows a certificate that is not to be trusted: nothing flows, nothing is lost, the agent tries now and
/// then and says what is wrong. Returns how often it tried.
fn distrusted(scene: &mut Scene, proxy: &Proxy, tls: ServerConfig, said: &str) -> u64 {
    proxy.set_tls(tls);
    proxy.close_connections();
    scene.goes_on(1);
    let (connections, records) = (proxy.connections(), scene.servers[0].log_records());
    scene.goes_on(6);
    let tried = proxy.connections() - connections;
    assert_eq!(scene.servers[0].log_records(), records, "such a certificate is not trusted");
    assert!(tried < 100, "tried {tried} times in 6 s");
    let log = scene.agent.host.log_text();
    assert!(log.contains("ertificate") && log.contains(said), "the log says what is wrong: {log}");
    tried
}

fn expiring_certificate(network: &Network) -> String {
    let (authority, address) = (Authority::new(), network.address(4));
    let (mut scene, proxy, _) = begin_with_tls(network, &authority, authority.server(address, 2100, None), "");
    let tried = distrusted(&mut scene, &proxy, authority.server(address, 2020, None), "xpired");
    proxy.set_tls(authority.server(address, 2100, None));
    let flows = scene.until_it_flows_to(0);
    format!("tried {tried} times in 6 s, flows {} after the renewal, {}", seconds(flows), scene.ends_clean())
}

fn other_authority(network: &Network) -> String {
    let (before, after, address) = (Authority::new(), Authority::new(), network.address(4));
    let (mut scene, proxy, ca_file) = begin_with_tls(network, &before, before.server(address, 2100, None), "");
    let tried = distrusted(&mut scene, &proxy, after.server(address, 2100, None), "");
    fs::write(&ca_file, after.0.pem()).expect("write the new authority");
    let flows = scene.until_it_flows_to(0);
    format!("tried {tried} times in 6 s, flows {} after the file was replaced, {}", seconds(flows), scene.ends_clean())
}

fn agents_certificate(network: &Network) -> String {
    let (authority, address) = (Authority::new(), network.address(4));
    let files = tempfile::tempdir().unwrap();
    let [certificate_file, key_file] = ["agent.pem", "agent.key"].map(|name| files.path().join(name));
    let write = |last_year| {
        let (certificate, key) = authority.signs("agent", last_year);
        fs::write(&certificate_file, certificate.pem()).expect("write a certificate");
        fs::write(&key_file, key.serialize_pem()).expect("write a key");
    };
    write(2100);
    let settings = format!("certificate_file = {certificate_file:?}\nkey_file = {key_file:?}\n");
    let tls = || authority.server(address, 2100, Some(&authority));
    let (mut scene, proxy, _) = begin_with_tls(network, &authority, tls(), &settings);
    write(2020);
    let tried = distrusted(&mut scene, &proxy, tls(), "");
    write(2100);
    let flows = scene.until_it_flows_to(0);
    format!("tried {tried} times in 6 s, flows {} after the renewal, {}", seconds(flows), scene.ends_clean())
}
