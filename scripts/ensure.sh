#!/bin/sh
# Installs and builds what is missing, and nothing else. Plain sh: it runs before there is a Node 24.
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" != "--installed" ]; then
  if [ ! -x node_modules/.bin/node ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    echo "pumice: installing what is missing (once, about a minute)" >&2
    exec npm ci --loglevel=error # runs `prepare`, which builds
  fi
fi
exec node_modules/.bin/node scripts/build.ts
