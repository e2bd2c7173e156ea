package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	dir     string // everything of it: properties, data, log; removed at the end
	java    string
	libs    string
	clients string
	auth    string
	proc    *process // nil while it is down
}

var _ broker = (*local)(nil)

// newLocal makes a broker that runs. What the machine does not have is an
// [*UnavailableError].
func newLocal(ctx context.Context, o *options) (*local, error) {
	java, libs, err := kafkaJars(ctx)
	if err != nil {
		return nil, &UnavailableError{What: "Apache Kafka", Reasons: []string{"from Maven artifacts: " + err.Error()}}
	}
	// Another process can take a port between its choice and its use.
	for attempt := 1; ; attempt++ {
		b, err := tryLocal(ctx, java, libs, o)
		if err == nil {
			return b, nil
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

func tryLocal(ctx context.Context, java, libs string, o *options) (_ *local, err error) {
	dir, err := os.MkdirTemp("", "bridge-kafka-")
	if err != nil {
		return nil, fmt.Errorf("directory for Kafka: %w", err)
	}
	b := &local{dir: dir, java: java, libs: libs}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.remove())
		}
	}()
	if err := b.configure(ctx, o); err != nil {
		return nil, err
	}
	return b, b.start(ctx)
}

func (b *local) file(name string) string { return filepath.Join(b.dir, name) }

// configure writes the properties and formats the data directory.
func (b *local) configure(ctx context.Context, o *options) error {
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return err
	}
	b.clients = fmt.Sprintf("127.0.0.1:%d", ports[0])
	if len(o.users) > 0 {
		b.auth = fmt.Sprintf("127.0.0.1:%d", ports[1])
	}
	text := propertiesFile(o.serverProperties(layout{
		listen: "127.0.0.1", between: "127.0.0.1",
		client: ports[0], sasl: ports[1], controller: ports[2],
		announced: b.clients, announcedSASL: b.auth,
		dynamicQuorum: true, dataDir: b.file("data"),
	}))
	if err := os.WriteFile(b.file("server.properties"), text, 0o600); err != nil {
		return fmt.Errorf("write Kafka's properties: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, formatTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.java, b.args("-Xmx128m", "kafka.tools.StorageTool",
		"format", "--standalone", "-t", clusterID(), "-c", b.file("server.properties"))...)
	cmd.Dir = b.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format Kafka's storage: %w: %s", err, lastLines(string(out), 30))
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
	argv := append([]string{b.java}, b.args("-Xmx512m", "kafka.Kafka", b.file("server.properties"))...)
	p, err := spawn(b.dir, b.file("log"), argv...)
	if err != nil {
		return err
	}
	b.proc = p
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := awaitBroker(ctx, p.ended, b.clients); err != nil {
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

func (b *local) addresses() (clients, auth string) { return b.clients, b.auth }

func (b *local) String() string { return "Apache Kafka " + kafkaVersion + " in a local JVM" }
