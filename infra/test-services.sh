#!/usr/bin/env bash
# The servers that the tests need, for one run: PostgreSQL, RabbitMQ, Garage (S3) and moto (SQS, S3 events).
#
#   eval "$(infra/test-services.sh start)"   starts them and names them in the environment
#   infra/test-services.sh stop              ends what that started
#
#   infra/test-services.sh start own         starts servers that nobody else uses, whatever answers on the usual ports
#   infra/test-services.sh restart NAME      kills postgres or rabbitmq of such, and starts it again
#
# A PostgreSQL or RabbitMQ that answers on its usual port is used, in databases and a vhost of the tests' own; otherwise
# one is started (and installed from Debian first, if need be). Everything started here lives on free ports and in one
# temporary folder, named by LECTERN_TEST_SERVICES.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD

garage_version=2.3.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lectern
garage=$cache/garage-$garage_version/bin/garage

say() { echo "$*" >&2; }
fail() { say "$*"; exit 1; }
# A broker that is killed would leave a dump of its memory wherever it was started.
export ERL_CRASH_DUMP_SECONDS=0
# Debian's tools for administrators are not on everybody's path.
PATH=$PATH:/usr/sbin:/usr/lib/rabbitmq/bin

root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
# PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

install() {
    say "Installing $1 from Debian: $2"
    root apt-get update -qq >&2
    root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

# spawn NAME COMMAND…: in a process group of its own, output to a log in the folder.
spawn() {
    local name=$1
    shift
    setsid "$@" >"$folder/$name.log" 2>&1 </dev/null &
    echo $! >"$folder/$name.pid"
}

# wait_for NAME COMMAND…: until the command succeeds, at most a minute.
wait_for() {
    local name=$1 deadline=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $deadline ] || ! kill -0 "$(cat "$folder/$name.pid")" 2>/dev/null; then
            tail -n 20 "$folder/$name.log" >&2
            fail "$name did not start; its log is above"
        fi
        sleep 0.1
    done
}

# end NAME: asks the process group to end, makes it end after ten seconds.
end() {
    local pid
    [ -f "$folder/$1.pid" ] || return 0
    pid=$(cat "$folder/$1.pid")
    kill -TERM -- "-$pid" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 -- "-$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
}

start_postgres() {
    local url=${LECTERN_TEST_POSTGRES_URL:-postgres://postgres@127.0.0.1:5432/postgres} bin port
    answers() { [ -z "$own" ] && command -v psql >/dev/null && psql "$url" -Atqc 'select 1' >/dev/null 2>&1; }
    if ! answers; then
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || install postgresql "the database of a distributed Lectern"
    fi
    if ! answers; then
        bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
        mkdir "$folder/postgres"
        [ "$(id -u)" -ne 0 ] || chown postgres "$folder/postgres"
        as_postgres "$bin/initdb" -D "$folder/postgres/data" -U postgres -A trust -E UTF8 --no-sync >/dev/null
        port=$(free_port)
        echo "$bin" >"$folder/postgres.bin"
        # The data is thrown away with the tests: no need to wait for the disk.
        as_postgres "$bin/pg_ctl" -D "$folder/postgres/data" -l "$folder/postgres/log" -w start -o "-p $port \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder/postgres -c fsync=off -c max_connections=400" >/dev/null
        url=postgres://postgres@127.0.0.1:$port/postgres
        say "PostgreSQL: started on port $port"
    fi
    echo "export LECTERN_TEST_POSTGRES_URL='$url'"
}

stop_postgres() {
    [ ! -f "$folder/postgres.bin" ] ||
        as_postgres "$(cat "$folder/postgres.bin")/pg_ctl" -D "$folder/postgres/data" -m immediate stop >/dev/null 2>&1 || true
}

# rabbit COMMAND…: rabbitmqctl on the node in use.
rabbit() {
    if [ -f "$folder/rabbitmq.env" ]; then
        env $(cat "$folder/rabbitmq.env") /usr/lib/rabbitmq/bin/rabbitmqctl -q "$@"
    else
        root rabbitmqctl -q "$@"
    fi
}

start_rabbitmq() {
    local port=5672 vhost
    vhost=lectern-test-$(basename "$folder" | tail -c 7)
    answers() { [ -z "$own" ] && listens 5672 && command -v rabbitmqctl >/dev/null && rabbit authenticate_user guest guest >/dev/null 2>&1; }
    if ! answers; then
        [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || install rabbitmq-server "the broker of a distributed Lectern"
    fi
    if ! answers; then
        port=$(free_port)
        mkdir "$folder/rabbitmq"
        printf 'listeners.tcp.local = 127.0.0.1:%s\n' "$port" >"$folder/rabbitmq/rabbitmq.conf"
        echo '[].' >"$folder/rabbitmq/plugins"
        : >"$folder/rabbitmq/env"
        # A node, a cookie and a port mapper of its own: the machine's broker, if it has one, is left alone.
        cat >"$folder/rabbitmq.env" <<-END
		HOME=$folder/rabbitmq
		ERL_EPMD_ADDRESS=127.0.0.1
		ERL_EPMD_PORT=$(free_port)
		RABBITMQ_NODENAME=lectern-$port@localhost
		RABBITMQ_DIST_PORT=$(free_port)
		RABBITMQ_CONF_ENV_FILE=$folder/rabbitmq/env
		RABBITMQ_CONFIG_FILE=$folder/rabbitmq/rabbitmq.conf
		RABBITMQ_ENABLED_PLUGINS_FILE=$folder/rabbitmq/plugins
		RABBITMQ_MNESIA_BASE=$folder/rabbitmq/mnesia
		RABBITMQ_LOG_BASE=$folder/rabbitmq/log
		RABBITMQ_PID_FILE=$folder/rabbitmq/pid
		END
        spawn rabbitmq env $(cat "$folder/rabbitmq.env") /usr/lib/rabbitmq/bin/rabbitmq-server
        wait_for rabbitmq listens "$port"
        rabbit await_startup --timeout 60 >&2
        # How long a delivery may be held: half an hour, unless a test wants to see what then happens.
        [ -z "${LECTERN_TEST_CONSUMER_TIMEOUT_MS:-}" ] ||
            rabbit eval "application:set_env(rabbit, channel_tick_interval, 1000), \
                application:set_env(rabbit, consumer_timeout, $LECTERN_TEST_CONSUMER_TIMEOUT_MS)." >&2
        say "RabbitMQ: started on port $port"
    fi
    rabbit add_vhost "$vhost" >&2
    rabbit set_permissions -p "$vhost" guest '.*' '.*' '.*' >&2
    echo "$vhost" >"$folder/vhost"
    echo "export LECTERN_TEST_AMQP_URL='amqp://guest:guest@127.0.0.1:$port/$vhost'"
}

stop_rabbitmq() {
    if [ -f "$folder/rabbitmq.env" ]; then
        end rabbitmq
        env $(cat "$folder/rabbitmq.env") epmd -kill >/dev/null 2>&1 || true
    elif [ -f "$folder/vhost" ]; then
        rabbit delete_vhost "$(cat "$folder/vhost")" >/dev/null 2>&1 || true
    fi
}

install_garage() {
    [ ! -x "$garage" ] || return 0
    mkdir -p "$cache"
    exec 9>"$cache/garage.lock"
    flock 9
    if [ ! -x "$garage" ]; then
        say "Building Garage $garage_version, the S3 server of the tests, into $cache (once, about ten minutes) …"
        # From elsewhere: this repository's linker and target folder are not for it.
        (cd / && env -u CARGO_TARGET_DIR cargo install "garage@$garage_version" --locked --quiet --no-default-features \
            --features bundled-libs,sqlite --root "$cache/garage-$garage_version" >&2)
    fi
    exec 9>&-
}

start_garage() {
    local s3 rpc access secret node
    install_garage
    s3=$(free_port)
    rpc=$(free_port)
    access=GK$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
    secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    mkdir "$folder/garage"
    cat >"$folder/garage.toml" <<-END
	metadata_dir = "$folder/garage/meta"
	data_dir = "$folder/garage/data"
	db_engine = "sqlite"
	replication_factor = 1
	# The data is thrown away with the tests.
	metadata_fsync = false
	data_fsync = false
	rpc_bind_addr = "127.0.0.1:$rpc"
	rpc_public_addr = "127.0.0.1:$rpc"
	rpc_secret = "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"

	[s3_api]
	s3_region = "garage"
	api_bind_addr = "127.0.0.1:$s3"
	# Buckets are also http://BUCKET.s3.garage.localhost:PORT.
	root_domain = ".s3.garage.localhost"
	END
    chmod 600 "$folder/garage.toml"
    ask() { "$garage" -c "$folder/garage.toml" "$@"; }
    RUST_LOG=garage=warn spawn garage "$garage" -c "$folder/garage.toml" server
    wait_for garage ask node id -q
    node=$(ask node id -q 2>/dev/null | cut -d@ -f1)
    wait_for garage ask layout assign -z test -c 1G "$node"
    ask layout apply --version 1 >/dev/null 2>&1
    ask key import --yes -n lectern-test "$access" "$secret" >/dev/null 2>&1
    ask key allow --create-bucket "$access" >/dev/null 2>&1
    wait_for garage listens "$s3"
    echo "export LECTERN_TEST_S3_ENDPOINT='http://127.0.0.1:$s3'"
    echo "export LECTERN_TEST_S3_ACCESS_KEY='$access'"
    echo "export LECTERN_TEST_S3_SECRET_KEY='$secret'"
    echo "export LECTERN_TEST_S3_REGION='garage'"
    # Where the AWS client looks for them.
    echo "export AWS_ACCESS_KEY_ID='$access' AWS_SECRET_ACCESS_KEY='$secret'"
}

start_moto() {
    local python=$repository/tests/clients/.venv/bin/python port
    "$python" -c 'import moto.server' 2>/dev/null || fail "moto is not in tests/clients/.venv: run \`make clients\`, which installs it"
    port=$(free_port)
    spawn moto "$python" infra/moto-server.py -H 127.0.0.1 -p "$port"
    wait_for moto listens "$port"
    echo "export LECTERN_TEST_MOTO_ENDPOINT='http://127.0.0.1:$port'"
}

start() {
    if [ -n "${LECTERN_TEST_SERVICES:-}" ] && [ -d "$LECTERN_TEST_SERVICES" ]; then
        fail "the services of $LECTERN_TEST_SERVICES run already; end them with: $0 stop"
    fi
    folder=$(mktemp -d /tmp/lectern-services-XXXXXX)
    # PostgreSQL runs as another user, below this folder.
    chmod 711 "$folder"
    umask 077
    trap 'code=$?; [ $code -eq 0 ] || stop_all; exit $code' EXIT
    # Printed only when all of them answer: half of them would be of no use to anybody.
    { start_postgres; start_rabbitmq; start_garage; start_moto; } >"$folder/exports"
    cat "$folder/exports"
    echo "export LECTERN_TEST_SERVICES='$folder'"
}

stop_all() {
    end moto
    end garage
    stop_rabbitmq
    stop_postgres
    rm -rf "$folder"
}

# restart NAME: as after a crash.
restart() {
    local port
    case $1 in
        postgres)
            [ -f "$folder/postgres.bin" ] || fail "this PostgreSQL is somebody else's: start with \`$0 start own\`"
            as_postgres "$(cat "$folder/postgres.bin")/pg_ctl" -D "$folder/postgres/data" -l "$folder/postgres/log" -m immediate -w restart >/dev/null
            ;;
        rabbitmq)
            [ -f "$folder/rabbitmq.env" ] || fail "this RabbitMQ is somebody else's: start with \`$0 start own\`"
            port=$(sed -n 's/^listeners.*127\.0\.0\.1:\([0-9]*\)$/\1/p' "$folder/rabbitmq/rabbitmq.conf")
            kill -KILL -- "-$(cat "$folder/rabbitmq.pid")" 2>/dev/null || true
            spawn rabbitmq env $(cat "$folder/rabbitmq.env") /usr/lib/rabbitmq/bin/rabbitmq-server
            wait_for rabbitmq listens "$port"
            ;;
        *) fail "usage: $0 restart postgres|rabbitmq" ;;
    esac
}

own=
case "${1:-}" in
    start)
        own=${2:-}
        start
        ;;
    restart)
        folder=${LECTERN_TEST_SERVICES:?is not set: these services were not started from this shell}
        restart "${2:-}"
        ;;
    stop)
        folder=${LECTERN_TEST_SERVICES:-}
        [ -n "$folder" ] || fail "LECTERN_TEST_SERVICES is not set: these services were not started from this shell"
        case $folder in /tmp/lectern-services-*) ;; *) fail "expected LECTERN_TEST_SERVICES to be a folder that start made, got $folder" ;; esac
        [ ! -d "$folder" ] || stop_all
        ;;
    *) fail "usage: eval \"\$($0 start)\", later $0 stop" ;;
esac
