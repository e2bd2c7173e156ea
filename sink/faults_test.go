package sink

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// TestOnOldFake runs the suite against brokers before KIP-890: partitions are
// added to a transaction by a request of their own, and epochs are not bumped
// with every transaction.
func TestOnOldFake(t *testing.T) {
	for name, f := range suite {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newFake(t, kfake.MaxVersions(kversion.V3_6_0())).ListenAddrs())
		})
	}
}

// gate is a network that can be cut.
type gate struct {
	mu    sync.Mutex
	shut  bool
	conns []net.Conn
}

func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("network is cut")}
	}
	g.conns = append(g.conns, conn)
	return conn, err
}

func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

func fault(keys []kmsg.Key, err *kerr.Error, count int) kfake.Fault {
	return kfake.Fault{Keys: keys, Err: err, Count: count}
}

var (
	onInit    = []kmsg.Key{kmsg.InitProducerID}
	onEnd     = []kmsg.Key{kmsg.EndTxn}
	onProduce = []kmsg.Key{kmsg.Produce}
)

// rig is a producer on a fake cluster whose network can be cut.
type rig struct {
	c        *kfake.Cluster
	net      *gate
	cfg      Config
	p        *Producer
	topic    string
	pos      string
	position func(int32, string) []*kgo.Record
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	return rigOn(t, newFake(t), change...)
}

func rigOn(t *testing.T, c *kfake.Cluster, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{c: c, net: &gate{}, topic: unique(t, "records")}
	r.pos, r.position = positions(t, c.ListenAddrs())
	r.cfg = config(t, c.ListenAddrs())
	r.cfg.TransactionTimeout, r.cfg.Grace = 2*time.Second, 300*time.Millisecond
	for _, f := range change {
		f(&r.cfg)
	}
	cfg := r.cfg
	cfg.Client = append([]kgo.Opt{kgo.Dialer(r.net.dial)}, cfg.Client...)
	r.p = mustOpen(t, cfg)
	mustCommit(t, r.p, []*kgo.Record{record(r.topic, "a", "1")}, r.position(0, "p1"))
	return r
}

// commit writes record and position 2.
func (r *rig) commit(t *testing.T) error {
	t.Helper()
	return r.p.Commit(testCtx(t), []*kgo.Record{record(r.topic, "a", "2")}, r.position(0, "p2"))
}

// reopened opens the producer again, as the caller is told to, commits 3, and
// checks what is visible then.
func (r *rig) reopened(t *testing.T, second bool) {
	t.Helper()
	_ = r.p.Close(testCtx(t))
	cfg := r.cfg
	cfg.TransactionTimeout = max(cfg.TransactionTimeout, 20*time.Second) // what was provoked is over
	p := mustOpen(t, cfg)
	mustCommit(t, p, []*kgo.Record{record(r.topic, "a", "3")}, r.position(0, "p3"))
	want, wantPos := []string{"1", "3"}, []string{"p1", "p3"}
	if second {
		want, wantPos = append(want, "2"), append(wantPos, "p2")
	}
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.topic), want...)
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.pos), wantPos...)
}

func TestOpenUnreachable(t *testing.T) {
	silent := listen(t, func(net.Conn) {})
	hangUp := listen(t, func(c net.Conn) { _ = c.Close() })
	closed := listen(t, nil)
	for name, addr := range map[string]string{"silent": silent, "hangs up": hangUp, "closed port": closed} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, []string{addr})
			cfg.OpenTimeout = 300 * time.Millisecond
			start := time.Now()
			_, err := Open(testCtx(t), cfg)
			wantError[*UnreachableError](t, err, true, addr)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(testCtx(t))
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := Open(ctx, config(t, []string{silent}))
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%v, want context.Canceled", err)
		}
	})
}

// listen returns the address of a server that hands its connections to f, or,
// if f is nil, of one that is gone.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if f == nil {
		_ = l.Close()
		return l.Addr().String()
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			f(c)
		}
	}()
	return l.Addr().String()
}

func TestOpenSASL(t *testing.T) {
	c := newFake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "right"))
	// The fake hangs up where a broker says what is wrong.
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	cfg := config(t, c.ListenAddrs())
	cfg.Client = append(cfg.Client, kgo.SASL(plain.Auth{User: "admin", Pass: "not-the-one"}.AsMechanism()))
	_, err := Open(testCtx(t), cfg)
	wantError[*AuthenticationError](t, err, false, c.ListenAddrs()[0], "SASL")
	if strings.Contains(err.Error(), "not-the-one") {
		t.Errorf("%q tells the password", err)
	}
	cfg.Client = append(config(t, c.ListenAddrs()).Client, kgo.SASL(plain.Auth{User: "admin", Pass: "right"}.AsMechanism()))
	mustOpen(t, cfg)
}

func TestOpenRefused(t *testing.T) {
	c := newFake(t)
	cfg := config(t, c.ListenAddrs())
	c.Fault(fault(onInit, kerr.TransactionalIDAuthorizationFailed, 1))
	_, err := Open(testCtx(t), cfg)
	e := wantError[*AuthorizationError](t, err, false, "Write", "transactional-id", cfg.TransactionalID)
	if e.Operation != "Write" || e.Name != cfg.TransactionalID {
		t.Errorf("%+v", e)
	}

	cfg.Delivery = AtLeastOnce
	c.Fault(fault(onInit, kerr.ClusterAuthorizationFailed, 1))
	_, err = Open(testCtx(t), cfg)
	if e := wantError[*AuthorizationError](t, err, false, "IdempotentWrite", "cluster"); e.Resource != "cluster" {
		t.Errorf("%+v", e)
	}
}

func TestOpenOnBrokersWithoutProducerIDs(t *testing.T) {
	v := kversion.V2_4_0()
	v.SetMaxKeyVersion(int16(kmsg.InitProducerID), -1)
	cfg := config(t, newFake(t, kfake.MaxVersions(v)).ListenAddrs())
	_, err := Open(testCtx(t), cfg)
	wantError[*ConfigError](t, err, false, "transactional")
}

func TestOpenWaitsForCoordinator(t *testing.T) {
	c := newFake(t)
	h := c.Fault(fault(onInit, kerr.CoordinatorLoadInProgress, 2), fault(onInit, kerr.ConcurrentTransactions, 2))
	mustOpen(t, config(t, c.ListenAddrs()))
	if h.Hits() != 4 {
		t.Errorf("%d faults met, want 4", h.Hits())
	}
}

func TestConfig(t *testing.T) {
	good := Config{Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, TransactionalID: "x"}
	for field, change := range map[string]func(*Config){
		"Delivery":           func(c *Config) { c.Delivery = 7 },
		"TransactionalID":    func(c *Config) { c.TransactionalID = "" },
		"TransactionTimeout": func(c *Config) { c.TransactionTimeout = time.Millisecond },
		"Grace":              func(c *Config) { c.Grace = -1 },
		"OpenTimeout":        func(c *Config) { c.OpenTimeout = -1 },
		"Compression":        func(c *Config) { c.Compression = "zip" },
		"Client":             func(c *Config) { c.Client = []kgo.Opt{kgo.ClientID(strings.Repeat("x", 300))} },
	} {
		t.Run(field, func(t *testing.T) {
			cfg := good
			change(&cfg)
			_, err := Open(testCtx(t), cfg)
			if e := wantError[*ConfigError](t, err, false, field); e.Field != field {
				t.Errorf("field %q, want %q", e.Field, field)
			}
		})
	}
}

func TestEndAnswerLostAfterCommit(t *testing.T) {
	r := newRig(t)
	r.c.Fault(kfake.Fault{Keys: onEnd, Observe: true, When: func(kmsg.Request) bool { r.net.cut(); return true }})
	e := wantError[*UnknownOutcomeError](t, r.commit(t), true, r.cfg.TransactionalID, "unknown")
	if e.Step != "commit" {
		t.Errorf("step %q, want commit", e.Step)
	}
	r.reopened(t, true)
}

func TestEndRequestLostBeforeCommit(t *testing.T) {
	r := newRig(t)
	r.c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.net.cut()
		return nil, errors.New("lost"), true
	})
	wantError[*UnknownOutcomeError](t, r.commit(t), true)
	r.reopened(t, false)
}

func TestEndAnswerLostOnce(t *testing.T) {
	// The connection dies after the commit, and the network is fine again: the
	// client asks once more and is told.
	r := newRig(t)
	r.c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("lost"), true
	})
	if err := r.commit(t); err != nil {
		t.Fatal(err)
	}
	r.reopened(t, true)
}

func TestEndErrors(t *testing.T) {
	t.Run("unknown server error", func(t *testing.T) {
		r := newRig(t)
		r.c.Fault(fault(onEnd, kerr.UnknownServerError, 1))
		wantError[*UnknownOutcomeError](t, r.commit(t), true, "UNKNOWN_SERVER_ERROR")
		r.reopened(t, false)
	})
	t.Run("no such transaction", func(t *testing.T) {
		r := newRig(t)
		r.c.Fault(fault(onEnd, kerr.InvalidTxnState, 1))
		wantError[*UnknownOutcomeError](t, r.commit(t), true)
		r.reopened(t, false)
	})
	t.Run("not authorised", func(t *testing.T) {
		r := newRig(t)
		r.c.Fault(fault(onEnd, kerr.TransactionalIDAuthorizationFailed, 1))
		err := r.commit(t)
		wantError[*UnknownOutcomeError](t, err, false)
		wantError[*AuthorizationError](t, err, false)
		r.reopened(t, false)
	})
	t.Run("fenced", func(t *testing.T) {
		r := newRig(t)
		r.c.Fault(fault(onEnd, kerr.ProducerFenced, 1))
		wantError[*FencedError](t, r.commit(t), false)
		r.reopened(t, false)
	})
	t.Run("abortable", func(t *testing.T) {
		r := newRig(t)
		r.c.Fault(fault(onEnd, kerr.TransactionAbortable, 1))
		wantError[*AbortedError](t, r.commit(t), true)
		r.reopened(t, false)
	})
	t.Run("coordinator moves", func(t *testing.T) {
		r := newRig(t)
		h := r.c.Fault(fault(onEnd, kerr.NotCoordinator, 1), fault(onEnd, kerr.CoordinatorNotAvailable, 1), fault(onEnd, kerr.ConcurrentTransactions, 1))
		if err := r.commit(t); err != nil {
			t.Fatal(err)
		}
		if h.Hits() != 3 {
			t.Errorf("%d faults met, want 3", h.Hits())
		}
		r.reopened(t, true)
	})
}

func TestProduceErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err   *kerr.Error
		check func(t *testing.T, r *rig, err error)
	}{
		"fenced": {kerr.InvalidProducerEpoch, func(t *testing.T, r *rig, err error) {
			wantError[*FencedError](t, err, false, r.cfg.TransactionalID)
		}},
		"not authorised": {kerr.TopicAuthorizationFailed, func(t *testing.T, r *rig, err error) {
			if e := wantError[*AuthorizationError](t, err, false, r.topic); e.Operation != "Write" || e.Name != r.topic {
				t.Errorf("%+v", e)
			}
		}},
		"invalid record": {kerr.InvalidRecord, func(t *testing.T, r *rig, err error) {
			if e := wantError[*RejectedError](t, err, false, r.topic); e.Index != 0 {
				t.Errorf("index %d, want 0", e.Index)
			}
		}},
		"topic is gone": {kerr.UnknownTopicOrPartition, func(t *testing.T, r *rig, err error) {
			wantError[*TopicError](t, err, true, r.topic)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.TransactionTimeout = 20 * time.Second })
			f := fault(onProduce, c.err, -1)
			f.Topic = r.topic
			h := r.c.Fault(f)
			c.check(t, r, r.commit(t))
			h.Remove()
			r.reopened(t, false)
		})
	}
	t.Run("transient", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.TransactionTimeout = 20 * time.Second })
		h := r.c.Fault(fault(onProduce, kerr.NotEnoughReplicas, 1), fault(onProduce, kerr.ConcurrentTransactions, 1), fault(onProduce, kerr.RequestTimedOut, 1))
		if err := r.commit(t); err != nil {
			t.Fatal(err)
		}
		if h.Hits() != 3 {
			t.Errorf("%d faults met, want 3", h.Hits())
		}
		r.reopened(t, true)
	})
}

func TestAbortNotConfirmed(t *testing.T) {
	r := newRig(t)
	r.c.Fault(fault(onProduce, kerr.InvalidRecord, 1))
	h := r.c.Fault(fault(onEnd, kerr.UnknownServerError, -1))
	e := wantError[*UnknownOutcomeError](t, r.commit(t), true, "abort")
	if e.Step != "abort" {
		t.Errorf("step %q, want abort", e.Step)
	}
	h.Remove()
	r.reopened(t, false)
}

func TestProduceNeverAnswered(t *testing.T) {
	for name, give := range map[string]func(t *testing.T, r *rig) error{
		"cut-until-the-transaction-timeout": func(t *testing.T, r *rig) error {
			r.c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				r.net.cut()
				return nil, errors.New("lost"), true
			})
			return r.commit(t)
		},
		"silent-until-the-caller-gives-up": func(t *testing.T, r *rig) error {
			ctx, cancel := context.WithCancel(testCtx(t))
			r.c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				cancel()
				return nil, nil, true
			})
			return r.p.Commit(ctx, []*kgo.Record{record(r.topic, "a", "2")}, r.position(0, "p2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			start := time.Now()
			err := give(t, r)
			if e := wantError[*UnknownOutcomeError](t, err, true); e.Step != "abort" {
				t.Errorf("step %q, want abort", e.Step)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			r.reopened(t, false)
		})
	}
}

func TestEndSilentAndGivenUp(t *testing.T) {
	r := newRig(t, func(c *Config) { c.TransactionTimeout = time.Minute })
	ctx, cancel := context.WithCancel(testCtx(t))
	r.c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cancel()
		return nil, nil, true
	})
	start := time.Now()
	err := r.p.Commit(ctx, []*kgo.Record{record(r.topic, "a", "2")}, r.position(0, "p2"))
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s: it waits for an answer for the grace time only", took)
	}
	if e, ok := errors.AsType[*UnknownOutcomeError](err); !ok || e.Step != "commit" {
		t.Fatalf("%v, want an unknown outcome of the commit", err)
	}
	r.reopened(t, false)
}

func TestAtLeastOncePositionsWaitForRecords(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Delivery = AtLeastOnce })
	f := fault(onProduce, kerr.InvalidRecord, 1)
	f.Topic = r.topic
	r.c.Fault(f)
	wantError[*RejectedError](t, r.commit(t), false)
	r.reopened(t, false)
}

// The client learns of a topic's partitions after it handed on the records that
// waited for them. Ending the transaction before that loses it.
func TestEndWaitsUntilTheClientKnowsTheTopic(t *testing.T) {
	r := newRig(t)
	if err := r.p.cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	r.p.open = &delivery{acked: map[string]int32{r.topic: 0, "not-in-the-table-yet": 0}}
	ctx, cancel := context.WithTimeout(testCtx(t), 50*time.Millisecond)
	defer cancel()
	if err := r.p.endTransaction(ctx, kgo.TryCommit); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("end of a transaction with a partition that the client does not know: %v", err)
	}
	r.p.open = &delivery{acked: map[string]int32{r.topic: 0}}
	if err := r.p.endTransaction(testCtx(t), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}
