package replay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// TestOnOldFake runs the suite against brokers without topic ids, but for what
// only ids make possible.
func TestOnOldFake(t *testing.T) {
	for name, f := range suite {
		if name == "RecreatedTopic" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			f(t, newFake(t, kfake.MaxVersions(kversion.V2_7_0())).ListenAddrs())
		})
	}
}

func TestLoadAfterCompaction(t *testing.T) {
	c := newFake(t)
	brokers := c.ListenAddrs()
	s := mustOpen(t, config(t, brokers))
	cs := inLane(t, s, 0, 3)
	o := newOwner(t, brokers, unique(t, "txn"))
	o.commit(s.Record(entry(cs[2], "kept")))
	for i := range 50 {
		o.commit(s.Record(entry(cs[i%2], Position(fmt.Sprint(i)))))
		o.abort(s.Record(entry(cs[2], "aborted")))
	}
	want := []Entry{entry(cs[0], "48"), entry(cs[1], "49"), entry(cs[2], "kept")}
	for range 3 {
		c.Compact()
		wantEntries(t, mustTakeOver(t, s, brokers, 0), want...)
		c.Compact()
		all, err := s.All(testCtx(t))
		if err != nil {
			t.Fatal(err)
		}
		wantEntries(t, all, want...)
	}
}

// A lane whose end is gone: nothing lies between what is left and the last
// stable offset.
func TestAllWhenTheEndIsGone(t *testing.T) {
	c := newFake(t)
	s := mustOpen(t, config(t, c.ListenAddrs()))
	newOwner(t, c.ListenAddrs(), unique(t, "txn")).commit(s.Record(entry(inLane(t, s, 0, 1)[0], "1")))
	// Answers as if what is there were not.
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		resp := fetch.ResponseKind().(*kmsg.FetchResponse)
		rt := kmsg.NewFetchResponseTopic()
		rt.TopicID = fetch.Topics[0].TopicID
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.Partition, rp.HighWatermark, rp.LastStableOffset = fetch.Topics[0].Partitions[0].Partition, 2, 2
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	all, err := s.All(testCtx(t))
	if err != nil {
		t.Fatal(err)
	}
	wantEntries(t, all)
}

func TestLeaderMoves(t *testing.T) {
	c := newFake(t, kfake.NumBrokers(3))
	s := mustOpen(t, config(t, c.ListenAddrs()))
	ch := inLane(t, s, 0, 1)[0]
	o := newOwner(t, c.ListenAddrs(), unique(t, "txn"))
	b := s.Barrier(0)
	o.commit(s.Record(entry(ch, "1")))
	moved := false
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		moved = true
		// From the loop's own goroutine it would wait for itself.
		go c.ShufflePartitionLeaders()
		return nil, errors.New("the leader dies"), true
	})
	o.commit(b.Record())
	got, err := s.Load(testCtx(t), 0, b)
	if err != nil || !moved {
		t.Fatal(err, moved)
	}
	wantEntries(t, got, entry(ch, "1"))
}

func TestTransientFetchErrors(t *testing.T) {
	c := newFake(t)
	s := mustOpen(t, config(t, c.ListenAddrs()))
	ch := inLane(t, s, 0, 1)[0]
	o := newOwner(t, c.ListenAddrs(), unique(t, "txn"))
	b := s.Barrier(0)
	o.commit(s.Record(entry(ch, "1")), b.Record())
	faults := []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.KafkaStorageError, kerr.FencedLeaderEpoch}
	for _, e := range faults {
		h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: e, Count: 2})
		got, err := s.Load(testCtx(t), 0, b)
		if err != nil {
			t.Fatalf("%v: %v", e, err)
		}
		wantEntries(t, got, entry(ch, "1"))
		if h.Hits() != 2 {
			t.Errorf("%v: met %d times, want 2", e, h.Hits())
		}
	}
}

func TestRefused(t *testing.T) {
	c := newFake(t)
	for _, test := range []struct {
		key       kmsg.Key
		err       *kerr.Error
		operation string
	}{
		{kmsg.DescribeConfigs, kerr.TopicAuthorizationFailed, "DescribeConfigs"},
		{kmsg.CreateTopics, kerr.TopicAuthorizationFailed, "Create"},
		{kmsg.CreateTopics, kerr.ClusterAuthorizationFailed, "Create"},
		{kmsg.Metadata, kerr.TopicAuthorizationFailed, "Describe"},
		{kmsg.Fetch, kerr.TopicAuthorizationFailed, "Read"},
		{kmsg.ListOffsets, kerr.TopicAuthorizationFailed, "Read"},
	} {
		t.Run(test.key.Name()+"/"+test.err.Message, func(t *testing.T) {
			cfg := config(t, c.ListenAddrs())
			if test.key != kmsg.CreateTopics {
				s := mustOpen(t, cfg)
				newOwner(t, c.ListenAddrs(), unique(t, "txn")).commit(s.Record(entry("/c", "1")))
			}
			f := kfake.Fault{Keys: []kmsg.Key{test.key}, Topic: cfg.Topic, Err: test.err, Count: -1}
			if test.key == kmsg.DescribeConfigs {
				f.Topic, f.Resource = "", cfg.Topic
			}
			h := c.Fault(f)
			defer h.Remove()
			_, err := Open(testCtx(t), cfg)
			if e := wantError[*AuthorizationError](t, err, false, test.operation, cfg.Topic); e.Operation != test.operation {
				t.Errorf("operation %q, want %q", e.Operation, test.operation)
			}
		})
	}
	t.Run("policy", func(t *testing.T) {
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.PolicyViolation})
		_, err := Open(testCtx(t), config(t, c.ListenAddrs()))
		wantError[*TopicMissingError](t, err, false, "POLICY_VIOLATION")
	})
	t.Run("answer of create lost", func(t *testing.T) {
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.RequestTimedOut})
		mustOpen(t, config(t, c.ListenAddrs()))
	})
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // accepts nothing, answers nothing
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, addr := range map[string]string{"silent": l.Addr().String(), "closed": gone.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, []string{addr})
			cfg.OpenTimeout = 200 * time.Millisecond
			start := time.Now()
			_, err := Open(testCtx(t), cfg)
			wantError[*UnreachableError](t, err, true, addr)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(testCtx(t))
		stop := errors.New("shutting down")
		time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
		if _, err := Open(ctx, config(t, []string{l.Addr().String()})); !errors.Is(err, stop) {
			t.Fatalf("%v, want the context's cause", err)
		}
	})
}

func TestLoadWithoutBrokers(t *testing.T) {
	c := newFake(t)
	addr := c.ListenAddrs()[0] // not to be asked for after Close
	s := mustOpen(t, config(t, []string{addr}))
	c.Close()
	ctx, cancel := context.WithTimeout(testCtx(t), 300*time.Millisecond)
	defer cancel()
	_, err := s.Load(ctx, 0, s.Barrier(0))
	wantError[*UnreachableError](t, err, true, addr, "lane 0")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not say that the time was up", err)
	}
}

func TestSASL(t *testing.T) {
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
	wantError[*AuthenticationError](t, err, false, c.ListenAddrs()[0])
	if strings.Contains(err.Error(), "not-the-one") {
		t.Errorf("%q tells the password", err)
	}
}

func TestConfig(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Topic":             func(c *Config) { c.Topic = "" },
		"Org":               func(c *Config) { c.Org = "" },
		"Lanes":             func(c *Config) { c.Lanes = 0 },
		"ReplicationFactor": func(c *Config) { c.ReplicationFactor = -2 },
		"Settings":          func(c *Config) { c.Settings = map[string]string{"cleanup.policy": "delete"} },
		"Client":            func(c *Config) { c.Client = []kgo.Opt{kgo.ClientID(strings.Repeat("x", 300))} },
	} {
		t.Run(field, func(t *testing.T) {
			cfg := config(t, []string{"127.0.0.1:1"})
			change(&cfg)
			_, err := Open(testCtx(t), cfg)
			if e := wantError[*ConfigError](t, err, false, field); e.Field != field {
				t.Errorf("field %q, want %q", e.Field, field)
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	s := mustOpen(t, config(t, newFake(t).ListenAddrs()))
	for name, f := range map[string]func(){
		"no position":  func() { s.Record(Entry{Key: Key{Org: orgA, Channel: "/c"}}) },
		"no channel":   func() { s.Record(Entry{Key: Key{Org: orgA}, Position: "1"}) },
		"no org":       func() { s.Record(Entry{Key: Key{Channel: "/c"}, Position: "1"}) },
		"other org":    func() { s.Record(Entry{Key: Key{Org: orgB, Channel: "/c"}, Position: "1"}) },
		"no such lane": func() { s.Barrier(4) },
		"negative":     func() { s.Barrier(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: a record that would make the topic unusable is made", name)
				}
			}()
			f()
		}()
	}
}

func TestRecords(t *testing.T) {
	cfg := config(t, newFake(t).ListenAddrs())
	cfg.Token = func() string { return "TOKEN" }
	s := mustOpen(t, cfg)
	r := s.Record(entry("/data/AccountChangeEvent", "42"))
	if r.Topic != cfg.Topic || string(r.Key) != "stream/"+orgA+"/data/AccountChangeEvent" || r.Partition != s.LaneOf(entry("/data/AccountChangeEvent", "").Key) {
		t.Errorf("%+v", r)
	}
	b := s.Barrier(3).Record()
	if b.Topic != cfg.Topic || string(b.Key) != "barrier/3" || b.Partition != 3 || string(b.Value) != `{"v":1,"org":"`+orgA+`","token":"TOKEN"}` {
		t.Errorf("%+v", b)
	}
}
