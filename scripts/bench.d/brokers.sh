# The brokers that scripts/bench can measure: how each is had, configured and started. Sourced, never run; bash.
#
# Each has   NAME_get     makes it available, or says why it cannot be had (1)
#            NAME_about   one line: version and the settings that matter
#            NAME_start   starts it on the empty directory $1 and the STOMP port $2; sets broker_pid (its process), broker_flags (for the
#                         client), and where they differ broker_topic_flags and broker_scheme
# and may have NAME_scenarios, the only ones it runs.
# All are set to put a persistent message on the disk before they confirm it, unless NAME_syncs says no.
# Nothing is left behind: data and logs lie in the directory, and every process that is started is in `started`.

ARTEMIS_VERSION=2.44.0
NATS_VERSION=v2.12.1
JAVA_MEMORY=(-Xms1G -Xmx1G)

# Starts a command in the background; its output goes to $directory/output.
launch() {
    "$@" >>"$directory/output" 2>&1 </dev/null &
    started+=("$!")
}

holdfast_get() { :; }
holdfast_syncs=yes
holdfast_about() { echo "$("$holdfast" version | head -n 1); every default"; }
holdfast_start() {
    local directory=$1 port=$2
    launch "$holdfast" run --data "$directory/data" --listen "stomp://127.0.0.1:$port" --admin none
    broker_pid=$! broker_flags=()
}

# The same with the latencies of EFS at the disk; only where the disk matters.
holdfast_efs_get() { :; }
holdfast_efs_syncs=yes
holdfast_efs_scenarios="one hundred hundred-consumed"
holdfast_efs_about() { echo "$("$holdfast" version | head -n 1); every disk write takes 2.7 ms longer and every read 0.5 ms, as on EFS (--disk-delay 2.7,0.5)"; }
holdfast_efs_start() {
    local directory=$1 port=$2
    launch "$holdfast" run --data "$directory/data" --listen "stomp://127.0.0.1:$port" --admin none --disk-delay 2.7,0.5
    broker_pid=$! broker_flags=()
}

activemq_get() { debian_packages activemq; }
activemq_syncs=yes
activemq_about() { echo "ActiveMQ Classic $(debian_version activemq); KahaDB with journalDiskSyncStrategy=always; ${JAVA_MEMORY[*]}; no JMX"; }
activemq_start() {
    local directory=$1 port=$2
    cat >"$directory/activemq.xml" <<XML
<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="bench" useJmx="false" dataDirectory="$directory/data">
    <persistenceAdapter>
      <kahaDB directory="$directory/data/kahadb" journalDiskSyncStrategy="always"/>
    </persistenceAdapter>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp+nio://127.0.0.1:$port"/>
    </transportConnectors>
  </broker>
</beans>
XML
    launch java "${JAVA_MEMORY[@]}" -Dactivemq.home=/usr/share/activemq "-Dactivemq.base=$directory" "-Dactivemq.data=$directory/data" \
        "-Djava.io.tmpdir=$directory" -jar /usr/share/activemq/bin/activemq.jar start "xbean:file:$directory/activemq.xml"
    broker_pid=$! broker_flags=()
}

artemis_get() {
    artemis_home="$TOOLS_DIR/artemis/apache-artemis-$ARTEMIS_VERSION"
    # Without libaio it has a slower journal, and artemis_about says so.
    debian_packages libaio1 || true
    [ -x "$artemis_home/bin/artemis" ] && return 0
    command -v java >/dev/null || debian_packages openjdk-17-jre-headless || return 1
    command -v mvn >/dev/null || debian_packages maven || return 1
    command -v unzip >/dev/null || debian_packages unzip || return 1
    mkdir -p "$TOOLS_DIR/artemis"
    mvn -q -B dependency:copy "-Dartifact=org.apache.activemq:apache-artemis:$ARTEMIS_VERSION:zip:bin" "-DoutputDirectory=$TOOLS_DIR/artemis" >"$TOOLS_DIR/artemis/maven.log" 2>&1 &&
        unzip -q -o "$TOOLS_DIR/artemis/apache-artemis-$ARTEMIS_VERSION-bin.zip" -d "$TOOLS_DIR/artemis" &&
        rm -f "$TOOLS_DIR/artemis/apache-artemis-$ARTEMIS_VERSION-bin.zip" && return 0
    tail -n 3 "$TOOLS_DIR/artemis/maven.log" >&2
    return 1
}
artemis_syncs=yes
artemis_journal() { if ldconfig -p | grep -q 'libaio\.so\.1 '; then echo ASYNCIO; else echo NIO; fi; }
artemis_about() { echo "Artemis $ARTEMIS_VERSION; journal $(artemis_journal) with journal-datasync and both journal-sync settings on, tuned to the disk by its own \`create\`; ${JAVA_MEMORY[*]}"; }
artemis_start() {
    local directory=$1 port=$2 tuned
    # It measures the disk and sets how long its journal collects before it writes, as at any new broker of it; without that it waits milliseconds.
    "$artemis_home/bin/artemis" create "$directory/instance" --silent --user bench --password bench --allow-anonymous --no-web \
        --no-amqp-acceptor --no-hornetq-acceptor --no-mqtt-acceptor --no-stomp-acceptor >>"$directory/output" 2>&1 || return 1
    tuned=$(grep -E '<journal-(buffer-timeout|device-block-size|min-files|pool-files|file-size|max-io)>' "$directory/instance/etc/broker.xml")
    cat >"$directory/instance/etc/broker.xml" <<XML
<configuration xmlns="urn:activemq">
  <core xmlns="urn:activemq:core">
    <name>bench</name>
    <persistence-enabled>true</persistence-enabled>
    <security-enabled>false</security-enabled>
    <journal-type>$(artemis_journal)</journal-type>
    <journal-datasync>true</journal-datasync>
    <journal-sync-transactional>true</journal-sync-transactional>
    <journal-sync-non-transactional>true</journal-sync-non-transactional>
$tuned
    <acceptors>
      <acceptor name="stomp">tcp://127.0.0.1:$port?protocols=STOMP;stompEnableMessageId=true</acceptor>
    </acceptors>
    <address-settings>
      <address-setting match="#">
        <auto-create-queues>true</auto-create-queues>
        <auto-create-addresses>true</auto-create-addresses>
        <max-delivery-attempts>-1</max-delivery-attempts>
      </address-setting>
    </address-settings>
    <addresses/>
  </core>
</configuration>
XML
    JAVA_ARGS="${JAVA_MEMORY[*]}" launch "$directory/instance/bin/artemis" run
    broker_pid=$!
    # STOMP has no word for a topic there; prefixes of the acceptor would, but then queues need one too: the destination type is told by a header.
    broker_flags=(--send-header "destination-type=ANYCAST" --subscribe-header "subscription-type=ANYCAST" --subscribe-header "consumer-window-size=1048576")
    broker_topic_flags=(--send-header "destination-type=MULTICAST" --subscribe-header "subscription-type=MULTICAST" --subscribe-header "consumer-window-size=1048576")
}

rabbitmq_get() { debian_packages rabbitmq-server; }
rabbitmq_syncs=yes
rabbitmq_about() { echo "RabbitMQ $(debian_version rabbitmq-server) with its STOMP plugin; durable classic queues, prefetch-count 1000"; }
rabbitmq_start() {
    local directory=$1 port=$2 epmd_port
    epmd_port=$(free_port 61900)
    mkdir -p "$directory/data"
    echo '[rabbitmq_stomp].' >"$directory/plugins"
    cat >"$directory/rabbitmq.conf" <<CONF
listeners.tcp = none
stomp.listeners.tcp.1 = 127.0.0.1:$port
vm_memory_high_watermark.absolute = 4GB
disk_free_limit.absolute = 100MB
CONF
    # Its name service would otherwise go on for ever.
    ERL_EPMD_ADDRESS=127.0.0.1 launch epmd -port "$epmd_port"
    HOME="$directory" ERL_EPMD_PORT=$epmd_port RABBITMQ_NODENAME=bench@localhost RABBITMQ_MNESIA_BASE="$directory/data" RABBITMQ_LOG_BASE="$directory" \
        RABBITMQ_CONFIG_FILE="$directory/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$directory/plugins" RABBITMQ_DIST_PORT=$(free_port 61950) \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" RABBITMQ_PID_FILE="$directory/pid" \
        launch /usr/lib/rabbitmq/bin/rabbitmq-server
    local waited=0
    until [ -s "$directory/pid" ]; do
        [ "$waited" -lt 300 ] || return 1
        waited=$((waited + 1))
        sleep 0.1
    done
    broker_pid=$(cat "$directory/pid")
    started+=("$broker_pid")
    broker_flags=(--login guest --passcode guest --subscribe-header "prefetch-count=1000")
}

nats_get() {
    nats_server="$TOOLS_DIR/bin/nats-server"
    [ -x "$nats_server" ] && [ "$("$nats_server" --version)" = "nats-server: $NATS_VERSION" ] && return 0
    # Debian's own is too old for sync_interval: always.
    command -v go >/dev/null || debian_packages golang || return 1
    echo "Building nats-server $NATS_VERSION from its Go module, once (minutes)…"
    GOBIN="$TOOLS_DIR/bin" go install "github.com/nats-io/nats-server/v2@$NATS_VERSION" >"$TOOLS_DIR/nats.log" 2>&1 && return 0
    tail -n 3 "$TOOLS_DIR/nats.log" >&2
    return 1
}
nats_syncs=yes
nats_about() { echo "nats-server $NATS_VERSION; JetStream with sync_interval: always, a work-queue stream for a queue, core NATS for a topic; its own protocol"; }
nats_start() {
    local directory=$1 port=$2
    cat >"$directory/nats.conf" <<CONF
listen: "127.0.0.1:$port"
jetstream {
  store_dir: "$directory/data"
  sync_interval: always
  max_memory_store: 4GB
  max_file_store: 50GB
}
CONF
    launch "$nats_server" --config "$directory/nats.conf"
    broker_pid=$! broker_scheme=nats broker_flags=()
}

debian_version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null; }
