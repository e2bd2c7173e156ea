package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest/maven"
)

const (
	kafkaVersion = "4.3.1"
	kafkaJava    = 17 // the oldest Java that a 4.x broker runs on

	downloadTime = 5 * time.Minute
	formatTime   = time.Minute
	readyTime    = 90 * time.Second // after a SIGKILL it recovers its logs first
	stopTime     = 30 * time.Second
)

const kafkaPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bridge.test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>` + kafkaVersion + `</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`

// local is a broker in a JVM of ours.
type local struct {
	id      int32
	dir     string // everything of it: properties, data, log; removed at the end
	java    string
	libs    string
	heap    string
	clients string
	auth    string
	proc    *process // nil while it is down
}

var _ broker = (*local)(nil)

// newLocals makes the nodes of a cluster, which run. What the machine does not
// have is an [*UnavailableError].
func newLocals(ctx context.Context, o *options) ([]*local, error) {
	java, libs, err := kafkaJars(ctx)
	if err != nil {
		return nil, &UnavailableError{What: "Apache Kafka", Reasons: []string{"from Maven artifacts: " + err.Error()}}
	}
	// Another process can take a port between its choice and its use.
	for attempt := 1; ; attempt++ {
		nodes, err := tryLocals(ctx, java, libs, o)
		if err == nil {
			return nodes, nil
		}
		if attempt == 3 || !strings.Contains(err.Error(), "Address already in use") {
			return nil, err
		}
	}
}

func kafkaJars(ctx context.Context) (java, libs string, err error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTime)
	defer cancel()
	java, err = maven.Java(ctx, kafkaJava)
	if err != nil {
		return "", "", err
	}
	libs, err = maven.Cached(ctx, "kafka-"+kafkaVersion, func(ctx context.Context, dir string) error {
		return maven.Dependencies(ctx, []byte(kafkaPOM), dir)
	})
	return java, libs, err
}

func tryLocals(ctx context.Context, java, libs string, o *options) (nodes []*local, err error) {
	defer func() {
		if err != nil {
			for _, b := range nodes {
				err = errors.Join(err, b.remove())
			}
		}
	}()
	heap := "-Xmx512m"
	if o.nodes > 1 {
		heap = "-Xmx256m" // three of them fit on a small machine
	}
	for i := range o.nodes {
		dir, err := os.MkdirTemp("", "bridge-kafka-")
		if err != nil {
			return nodes, fmt.Errorf("directory for Kafka: %w", err)
		}
		nodes = append(nodes, &local{id: firstNode + int32(i), dir: dir, java: java, libs: libs, heap: heap})
	}
	if err := configure(ctx, nodes, o); err != nil {
		return nodes, err
	}
	if err := format(ctx, nodes); err != nil {
		return nodes, err
	}
	return nodes, startAll(ctx, nodes)
}

// startAll starts nodes at once: none is ready before most of them run.
func startAll(ctx context.Context, nodes []*local) error {
	return atOnce(nodes, func(b *local) error { return b.start(ctx) })
}

func (b *local) file(name string) string { return filepath.Join(b.dir, name) }

// configure writes the properties of all nodes, each of which names all.
func configure(ctx context.Context, nodes []*local, o *options) error {
	const each = 3
	ports, err := freePorts(ctx, each*len(nodes))
	if err != nil {
		return err
	}
	voters := make([]string, len(nodes))
	for i, b := range nodes {
		voters[i] = fmt.Sprintf("%d@127.0.0.1:%d", b.id, ports[each*i+2])
	}
	for i, b := range nodes {
		own := ports[each*i:]
		b.clients = fmt.Sprintf("127.0.0.1:%d", own[0])
		if len(o.users) > 0 {
			b.auth = fmt.Sprintf("127.0.0.1:%d", own[1])
		}
		text := propertiesFile(o.serverProperties(layout{
			node: b.id, listen: "127.0.0.1", between: "127.0.0.1", voters: strings.Join(voters, ","),
			client: own[0], sasl: own[1], controller: own[2],
			announced: b.clients, announcedSASL: b.auth, dataDir: b.file("data"),
		}))
		if err := os.WriteFile(b.file("server.properties"), text, 0o600); err != nil {
			return fmt.Errorf("write Kafka's properties: %w", err)
		}
	}
	return nil
}

// format makes the data directories. Kafka's tool does it for the first node; the
// others have the same files, but for the node's own ids, and seconds are saved.
func format(ctx context.Context, nodes []*local) error {
	ctx, cancel := context.WithTimeout(ctx, formatTime)
	defer cancel()
	b := nodes[0]
	cluster := clusterID()
	cmd := exec.CommandContext(ctx, b.java, b.args("-Xmx128m", "kafka.tools.StorageTool",
		"format", "-t", cluster, "-c", b.file("server.properties"))...)
	cmd.Dir = b.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format Kafka's storage: %w: %s", err, lastLines(string(out), 30))
	}
	for _, other := range nodes[1:] {
		if err := os.CopyFS(other.file("data"), os.DirFS(b.file("data"))); err != nil {
			return fmt.Errorf("format Kafka's storage of node %d: %w", other.id, err)
		}
		meta := propertiesFile(map[string]string{
			"version": "1", "cluster.id": cluster, "node.id": strconv.Itoa(int(other.id)), "directory.id": clusterID(),
		})
		if err := os.WriteFile(filepath.Join(other.file("data"), "meta.properties"), meta, 0o600); err != nil {
			return fmt.Errorf("format Kafka's storage of node %d: %w", other.id, err)
		}
	}
	return nil
}

// args are those of a JVM that starts quickly and leaves nothing in the system's
// temporary directory.
func (b *local) args(heap, class string, args ...string) []string {
	return append([]string{
		heap, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.io.tmpdir=" + b.dir,
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-cp", filepath.Join(b.libs, "*"), class,
	}, args...)
}

func (b *local) start(ctx context.Context) error {
	argv := append([]string{b.java}, b.args(b.heap, "kafka.Kafka", b.file("server.properties"))...)
	p, err := spawn(b.dir, b.file("log"), argv...)
	if err != nil {
		return err
	}
	b.proc = p
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := awaitBroker(ctx, p.ended, b.id, b.clients); err != nil {
		return fmt.Errorf("the local Kafka at %s: %w; %s", b.clients, errors.Join(err, b.kill()), logTail(p.log))
	}
	return nil
}

func (b *local) kill() error {
	if b.proc == nil {
		return nil
	}
	err := b.proc.kill()
	b.proc = nil
	return err
}

func (b *local) stop() error {
	if b.proc == nil {
		return nil
	}
	err := b.proc.stop(stopTime)
	b.proc = nil
	return err
}

// remove kills it: nobody will look at its data again.
func (b *local) remove() error {
	if err := errors.Join(b.kill(), os.RemoveAll(b.dir)); err != nil {
		return fmt.Errorf("remove the local Kafka: %w", err)
	}
	return nil
}

func (b *local) node() int32 { return b.id }

func (b *local) addresses() (clients, auth string) { return b.clients, b.auth }

func (b *local) String() string { return "Apache Kafka " + kafkaVersion + " in a local JVM" }
