//! Every key of `taffrail.toml`, explained for its users. A test compares the table with what can be written.

/// A key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its place in the file (`server.http`).
    pub path: &'static str,
    /// What it does and who should change it.
    pub doc: &'static str,
    /// Its flag, when it has one.
    pub flag: Option<&'static str>,
    /// Its short variable, when it has one beside the one made of its path.
    pub short_variable: Option<&'static str>,
}

const fn key(path: &'static str, doc: &'static str) -> Key {
    Key { path, doc, flag: None, short_variable: None }
}

impl Key {
    const fn flag(self, flag: &'static str) -> Key {
        Key { flag: Some(flag), ..self }
    }

    const fn short(self, variable: &'static str) -> Key {
        Key { short_variable: Some(variable), ..self }
    }

    /// The variables that set it: the short one first.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        let whole = self.path.strip_prefix("server.").unwrap_or(self.path).replace('.', "_").to_ascii_uppercase();
        self.short_variable.map(str::to_owned).into_iter().chain([format!("TAFFRAIL_{whole}")])
    }
}

/// Every key, in the order of the printed file.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter()
}

const KEYS: &[Key] = &[
    key(
        "server.data_dir",
        "The directory below which everything durable lies: journal, splits, series blocks, catalog.",
    )
    .flag("--data-dir"),
    key(
        "server.http",
        "Where the pages, the API and the HTTP receivers are served; port 0 takes a free one. Addresses that other machines \
         can reach need `insecure`.",
    )
    .flag("--http"),
    key(
        "server.insecure",
        "Allow addresses that other machines can reach although there are neither tokens nor TLS: whoever reaches the port \
         can read and write everything.",
    )
    .flag("--insecure"),
    key(
        "server.host_names",
        "Names, besides localhost and plain addresses, by which this server may be called; others are refused, so that no \
         foreign page can reach it through a name of its own. Name here what a proxy before it passes on; `[\"*\"]` allows \
         every name, and so does an empty list where other machines can reach server.http.",
    ),
    key(
        "server.own_metrics",
        "Store this server's own figures, which /metrics shows too, every 15 s as series with job=\"taffrail\": its dashboards and \
         rules about itself need them.",
    ),
    key(
        "store.retention_age",
        "Log records, and metric windows as they came, older than this are removed; \"none\" keeps them for ever. Log records that a \
         [[retention]] rule matches have the rule's age instead, metrics that of a [[metric_retention]] rule. A reload changes it at \
         once; what has left the disk does not come back.",
    ),
    key(
        "store.rollup_minute_age",
        "How long metric windows of a minute are kept, into which those of a day are rolled up; \"none\" keeps them for ever. \
         They take a sixth of the room of windows of 10 s, and questions over long times read them first. A reload changes it.",
    ),
    key("store.rollup_ten_minutes_age", "How long metric windows of ten minutes are kept. A reload changes it."),
    key("store.rollup_hour_age", "How long metric windows of an hour are kept. A reload changes it."),
    key(
        "store.retention_bytes",
        "The oldest data is removed while more than this is on disk; \"none\" sets no limit. A reload changes it.",
    ),
    key("store.seal_rows", "Log records held in memory before they are written to disk as a split …"),
    key("store.seal_bytes", "… or bytes of them and of metric windows …"),
    key("store.seal_age", "… or time since the first of them. Larger splits compress better and are searched faster."),
    key(
        "store.memory_bytes_max",
        "Memory for what is not sealed yet; beyond it senders wait for the seal under way, and after 5 s are refused with \
         `overloaded`. Raise it together with seal_bytes. Knowing the series may take as much again; beyond that new ones have \
         no room.",
    ),
    key(
        "store.series_per_metric_max",
        "Series that one metric name may have within some hours; windows of new ones beyond go to the metric's series \
         {overflow=\"true\"}, or are dropped where they cannot be joined (running totals), and are counted. \"none\" sets no limit. \
         /api/v1/series/cardinality tells which label makes so many. A reload changes it.",
    ),
    key(
        "store.series_per_source_max",
        "Series that one source may have: a value of the label `host`, or else `instance`; all that have neither are one source. \
         \"none\" sets no limit. A reload changes it.",
    ),
    key("store.disk_reserve_bytes", "Free bytes on the disk below which new data is refused (507) while questions go on."),
    key("store.future_max", "Records that claim a time later than now by more than this get their arrival time."),
    key(
        "store.compaction_cpu_percent",
        "How much of one core the merging of small splits may take, in the background: 100 works without rest, 0 merges nothing \
         (deletions are carried out all the same).",
    ),
    key("store.compaction_bytes_per_second", "How fast merging may read and write, both together."),
    key("query.time_max", "How long one question may take before its answer is cut and says so."),
    key("query.rows_max", "How many rows one question may look at before its answer is cut and says so."),
    key("query.limit_max", "How many records one answer may hold; more are fetched page by page."),
    key("query.memory_bytes_max", "What one question may keep in memory: groups, rows that are sorted; beyond it the answer leaves some out and says so."),
    key("query.concurrency_max", "How many questions are answered at once; others wait their turn."),
    key("query.patterns_max", "How many patterns of messages one question tells apart; records of further ones are counted together."),
    key("query.followers_max", "How many may follow live records at once; more are turned away."),
    key("query.exports_max", "How many files of records are written at once; more are turned away."),
    key("query.export_time_max", "How long one file of records may take before it is cut and says so."),
    key(
        "dashboards.files",
        "Names or patterns of dashboards' YAML files (`/etc/taffrail/dashboards/*.yaml`); they are read again when they change, and one \
         that has become bad keeps what it said. A file's name is the dashboard's. A reload changes the patterns.",
    ),
    key("alerts.rules", "Prometheus rules files to evaluate; they are read again when they change.").flag("--rules"),
    key(
        "alerts.routing",
        "Who is told of which alerts, when and how: a file in the format of Alertmanager's configuration (route, receivers, \
         inhibit_rules, time_intervals), read again when it changes. Without one, alerts.webhooks are told of everything.",
    ),
    key("alerts.webhooks", "URLs that get every alert notification at once (Alertmanager's webhook format, version 4)."),
    key(
        "alerts.alertmanagers",
        "URLs of Alertmanagers that get all alerts as Prometheus would send them, beside everything else.",
    ),
    key("alerts.evaluation_interval", "How often rules are evaluated whose group names no interval."),
    key(
        "alerts.per_rule_max",
        "The most alerts that one rule may have at once; beyond it the rule says so and its alerts stay as they were. Lower it \
         for a group with limit:.",
    ),
    key(
        "alerts.default_rules",
        "Whether the rules that come with the program watch this server (by server.own_metrics), its agents and the log; `taffrail \
         rules default` prints them.",
    ),
    key("alerts.repeat_interval", "How often alerts.webhooks are reminded of what still fires; alerts.routing has its own."),
    key(
        "alerts.evidence_time_max",
        "How long a notification waits for the log lines, traces and curve of each alert that it tells; without them it goes \
         out when that is over, and says so.",
    ),
    key("alerts.evidence_rows_max", "Log records and samples that may be looked at for the evidence of one alert."),
    key("alerts.external_url", "The address by which people reach this server, for links in notifications."),
    key(
        "annotations.count_max",
        "Annotations (deploys, notes, events) that are kept; beyond it the oldest leave, deploys after all others.",
    ),
    key(
        "errors.groups_max",
        "Error groups that are remembered with when they were first seen and what was decided; beyond it those seen once leave first, then those \
         not seen for longest.",
    ),
    key("collector.host", "The name that this host's records and series carry; without it the system's host name."),
    key(
        "collector.state_dir",
        "Where an agent (`taffrail collect`) keeps its identity and what it has not delivered yet. The server needs none.",
    )
    .flag("--state-dir"),
    key("collector.to", "The servers that an agent delivers to, tried in this order.").flag("--to"),
    key("collector.token_file", "The file with the token that an agent shows to the servers: one line."),
    key(
        "collector.spool_bytes_max",
        "Bytes that an agent keeps on disk while no server takes them. While it is full, files are not read further and \
         sockets drop what comes (counted). Raise it to bridge longer outages, lower it on small disks.",
    ),
    key(
        "collector.uncertain_wait",
        "How long a batch that a server may or may not have stored waits for that server's word before another one of \
         collector.to gets it, and it may be stored twice.",
    ),
    key(
        "collector.no_host",
        "Collect nothing of this host by itself: neither its metrics nor its journal nor its usual log files. What \
         [[collector.files]] names is read all the same.",
    )
    .flag("--no-host"),
    key("collector.tls.ca_file", "Certificates (PEM) of the authorities whose servers are believed; else the system's."),
    key("collector.tls.certificate_file", "The agent's own certificate chain (PEM), for servers that ask for one."),
    key("collector.tls.key_file", "The key (PEM) of collector.tls.certificate_file."),
    key(
        "collector.statsd.address",
        "Where StatsD and DogStatsD metrics are taken, by UDP and TCP, or \"off\"; port 0 takes a free one.",
    )
    .flag("--statsd")
    .short("TAFFRAIL_STATSD"),
    key(
        "collector.statsd.udp_sockets",
        "UDP sockets that share the port, each read by a thread of its own; 0: one for each core, at most 4.",
    ),
    key("collector.statsd.unix_path", "A Unix datagram socket to take them from as well."),
    key("collector.statsd.unix_stream_path", "A Unix socket that takes connections, to take them from as well."),
    key(
        "collector.statsd.unix_stream_framing",
        "How packets follow one another in a connection to unix_stream_path: \"newline\" (etsy's StatsD), \"length\" (each led by \
         its length in 4 bytes, DogStatsD).",
    ),
    key("collector.statsd.flush_interval", "How long a window of metrics is."),
    key(
        "collector.statsd.gauge_sign",
        "What `+1` and `-1` mean for a gauge: \"delta\" changes it (etsy's StatsD), \"set\" sets it (DogStatsD).",
    ),
    key(
        "collector.statsd.tag_dialects",
        "In which forms tags are read: \"dogstatsd\" (|#k:v), \"graphite\" (name;k=v), \"influx\" (name,k=v), \"librato\" (name#k=v), \
         \"signalfx\" (name[k=v]). What is not listed stays part of the name; |# is then skipped and counted.",
    ),
    key(
        "collector.statsd.implied_value",
        "Whether `name|c` without a value counts 1 of its type, as in Netdata; else it is refused.",
    ),
    key("collector.statsd.series_max", "Series held at once; more are counted in taffrail.statsd.overflow."),
    key("collector.statsd.gauge_ttl", "How long a silent gauge's level is remembered for later deltas."),
    key(
        "collector.statsd.mapping_file",
        "A file of rules in the format of statsd_exporter that turn dotted names into names with labels. It is read again when it \
         changes, and a bad one keeps the rules there were.",
    ),
    key(
        "collector.statsd.admin_address",
        "Where the admin interface of etsy's StatsD is served over TCP (stats, counters, delgauges …), or \"off\"; etsy's is \
         127.0.0.1:8126.",
    ),
    key(
        "collector.statsd.etsy_percentiles",
        "Of which percentiles etsy's figures are computed of each timer, like [90, -10], as gauges stats.timers.NAME.mean_90 and so \
         on; empty for none. It keeps all values of a window in memory.",
    ),
    key(
        "collector.statsd.etsy_histograms",
        "Etsy's histograms of timers, like [{ metric = \"\", bins = [10, 100, \"inf\"] }]; the first whose metric is part of a name counts.",
    ),
    key(
        "collector.statsd.receive_buffer_bytes",
        "The receive buffer to ask the kernel for, for each UDP socket; net.core.rmem_max is its upper limit.",
    ),
    key(
        "collector.syslog.address",
        "Where syslog is taken, by UDP and TCP on one port, or \"off\"; port 0 takes a free one.",
    )
    .flag("--syslog")
    .short("TAFFRAIL_SYSLOG"),
    key("collector.syslog.parse", "How the text behind the header is read, as in [[collector.files]]."),
    key(
        "collector.syslog.multiline",
        "Which messages of one program that follow each other are one record, as lines of files are: auto joins stack traces and private keys.",
    ),
    key("collector.syslog.message_bytes_max", "Longest message in bytes; what is beyond is cut and the record marked."),
    key("collector.syslog.connections_max", "TCP connections at a time; more are closed at once and counted."),
    key("collector.syslog.idle_timeout", "A TCP connection that sends nothing for so long is closed."),
    key(
        "collector.syslog.udp_buffer_bytes",
        "The receive buffer to ask the kernel for, for each UDP socket; net.core.rmem_max is its upper limit.",
    ),
    key("collector.json_lines.body_bytes_max", "Largest body of POST /api/v1/logs as it is sent; a larger one gets 413."),
    key(
        "collector.json_lines.decompressed_bytes_max",
        "Largest body once decompressed; it bounds the memory that one request can take.",
    ),
    key("collector.json_lines.line_bytes_max", "Longest text of one record; what is beyond is cut and the record marked."),
    key(
        "collector.json_lines.redact",
        "Replace secrets in what arrives here as well: on or off. It costs a twentieth of what taking in a line costs, and agents have \
         redacted theirs before; switch it on where programs post lines that may hold secrets.",
    ),
    key(
        "collector.prometheus_write.body_bytes_max",
        "Largest body of POST /api/v1/write as it is sent; a larger one gets 413.",
    ),
    key(
        "collector.prometheus_write.decompressed_bytes_max",
        "Largest body once decompressed; it bounds the memory that one request can take.",
    ),
    key("collector.prometheus_write.samples_max", "Most samples in one request; more get 413."),
    key(
        "collector.prometheus_write.labels_bytes_max",
        "Longest labels of one series, names and values together; a series beyond is refused and its neighbours are stored.",
    ),
    key(
        "collector.prometheus_write.series_max",
        "Series whose labels are remembered between requests. With more active series each sample costs several times the \
         processor time; nothing is lost.",
    ),
    key(
        "collector.otlp.grpc_address",
        "An address of its own for OpenTelemetry's protocol over gRPC (127.0.0.1:4317 is where senders look), or \"off\"; port 0 takes a free \
         one. server.http takes it too; an agent has no other.",
    ),
    key("collector.otlp.http_address", "The same over HTTP (127.0.0.1:4318 is where senders look)."),
    key(
        "collector.otlp.resource_labels",
        "Attributes of the resource that become labels of all its series, beside service, instance and host. All others are labels of \
         target_info.",
    ),
    key("collector.otlp.body_bytes_max", "Largest body of a request as it is sent; a larger one gets 413, or INVALID_ARGUMENT over gRPC."),
    key(
        "collector.otlp.decompressed_bytes_max",
        "Largest body once decompressed; it bounds the memory that one request can take.",
    ),
    key("collector.otlp.samples_max", "Most samples that one request may give, one for each bucket of a histogram; more get 413."),
    key("collector.otlp.records_max", "Most log records, or spans and events of spans, that one request may hold; more get 413."),
    key("collector.otlp.line_bytes_max", "Longest text of one record; what is beyond is cut and the record marked."),
    key("collector.otlp.redact", "Replace secrets in log records and spans as well: on or off, as for collector.json_lines."),
    key(
        "collector.otlp.labels_bytes_max",
        "Longest labels of one series, names and values together; a point beyond is rejected and its neighbours are stored.",
    ),
    key(
        "collector.graphite.address",
        "Where Graphite's plaintext lines are taken, by UDP and TCP on one port (127.0.0.1:2003 is usual), or \"off\"; port 0 takes a \
         free one.",
    ),
    key("collector.graphite.line_bytes_max", "Longest line, name and tags included; a longer one is refused."),
    key(
        "collector.graphite.series_max",
        "Series remembered between lines. With more active series each line costs several times the processor time; nothing is \
         lost.",
    ),
    key("collector.graphite.connections_max", "TCP connections at a time; more are closed at once and counted."),
    key("collector.graphite.idle_timeout", "A TCP connection that sends nothing for so long is closed."),
    key(
        "collector.graphite.udp_buffer_bytes",
        "The UDP receive buffer to ask the kernel for; net.core.rmem_max is its upper limit.",
    ),
    key(
        "collector.stdin.enabled",
        "Read lines of standard input. Without a word here an agent does when that is a pipe (`program | taffrail collect`), and a server \
         does not.",
    ),
    key("collector.stdin.service", "The service that lines belong to which name none."),
    key("collector.stdin.parse", "How lines are read, as in [[collector.files]]."),
    key(
        "collector.stdin.multiline",
        "Which lines are joined: \"auto\" (stack traces, indented lines), \"off\", { start = \"regex\" } or { continue = \"regex\" }.",
    ),
    key("collector.stdin.line_bytes_max", "Longest line; what is beyond is cut and the record marked."),
    key(
        "collector.journald.enabled",
        "Read the systemd journal: \"auto\" where there is one that may be read, \"on\" or fail, \"off\" never.",
    ),
    key("collector.journald.past_entries", "Entries of the past that the very first start takes along."),
    key("collector.journald.parse", "How messages are read, as in [[collector.files]]."),
    key("collector.journald.multiline", "Which messages of one process that follow each other are one record, as for syslog."),
    key("collector.journald.line_bytes_max", "Longest message; what is beyond is cut and the record marked."),
    key(
        "collector.lines.zone",
        "The zone of times that name none: an IANA name, UTC, or local. Set it where programs log in local time.",
    ),
    key(
        "collector.lines.grok_patterns",
        "Names that parse = \"grok:…\" may use beside the usual ones, and before them: { ORDER = \"ORD-%{INT:order}\" }.",
    ),
    key(
        "collector.lines.redact",
        "Replace secrets by [redacted:RULE] in lines of files, journald, syslog and standard input, before they are stored or sent: on or \
         off. What is replaced is gone; how often is counted by rule.",
    ),
    key(
        "collector.lines.redact_except",
        "Rules that are left out: password, secret, authorization, aws_key, github_token, gitlab_token, slack_token, stripe_key, \
         google_key, service_key, jwt, private_key, url_password, card.",
    ),
    key(
        "collector.lines.redact_patterns",
        "Rules of your own, regular expressions by name: what they match, or their first group, is replaced. { employee = \"EMP-[0-9]{6}\" }",
    ),
    key("collector.host_metrics.enabled", "Read this host's processor, memory, disks, network and busiest processes."),
    key("collector.host_metrics.interval", "How often they are read."),
    key("collector.host_metrics.processes_top", "How many process names are reported; 0 reports none."),
    key(
        "collector.own_health.enabled",
        "An agent sends its own log (service taffrail-agent) and its figures (taffrail_agent_…) to its servers, before everything \
         else. Without them the page of agents knows no more than when a server last heard of one.",
    ),
    key("collector.own_health.interval", "How often the figures are sent; between 1s and 1h."),
];

/// The keys of a repeated table, `[[collector.files]]`, with an example of each.
pub const FILES_KEYS: &[(&str, &str, &str)] = &[
    (
        "include",
        "Patterns of absolute paths: * and ? within a name, ** any directories, {a,b} either. A file belongs to the first group \
         that matches it.",
        r#"["/var/log/nginx/*.log", "/srv/app/log/**/*.log"]"#,
    ),
    ("exclude", "Patterns that are left out; a list replaces the default.", r#"["*.gz"]"#),
    ("service", "The service that lines belong to which name none.", r#""web""#),
    (
        "parse",
        "How lines are read: auto (JSON, access logs, logfmt, else text), json, logfmt, nginx, apache, syslog (a header, and behind it as \
         auto), grok:PATTERN, regex:PATTERN with named groups, none. A line that does not fit is kept whole and counted as \
         unparsed_line.",
        r#""auto""#,
    ),
    (
        "format",
        "What stands in the files: auto, cri (containerd, CRI-O), docker (json-file) or plain. What a runtime says becomes time and \
         stream.",
        r#""auto""#,
    ),
    (
        "multiline",
        "Which lines are joined: \"auto\" (stack traces, indented lines), \"off\", { start = \"regex\" } or { continue = \"regex\" }.",
        r#""auto""#,
    ),
    (
        "encoding",
        "The letters: auto (UTF-8, or UTF-16 by its mark), or a name like utf-16le, latin1, shift_jis.",
        r#""auto""#,
    ),
    (
        "backfill_gzip",
        "Whether rotated files that were compressed are read, once and with the least urgency. A pattern that ends in .gz is read so \
         without it.",
        "false",
    ),
    ("start_at", "Where files begin that exist at the first start: beginning or end.", r#""beginning""#),
    (
        "ignore_older",
        "Files not written to for so long at the first start begin at their end, whatever start_at says.",
        r#""168h""#,
    ),
    ("poll_interval", "How often files are looked at, whatever the kernel tells of changes.", r#""1s""#),
    ("inotify", "Whether the kernel is asked to tell of changes, so that a line is read within milliseconds.", "true"),
    (
        "line_timeout",
        "A last line without its line feed, and a group of lines, is taken for complete after so long; a lone line after a twentieth.",
        r#""5s""#,
    ),
    ("line_bytes_max", "Longest line; what is beyond is cut and the record marked.", "1048576"),
];

/// The keys of a repeated table, `[[collector.scrape]]`, with an example of each.
pub const SCRAPE_KEYS: &[(&str, &str, &str)] = &[
    ("targets", "Hosts and ports; the label instance says which.", r#"["127.0.0.1:9100"]"#),
    ("job", "The label job of all series.", r#""node""#),
    ("interval", "How often each target is read.", r#""15s""#),
    ("timeout", "How long a target may take to answer; no longer than the interval.", r#""10s""#),
    ("scheme", "http or https.", r#""http""#),
    ("path", "Where a target has its metrics.", r#""/metrics""#),
    ("labels", "Labels of all series.", r#"{ env = "test" }"#),
    (
        "honor_labels",
        "Whether labels that a target gives itself stand against job, instance and labels; else they are kept as exported_….",
        "false",
    ),
    ("token_file", "The file with the token that targets are shown: one line.", r#""/etc/taffrail/scrape-token""#),
    (
        "tls",
        "How targets on https are known: ca_file, certificate_file, key_file, as in [collector.tls].",
        r#"{ ca_file = "/etc/taffrail/ca.pem" }"#,
    ),
    ("body_bytes_max", "Largest answer, once decompressed; a target with a larger one is down.", "16777216"),
    ("samples_max", "Most samples of one target; one with more is down.", "100000"),
    ("labels_bytes_max", "Longest labels of one series; a series beyond is left out and counted.", "16384"),
];

/// The keys of a repeated table, `[[collector.shape]]`, with an example of each.
pub const SHAPE_KEYS: &[(&str, &str, &str)] = &[
    (
        "name",
        "The name under which its effects are counted (/api/v1/ingest); by default shape-1 and so on.",
        r#""quiet-health""#,
    ),
    (
        "source",
        "Sources whose records it is for: files, journald, syslog, stdin, json_lines. By default all.",
        r#"["files"]"#,
    ),
    ("service", "Services whose records it is for; * stands for anything. By default all.", r#"["web*"]"#),
    ("path", "Patterns of the files whose records it is for. By default all records.", r#"["/var/log/nginx/*"]"#),
    (
        "where",
        "What fields must hold, all of them: a text with * for anything, \"/regular expression/\", a number, \">=500\", true or false, \
         or a list of such. message, level, host, service and trace_id are fields too; level = \"<info\" compares by gravity.",
        r#"{ "url.path" = "/health*", "http.response.status_code" = "<400" }"#,
    ),
    ("keep", "Keep these records: no later rule drops, samples or limits them.", "false"),
    ("drop_records", "Drop these records.", "false"),
    (
        "sample",
        "Keep so much of these records, 0 to 1. Records of one trace stay or go together, on all hosts alike; errors stay. What was \
         dropped is said in a record (taffrail.dropped.count) every 10 seconds.",
        "0.1",
    ),
    ("sample_errors", "Sample errors like other records.", "true"),
    (
        "limit",
        "Keep at most so many of these records: \"1000/s\", \"60/m\", \"500/h\". What was dropped is said as for sample. One rule can say \
         one of keep, drop_records, sample and limit.",
        r#""1000/s""#,
    ),
    ("burst", "So many may come at once before the limit holds; by default the number of the limit.", "2000"),
    ("copy", "New fields that get the value of others, { new = \"old\" }.", r#"{ "client.address" = "ip" }"#),
    (
        "rename",
        "Fields that get another name, { old = \"new\" }. service, host, level, message, time, trace_id and span_id as new names set \
         the record's own.",
        r#"{ app = "service" }"#,
    ),
    ("drop", "Fields that are left out; * stands for anything.", r#"["tmp.*"]"#),
    (
        "add",
        "Fields that get a fixed value; ${NAME} stands for a variable of the environment.",
        r#"{ env = "${ENV:-test}" }"#,
    ),
];

/// The keys of a repeated table, `[[retention]]`, with an example of each.
pub const RETENTION_KEYS: &[(&str, &str, &str)] = &[
    (
        "filter",
        "Which log records, in the search language. The first rule that matches a record decides; store.retention_age keeps the \
         rest. What has expired is hidden at once, and leaves the disk when enough of its split has. A reload changes the rules.",
        r#""service:debug-noise""#,
    ),
    ("keep", "How long they are kept; \"none\" keeps them for ever.", r#""1d""#),
];

/// The keys of a repeated table, `[[annotations.from_logs]]`, with an example of each.
pub const ANNOTATION_KEYS: &[(&str, &str, &str)] = &[
    (
        "query",
        "Which log records, in the search language, once they come. DogStatsD's events are annotations without a rule.",
        r#""service:deployer message:finished""#,
    ),
    ("kind", "Of what kind the annotation is; `deploy` when left out.", r#""deploy""#),
    ("service_field", "The field with the service that it is about; `service` when left out.", r#""app""#),
    ("version_field", "The field with the version; `version` when left out.", r#""release""#),
    ("author_field", "The field that says who did it; `author` when left out.", r#""user""#),
    ("text_field", "The field with what people read; `message` when left out.", r#""message""#),
];

/// The keys of a repeated table, `[[checks]]`, with an example of each.
pub const CHECK_KEYS: &[(&str, &str, &str)] = &[
    (
        "name",
        "What it is called, the label `check` of the series taffrail.check.up (1 or 0) and taffrail.check.duration.",
        r#""shop""#,
    ),
    ("url", "A URL that must answer; either this or `address`.", r#""https://shop.example.org/health""#),
    ("address", "A host and port that must take a TCP connection.", r#""db.example.org:5432""#),
    ("interval", "How often it is looked.", r#""30s""#),
    ("timeout", "How long an answer may take.", r#""5s""#),
    ("status", "Statuses that are good; 200 to 399 when left out. Redirects are not followed.", "[200]"),
    ("text", "Text that the first megabyte of the answer must hold.", r#""ready""#),
];

/// The keys of a repeated table, `[[metric_retention]]`, with an example of each.
pub const METRIC_RETENTION_KEYS: &[(&str, &str, &str)] = &[
    (
        "match",
        "Which series: a selector as in PromQL. The first rule that matches a series decides; store.retention_age and store.rollup_… \
         keep the rest. What no level keeps is hidden at once; it leaves the disk when enough of its block has expired, and so do \
         windows of which only longer ones are kept. A reload changes the rules.",
        r#"'{__name__=~"debug\\..*"}'"#,
    ),
    (
        "raw",
        "How long windows are kept as they came; \"none\" for ever. Left out: as long as other series'.",
        r#""1d""#,
    ),
    ("minute", "How long windows of a minute are kept.", r#""7d""#),
    ("ten_minutes", "How long windows of ten minutes are kept.", r#""30d""#),
    ("hour", "How long windows of an hour are kept.", r#""30d""#),
];

#[cfg(test)]
mod tests {
    use toml::{Table, Value};

    use super::*;
    use crate::config::layers::default_table;
    use crate::config::{Layers, Override};

    fn leaves(prefix: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    leaves(&path, value, into);
                }
            }
            _ => into.push(prefix.to_owned()),
        }
    }

    #[test]
    fn every_key_that_has_a_default_is_explained_and_every_explained_key_exists() {
        let mut paths = Vec::new();
        leaves("", &Value::Table(default_table()), &mut paths);
        let unexplained: Vec<_> =
            paths.iter().filter(|path| !KEYS.iter().any(|key| key.path == path.as_str())).collect();
        assert_eq!(
            unexplained,
            [
                "annotations.from_logs",
                "checks",
                "collector.files",
                "collector.scrape",
                "collector.shape",
                "metric_retention",
                "retention"
            ],
            "keys without an explanation (tables are explained apart)"
        );
        for key in KEYS {
            let layers = Layers::read(None, std::iter::empty(), Vec::new()).unwrap();
            let value = layers.value(key.path).unwrap_or_else(|| Value::String("/a/path".into()));
            let laid = vec![Override { key: key.path, flag: "--x", value }];
            let mistake = Layers::read(None, std::iter::empty(), laid).err();
            assert_eq!(mistake.map(|mistake| mistake.to_string()), None, "{} does not exist", key.path);
        }
    }

    #[test]
    fn every_key_of_a_group_of_files_is_explained() {
        let group = Table::try_from(taffrail_collector::source::file_tail::Config::default()).unwrap();
        let written: Vec<&str> = group.keys().map(String::as_str).collect();
        let mut explained: Vec<&str> = FILES_KEYS.iter().map(|(name, _, _)| *name).collect();
        explained.sort_unstable();
        assert_eq!(explained, written);
        let example: String = FILES_KEYS.iter().map(|(name, _, example)| format!("{name} = {example}\n")).collect();
        toml::from_str::<taffrail_collector::source::file_tail::Config>(&example).unwrap();
    }

    #[test]
    fn every_key_of_a_group_of_targets_is_explained() {
        use taffrail_collector::source::prometheus_scrape::Config;
        let example: String = SCRAPE_KEYS.iter().map(|(name, _, example)| format!("{name} = {example}\n")).collect();
        // All are given in the example, so all are written.
        let written = Table::try_from(toml::from_str::<Config>(&example).unwrap()).unwrap();
        let mut explained: Vec<&str> = SCRAPE_KEYS.iter().map(|(name, _, _)| *name).collect();
        explained.sort_unstable();
        assert_eq!(explained, written.keys().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn every_key_of_a_rule_of_metric_retention_is_explained() {
        use crate::config::sections::MetricRetentionRule;
        let explained = METRIC_RETENTION_KEYS.iter();
        let example: String = explained.map(|(name, _, example)| format!("{name} = {example}\n")).collect();
        let rule = toml::from_str::<MetricRetentionRule>(&example).unwrap();
        // All are given in the example, so all are written.
        let written = Table::try_from(rule).unwrap();
        let mut explained: Vec<&str> = METRIC_RETENTION_KEYS.iter().map(|(name, _, _)| *name).collect();
        explained.sort_unstable();
        assert_eq!(explained, written.keys().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn every_key_of_a_rule_of_annotations_is_explained() {
        use crate::config::sections::AnnotationFromLogs;
        let example: String =
            ANNOTATION_KEYS.iter().map(|(name, _, example)| format!("{name} = {example}\n")).collect();
        let rule = toml::from_str::<AnnotationFromLogs>(&example).unwrap();
        // All are given in the example, so all are written.
        let written = Table::try_from(rule).unwrap();
        let mut explained: Vec<&str> = ANNOTATION_KEYS.iter().map(|(name, _, _)| *name).collect();
        explained.sort_unstable();
        assert_eq!(explained, written.keys().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn every_key_of_a_check_is_explained() {
        use crate::config::sections::Check;
        let example: String = CHECK_KEYS.iter().map(|(name, _, example)| format!("{name} = {example}\n")).collect();
        let rule = toml::from_str::<Check>(&example).unwrap();
        // All are given in the example, so all are written.
        let written = Table::try_from(rule).unwrap();
        let mut explained: Vec<&str> = CHECK_KEYS.iter().map(|(name, _, _)| *name).collect();
        explained.sort_unstable();
        assert_eq!(explained, written.keys().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn every_key_of_a_rule_of_shape_is_explained() {
        use taffrail_collector::enrich::shape::Config;
        let example: String = SHAPE_KEYS.iter().map(|(name, _, example)| format!("{name} = {example}\n")).collect();
        let rule = toml::from_str::<Config>(&example).unwrap();
        // All are given in the example, so all are written.
        let written = Table::try_from(rule).unwrap();
        let mut explained: Vec<&str> = SHAPE_KEYS.iter().map(|(name, _, _)| *name).collect();
        explained.sort_unstable();
        assert_eq!(explained, written.keys().map(String::as_str).collect::<Vec<_>>());
    }
}
