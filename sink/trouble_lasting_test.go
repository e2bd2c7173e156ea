package sink

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusals are answers that end a commit.
func refusals() map[string]func(t *testing.T) {
	return map[string]func(t *testing.T){
		"fenced":              once(testFencedAtEnd),
		"epoch-in-time":       once(fails[*FencedError](false, kerr.InvalidProducerEpoch)),
		"epoch-after-timeout": testOutlived,
		"id-forgotten":        once(fails[*AbortedError](true, kerr.InvalidProducerIDMapping)),
		"abortable":           once(fails[*AbortedError](true, kerr.TransactionAbortable)),
		"transaction-state":   once(fails[*AbortedError](true, kerr.InvalidTxnState)),
		"sequence":            once(fails[*AbortedError](true, kerr.OutOfOrderSequenceNumber)),
		"producer-unknown":    once(fails[*AbortedError](true, kerr.UnknownProducerID)),
		"producer-renewed":    once(testRenewed),
		"end-refused":         once(testEndRefused),
		"topic-rights":        both(fails[*AuthorizationError](false, kerr.TopicAuthorizationFailed)),
		"id-rights":           once(fails[*AuthorizationError](false, kerr.TransactionalIDAuthorizationFailed)),
		"invalid-record":      both(fails[*RejectedError](false, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.PolicyViolation, kerr.UnsupportedForMessageFormat)),
		"corrupt":             both(fails[*RejectedError](true, kerr.CorruptMessage)),
		"server-error":        both(fails[*RejectedError](false, kerr.UnknownServerError)),
		"too-large":           both(testTooLargeCodes),
		"limit-raised":        both(testLimitRaised),
		"topic-deleted":       both(testTopicDeleted),
		"topic-kept-deleted":  both(testTopicNotCreated),
		"topic-replaced":      both(testTopicReplaced),
		"positions-deleted":   both(testPositionsDeleted),
		"torn-unknown":        testTornUnknown,
	}
}

// lasting is what outlasts the time of a transaction.
func lasting() map[string]func(t *testing.T) {
	return map[string]func(t *testing.T){
		"no-leader":        both(stalls(kerr.NotLeaderForPartition, leaderless, "has no leader")),
		"replicas-missing": both(stalls(kerr.NotEnoughReplicas, short, "min.insync.replicas wants 2")),
		"disk-full":        both(stalls(kerr.KafkaStorageError, leaderless, "do their disks have room")),
		"unexplained":      both(stalls(kerr.KafkaStorageError, nil, "brokers' logs")),
		"broker-gone":      once(testBrokerGone),
		"throttled-long":   both(testThrottledForLong),
		"replicas-unsure":  testUnsure,
	}
}

// leaderless makes the metadata say that no partition of the topic has a leader.
func leaderless(t *testing.T, r *rig) func() {
	return r.c.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Metadata}, Topic: r.topic, Partitions: []int32{0, 1, 2}, Err: kerr.LeaderNotAvailable, Count: -1,
	}).Remove
}

// short makes the topic want more replicas than it has. The fake does not go by
// that, and answers as it is told.
func short(t *testing.T, r *rig) func() {
	alterTopic(t, r.c.ListenAddrs(), r.topic, "min.insync.replicas", "2")
	return func() {}
}

// A cluster that answers nothing any more says nothing about the abort either.
func testBrokerGone(t *testing.T, change func(*Config)) {
	r := newRig(t, change, func(c *Config) { c.TransactionTimeout = 4 * time.Second })
	r.c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.net.cut()
		return nil, errors.New("lost"), true
	})
	began := time.Now()
	err := r.commit(t)
	if took, limit := time.Since(began), bound(r.cfg); took > limit {
		t.Errorf("took %s, want less than %s", took, limit)
	}
	if e := wantError[*UnknownOutcomeError](t, err, true); e.Step != stepAbort {
		t.Errorf("step %q", e.Step)
	}
	wantError[*UnreachableError](t, err, true, "network is cut")
	r.reopened(t, false)
}

func testFencedAtEnd(t *testing.T, change func(*Config)) {
	r := newRig(t, change)
	r.c.Fault(fault(onEnd, kerr.ProducerFenced, 1))
	e := wantError[*FencedError](t, r.commit(t), false, r.cfg.TransactionalID)
	if e.Outlived || !errors.Is(e, kerr.ProducerFenced) {
		t.Errorf("%+v", e)
	}
	r.reopened(t, false)
}

// A commit that takes longer than the broker waits: its answer is that of a fence,
// but the id need not have another owner.
func testOutlived(t *testing.T) {
	r := newRig(t, func(c *Config) { c.TransactionTimeout, c.Grace = 2*time.Second, time.Second })
	slow := func(key kmsg.Key) {
		r.c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			r.c.SleepControl(func() { <-time.After(1200 * time.Millisecond) })
			return nil, nil, false
		})
	}
	slow(kmsg.Produce)
	slow(kmsg.EndTxn)
	r.c.Fault(fault(onEnd, kerr.InvalidProducerEpoch, 1))
	e := wantError[*FencedError](t, r.commit(t), false, "outlived its timeout")
	if !e.Outlived {
		t.Errorf("%+v", e)
	}
	r.reopened(t, false)
}

// A broker that has deleted what a producer wrote has forgotten the producer too;
// the client then takes a new epoch, which aborts what it wrote elsewhere.
func testRenewed(t *testing.T, change func(*Config)) {
	r := newRig(t, change)
	var seen int
	r.c.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		req := kreq.(*kmsg.ProduceRequest)
		r.c.KeepControl()
		if seen++; seen != 2 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode, sp.LogStartOffset = rp.Partition, kerr.UnknownProducerID.Code, 1000
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	// One record for each request, so that the first is acknowledged before the
	// second is refused.
	r.p.alone[r.topic] = true
	two := []*kgo.Record{record(r.topic, "a", "2"), record(r.topic, "a", "2 too")}
	wantError[*AbortedError](t, r.p.Commit(testCtx(t), two, r.position(0, "p2")), true, "renew")
	r.reopened(t, false)
}

func testEndRefused(t *testing.T, change func(*Config)) {
	for _, cause := range []*kerr.Error{kerr.InvalidTxnState, kerr.InvalidProducerIDMapping, kerr.UnknownServerError, kerr.InvalidRequest} {
		t.Run(cause.Message, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, change)
			r.c.Fault(fault(onEnd, cause, 1))
			if e := wantError[*UnknownOutcomeError](t, r.commit(t), true, cause.Message); e.Step != stepCommit {
				t.Errorf("step %q", e.Step)
			}
			r.reopened(t, false)
		})
	}
	t.Run("rights", func(t *testing.T) {
		r := newRig(t, change)
		r.c.Fault(fault(onEnd, kerr.TransactionalIDAuthorizationFailed, 1))
		err := r.commit(t)
		wantError[*UnknownOutcomeError](t, err, false)
		wantError[*AuthorizationError](t, err, false, r.cfg.TransactionalID)
		r.reopened(t, false)
	})
}

// A batch that is more than a message, or a segment, may be is sent record by
// record, and the record that is too large alone is named.
func testTooLargeCodes(t *testing.T, change func(*Config)) {
	for _, cause := range []*kerr.Error{kerr.MessageTooLarge, kerr.RecordListTooLarge} {
		t.Run(cause.Message, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, change)
			f := r.onRecords(cause)
			f.When = func(req kmsg.Request) bool { return produced(req) > 1000 }
			r.c.Fault(f)
			rs := []*kgo.Record{record(r.topic, "a", "2"), record(r.topic, "a", randomText(3000))}
			if e := wantError[*RecordTooLargeError](t, r.p.Commit(testCtx(t), rs, r.position(0, "p2")), false, r.topic); e.Index != 1 {
				t.Fatalf("%+v", e)
			}
			mustCommit(t, r.p, rs[:1], r.position(0, "p2"))
			if change(&r.cfg); r.cfg.Delivery == ExactlyOnce {
				r.reopened(t, true)
			}
		})
	}
}

// produced is the size of the largest batch in a request.
func produced(kreq kmsg.Request) (most int) {
	for _, rt := range kreq.(*kmsg.ProduceRequest).Topics {
		for _, rp := range rt.Partitions {
			most = max(most, len(rp.Records))
		}
	}
	return most
}

// Who raises the limit that the error names need not restart anything.
func testLimitRaised(t *testing.T, change func(*Config)) {
	r := newRig(t, change)
	topic := unique(t, "small")
	mustTopic(t, r.c.ListenAddrs(), topic, 1, "max.message.bytes", "2000")
	rs := []*kgo.Record{record(topic, "a", randomText(3000))}
	for range 2 {
		e := wantError[*RecordTooLargeError](t, r.p.Commit(testCtx(t), rs, r.position(0, "p2")), false, topic)
		if e.Limit != 2000 {
			t.Fatalf("%+v", e)
		}
	}
	alterTopic(t, r.c.ListenAddrs(), topic, "max.message.bytes", "5000")
	wantError[*AbortedError](t, r.p.Commit(testCtx(t), rs, r.position(0, "p2")), true, topic, "raised from 2000 to 5000")
	mustCommit(t, mustOpen(t, r.cfg), rs, r.position(0, "p2"))
	if got := readAll(t, r.c.ListenAddrs(), topic); len(got) != 1 {
		t.Errorf("%d records, want 1", len(got))
	}
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.pos), "p1", "p2")
}

func (r *rig) deleteTopic(t *testing.T, topic string) {
	t.Helper()
	if err := r.c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
}

func testTopicDeleted(t *testing.T, change func(*Config)) {
	r := newRig(t, change)
	r.deleteTopic(t, r.topic)
	wantError[*TopicError](t, r.commit(t), true, r.topic)
	p := mustOpen(t, r.cfg)
	mustCommit(t, p, []*kgo.Record{record(r.topic, "a", "3")}, r.position(0, "p3"))
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.topic), "3")
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.pos), "p1", "p3")
}

func testTopicNotCreated(t *testing.T, change func(*Config)) {
	r := newRig(t, change)
	cfg := r.cfg
	cfg.Topics.Create = false
	if err := r.p.Close(testCtx(t)); err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, cfg)
	mustCommit(t, p, []*kgo.Record{record(r.topic, "a", "2")}, r.position(0, "p2"))
	r.deleteTopic(t, r.topic)
	for range 2 { // while it runs, and when it is opened again
		err := p.Commit(testCtx(t), []*kgo.Record{record(r.topic, "a", "3")}, r.position(0, "p3"))
		wantError[*TopicError](t, err, false, r.topic)
		p = mustOpen(t, cfg)
	}
	mustCommit(t, p, nil, r.position(0, "p4"))
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.pos), "p1", "p2", "p4")
}

// A topic that was deleted and created anew between two commits takes the next
// one, whichever way the client finds out.
func testTopicReplaced(t *testing.T, change func(*Config)) {
	r := newRig(t, change)
	r.deleteTopic(t, r.topic)
	mustTopic(t, r.c.ListenAddrs(), r.topic, 3)
	want, wantPos := []string{"3"}, []string{"p1", "p3"}
	if err := r.commit(t); err == nil {
		want, wantPos = append(want, "2"), append(wantPos, "p2")
	} else if !Retryable(err) {
		t.Errorf("%T %v, want one that is worth another try", err, err)
	}
	_ = r.p.Close(testCtx(t))
	mustCommit(t, mustOpen(t, r.cfg), []*kgo.Record{record(r.topic, "a", "3")}, r.position(0, "p3"))
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.topic), want...)
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.pos), wantPos...)
}

func testPositionsDeleted(t *testing.T, change func(*Config)) {
	r := newRig(t, change)
	r.deleteTopic(t, r.pos)
	err := r.commit(t)
	if e := wantError[*TopicError](t, err, false, r.pos, "positions"); e.Topic != r.pos {
		t.Errorf("%+v", e)
	}
	if change(&r.cfg); r.cfg.Delivery == ExactlyOnce {
		wantValues(t, readAll(t, r.c.ListenAddrs(), r.topic), "1")
	}
	err = mustOpen(t, r.cfg).Commit(testCtx(t), nil, r.position(0, "p3"))
	wantError[*TopicError](t, err, false, r.pos)
	if d, err := admin(t, r.c.ListenAddrs()).ListTopics(testCtx(t), r.pos); err != nil || d.Has(r.pos) {
		t.Errorf("the positions topic was created (%v)", err)
	}
}

// A quota that makes the client wait for longer than a transaction may take is
// told as what it is.
func testThrottledForLong(t *testing.T, change func(*Config)) {
	r := newRig(t, change, func(c *Config) { c.TransactionTimeout = 4 * time.Second })
	throttle(r.c, 1, time.Minute)
	began := time.Now()
	wantError[*StalledError](t, r.commit(t), true, "quota", "producer_byte_rate")
	if took, limit := time.Since(began), bound(r.cfg); took > limit {
		t.Errorf("took %s, want less than %s", took, limit)
	}
	r.reopened(t, false)
}

// Records that a broker has written and cannot yet promise are not given up by the
// client, so that the abort is not confirmed; nobody sees them, but without
// transactions somebody may.
func testUnsure(t *testing.T) {
	r := newRig(t, func(c *Config) { c.TransactionTimeout = 4 * time.Second })
	h := r.c.Fault(r.onRecords(kerr.NotEnoughReplicasAfterAppend))
	alterTopic(t, r.c.ListenAddrs(), r.topic, "min.insync.replicas", "2")
	err := r.commit(t)
	if e := wantError[*UnknownOutcomeError](t, err, true); e.Step != stepAbort {
		t.Errorf("step %q", e.Step)
	}
	wantError[*StalledError](t, err, true, "min.insync.replicas wants 2")
	h.Remove()
	r.reopened(t, false)
}
