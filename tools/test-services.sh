#!/bin/sh
# Obtains what the tests need beside Python: Chromium, PostgreSQL, Redis, nginx and curl, from the system's packages where we
# may install them. Otherwise it fails, naming the command.
set -eu

lacking=""
has() { command -v "$1" >/dev/null 2>&1; }
has chromium || has chromium-browser || has google-chrome || lacking="$lacking chromium"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || has initdb || lacking="$lacking postgresql"
has curl || lacking="$lacking curl"
has redis-server || lacking="$lacking redis-server"
has nginx || [ -x /usr/sbin/nginx ] || lacking="$lacking nginx"
[ -z "$lacking" ] && exit 0

install="apt-get update && apt-get install --yes --no-install-recommends$lacking"
if ! has apt-get || [ "$(id -u)" != 0 ]; then
    echo "The tests need$lacking. Install with:" >&2
    echo "    sudo sh -c '$install'" >&2
    exit 1
fi
echo "Installing$lacking for the tests"
# A package that starts a service must not do so here; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! sh -c "$install" >"$log" 2>&1; then
    tail -20 "$log" >&2
    echo "Could not install$lacking. The command was:" >&2
    echo "    $install" >&2
    exit 1
fi
