#!/usr/bin/env bash
# Makes infra/.env, which infra/compose.yaml reads: new secrets, for the owner's eyes alone. Never replaces one, since with
# the master key every encrypted lesson would be lost. Another file: new-env.sh FILE.
set -euo pipefail
file=${1:-$(dirname "$0")/.env}

hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
set -o noclobber
cat >"$file" <<END
# Keep a copy of the master key elsewhere: whoever loses it loses every encrypted lesson.
MASTER_KEY=$(head -c 32 /dev/urandom | base64 -w 0)
POSTGRES_PASSWORD=$(hex 24)
RABBITMQ_PASSWORD=$(hex 24)
S3_ACCESS_KEY=GK$(hex 12)
S3_SECRET_KEY=$(hex 32)
GARAGE_RPC_SECRET=$(hex 32)
# How browsers reach this machine.
PUBLIC_URL=http://localhost:8080
S3_PUBLIC_URL=http://localhost:3900
END
echo "made $file"
