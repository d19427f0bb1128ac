#!/usr/bin/env bash
# Installs what the tests need and is not there: Debian packages (a browser, Python, curl, logger, ip, iptables), clients of Python
# and Node.js below target/, cargo-deny. Says in one line what is missing when it may not install.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A package_of=([chromium]=chromium [python3]=python3-venv [curl]=curl [logger]=bsdutils [ip]=iproute2 [iptables]=iptables)
missing=()
for command in "${!package_of[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || missing+=("${package_of[$command]}")
done
if command -v python3 >/dev/null && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
if ((${#missing[@]})); then
    as_root=()
    if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
    if ! { command -v apt-get >/dev/null && "${as_root[@]}" apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }; then
        echo "missing: ${missing[*]}; install them with your package manager, then run this again" >&2
        exit 1
    fi
fi

clients=target/test-clients
node_clients=(hot-shots@17.1.1 statsd-client@0.4.7 node-statsd@0.1.1)
installed() { cat tests/clients.txt && echo "${node_clients[*]}"; }
if ! installed | cmp -s - "$clients/installed.txt" 2>/dev/null; then
    rm -rf "$clients"
    python3 -m venv "$clients"
    "$clients/bin/pip" install --quiet --disable-pip-version-check --no-deps -r tests/clients.txt
    # Of npm the test goes on without: a machine may have no registry, and then it says what it skips.
    npm install --silent --ignore-scripts --omit=optional --no-audit --no-fund --prefix "$clients/node" "${node_clients[@]}" ||
        echo "npm supplies no StatsD clients: their tests are skipped" >&2
    installed >"$clients/installed.txt"
fi

# Prometheus and its Alertmanager are only unpacked (19 and 8 MB, Debian's): installed they would start services of their own. Where
# they cannot be had, their tests are skipped visibly.
unpack() {
    if [ -x "$clients/$1/usr/bin/$1" ] || ! command -v dpkg-deb >/dev/null; then return; fi
    package=$(mktemp -d)
    if (cd "$package" && apt-get download -qq "$1" >/dev/null 2>&1) && dpkg-deb -x "$package/$1"_*.deb "$package/unpacked"; then
        rm -rf "${clients:?}/$1"
        mv "$package/unpacked" "$clients/$1"
    fi
    rm -rf "$package"
}
unpack prometheus
unpack prometheus-alertmanager
# Alertmanager reads its templates from where the package would have put them.
templates=/usr/share/prometheus/alertmanager
if [ -d "$clients/prometheus-alertmanager$templates" ] && [ ! -e "$templates" ]; then
    as_root=()
    if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
    "${as_root[@]}" mkdir -p "${templates%/*}" && "${as_root[@]}" cp -r "$clients/prometheus-alertmanager$templates" "${templates%/*}" ||
        echo "Alertmanager's templates cannot be put to $templates: its test is skipped" >&2
fi

# 0.20 is checked against; any newer one does.
command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
