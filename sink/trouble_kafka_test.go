package sink

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

// kafkaTroubles are the rows of the package comment's table that a real Kafka can
// be made to suffer, by the kind of cluster that it takes.
func kafkaTroubles() map[string]map[string]func(t *testing.T, c *kafkatest.Cluster) {
	return map[string]map[string]func(t *testing.T, c *kafkatest.Cluster){
		"one": {
			"broker-killed":       kafkaBrokerKilled,
			"epoch-after-timeout": kafkaOutlived,
			"fenced":              func(t *testing.T, c *kafkatest.Cluster) { testFencing(t, c.Brokers()) },
			"topic-rights":        kafkaTopicRights,
			"id-rights":           kafkaIDRights,
			"topic-deleted":       kafkaTopicDeleted,
			"topic-kept-deleted":  kafkaTopicNotCreated,
			"topic-replaced":      kafkaTopicReplaced,
			"throttled":           kafkaThrottled,
			"throttled-long":      kafkaThrottledForLong,
			"too-large":           func(t *testing.T, c *kafkatest.Cluster) { testTooLargeAtBroker(t, c.Brokers()) },
			"limit-raised":        kafkaLimitRaised,
		},
		"forgetful": {
			"id-forgotten": kafkaIDForgotten,
			"disk-full":    kafkaDiskFull,
		},
		"trusting": {
			"torn":           kafkaTorn,
			"torn-positions": kafkaTornPositions,
			"torn-finished":  kafkaTornFinished,
			"torn-waits":     kafkaTornWaits,
			"torn-unknown":   kafkaTornUnknown,
		},
		"three": {
			"leader-killed":      kafkaLeaderKilled,
			"coordinator-killed": kafkaCoordinatorKilled,
			"no-leader":          kafkaNoLeader,
		},
	}
}

const (
	user     = "bridge"
	password = "bridge-secret"
)

// The clusters are tuned where they would only be waited for: they look for what
// has timed out, and miss a node, sooner.
func TestTroubleOnKafka(t *testing.T) {
	for kind, opts := range map[string][]kafkatest.Option{
		"one": {
			kafkatest.Authorizer(), kafkatest.User(user, password),
			kafkatest.Property("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200"),
		},
		"forgetful": {
			kafkatest.Property("transactional.id.expiration.ms", "1500"),
			kafkatest.Property("transaction.remove.expired.transaction.cleanup.interval.ms", "200"),
		},
		"trusting": { // it takes records that are in no transaction of the coordinator
			kafkatest.Property("transaction.partition.verification.enable", "false"),
		},
		"three": {
			kafkatest.Nodes(3),
		},
	} {
		opts = append(opts, kafkatest.Property("broker.session.timeout.ms", "3000"), kafkatest.Property("broker.heartbeat.interval.ms", "500"))
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := kafkatest.Start(t, opts...)
			for name, f := range kafkaTroubles()[kind] {
				t.Run(name, func(t *testing.T) { f(t, c) })
			}
		})
	}
}

// carried is a producer on a real Kafka that carries numbers, in order, with the
// next number as position, through whatever happens.
type carried struct {
	c     *kafkatest.Cluster
	cfg   Config
	p     *Producer
	topic string
	pos   string
	next  int
	// wrote is called, once, after the next produce request was written.
	mu    sync.Mutex
	wrote func()
}

func carry(t *testing.T, c *kafkatest.Cluster, change ...func(*Config)) *carried {
	t.Helper()
	k := newCarried(t, c, change...)
	k.must(t)
	return k
}

func newCarried(t *testing.T, c *kafkatest.Cluster, change ...func(*Config)) *carried {
	t.Helper()
	k := &carried{c: c, topic: unique(t, "records"), pos: unique(t, "positions")}
	compact := "compact"
	if _, err := admin(t, c.Brokers()).CreateTopic(testCtx(t), 1, -1, map[string]*string{"cleanup.policy": &compact}, k.pos); err != nil {
		t.Fatal(err)
	}
	k.cfg = config(t, c.Brokers())
	k.cfg.Topics.ReplicationFactor = -1
	k.cfg.TransactionTimeout = 20 * time.Second
	for _, f := range change {
		f(&k.cfg)
	}
	k.cfg.Client = append(k.cfg.Client, kgo.WithHooks(k))
	k.p = mustOpen(t, k.cfg)
	return k
}

// OnBrokerWrite is called by the client after each request.
func (k *carried) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key != int16(kmsg.Produce) {
		return
	}
	k.mu.Lock()
	wrote := k.wrote
	k.wrote = nil
	k.mu.Unlock()
	if wrote != nil {
		wrote()
	}
}

// during calls do beside the next commit, from its first produce request on, and
// returns a function that waits for its end.
func (k *carried) during(t *testing.T, do func() error) (wait func()) {
	t.Helper()
	done := make(chan error, 1)
	k.mu.Lock()
	k.wrote = func() { go func() { done <- do() }() }
	k.mu.Unlock()
	return func() {
		t.Helper()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

const each = 200 // numbers in a commit

func (k *carried) commit(t *testing.T) error {
	t.Helper()
	rs := make([]*kgo.Record, each)
	for i := range rs {
		n := strconv.Itoa(k.next + i)
		rs[i] = record(k.topic, n, n)
	}
	next := strconv.Itoa(k.next + each)
	err := k.p.Commit(testCtx(t), rs, []*kgo.Record{{Topic: k.pos, Key: []byte("k"), Value: []byte(next)}})
	if err == nil {
		k.next += each
	}
	return err
}

func (k *carried) must(t *testing.T) {
	t.Helper()
	if err := k.commit(t); err != nil {
		t.Fatal(err)
	}
}

// reopened opens the producer again and goes on from the stored position.
func (k *carried) reopened(t *testing.T) {
	t.Helper()
	_ = k.p.Close(testCtx(t))
	ctx := testCtx(t)
	var err error
	for k.p, err = Open(ctx, k.cfg); Retryable(err) && ctx.Err() == nil; k.p, err = Open(ctx, k.cfg) {
		t.Logf("open: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.p.Close(context.WithoutCancel(t.Context())) })
	k.next = k.position(t)
}

func (k *carried) position(t *testing.T) int {
	t.Helper()
	next := 0
	for _, r := range readAll(t, k.c.Brokers(), k.pos) {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			t.Fatal(err)
		}
		next = max(next, n)
	}
	return next
}

// whole commits once more and checks that each number was written once.
func (k *carried) whole(t *testing.T) {
	t.Helper()
	k.must(t)
	var want []string
	for i := range k.next {
		want = append(want, strconv.Itoa(i))
	}
	wantValues(t, readAll(t, k.c.Brokers(), k.topic), want...)
	if at := k.position(t); at != k.next {
		t.Errorf("position %d, want %d", at, k.next)
	}
}

// survives accepts a commit that went well and one whose error says that it is
// worth another try.
func (k *carried) survives(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	t.Logf("%T: %v", errors.Unwrap(err), err)
	f, fenced := errors.AsType[*FencedError](err)
	if !Retryable(err) && (!fenced || !f.Outlived) {
		t.Fatalf("%T %v, want one that is worth another try", err, err)
	}
	k.reopened(t)
}

func kafkaBrokerKilled(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c)
	wait := k.during(t, func() error { return errors.Join(c.Kill(), c.Restart(testCtx(t))) })
	err := k.commit(t)
	wait()
	k.survives(t, err)
	k.whole(t)
}

// A process that is slow in a transaction, in time at each step and late at its end,
// finds that the broker has given up on it.
func kafkaOutlived(t *testing.T, c *kafkatest.Cluster) {
	slow := &slow{}
	k := carry(t, c, func(cfg *Config) {
		cfg.TransactionTimeout, cfg.Grace = 2*time.Second, 5*time.Second
		cfg.Client = append(cfg.Client, kgo.Dialer(slow.dial), kgo.WithHooks(slow))
	})
	slow.on.Store(true)
	err := k.commit(t)
	slow.on.Store(false)
	if err == nil {
		t.Fatal("a commit went well whose transaction had outlived its timeout")
	}
	k.survives(t, err)
	k.whole(t)
}

// slow holds a client up after it has read the answer to a produce request, and
// before it asks for the end of a transaction.
type slow struct{ on atomic.Bool }

func (s *slow) wait() {
	if s.on.Load() {
		<-time.After(1500 * time.Millisecond)
	}
}

// OnBrokerRead is called by the client after each response.
func (s *slow) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Produce) {
		s.wait()
	}
}

func (s *slow) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	return slowConn{conn, s}, err
}

type slowConn struct {
	net.Conn
	s *slow
}

func (c slowConn) Write(b []byte) (int, error) {
	const keyAt = 4 // behind the length of the request
	if len(b) >= keyAt+2 && kmsg.Key(binary.BigEndian.Uint16(b[keyAt:])) == kmsg.EndTxn {
		c.s.wait()
	}
	return c.Conn.Write(b)
}

// asUser makes a producer log in, and gives it the rights that it needs.
func asUser(t *testing.T, c *kafkatest.Cluster) func(*Config) {
	grant(t, c, kadm.NewACLs().Allow("User:"+user).AllowHosts("*").Topics("*").Operations(kadm.OpWrite, kadm.OpDescribe, kadm.OpCreate, kadm.OpDescribeConfigs))
	grant(t, c, idRights())
	return func(cfg *Config) {
		cfg.Client = []kgo.Opt{
			kgo.SeedBrokers(c.SASLBrokers()...), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()),
		}
	}
}

func idRights() *kadm.ACLBuilder {
	return kadm.NewACLs().Allow("User:"+user).AllowHosts("*").TransactionalIDs("*").Operations(kadm.OpWrite, kadm.OpDescribe)
}

func writeRights() *kadm.ACLBuilder {
	return kadm.NewACLs().Allow("User:" + user).AllowHosts("*").Topics("*").Operations(kadm.OpWrite)
}

func grant(t *testing.T, c *kafkatest.Cluster, b *kadm.ACLBuilder) {
	t.Helper()
	if _, err := admin(t, c.Brokers()).CreateACLs(testCtx(t), b.ResourcePatternType(kadm.ACLPatternLiteral)); err != nil {
		t.Fatal(err)
	}
}

func revoke(t *testing.T, c *kafkatest.Cluster, b *kadm.ACLBuilder) {
	t.Helper()
	if _, err := admin(t, c.Brokers()).DeleteACLs(testCtx(t), b.ResourcePatternType(kadm.ACLPatternLiteral)); err != nil {
		t.Fatal(err)
	}
}

func kafkaTopicRights(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c, asUser(t, c))
	revoke(t, c, writeRights())
	e := wantError[*AuthorizationError](t, k.commit(t), false, "Write", "kafka-acls.sh")
	if e.Name != k.topic && e.Name != k.pos {
		t.Errorf("%+v", e)
	}
	grant(t, c, writeRights())
	k.reopened(t)
	k.whole(t)
}

func kafkaIDRights(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c, asUser(t, c))
	revoke(t, c, idRights())
	e := wantError[*AuthorizationError](t, k.commit(t), false, k.cfg.TransactionalID)
	if e.Resource != resourceTxn {
		t.Errorf("%+v", e)
	}
	_, err := Open(testCtx(t), k.cfg)
	wantError[*AuthorizationError](t, err, false, k.cfg.TransactionalID)
	grant(t, c, idRights())
	k.reopened(t)
	k.whole(t)
}

func deleteTopic(t *testing.T, c *kafkatest.Cluster, topic string) {
	t.Helper()
	if _, err := admin(t, c.Brokers()).DeleteTopic(testCtx(t), topic); err != nil {
		t.Fatal(err)
	}
}

// What a deleted topic held is gone; what comes after is whole.
func (k *carried) wholeFrom(t *testing.T, first int) {
	t.Helper()
	var want []string
	for i := first; i < k.next; i++ {
		want = append(want, strconv.Itoa(i))
	}
	wantValues(t, readAll(t, k.c.Brokers(), k.topic), want...)
}

func kafkaTopicDeleted(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c)
	deleteTopic(t, c, k.topic)
	wantError[*TopicError](t, k.commit(t), true, k.topic)
	k.reopened(t)
	k.must(t)
	k.wholeFrom(t, each)
}

func kafkaTopicNotCreated(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c)
	k.cfg.Topics.Create = false
	k.reopened(t)
	k.must(t)
	deleteTopic(t, c, k.topic)
	for range 2 { // while it runs, and when it is opened again
		wantError[*TopicError](t, k.commit(t), false, k.topic)
		k.reopened(t)
	}
	mustTopic(t, c.Brokers(), k.topic, 3)
	k.must(t)
	k.wholeFrom(t, 2*each)
}

func kafkaTopicReplaced(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c)
	deleteTopic(t, c, k.topic)
	mustTopic(t, c.Brokers(), k.topic, 3)
	k.survives(t, k.commit(t))
	if k.next == each {
		k.must(t)
	}
	k.wholeFrom(t, each)
}

// setQuota bounds what a client may produce in a second; 0 lifts the bound.
func setQuota(t *testing.T, c *kafkatest.Cluster, id string, bytes float64) {
	t.Helper()
	name := id
	entry := kadm.AlterClientQuotaEntry{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &name}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: bytes, Remove: bytes == 0}},
	}
	adm, ctx := admin(t, c.Brokers()), testCtx(t)
	if resps, err := adm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry}); err != nil || resps[0].Err != nil {
		t.Fatal(err, resps)
	}
	for known := bytes == 0; !known; { // the controller has it, the broker soon
		got, err := adm.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: &name, MatchType: 0}})
		if err != nil {
			t.Fatal(err)
		}
		known = len(got) > 0
	}
}

func limited(t *testing.T) (id string, change func(*Config)) {
	id = unique(t, "client")
	return id, func(cfg *Config) {
		cfg.Client, cfg.Compression = append(cfg.Client, kgo.ClientID(id)), CompressNone
	}
}

func kafkaThrottled(t *testing.T, c *kafkatest.Cluster) {
	id, change := limited(t)
	k := carry(t, c, change)
	setQuota(t, c, id, 220)
	k.must(t) // the broker takes this, and makes the client wait before the next
	waited := k.p.watch.waited()
	began := time.Now()
	k.must(t)
	if took := time.Since(began); waited == 0 || took < waited/2 {
		t.Errorf("waited %s, where the broker had asked for %s", took, waited)
	}
	setQuota(t, c, id, 0)
	k.reopened(t) // a new connection owes the broker no wait
	k.whole(t)
}

func kafkaThrottledForLong(t *testing.T, c *kafkatest.Cluster) {
	id, change := limited(t)
	k := carry(t, c, change, func(cfg *Config) { cfg.TransactionTimeout, cfg.Grace = 2*time.Second, time.Second })
	setQuota(t, c, id, 50)
	k.must(t) // the broker takes this, and makes the client wait before the next
	began := time.Now()
	err := k.commit(t)
	if took, limit := time.Since(began), bound(k.cfg); took > limit {
		t.Errorf("took %s, want less than %s", took, limit)
	}
	wantError[*StalledError](t, err, true, "quota")
	setQuota(t, c, id, 0)
	k.reopened(t)
	k.whole(t)
}

func kafkaLimitRaised(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c)
	topic := unique(t, "small")
	mustTopic(t, c.Brokers(), topic, 1, "max.message.bytes", "2000")
	large := []*kgo.Record{record(topic, "a", randomText(3000))}
	wantError[*RecordTooLargeError](t, k.p.Commit(testCtx(t), large, nil), false, "2000")
	alterTopic(t, c.Brokers(), topic, "max.message.bytes", "9000")
	wantError[*AbortedError](t, k.p.Commit(testCtx(t), large, nil), true, "raised from 2000 to 9000")
	k.reopened(t)
	mustCommit(t, k.p, large, nil)
	k.whole(t)
}
