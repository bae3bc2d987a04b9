#!/bin/sh
# Installs and builds what is missing, and nothing else. Plain sh: it runs before there is a Node 24.
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" != "--installed" ]; then
  if [ ! -x node_modules/.bin/node ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    echo "pumice: installing what is missing (once, well under a minute)" >&2
    # Not `npm ci`: it refuses a lock file written where the registry lacked some other platform's binaries. Every version is pinned
    # exactly in package.json anyway. The script `prepare` builds.
    exec npm install --no-save --loglevel=error
  fi
fi
exec node_modules/.bin/node scripts/build.ts
