package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// broker is one node that this package runs: a JVM or a container.
type broker interface {
	fmt.Stringer
	node() int32
	addresses() (clients, auth string)
	start(ctx context.Context) error // returns when it answers
	stop() error                     // orderly; nil if it is down
	kill() error                     // SIGKILL; nil if it is down
	pause() error
	resume() error
	fillDisk(ctx context.Context) error
	remove() error // with its data
}

// firstNode is the id of a cluster's first node; those of the others follow.
const firstNode int32 = 1

// Cluster is an Apache Kafka of one node or, with [Nodes], of several; or it is
// the brokers that BRIDGE_TEST_BROKERS names.
type Cluster struct {
	brokers []string
	sasl    []string

	mu    sync.Mutex // one of Kill, Stop, Restart at a time
	nodes []broker   // none: not ours

	note string // what went wrong on the way to it
}

// Shared returns the broker that all tests of the process share; the first call
// starts it, [Main] stops it. Where none is to be had the test does not go on:
// see [GiveUp].
func Shared(tb testing.TB) *Cluster {
	tb.Helper()
	c, err := state.sharedCluster()
	if err != nil {
		GiveUp(tb, err)
	}
	c.remark(tb)
	return c
}

// remark says in a test's log why its Kafka is not the one that was to be
// expected.
func (c *Cluster) remark(tb testing.TB) {
	tb.Helper()
	if c.note != "" {
		tb.Log(c.note)
	}
}

func (s *shared) sharedCluster() (*Cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.main {
		return nil, errors.New("nobody would stop the shared Kafka: call kafkatest.Main in the package's TestMain")
	}
	if s.cluster == nil && s.kafka == nil {
		// Not the context of the test that happens to be the first: the broker
		// outlives it.
		s.cluster, s.kafka = openShared(context.Background(), os.Getenv("BRIDGE_TEST_BROKERS"))
		if s.kafka == nil {
			s.cleanup = append(s.cleanup, s.cluster.remove)
		}
	}
	return s.cluster, s.kafka
}

func openShared(ctx context.Context, external string) (*Cluster, error) {
	if external != "" {
		return openExternal(ctx, external)
	}
	o, err := gather(nil)
	if err != nil {
		return nil, err
	}
	return openOwn(ctx, o)
}

// openExternal does not fall back on another way: whoever names brokers wants
// them tested.
func openExternal(ctx context.Context, list string) (*Cluster, error) {
	var addrs []string
	for a := range strings.SplitSeq(list, ",") {
		if a = strings.TrimSpace(a); a != "" {
			addrs = append(addrs, a)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := awaitBroker(ctx, nil, anyNode, addrs...); err != nil {
		return nil, fmt.Errorf("BRIDGE_TEST_BROKERS=%s: %w: start them, or unset it", list, err)
	}
	return &Cluster{brokers: addrs}, nil
}

func openOwn(ctx context.Context, o *options) (*Cluster, error) {
	nodes, note, err := newNodes(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &Cluster{nodes: nodes, note: note}
	for _, b := range nodes {
		clients, auth := b.addresses()
		c.brokers = append(c.brokers, clients)
		if auth != "" {
			c.sasl = append(c.sasl, auth)
		}
	}
	return c, nil
}

// newNodes takes the first way that this machine offers. A container that does
// not come up is worth a note and no failure: the engine may be able to do less
// than it seems.
func newNodes(ctx context.Context, o *options) (_ []broker, note string, _ error) {
	ctr, whyNot := newContainer(ctx, o)
	if whyNot == nil {
		return []broker{ctr}, "", nil
	}
	if !errors.Is(whyNot, errNoEngine) {
		note = "kafkatest: not in a container: " + whyNot.Error()
	}
	jvms, err := newLocals(ctx, o)
	if err == nil {
		nodes := make([]broker, len(jvms))
		for i, b := range jvms {
			nodes[i] = b
		}
		return nodes, note, nil
	}
	var missing *UnavailableError
	if errors.As(err, &missing) {
		return nil, "", &UnavailableError{What: missing.What, Reasons: append([]string{
			"brokers: BRIDGE_TEST_BROKERS is not set, or they are not the test's to kill",
			"container: " + whyNot.Error(),
		}, missing.Reasons...)}
	}
	return nil, "", err
}

// Start returns a broker of the test's own, which it may kill and restart, and
// which is gone with its data when the test ends. BRIDGE_TEST_BROKERS has no say
// in it. Where none is to be had the test does not go on: see [GiveUp].
func Start(tb testing.TB, opts ...Option) *Cluster {
	tb.Helper()
	o, err := gather(opts)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := openOwn(tb.Context(), o)
	if err != nil {
		GiveUp(tb, err)
	}
	tb.Cleanup(func() {
		if err := c.remove(); err != nil {
			tb.Error(err)
		}
	})
	c.remark(tb)
	return c
}

// Brokers are the addresses (host:port) of the listener without TLS or login.
func (c *Cluster) Brokers() []string { return append([]string(nil), c.brokers...) }

// SASLBrokers are the addresses where those of the option [User] log in, with
// SASL/PLAIN and without TLS. Empty without that option.
func (c *Cluster) SASLBrokers() []string { return append([]string(nil), c.sasl...) }

// Killable says whether Kill, Stop and Restart work: not for the brokers of
// BRIDGE_TEST_BROKERS. A test that needs them should [Start] its own.
func (c *Cluster) Killable() bool { return len(c.nodes) > 0 }

// String says where this Kafka comes from.
func (c *Cluster) String() string {
	switch len(c.nodes) {
	case 0:
		return "Apache Kafka of BRIDGE_TEST_BROKERS"
	case 1:
		return c.nodes[0].String()
	default:
		return fmt.Sprintf("%d nodes of %s", len(c.nodes), c.nodes[0])
	}
}

// Kill ends the broker with SIGKILL and returns when it is gone. Killing one
// that is down does nothing. Of a cluster of several nodes it kills all, and the
// like holds for Stop, Restart, Pause and Resume; [Cluster.Nodes] has them one by
// one.
func (c *Cluster) Kill() error {
	return c.with(func(b broker) error { return b.kill() })
}

// Stop shuts the broker down in its orderly way. Stopping one that is down does
// nothing.
func (c *Cluster) Stop() error {
	return c.with(func(b broker) error { return b.stop() })
}

// Restart starts the broker on the same data and addresses, after stopping it if
// it runs, and returns when it answers.
func (c *Cluster) Restart(ctx context.Context) error {
	return c.with(func(b broker) error { return restart(ctx, b) })
}

func restart(ctx context.Context, b broker) error {
	if err := b.stop(); err != nil {
		return err
	}
	return b.start(ctx)
}

// with does the same to all nodes at once: of several, none starts alone.
func (c *Cluster) with(do func(broker) error) error {
	if len(c.nodes) == 0 {
		return ErrNotOurs
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return atOnce(c.nodes, do)
}

func (c *Cluster) remove() error {
	if len(c.nodes) == 0 {
		return nil
	}
	return c.with(func(b broker) error { return b.remove() })
}

// Topic returns a name that no other test has, with the test's own name in it. It
// does not create the topic. The same call is good for consumer groups,
// transactional ids and prefixes of names.
func (c *Cluster) Topic(tb testing.TB) string {
	tb.Helper()
	// Kafka takes letters, digits, dot, underscore and hyphen, 249 in all, and
	// confuses dot with underscore in its metrics' names.
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '-'
	}, tb.Name())
	return fmt.Sprintf("%.100s-%s", name, strings.ToLower(rand.Text()[:10]))
}

// clusterID is a UUID as Kafka writes it. Its tools take one that begins with a
// hyphen for an option.
func clusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never returns an error
	id[0] = 'k'
	return base64.RawURLEncoding.EncodeToString(id[:])
}
