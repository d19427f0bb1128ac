//! Rows 13 and 14: names that lead elsewhere or nowhere, and certificates that expire and are renewed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use super::Row;
use super::link::seconds;
use super::network::Network;
use super::proxy::Proxy;
use super::scene::Scene;

/// The rows.
pub const ROWS: &[Row] = &[
    ("13", "a name that leads elsewhere, then nowhere", moving_name),
    ("14", "a certificate that expires and is renewed", expiring_certificate),
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
    assert!(second.requests()[0] > 0, "it follows the name");

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

fn expiring_certificate(network: &Network) -> String {
    let mut scene = Scene::set(network, 1);
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
    let bundle = scene.directory.path().join("authorities.pem");
    fs::write(&bundle, authority.pem()).expect("write the authority");
    let address = network.address(4);
    let certificate = |last_year: i32| -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([address.ip().to_string()]).expect("parameters");
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let leaf = params.signed_by(&key, &authority).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth();
        config.with_single_cert(vec![leaf.der().clone()], key).expect("a TLS configuration")
    };
    let proxy = Proxy::start(network.listen(4), &[scene.servers[0].address]);
    proxy.set_tls(certificate(2100));
    scene.agent.host.set("SSL_CERT_FILE", bundle.to_str().expect("a path in UTF-8"));
    scene.start_agent(&[format!("https://{address}")]);
    scene.start_writing();

    proxy.set_tls(certificate(2020));
    proxy.close_connections();
    scene.goes_on(1);
    let (connections, records) = (proxy.connections(), scene.servers[0].log_records());
    scene.goes_on(6);
    let tried = proxy.connections() - connections;
    assert_eq!(scene.servers[0].log_records(), records, "an expired certificate is not trusted");
    assert!(tried < 100, "tried {tried} times in 6 s");
    let log = scene.agent.host.log_text();
    assert!(log.contains("certificate") && log.contains("xpired"), "the log says what is wrong: {log}");

    proxy.set_tls(certificate(2100));
    let flows = scene.until_it_flows_to(0);
    format!("tried {tried} times in 6 s, flows {} after the renewal, {}", seconds(flows), scene.ends_clean())
}
