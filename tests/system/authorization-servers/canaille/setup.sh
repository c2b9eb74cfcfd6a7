#!/bin/sh
# Installs a pinned version of the Canaille identity provider into ./venv and creates ./base.sqlite
# with alice, bob and the client demo. Idempotent.
set -eu
cd "$(dirname "$0")"
PY=${PYTHON:-python3}
[ -x venv/bin/python ] || "$PY" -m venv venv
if ! venv/bin/python -c 'import sys, flask_alembic; from importlib.metadata import version as v; sys.exit(v("canaille") != "0.3.6")' 2>/dev/null; then
  venv/bin/python -m pip install -q --no-input --disable-pip-version-check 'canaille[front,oidc,server,sqlite]==0.3.6'
fi
[ -f jwk.json ] || venv/bin/python -c '
import json
from joserfc.jwk import RSAKey
k = RSAKey.generate_key(2048, parameters={"use": "sig", "alg": "RS256", "kid": "k1"}, private=True)
json.dump(k.as_dict(private=True), open("jwk.json", "w"))'
if [ ! -f base.sqlite ]; then
  rm -rf base.tmp; mkdir base.tmp
  DIR="$PWD/base.tmp" PORT=1 ACCESS_TTL=60 venv/bin/python make_config.py
  export CANAILLE_CONFIG="$PWD/base.tmp/canaille.toml"
  C="venv/bin/canaille"
  $C install >/dev/null 2>&1
  for u in alice bob; do
    $C create user --quiet --user-name $u --password $u-pw --given-name $u --family-name Example \
      --formatted-name "$u Example" --display-name $u --emails $u@example.test
  done
  $C create client --quiet --client-id demo --client-secret demo-secret --client-name Demo \
    --redirect-uris http://127.0.0.1:1/callback --token-endpoint-auth-method "${AUTH_METHOD:-client_secret_basic}" \
    --grant-types authorization_code --grant-types refresh_token --response-types code \
    --scope openid --scope profile --scope email --scope offline_access --scope files.read
  # A client can introspect only tokens whose audience contains it.
  $C set client --quiet demo --audience demo
  mv base.tmp/db.sqlite base.sqlite
  rm -rf base.tmp
fi
venv/bin/python -c 'from importlib.metadata import version as v; print("canaille", v("canaille"), "Authlib", v("authlib"), "ready")'
touch .ready
