#!/bin/sh
# A real Apache Kafka on loopback, made of Maven artifacts: for the tests, for `make demo-kafka` and to try things out.
#
#   kafka.sh fetch                    bring the jars (once; needs Java 17 and Maven)
#   kafka.sh start DIR [NODES [PORT]] 1 or 3 nodes with their data under DIR; prints how to reach them
#   kafka.sh stop DIR                 stop them, by process id
#   kafka.sh prepare DIR NODES PORT   settings, certificates and formatted storage; starts nothing
#   kafka.sh node DIR N               one node in the foreground: it ends with this script's standard input
#   kafka.sh tool NAME ARGUMENTS...   Kafka's own tools: topics, acls, configs, consumer-groups, console-consumer, ...
#
# Node N uses five ports from PORT + 5 (N - 1) on, 127.0.0.1 only:
#   +0 PLAINTEXT: who comes this way may do all
#   +1 SASL_SSL:  users umbra/umbra-secret and reader/reader-secret, PLAIN and SCRAM-SHA-256/512, bound by ACLs
#   +2 the controllers among themselves
#   +3 SASL_SSL with a certificate that has expired;  +4 SASL_SSL with one for another name: for tests
# DIR/tls/ca.pem is the CA; DIR/tls/client.pem and client.key are a client certificate of it.
# Logs: DIR/nodeN/log. UMBRA_KAFKA_HOME says where the jars are (~/.cache/umbra/kafka-VERSION).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
home=${UMBRA_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/umbra/kafka-$version}
cluster=4L6g3nShT-eMCtK--X86sw

fail() { echo "kafka.sh: $1" >&2; exit "${2:-69}"; }

java_command() {
    for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java /usr/lib/jvm/java-*-openjdk-*/bin/java; do
        major=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p') || continue
        if [ "${major:-0}" -ge 17 ]; then echo "$java"; return; fi
    done
    fail "no Java 17 or later: run deploy/setup.sh test"
}

fetch() {
    [ -e "$home/complete" ] && return
    command -v mvn >/dev/null || fail "no Maven: run deploy/setup.sh test"
    echo "kafka.sh: fetching Kafka $version" >&2
    mkdir -p "$home"
    # Into a folder of its own, and then in one step: two that fetch at once do not see half of it.
    part=$(mktemp -d "$home/part.XXXXXX")
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$part" >&2 ||
        { rm -rf "$part"; fail "Maven did not bring Kafka"; }
    mv -T "$part" "$home/libs" 2>/dev/null || rm -rf "$part"
    touch "$home/complete"
}

run_java() { # options... class arguments...
    exec "$java" -cp "$home/libs/*" -XX:+UseSerialGC -Xshare:auto "$@"
}

certificate() { # name, subject alternative name, not before, not after
    openssl req -newkey rsa:2048 -nodes -keyout "$tls/$1.key" -out "$tls/$1.csr" -subj "/CN=$1" 2>/dev/null
    printf 'subjectAltName=%s\n' "$2" >"$tls/$1.ext"
    openssl ca -batch -notext -config "$tls/ca.cnf" -in "$tls/$1.csr" -out "$tls/$1.pem" -extfile "$tls/$1.ext" \
        -startdate "$3" -enddate "$4" 2>"$tls/$1.log" || fail "openssl ca: $(cat "$tls/$1.log")" 70
    # Java reads key and chain from one file.
    openssl pkcs8 -topk8 -nocrypt -in "$tls/$1.key" >"$tls/$1.store"
    cat "$tls/$1.pem" >>"$tls/$1.store"
}

certificates() {
    command -v openssl >/dev/null || fail "no openssl: run deploy/setup.sh test"
    tls=$1/tls
    mkdir -p "$tls/issued"
    : >"$tls/index"
    cat >"$tls/ca.cnf" <<END
[ca]
default_ca = own
[own]
new_certs_dir = $tls/issued
database = $tls/index
serial = $tls/serial
certificate = $tls/ca.pem
private_key = $tls/ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
END
    echo 1000 >"$tls/serial"
    for ca in ca strange; do
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout "$tls/$ca.key" -out "$tls/$ca.pem" \
            -subj "/CN=Umbra test $ca" 2>/dev/null
    done
    certificate broker "DNS:localhost,IP:127.0.0.1" 20200101000000Z 20400101000000Z
    certificate expired "DNS:localhost,IP:127.0.0.1" 20200101000000Z 20200201000000Z
    certificate other "DNS:elsewhere.example" 20200101000000Z 20400101000000Z
    certificate client "DNS:umbra.example" 20200101000000Z 20400101000000Z
}

settings() { # directory, nodes, first port, node
    base=$(($3 + 5 * ($4 - 1)))
    copies=$2
    voters=
    for voter in $(seq "$2"); do voters="$voters,$voter@127.0.0.1:$(($3 + 5 * (voter - 1) + 2))"; done
    mkdir -p "$1/node$4"
    plain='org.apache.kafka.common.security.plain.PlainLoginModule required user_umbra="umbra-secret" user_reader="reader-secret";'
    scram='org.apache.kafka.common.security.scram.ScramLoginModule required;'
    oauth='org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
    cat >"$1/node$4/server.properties" <<END
process.roles=broker,controller
node.id=$4
controller.quorum.voters=${voters#,}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:$base,SASL_SSL://127.0.0.1:$((base + 1)),CONTROLLER://127.0.0.1:$((base + 2)),EXPIRED://127.0.0.1:$((base + 3)),OTHER://127.0.0.1:$((base + 4))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT,EXPIRED:SASL_SSL,OTHER:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
END
    for listener in sasl_ssl:broker expired:expired other:other; do
        name=listener.name.${listener%%:*}
        cat >>"$1/node$4/server.properties" <<END
$name.ssl.keystore.type=PEM
$name.ssl.keystore.location=$1/tls/${listener##*:}.store
$name.ssl.truststore.type=PEM
$name.ssl.truststore.location=$1/tls/ca.pem
$name.ssl.client.auth=requested
$name.plain.sasl.jaas.config=$plain
$name.scram-sha-256.sasl.jaas.config=$scram
$name.scram-sha-512.sasl.jaas.config=$scram
$name.oauthbearer.sasl.jaas.config=$oauth
END
    done
    cat >>"$1/node$4/server.properties" <<END
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs=$1/node$4/data
auto.create.topics.enable=false
default.replication.factor=$copies
min.insync.replicas=$((copies / 2 + 1))
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$((copies / 2 + 1))
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
END
}

prepare() { # directory, nodes, first port
    [ "$2" = 1 ] || [ "$2" = 3 ] || fail "1 node or 3, not $2" 64
    mkdir -p "$1"
    directory=$(cd "$1" && pwd)
    [ ! -e "$directory/nodes" ] || return 0
    certificates "$directory"
    for node in $(seq "$2"); do
        settings "$directory" "$2" "$3" "$node"
        (run_java -Xmx128m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.tools.StorageTool \
            format -t "$cluster" -c "$directory/node$node/server.properties" \
            --add-scram 'SCRAM-SHA-256=[name=umbra,password=umbra-secret]' \
            --add-scram 'SCRAM-SHA-512=[name=umbra,password=umbra-secret]' \
            --add-scram 'SCRAM-SHA-256=[name=reader,password=reader-secret]') \
            >"$directory/node$node/format.log" 2>&1 || fail "format: $(cat "$directory/node$node/format.log")" 70
    done
    echo "$2 $3" >"$directory/nodes"
}

broker() { # directory, node: becomes the broker
    # A heap that leaves the machine to others; logging to standard error at level warn, but for the word that it is up.
    run_java "-Xms128m" "-Xmx${UMBRA_KAFKA_HEAP:-512m}" -Dorg.slf4j.simpleLogger.showDateTime=true \
        -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
        -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info kafka.Kafka "$1/node$2/server.properties"
}

# Until the newest start in the log has come to its end.
wait_up() { # directory, node, process id
    for _ in $(seq 1200); do
        grep -q 'Kafka Server started' "$1/node$2/log" && return 0
        kill -0 "$3" 2>/dev/null || fail "node $2 ended: $(tail -5 "$1/node$2/log")" 70
        sleep 0.1
    done
    fail "node $2 does not come up: $1/node$2/log" 70
}

is_ours() { # process id: still a broker, not another process that came to have its number
    cat "/proc/$1/cmdline" 2>/dev/null | tr '\0' ' ' | grep -q ' kafka.Kafka '
}

start() { # directory, nodes, first port
    prepare "$1" "$2" "$3"
    read -r nodes port <"$directory/nodes"
    for node in $(seq "$nodes"); do
        pid=$(cat "$directory/node$node/pid" 2>/dev/null || echo 0)
        if is_ours "$pid"; then continue; fi
        (broker "$directory" "$node" >"$directory/node$node/log" 2>&1 </dev/null) &
        echo $! >"$directory/node$node/pid"
    done
    plain= secure=
    for node in $(seq "$nodes"); do
        wait_up "$directory" "$node" "$(cat "$directory/node$node/pid")"
        base=$((port + 5 * (node - 1)))
        plain=$plain,127.0.0.1:$base secure=$secure,127.0.0.1:$((base + 1))
    done
    echo "PLAINTEXT ${plain#,}"
    echo "SASL_SSL  ${secure#,}  user umbra, password umbra-secret, CA $directory/tls/ca.pem"
}

stop() { # directory
    for file in "$1"/node*/pid; do
        [ -e "$file" ] || continue
        pid=$(cat "$file")
        if is_ours "$pid"; then kill "$pid"; fi
    done
    for file in "$1"/node*/pid; do
        [ -e "$file" ] || continue
        pid=$(cat "$file")
        for _ in $(seq 300); do is_ours "$pid" || break; sleep 0.1; done
        if is_ours "$pid"; then kill -9 "$pid"; fi
        rm -f "$file"
    done
}

# The broker lives as long as whoever holds the other end of our standard input: a test that is killed leaves none behind.
# `exec` in the subshell makes $! the broker's own process id.
node() { # directory, node
    broker "$1" "$2" >"$1/node$2/log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$1/node$2/pid"
    cat >/dev/null || true
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -f "$1/node$2/pid"
    if [ -e "$1/remove" ] && ! ls "$1"/node*/pid >/dev/null 2>&1; then rm -rf "$1"; fi
}

tool() { # name, arguments
    name=$1
    shift
    case $name in
        topics) class=org.apache.kafka.tools.TopicCommand ;;
        acls) class=org.apache.kafka.tools.AclCommand ;;
        configs) class=kafka.admin.ConfigCommand ;;
        groups | consumer-groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
        console-consumer) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
        console-producer) class=org.apache.kafka.tools.ConsoleProducer ;;
        offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
        producer-perf) class=org.apache.kafka.tools.ProducerPerformance ;;
        *) fail "no tool $name" 64 ;;
    esac
    run_java -Xmx256m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error "$class" "$@"
}

usage() {
    sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
    exit 64
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
    stop) [ $# -eq 1 ] || usage; stop "$1"; exit ;;
    fetch | start | prepare | node | tool) ;;
    *) usage ;;
esac
java=$(java_command)
fetch
case $command in
    start) [ $# -ge 1 ] || usage; start "$1" "${2:-1}" "${3:-29092}" ;;
    prepare) [ $# -eq 3 ] || usage; prepare "$1" "$2" "$3" ;;
    node) [ $# -eq 2 ] || usage; node "$1" "$2" ;;
    tool) [ $# -ge 1 ] || usage; tool "$@" ;;
esac
