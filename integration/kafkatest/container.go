package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

const (
	defaultImage = "apache/kafka:" + kafkaVersion

	probeTime  = 5 * time.Second // for a container engine to answer
	pullTime   = 2 * time.Minute
	createTime = time.Minute

	// Inside the container.
	clientPort, authPort, controllerPort, internalPort = 9092, 9095, 9093, 9094
)

// contained is a broker in a container.
type contained struct {
	image   string
	clients string
	auth    string
	engine  *testcontainers.DockerProvider
	ctr     *testcontainers.DockerContainer
	up      bool
}

var _ broker = (*contained)(nil)

// errNoEngine is the ordinary reason why there is no container: this machine has
// no engine, or no image.
var errNoEngine = errors.New("no container to be had")

// newContainer makes a broker that runs.
func newContainer(ctx context.Context, o *options) (_ *contained, err error) {
	if o.nodes > 1 {
		return nil, fmt.Errorf("%w: of several nodes: they would need a network of their own", errNoEngine)
	}
	engine, err := findEngine(ctx)
	if err != nil {
		return nil, err
	}
	b := &contained{image: os.Getenv("BRIDGE_TEST_KAFKA_IMAGE"), engine: engine}
	if b.image == "" {
		b.image = defaultImage
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.remove())
		}
	}()
	if err := b.pull(ctx); err != nil {
		return nil, err
	}
	if err := b.create(ctx, o); err != nil {
		return nil, err
	}
	return b, b.start(ctx)
}

// findEngine asks for a container engine, for a bounded time. The library's
// discovery takes no context, so that it is left to itself when an engine hangs:
// its goroutine then lives as long as the test process.
func findEngine(ctx context.Context) (*testcontainers.DockerProvider, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	type answer struct {
		engine *testcontainers.DockerProvider
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		engine, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(log.NewNoopLogger()))
		if err == nil {
			err = engine.Health(ctx)
		}
		answers <- answer{engine, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, fmt.Errorf("%w: no engine answers: %w", errNoEngine, a.err)
		}
		return a.engine, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: no engine answers within %s", errNoEngine, probeTime)
	}
}

// pull makes sure that the engine has the image.
func (b *contained) pull(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	_, err := b.engine.Client().ImageInspect(ctx, b.image)
	if err == nil {
		return nil
	}
	if err := b.engine.PullImage(ctx, b.image); err != nil {
		return fmt.Errorf("%w: image %s is not at hand and cannot be pulled: %w", errNoEngine, b.image, err)
	}
	return nil
}

// create makes the container, and does not start it. Its ports on the host are
// fixed, because a mapped one changes at every start and the broker would go on
// announcing the old one.
func (b *contained) create(ctx context.Context, o *options) error {
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return err
	}
	b.clients = fmt.Sprintf("127.0.0.1:%d", ports[0])
	publish := map[int]int{clientPort: ports[0]}
	if len(o.users) > 0 {
		b.auth = fmt.Sprintf("127.0.0.1:%d", ports[1])
		publish[authPort] = ports[1]
	}
	env := environment(o.serverProperties(layout{
		node: firstNode, listen: "0.0.0.0", voters: fmt.Sprintf("%d@localhost:%d", firstNode, controllerPort), between: "localhost",
		client: clientPort, sasl: authPort, controller: controllerPort, internal: internalPort,
		announced: b.clients, announcedSASL: b.auth,
	}))
	env["CLUSTER_ID"] = clusterID()
	env["KAFKA_HEAP_OPTS"] = "-Xmx512m"
	var exposed []string
	bindings := network.PortMap{}
	for inside, outside := range publish {
		port := strconv.Itoa(inside) + "/tcp"
		exposed = append(exposed, port)
		bindings[network.MustParsePort(port)] = []network.PortBinding{
			{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(outside)},
		}
	}
	ctx, cancel := context.WithTimeout(ctx, createTime)
	defer cancel()
	req := testcontainers.GenericContainerRequest{Logger: log.NewNoopLogger()}
	req.Image, req.Env, req.ExposedPorts = b.image, env, exposed
	req.HostConfigModifier = func(h *container.HostConfig) { h.PortBindings = bindings }
	ctr, err := testcontainers.GenericContainer(ctx, req)
	if made, ok := ctr.(*testcontainers.DockerContainer); ok {
		b.ctr = made
	}
	if err != nil {
		return fmt.Errorf("create a container of %s: %w", b.image, err)
	}
	return nil
}

func (b *contained) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	b.up = true // even a start that went wrong may have left it running
	err := b.ctr.Start(ctx)
	if err == nil {
		err = awaitBroker(ctx, func() bool {
			state, err := b.ctr.State(ctx)
			return err == nil && !state.Running
		}, firstNode, b.clients)
	}
	if err != nil {
		return fmt.Errorf("the Kafka container of %s at %s: %w; %s", b.image, b.clients, err, b.logTail())
	}
	return nil
}

// logTail has a deadline of its own: it is asked for when others have passed.
func (b *contained) logTail() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	logs, err := b.ctr.Logs(ctx)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	defer closeQuietly(logs)
	text, err := io.ReadAll(logs)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	return lastLines(string(text), 30)
}

func (b *contained) kill() error {
	if !b.up {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	b.up = false
	_, err := b.engine.Client().ContainerKill(ctx, b.ctr.GetContainerID(), client.ContainerKillOptions{Signal: "SIGKILL"})
	if err != nil && !strings.Contains(err.Error(), "is not running") {
		return fmt.Errorf("kill the Kafka container: %w", err)
	}
	return nil
}

func (b *contained) stop() error {
	if !b.up {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*stopTime)
	defer cancel()
	b.up = false
	patience := stopTime
	if err := b.ctr.Stop(ctx, &patience); err != nil {
		return fmt.Errorf("stop the Kafka container: %w", err)
	}
	return nil
}

func (b *contained) remove() error {
	if b.ctr == nil {
		return nil
	}
	if err := testcontainers.TerminateContainer(b.ctr, testcontainers.StopTimeout(0)); err != nil {
		return fmt.Errorf("remove the Kafka container: %w", err)
	}
	return nil
}

func (b *contained) node() int32 { return firstNode }

func (b *contained) addresses() (clients, auth string) { return b.clients, b.auth }

func (b *contained) String() string { return "Apache Kafka in a container of " + b.image }
