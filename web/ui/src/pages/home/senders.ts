/** The commands that send something to this server, with its addresses filled in, and which source shows that it came. */

export interface Sender {
  readonly title: string;
  /** Kinds of sources that count what this sends. */
  readonly kinds: readonly string[];
  readonly snippets: readonly Snippet[];
}

export interface Snippet {
  readonly label: string;
  readonly code: string;
}

/** The server's addresses as `/api/v1/ingest` tells them; those switched off are null. */
export type Listeners = Readonly<Record<string, string | null | undefined>>;

/** Every sender, for a page that was opened at `origin`. */
export function sendersFor(listeners: Listeners, origin: string): readonly Sender[] {
  const page = new URL(origin);
  const statsd = place(listeners["statsd"], 8125, page.hostname);
  const syslog = place(listeners["syslog"], 5514, page.hostname);
  return [
    {
      title: "StatsD metrics",
      kinds: ["statsd"],
      snippets: [
        { label: "bash", code: `echo "hello.hits:1|c|#env:dev" > /dev/udp/${statsd.host}/${statsd.port}` },
        { label: "nc", code: `printf 'hello.duration:320|ms' | nc -u -w1 ${statsd.host} ${statsd.port}` },
        {
          label: "Python",
          code: `# pip install statsd\nimport statsd\nclient = statsd.StatsClient("${statsd.host}", ${statsd.port})\nclient.incr("hello.hits")\nclient.timing("hello.duration", 320)`,
        },
        {
          label: "Node",
          code: `// npm install hot-shots\nconst StatsD = require("hot-shots");\nconst client = new StatsD({ host: "${statsd.host}", port: ${statsd.port} });\nclient.increment("hello.hits", { env: "dev" });\nclient.timing("hello.duration", 320);`,
        },
      ],
    },
    {
      title: "Logs over HTTP",
      kinds: ["json_lines"],
      snippets: [
        {
          label: "curl",
          code: `curl ${page.origin}/api/v1/logs -H 'content-type: application/x-ndjson' \\\n  -d '{"level":"info","service":"hello","message":"hello from curl"}'`,
        },
        {
          label: "A file",
          code: `curl ${page.origin}/api/v1/logs -H 'content-type: application/x-ndjson' --data-binary @app.ndjson`,
        },
        {
          label: "Python",
          code: `import json, urllib.request\nline = json.dumps({"level": "info", "service": "hello", "message": "hello from Python"})\nurllib.request.urlopen("${page.origin}/api/v1/logs", line.encode())`,
        },
      ],
    },
    {
      title: "Syslog",
      kinds: ["syslog"],
      snippets: [
        {
          label: "logger",
          code: `logger --server ${syslog.host} --port ${syslog.port} --udp --rfc5424 --tag hello "hello from logger"`,
        },
        {
          label: "rsyslog",
          code: `# /etc/rsyslog.d/taffrail.conf\n*.* action(type="omfwd" target="${syslog.host}" port="${syslog.port}" protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")`,
        },
        {
          label: "Python",
          code: `import logging, logging.handlers\nlogging.getLogger().addHandler(logging.handlers.SysLogHandler(("${syslog.host}", ${syslog.port})))\nlogging.warning("hello from Python")`,
        },
      ],
    },
    {
      title: "Log files",
      kinds: ["files"],
      snippets: [
        {
          label: "taffrail.toml",
          code: `[[collector.files]]\ninclude = ["/srv/app/log/**/*.log"]\nexclude = ["*.gz"]\nservice = "web"\nparse = "auto"`,
        },
        { label: "Start", code: "taffrail serve --config taffrail.toml" },
      ],
    },
    {
      title: "Another host",
      kinds: ["agent"],
      snippets: [
        {
          label: "Agent",
          code: `taffrail collect --to ${page.origin} --config taffrail.toml --state-dir /var/lib/taffrail-agent`,
        },
      ],
    },
  ];
}

/** Host and port of a listener as a sender elsewhere reaches it: an address for "any" becomes the page's own host. */
function place(
  address: string | null | undefined,
  fallbackPort: number,
  hostname: string,
): { readonly host: string; readonly port: number } {
  const match = /^(?:\w+:\/\/)?\[?([^\]]*?)\]?:(\d+)$/.exec(address ?? "");
  const host = match?.[1] ?? "";
  return {
    host: host === "" || host === "0.0.0.0" || host === "::" ? hostname : host,
    port: Number(match?.[2] ?? fallbackPort),
  };
}
