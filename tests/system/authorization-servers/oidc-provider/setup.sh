#!/bin/sh
# Installs a pinned version of the npm package oidc-provider into this folder. Idempotent.
set -eu
cd "$(dirname "$0")"
VERSION=${OIDC_PROVIDER_VERSION:-9.13.3}
if [ ! -f package.json ]; then
  printf '{"name":"as-oidc-provider","private":true,"type":"module"}\n' > package.json
fi
have=$(node -p "try{JSON.parse(require('fs').readFileSync('node_modules/oidc-provider/package.json')).version}catch{''}")
if [ "$have" != "$VERSION" ]; then
  npm install --no-audit --no-fund --loglevel=error --omit-lockfile-registry-resolved --save-exact "oidc-provider@$VERSION"
fi
echo "oidc-provider $(node -p "JSON.parse(require('fs').readFileSync('node_modules/oidc-provider/package.json')).version") ready"
touch .ready
