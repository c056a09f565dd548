#!/bin/sh
# Runs the tests of the service on PostgreSQL: a cluster of its own in a temporary folder, gone afterwards.
# Needs Debian's package postgresql, which root gets by this script, or any initdb and pg_ctl.
# Usage: tests/postgres.sh [pytest arguments]
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
programs() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }
bin=$(programs)
if [ -z "$bin" ] && command -v initdb >/dev/null; then
  bin=$(dirname "$(command -v initdb)")
elif [ -z "$bin" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq postgresql >/dev/null
  bin=$(programs)
fi
[ -n "$bin" ] || { echo "PostgreSQL is missing: sudo apt-get install postgresql" >&2; exit 2; }
place=$(mktemp -d)
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
  user=postgres
  id "$user" >/dev/null 2>&1 || user=nobody
  chown "$user" "$place"
  as_user() { setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env HOME="$place" "$@"; }
fi
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
stop() {
  as_user "$bin/pg_ctl" -D "$place/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$place"
}
trap stop EXIT INT TERM
as_user "$bin/initdb" -D "$place/data" -U fairlot -A trust -E UTF8 --no-locale >/dev/null
as_user "$bin/pg_ctl" -D "$place/data" -l "$place/log" -w \
  -o "-p $port -k $place -c listen_addresses=127.0.0.1 -c max_connections=200" start >/dev/null
FAIRLOT_TEST_DATABASE="postgresql://fairlot@127.0.0.1:$port/postgres"
export FAIRLOT_TEST_DATABASE
[ $# -gt 0 ] || set -- tests/store tests/rounds tests/web -m "not slow"
"$python" -m pytest "$@"
