//! What is redacted and what must stay, line by line.

use proptest::prelude::*;

use super::*;
use crate::enrich::{Config, Enricher, ReceivedLine, Switch};
use crate::model::{LogRecord, Resource, Timestamp};

fn enricher() -> Enricher {
    Config::default().enricher().unwrap()
}

fn record_of(enricher: &mut Enricher, line: &str) -> LogRecord {
    let resource = std::sync::Arc::new(Resource::default());
    enricher.enrich(ReceivedLine::plain(line.as_bytes(), Timestamp::EPOCH, &resource)).unwrap()
}

fn redacted(line: &str) -> String {
    censored(line).into_owned()
}

/// Secrets are put together here, so that no scanner takes this file for a leak.
fn example(parts: &[&str]) -> String {
    parts.concat()
}

#[test]
fn secrets_are_replaced_by_the_name_of_their_rule() {
    let check = |line: &str, expected: &str| {
        assert_eq!(redacted(line), expected.replace('{', "[redacted:").replace('}', "]"), "{line}");
    };
    // Named values.
    check("login user=ann password=hunter2 ok", "login user=ann password={password} ok");
    check("connect(host=db, password=p@ss,w0rd, port=5)", "connect(host=db, password={password}, port=5)");
    check("db.passwd='it is s3cret' next", "db.passwd='{password}' next");
    check("MYSQL_PWD=abc MYSQL_HOST=x", "MYSQL_PWD={password} MYSQL_HOST=x");
    check("Password: hunter2!", "Password: {password}");
    check("GET /login?user=a&password=b%20c&x=1 HTTP/1.1", "GET /login?user=a&password={password}&x=1 HTTP/1.1");
    check(
        r#"body was {"user":"ann","password":"a \"b\" c","n":1}"#.replace(['{', '}'], "|").as_str(),
        r#"body was |"user":"ann","password":"{password}","n":1|"#,
    );
    check(r#"\"pwd\":\"abc\",\"n\":1"#, r#"\"pwd\":\"{password}\",\"n\":1"#);
    check("passwd => topsecret", "passwd => topsecret");
    check("api_key=9f8e7d6c5b4a", "api_key={secret}");
    check("X-Api-Key: 9f8e7d6c5b4a39281706", "X-Api-Key: {secret}");
    check("client_secret=Xy12Zz34 scope=all", "client_secret={secret} scope=all");
    check("secret=supersecret1", "secret={secret}");
    check("access_token=123e4567-e89b-12d3-a456-426614174000&b=c", "access_token={secret}&b=c");
    check("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1", "aws_secret_access_key = {secret}");
    check("AccountKey=Zm9vYmFyYmF6cXV4MTIzNA==;EndpointSuffix=core", "AccountKey={secret};EndpointSuffix=core");
    // Headers.
    check("Authorization: Bearer abc123def456ghi789", "Authorization: Bearer {authorization}");
    check("authorization=Basic dXNlcjpwYXNz next", "authorization=Basic {authorization} next");
    check(r#""Authorization":"Token 0123456789abcdef""#, r#""Authorization":"Token {authorization}""#);
    check(
        "Authorization: AWS4-HMAC-SHA256 Credential=x/20261121/eu/s3, Signature=fe5f80",
        "Authorization: AWS4-HMAC-SHA256 {authorization}",
    );
    check("sent Bearer abc123def456ghi789.x to it", "sent Bearer {authorization} to it");
    check("curl -H 'basic dXNlcjpwYXNz'", "curl -H 'basic {authorization}'");
    // Keys by their form.
    check(&example(&["key AKI", "AIOSFODNN7EXAMPLE used"]), "key {aws_key} used");
    check(&example(&["gh", "p_", &"a1B2".repeat(9), "."]), "{github_token}.");
    check(&example(&["github_", "pat_", &"a1B2".repeat(10)]), "{github_token}");
    check(&example(&["gl", "pat-", &"a1B-".repeat(5)]), "{gitlab_token}");
    check(&example(&["xo", "xb-123456789012-abcDEF"]), "{slack_token}");
    check(&example(&["sk_", "live_", &"a1B2".repeat(6)]), "{stripe_key}");
    check(&example(&["sk_", "test_", &"a1B2".repeat(6)]), "{stripe_key}");
    check(&example(&["key s", "k-", &"a1B2".repeat(12), " used"]), "key {service_key} used");
    check(&example(&["s", "k-proj-", &"a1_B-".repeat(12)]), "{service_key}");
    check(&example(&["=np", "m_", &"a1B2".repeat(9), " used"]), "={service_key} used");
    check(&example(&["\"h", "f_", &"aB1c".repeat(8), "xy\""]), "\"{service_key}\"");
    check(&example(&["by S", "G.", &"a1B2c-".repeat(4), ".", &"a1B2_".repeat(9), " ok"]), "by {service_key} ok");
    check(&example(&["?key=AI", "za", &"a1B2c-_".repeat(5), "&x"]), "?key={google_key}&x");
    check("id eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_w1 end", "id {jwt} end");
    check("a.b.eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27", "a.b.{jwt}");
    check(
        "key -----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----\nnext",
        "key {private_key}\nnext",
    );
    check("-----BEGIN OPENSSH PRIVATE KEY-----\\nb3Blb", "{private_key}");
    check("postgres://ann:s3cr:t@db:5432/shop", "postgres://ann:{url_password}@db:5432/shop");
    check(r"redis:\/\/:pw@cache", r"redis:\/\/:{url_password}@cache");
    // Cards of the brands' own examples.
    check("paid with 4111111111111111.", "paid with {card}.");
    check("card 5555 5555 5555 4444, thanks", "card {card}, thanks");
    check("no 3 4111-1111-1111-1111 5", "no 3 {card} 5");
    check("amex 3782 822463 10005", "amex {card}");
    check("pan=378282246310005;cvv", "pan={card};cvv");
    check("30569309025904 diners", "{card} diners");
    check("6011111111111117,3530111333300000", "{card},{card}");
    check("2223003122003222", "{card}");
}

#[test]
fn names_of_secrets_count_in_any_case_and_form() {
    const VALUE: &str = "Zx9Secret1q7";
    let capitals = |name: &str| {
        let words = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
        words.collect::<Vec<_>>().join("_")
    };
    for name in [
        "password",
        "passwd",
        "pwd",
        "pass",
        "db_pass",
        "passphrase",
        "ssh_passphrase",
        "secret",
        "client_secret",
        "secret_key",
        "token",
        "auth_token",
        "api_key",
        "apikey",
        "x_api_key",
        "account_key",
        "accountkey",
        "access_key",
        "shared_access_key",
        "sharedaccesskey",
        "authorization",
        "http_authorization",
    ] {
        let camel = capitals(name);
        for name in [name.to_owned(), name.to_uppercase(), camel.replace('_', ""), camel.replace('_', "-"), camel] {
            for (before, behind) in [
                ("=", ""),
                (": ", ""),
                ("=", ";"),
                ("': '", "'"),
                ("\":\"", "\""),
                ("\": \"", "\""),
                ("\\\":\\\"", "\\\""),
            ] {
                let opened = before.split([':', '=']).next().unwrap();
                let line = format!("x {opened}{name}{before}{VALUE}{behind} y");
                assert!(!redacted(&line).contains(VALUE) && redacted(&line).contains(MARKER), "{line}");
            }
        }
    }
    for line in ["PassWord=Ab1", "passWord=Ab1", "HTTP_AUTHORIZATION: Token abc123", "a BEARER abc123def456ghi789 b"] {
        assert!(redacted(line).contains(MARKER), "{line}");
    }
}

#[test]
fn passwords_of_addresses_go_whatever_the_scheme() {
    for scheme in
        ["sqlserver", "oracle", "clickhouse", "socks5", "bolt", "HTTP", "amqp+ssl", "x", "mongodb+srv", "jdbc:mysql"]
    {
        assert_eq!(
            redacted(&format!("to {scheme}://ann:pw@db:1/x, ok")),
            format!("to {scheme}://ann:[redacted:url_password]@db:1/x, ok")
        );
    }
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    for line in [
        // Ids, hashes, times.
        "Receiving block blk_-1608999687919862906 src: /10.250.19.102:54106 dest: /10.250.19.102:50010",
        "blk_4111111111111111 and job-4111111111111111 and 4111111111111111_0 and 4111111111111111-a",
        "trace_id=4111111111111111 span: 4111111111111111 dd.trace_id=\"4111111111111111\" orderId=4111111111111111",
        "timestamp=4111111111111111 \"requestId\": \"4111111111111111\" #id 5",
        "1795246380123456 1795246380123456789 20261121073300 4111111111111112 41111111111111111 411111111111111",
        "1.4111111111111111 4111111111111111.5",
        "4111 1111 1111 1111 1111 are columns",
        "kernel: BIOS-e820: 67a17ca04a6cf01e - 4111111111111111 (reserved)",
        "WindowServer[184]: CGXDisplayDidWakeNotification [4111111111111111]: posting kCGSDisplayDidWake",
        "0000000000000000 4444444444444444 5555-5555-5555-555",
        "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 token_type=bearer expires=3600",
        "2026-11-20T00:00:00.019Z 10.0.0.1 - - [20/Nov/2026:00:00:00 +0000]",
        // Words about secrets.
        "Failed password for root from 10.0.0.1 port 22 ssh2",
        "Access denied for user 'root'@'localhost' (using password: YES)",
        "password: incorrect; password=; password=*** password=<hidden> pwd=${PWD} password=null",
        "sudo: root : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/ls",
        "Unexpected token: identifier, token=semicolon, next_page_token=abc123def456",
        "WindowManager: wtoken = AppWindowToken{9dbd4a1 token=Token{0de78a0 ActivityRecord{963114e u0}}}",
        "token=android.os.BinderProxy@1a2b3c4 max_tokens=4096 total_tokens: 512",
        "secret=kube-system/default-token mounted secret \"my-tls\" secrets=3 secret: not found",
        "password_hash=ab12 passwords: 5 secretary=ann tokenize=true Authorization: Bearer",
        "Basic authentication and basic training, Bearer tokens are used, a bearer of 1234567890123456 news",
        "WWW-Authenticate: Bearer realm=shop; authorization failed: denied; authorization=granted",
        "tests: pass=12 fail=3; pass: 12/15; pass=0.5s bypass=abc123def compass: north7western encompass=a1b2c3",
        "pwd: /home/ann/src, ran npm_config_cache=/x npm_package_dependencies_some_long_name_of_it and hf_short sk-short",
        "wants sk-a-long-name-of-words-with-dashes-between-them and SharedAccessKeyName=RootManage1Shared",
        "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----",
        "https://example.org:8080/a@b?c=d:e@f http://user@host/ p://x:y",
        "AKIA is a prefix, AKIAIOSFODNN7EXAMPLEX is too long, ghp_short xoxb-1 AIzaShort eyJh.eyJx.y",
    ] {
        assert_eq!(redacted(line), line);
    }
}

#[test]
fn bodies_and_attributes_are_redacted_and_counted_by_rule() {
    let mut enricher = enricher();
    let record = record_of(
        &mut enricher,
        r#"{"msg":"login with \"password\":\"x\"","db":{"password":"hunter2","pwd":12345},"auth_token":"a1b2c3d4e5","n":5,"args":["--password=x","4111111111111111"],"card":4111111111111111,"order_id":4111111111111111}"#,
    );
    assert_eq!(record.body, r#"login with "password":"[redacted:password]""#);
    let shown: Vec<_> = record.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        shown.join(" "),
        "db.password=[redacted:password] db.pwd=[redacted:password] auth_token=[redacted:secret] n=5 \
         args=[--password=[redacted:password], [redacted:card]] card=[redacted:card] order_id=4111111111111111"
    );
    let count = |rule| enricher.clone().notes().effect(rule, "redacted");
    assert_eq!([count("password"), count("secret"), count("card"), count("jwt")], [4, 1, 2, 0]);
    // What the transport knows did not stand in the line.
    let resource = Default::default();
    let line = ReceivedLine {
        attributes: vec![("query".into(), "password=hunter2".into())],
        ..ReceivedLine::plain(b"text", Timestamp::EPOCH, &resource)
    };
    let record = enricher.enrich(line).unwrap();
    assert_eq!(record.attribute("query").unwrap().as_str(), Some("password=[redacted:password]"));
}

#[test]
fn a_number_that_counts_passwords_stays() {
    let record = record_of(
        &mut enricher(),
        r#"{"failed_password":3,"login":{"wrong_passwd":123456},"password":123456,"pwd":4}"#,
    );
    let shown: Vec<_> = record.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(shown.join(" "), "failed_password=3 login.wrong_passwd=123456 password=[redacted:password] pwd=4");
}

/// A rule that looked at the rest of the line from each of its leads would read many gigabytes here, and this test not end.
#[test]
fn a_line_full_of_leads_is_read_a_few_times_only() {
    for lead in [
        ".eyJ",
        "eyJh",
        "token=",
        "password=",
        "authorization=",
        "authorization=digest ",
        "authorization: digest [redacted:card] ",
        "authorization=!token=",
        "token=,",
        "token='\\'",
        "password=\"",
        "-----BEGIN",
        "-----BEGIN RSA PRIVATE KEY-----",
        "xoxb-",
        "glpat-xoxb-",
        "Bearer ",
        "basic ",
        "p://",
        "p://a:b@",
        "4111111111111111 ",
        "4111-",
    ] {
        let line = lead.repeat((1 << 18) / lead.len());
        assert!(!redacted(&line).is_empty(), "{lead}");
    }
}

#[test]
fn of_many_names_in_one_value_all_values_go() {
    let check = |name: &str, secret: &str| {
        let line = format!("{}{secret} next", name.repeat(100));
        let shown = redacted(&line);
        assert!(!shown.contains(secret) && shown.ends_with(" next"), "{shown}");
    };
    check("token=", "a1b2c3d4e5f6");
    check("password=", "hunter2");
    check("authorization=", "a1b2c3d4e5f6");
}

#[test]
fn rules_can_be_left_out_added_and_all_switched_off() {
    let body = |config: Config, line: &str| record_of(&mut config.enricher().unwrap(), line).body;
    let line = "password=hunter2 paid 4111111111111111 by EMP-123456 of EMP-9";
    let own = |pattern: &str| [("employee".to_owned(), pattern.to_owned())].into();
    assert_eq!(body(Config { redact: Switch::Off, ..Config::default() }, line), line);
    assert_eq!(
        body(
            Config { redact_except: vec!["card".into()], redact_patterns: own("EMP-[0-9]{6}"), ..Config::default() },
            line
        ),
        "password=[redacted:password] paid 4111111111111111 by [redacted:employee] of EMP-9"
    );
    assert_eq!(
        body(Config { redact_patterns: own("EMP-([0-9]+)"), ..Config::default() }, "EMP-1, EMP-2"),
        "EMP-[redacted:employee], EMP-[redacted:employee]"
    );
    let check = |config: Config, expected: &str| {
        let error = config.enricher().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        Config { redact_except: vec!["cards".into()], ..Config::default() },
        "redact_except: \"cards\" is no rule: the rules are password,",
    );
    check(Config { redact_patterns: own("("), ..Config::default() }, "redact_patterns: employee: at character 1");
    check(Config { redact_patterns: own("x*"), ..Config::default() }, "matches nothing at all");
    check(
        Config { redact_patterns: [("card".to_owned(), "x".to_owned())].into(), ..Config::default() },
        "not as a built-in rule",
    );
}

#[test]
fn the_trace_of_a_line_is_what_it_was() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for line in [
        format!("password=hunter2 trace_id={trace}"),
        format!("{{\"msg\":\"token=a1b2c3d4e5f6\",\"trace_id\":\"{trace}\"}}"),
        format!("traceparent=00-{trace}-00f067aa0ba902b7-01 4111111111111111"),
    ] {
        let record = record_of(&mut enricher(), &line);
        assert_eq!(record.trace_id.map(|id| id.to_string()).as_deref(), Some(trace));
        assert!(record.body.contains(MARKER), "{}", record.body);
    }
}

/// A card number of this brand with a right sum.
fn card_number(prefix: &str, length: usize, rest: u64) -> String {
    let digits = format!("{prefix}{rest:020}");
    let start = &digits[..prefix.len()];
    let body = format!("{start}{}", &digits[digits.len() - (length - 1 - prefix.len())..]);
    let sum = |last: u32| {
        let digits = body.bytes().map(|b| u32::from(b - b'0')).chain([last]).collect::<Vec<_>>();
        digits
            .iter()
            .rev()
            .enumerate()
            .map(|(place, d)| if place % 2 == 1 { d * 2 / 10 + d * 2 % 10 } else { *d })
            .sum::<u32>()
    };
    let last = (0..10).find(|last| sum(*last) % 10 == 0).unwrap();
    format!("{body}{last}")
}

proptest! {
    #[test]
    fn any_text_is_redacted_once_and_stays_text(
        text in prop_oneof![
            "\\PC{0,80}",
            prop::collection::vec(prop::sample::select(vec![
                "password", "passwd=", "secret", "token", "api_key", "authorization", "=", ":", ": ", "\"", "\\\"", "'", " ", "&", ",", "é",
                "Bearer ", "Basic ", "dXNlcjpwYXNz", "a1B2c3D4e5", "eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0In0", ".", "https://", "u:p@", "@",
                "4111", "4111111111111111", "1111", "-", "_", "-----BEGIN RSA PRIVATE KEY-----", "-----END", "-----", "[redacted:card]", "]", "PWD=", "/",
                "AKIA", "IOSFODNN7EXAMPLE", "ghp_", "{", "}", "\n", "\\", "%3D",
            ]), 0..14).prop_map(|parts| parts.concat()),
        ],
    ) {
        let once = redacted(&text);
        prop_assert_eq!(&redacted(&once), &once);
        let mut enricher = enricher();
        record_of(&mut enricher, &text);
        record_of(&mut enricher, &serde_json::json!({ "msg": text, "password": text, "n": { "token": [text] } }).to_string());
    }

    #[test]
    fn every_card_number_goes_wherever_it_stands_by_itself(
        (prefix, length) in prop::sample::select(vec![("4", 16), ("51", 16), ("2221", 16), ("6011", 16), ("37", 15), ("36", 14), ("62", 16), ("3528", 16)]),
        rest in any::<u64>(),
        before in "[a-zé:,;(\"= ]{0,20}",
        behind in "[,;)\" é]{0,3}",
    ) {
        // A name that calls it an id keeps it, and so does a letter beside it.
        prop_assume!(!before.ends_with(|c: char| c.is_alphabetic()) && !behind.starts_with('é'));
        prop_assume!(!["id", "ts", "trace", "span", "time", "seq", "offset"].iter().any(|name| before.contains(name)));
        let number = card_number(prefix, length, rest);
        prop_assume!(number.bytes().any(|b| b != number.as_bytes()[0]));
        let text = format!("{before}{number}{behind}");
        prop_assert_eq!(redacted(&text), format!("{before}[redacted:card]{behind}"));
        // One digit changed, one too many, one too few: no card.
        let last = (number.as_bytes()[length - 1] - b'0' + 1) % 10;
        for no_card in [format!("{}{last}", &number[..length - 1]), format!("{number}0000000"), number[..length - 4].to_owned()] {
            prop_assert_eq!(redacted(&no_card), no_card);
        }
    }
}
