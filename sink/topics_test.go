package sink

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTopicMayNotBeDescribed(t *testing.T) {
	r := newRig(t)
	secret := unique(t, "secret")
	mustTopic(t, r.c.ListenAddrs(), secret, 1)
	h := r.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: secret, Err: kerr.TopicAuthorizationFailed, Count: -1})
	err := r.p.Commit(testCtx(t), []*kgo.Record{record(unique(t, "a"), "k", "2"), record(secret, "k", "2")}, r.position(0, "p2"))
	if e := wantError[*AuthorizationError](t, err, false, "Describe", secret); e.Name != secret {
		t.Errorf("%+v", e)
	}
	h.Remove()
	r.reopened(t, false)
}

func TestTopicRefusedOnCreate(t *testing.T) {
	c := newFake(t)
	for name, want := range map[string]func(t *testing.T, err error){
		"CLUSTER_AUTHORIZATION_FAILED": func(t *testing.T, err error) {
			wantError[*AuthorizationError](t, err, false, "Create")
		},
		"TOPIC_AUTHORIZATION_FAILED": func(t *testing.T, err error) {
			wantError[*AuthorizationError](t, err, false, "Create")
		},
		"POLICY_VIOLATION": func(t *testing.T, err error) {
			wantError[*TopicError](t, err, false, "POLICY_VIOLATION")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustOpen(t, config(t, c.ListenAddrs()))
			c.Fault(fault([]kmsg.Key{kmsg.CreateTopics}, byName(t, name), 1))
			want(t, p.Commit(testCtx(t), []*kgo.Record{record(unique(t, "r"), "a", "1")}, nil))
		})
	}
	t.Run("answer lost", func(t *testing.T) {
		p := mustOpen(t, config(t, c.ListenAddrs()))
		c.Fault(fault([]kmsg.Key{kmsg.CreateTopics}, kerr.RequestTimedOut, 1))
		mustCommit(t, p, []*kgo.Record{record(unique(t, "r"), "a", "1")}, nil)
	})
	t.Run("too many replicas", func(t *testing.T) {
		cfg := config(t, c.ListenAddrs())
		cfg.Topics.ReplicationFactor = 3
		p := mustOpen(t, cfg)
		err := p.Commit(testCtx(t), []*kgo.Record{record(unique(t, "r"), "a", "1")}, nil)
		wantError[*TopicError](t, err, false, "replication factor")
	})
}

func byName(t *testing.T, name string) *kerr.Error {
	t.Helper()
	for code := range int16(150) {
		if e, ok := errors.AsType[*kerr.Error](kerr.ErrorForCode(code)); ok && e.Message == name {
			return e
		}
	}
	t.Fatalf("no error %s", name)
	return nil
}

func TestSettingsMayNotBeReadable(t *testing.T) {
	r := newRig(t)
	topic := unique(t, "small")
	mustTopic(t, r.c.ListenAddrs(), topic, 1, "max.message.bytes", "2000")
	r.c.Fault(fault([]kmsg.Key{kmsg.DescribeConfigs}, kerr.TopicAuthorizationFailed, 1))
	rs := []*kgo.Record{record(topic, "a", "1"), record(topic, "a", strings.Repeat("x", 1500)), record(topic, "a", randomText(3000))}
	err := r.p.Commit(testCtx(t), rs, r.position(0, "p2"))
	if e := wantError[*RecordTooLargeError](t, err, false, topic); e.Index != 2 || e.Limit != 0 {
		t.Fatalf("%+v", e)
	}
	mustCommit(t, r.p, rs[:2], r.position(0, "p3"))
	if got := readAll(t, r.c.ListenAddrs(), topic); len(got) != 2 {
		t.Fatalf("%d records, want 2", len(got))
	}
}

// randomText does not compress to nothing.
func randomText(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; {
		x = x*1664525 + 1013904223
		fmt.Fprintf(&b, "%x", x)
	}
	return b.String()[:n]
}

// A topic with a configuration of its own is made by it, whatever holds for the
// others.
func testSpecialTopic(t *testing.T, brokers []string) {
	special := unique(t, "special")
	cfg := config(t, brokers)
	cfg.Topics.Create = false
	cfg.Special = map[string]TopicConfig{special: {Create: true, Partitions: 1, Settings: map[string]string{"cleanup.policy": "compact"}}}
	p := mustOpen(t, cfg)
	got, err := p.Topic(testCtx(t), special)
	if err != nil || got.Partitions != 1 || !got.Compacted() {
		t.Errorf("%+v, %v, want one compacted partition", got, err)
	}
	_, err = p.Topic(testCtx(t), unique(t, "other"))
	wantError[*TopicError](t, err, false, "allow creating")
}
