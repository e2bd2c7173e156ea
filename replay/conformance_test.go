package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// suite is what must hold on every broker. It is run against the in-process
// fake here, and takes brokers so that it can be run against a real Kafka.
var suite = map[string]func(t *testing.T, brokers []string){
	"CreatesTopic":           testCreates,
	"VerifiesTopic":          testVerifies,
	"MissingTopic":           testMissing,
	"ManyOpenAtOnce":         testManyOpen,
	"LoadEmpty":              testLoadEmpty,
	"LoadLastOfEach":         testLoadLast,
	"LoadSkipsAborted":       testLoadAborted,
	"LoadLongLane":           testLoadLong,
	"Tombstone":              testTombstone,
	"OldBarriers":            testOldBarriers,
	"BarrierNotCommitted":    testBarrierMissing,
	"OpenTransactionOfOther": testOpenTransaction,
	"OtherOrg":               testOtherOrg,
	"OtherOrgsBarrier":       testOtherOrgBarrier,
	"MisplacedKey":           testMisplaced,
	"Unreadable":             testUnreadable,
	"OverwrittenIsForgotten": testOverwritten,
	"RecreatedTopic":         testRecreated,
	"DeletedTopic":           testDeleted,
	"Index":                  testIndex,
	"Notes":                  testNotes,
	"Tasks":                  testTasks,
	"Inherit":                testInherit,
	"InheritRefuses":         testInheritRefuses,
	"Generations":            testGenerations,
	"GroupShares":            testGroupShares,
	"GroupCutOff":            testGroupCutOff,
	"GroupMembers":           testGroupMembers,
	"Dismiss":                testDismiss,
	"Followed":               testFollowed,
}

func TestOnFake(t *testing.T) {
	for name, f := range suite {
		t.Run(name, func(t *testing.T) { f(t, newFake(t).ListenAddrs()) })
	}
}

func testCreates(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	cfg.Settings = map[string]string{"segment.ms": "60000"}
	mustOpen(t, cfg)
	mustOpen(t, cfg)
	adm := admin(t, brokers)
	d, err := adm.ListTopics(testCtx(t), cfg.Topic)
	if err != nil || len(d[cfg.Topic].Partitions) != 4 {
		t.Fatalf("%v, %v: want 4 partitions", d, err)
	}
	confs, err := adm.DescribeTopicConfigs(testCtx(t), cfg.Topic)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, c := range confs[0].Configs {
		got[c.Key] = c.MaybeValue()
	}
	for k, want := range map[string]string{"cleanup.policy": "compact", "segment.ms": "60000", "segment.bytes": "16777216", "retention.ms": "-1"} {
		if got[k] != want {
			t.Errorf("%s is %q, want %q", k, got[k], want)
		}
	}
}

func testVerifies(t *testing.T, brokers []string) {
	for _, policy := range []string{"delete", "compact,delete"} {
		cfg := config(t, brokers)
		mustTopic(t, brokers, cfg.Topic, 4, "cleanup.policy", policy)
		_, err := Open(testCtx(t), cfg)
		e := wantError[*NotCompactedError](t, err, false, cfg.Topic, "kafka-configs.sh --alter", "--add-config cleanup.policy=compact")
		if e.Policy != policy {
			t.Errorf("policy %q, want %q", e.Policy, policy)
		}
	}
	cfg := config(t, brokers)
	mustTopic(t, brokers, cfg.Topic, 6, "cleanup.policy", "compact")
	_, err := Open(testCtx(t), cfg)
	if e := wantError[*LaneCountError](t, err, false, "6", "4"); e.Have != 6 || e.Want != 4 {
		t.Errorf("%+v", e)
	}
	cfg.Lanes = 6
	mustOpen(t, cfg)
}

func testMissing(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	cfg.Create = false
	_, err := Open(testCtx(t), cfg)
	wantError[*TopicMissingError](t, err, false, cfg.Topic, "--partitions 4", "cleanup.policy=compact")
}

func testManyOpen(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	errs := make(chan error)
	for range 4 {
		go func() {
			s, err := Open(t.Context(), cfg)
			if err == nil {
				s.Close()
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func testLoadEmpty(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	for lane := range int32(4) {
		wantEntries(t, mustTakeOver(t, s, brokers, lane))
	}
}

func testLoadLast(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	cs := inLane(t, s, 1, 3)
	other := inLane(t, s, 2, 1)[0]
	o := newOwner(t, brokers, unique(t, "txn"))
	o.commit(s.Record(entry(cs[0], "1")), s.Record(entry(cs[1], "x")))
	o.commit(s.Record(entry(cs[0], "2")), s.Record(entry(other, "o")))
	o.commit(s.Record(entry(cs[2], "y")))
	o.commit(s.Record(entry(cs[0], "3")))

	want := entry(cs[0], "3")
	wantEntries(t, mustTakeOver(t, s, brokers, 1), want, entry(cs[1], "x"), entry(cs[2], "y"))
	wantEntries(t, mustTakeOver(t, s, brokers, 2), entry(other, "o"))
	all, err := s.All(testCtx(t))
	if err != nil {
		t.Fatal(err)
	}
	wantEntries(t, all, want, entry(cs[1], "x"), entry(cs[2], "y"), entry(other, "o"))
	// Another instance that starts now agrees.
	again, err := mustOpen(t, s.cfg).All(testCtx(t))
	if err != nil || !maps.Equal(again, all) {
		t.Fatalf("%v, %v", again, err)
	}
}

func testLoadAborted(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	c := inLane(t, s, 3, 1)[0]
	o := newOwner(t, brokers, unique(t, "txn"))
	o.abort(s.Record(entry(c, "a0")))
	o.commit(s.Record(entry(c, "1")))
	o.abort(s.Record(entry(c, "a1")), s.Record(entry(inLane(t, s, 0, 1)[0], "a2")))
	wantEntries(t, mustTakeOver(t, s, brokers, 3), entry(c, "1"))
	// A lane of nothing but what was aborted, up to its end.
	wantEntries(t, mustTakeOver(t, s, brokers, 0))
	all, err := s.All(testCtx(t))
	if err != nil {
		t.Fatal(err)
	}
	wantEntries(t, all, entry(c, "1"))
	o.abort(s.Record(entry(c, "a3")))
	all, err = s.All(testCtx(t))
	if err != nil {
		t.Fatal(err)
	}
	wantEntries(t, all, entry(c, "1"))
}

func testLoadLong(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	cs := inLane(t, s, 0, 2)
	o := newOwner(t, brokers, unique(t, "txn"))
	// More than one fetch has room for.
	pad := strings.Repeat("p", 200_000)
	for i := range 40 {
		o.commit(s.Record(entry(cs[i%2], Position(fmt.Sprintf("%d-%s", i, pad)))))
	}
	wantEntries(t, mustTakeOver(t, s, brokers, 0), entry(cs[0], Position("38-"+pad)), entry(cs[1], Position("39-"+pad)))
}

func testTombstone(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	cs := inLane(t, s, 2, 2)
	o := newOwner(t, brokers, unique(t, "txn"))
	o.commit(s.Record(entry(cs[0], "1")), s.Record(entry(cs[1], "2")))
	o.commit(s.Tombstone(entry(cs[0], "1").Key))
	wantEntries(t, mustTakeOver(t, s, brokers, 2), entry(cs[1], "2"))
}

func testOldBarriers(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	c := inLane(t, s, 1, 1)[0]
	o := newOwner(t, brokers, unique(t, "txn"))
	older, newer := s.Barrier(1), s.Barrier(1)
	o.commit(s.Record(entry(c, "1")))
	o.commit(older.Record())
	o.commit(s.Record(entry(c, "2")))
	o.commit(newer.Record())
	o.commit(s.Record(entry(c, "3")))
	for b, want := range map[Barrier]Position{older: "1", newer: "2"} {
		got, err := s.Load(testCtx(t), 1, b)
		if err != nil {
			t.Fatal(err)
		}
		wantEntries(t, got, entry(c, want))
	}
	if _, err := s.Load(testCtx(t), 2, newer); err == nil {
		t.Error("a barrier of lane 1 is taken for lane 2")
	}
	if _, err := s.Load(testCtx(t), 0, Barrier{}); err == nil {
		t.Error("an empty barrier is taken")
	}
}

func testBarrierMissing(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	o := newOwner(t, brokers, unique(t, "txn"))
	b := s.Barrier(0)
	o.abort(b.Record())
	ctx, cancel := context.WithTimeout(testCtx(t), 300*time.Millisecond)
	defer cancel()
	if m, err := s.Load(ctx, 0, b); !errors.Is(err, context.DeadlineExceeded) || !Retryable(err) {
		t.Fatalf("%v, %v: want the context's error", m, err)
	}
	ctx, cancel = context.WithCancel(testCtx(t))
	cancel()
	if m, err := s.Load(ctx, 0, b); !errors.Is(err, context.Canceled) || Retryable(err) {
		t.Fatalf("%v, %v: want the context's error", m, err)
	}
	// Committed while Load is waiting for it.
	done := make(chan error)
	go func() {
		_, err := s.Load(t.Context(), 0, b)
		done <- err
	}()
	o.commit(b.Record())
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func testOpenTransaction(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	s := mustOpen(t, cfg)
	c := inLane(t, s, 1, 1)[0]
	o := newOwner(t, brokers, cfg.Topic+"-lane-1")
	o.commit(s.Record(entry(c, "1")))
	o.begin(s.Record(entry(c, "2")))
	// A live owner in the middle of a transaction holds nobody up.
	all, err := mustOpen(t, cfg).All(testCtx(t))
	if err != nil {
		t.Fatal(err)
	}
	wantEntries(t, all, entry(c, "1"))
	// The new owner's producer aborts it.
	wantEntries(t, mustTakeOver(t, s, brokers, 1), entry(c, "1"))
}

func testOtherOrg(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	cfg.Org = orgB
	s := mustOpen(t, cfg)
	k := Key{Org: orgB, Channel: "/data/ChangeEvents"}
	newOwner(t, brokers, unique(t, "txn")).commit(s.Record(Entry{Key: k, Position: "1", Source: "cometd"}))

	cfg.Org = orgA
	_, err := Open(testCtx(t), cfg)
	e := wantError[*OtherOrgError](t, err, false, orgA, orgB, cfg.Topic)
	if e.Found != orgB || e.Want != orgA {
		t.Errorf("%+v", e)
	}
	// Also if it came there after Open.
	s.cfg.Org = orgA
	_, err = takeOver(t, s, brokers, s.LaneOf(k))
	wantError[*OtherOrgError](t, err, false)
	s.cfg.Org = orgB
	put(t, brokers, s.Tombstone(k))
}

func testOtherOrgBarrier(t *testing.T, brokers []string) {
	// A lane without streams still knows whose it is.
	cfg := config(t, brokers)
	cfg.Org = orgB
	mustTakeOver(t, mustOpen(t, cfg), brokers, 2)
	cfg.Org = orgA
	_, err := Open(testCtx(t), cfg)
	if e := wantError[*OtherOrgError](t, err, false, orgB); e.Partition != 2 {
		t.Errorf("%+v", e)
	}
	// Removed on purpose, it may be taken by another one.
	put(t, brokers, &kgo.Record{Topic: cfg.Topic, Partition: 2, Key: []byte("barrier/2")})
	mustOpen(t, cfg)
}

func testMisplaced(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	s := mustOpen(t, cfg)
	var channels []string
	for lane := range int32(4) {
		channels = append(channels, inLane(t, s, lane, 3)...)
	}
	o := newOwner(t, brokers, unique(t, "txn"))
	for _, c := range channels {
		o.commit(s.Record(entry(c, "1")))
	}
	if _, err := admin(t, brokers).UpdatePartitions(testCtx(t), 5, cfg.Topic); err != nil {
		t.Fatal(err)
	}
	_, err := Open(testCtx(t), cfg)
	wantError[*LaneCountError](t, err, false)
	cfg.Lanes = 5
	_, err = Open(testCtx(t), cfg)
	e := wantError[*MisplacedKeyError](t, err, false, "number of partitions was changed", "bridge positions migrate")
	if LaneOf(e.Key, 5) != e.Want || LaneOf(e.Key, 4) != e.Partition || e.Want == e.Partition {
		t.Errorf("%+v", e)
	}
}

func testUnreadable(t *testing.T, brokers []string) {
	for name, r := range map[string]*kgo.Record{
		"no key":         {Value: []byte("{}")},
		"empty key":      {Key: []byte{}, Value: []byte("{}")},
		"unknown kind":   {Key: []byte("snapshot/x"), Value: []byte(`{"v":1}`)},
		"newer version":  {Key: []byte("stream/" + orgA + "/c"), Value: []byte(`{"v":2}`)},
		"not JSON":       {Key: []byte("stream/" + orgA + "/c"), Value: []byte(`123`)},
		"broken key":     {Key: []byte("stream/" + orgA), Value: []byte(`{"v":1}`)},
		"broken barrier": {Key: []byte("barrier/0"), Value: []byte(`{"v":1}`)},
		"other barrier":  {Key: []byte("barrier/99"), Value: []byte(`{"v":1,"org":"o","token":"t"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, brokers)
			cfg.Lanes = 1
			s := mustOpen(t, cfg)
			r.Topic = cfg.Topic
			if r.Key == nil {
				// A compacted topic does not take it; one that was not always
				// compacted has it.
				cfg.Topic, r.Topic = cfg.Topic+"b", cfg.Topic+"b"
				s = withKeyless(t, brokers, cfg, r)
			} else {
				put(t, brokers, r)
			}
			_, err := Open(testCtx(t), cfg)
			if e := wantError[*UnreadableError](t, err, false, cfg.Topic); e.Partition != 0 || e.Offset != 0 || e.Key != string(r.Key) {
				t.Errorf("%+v", e)
			}
			_, err = takeOver(t, s, brokers, 0)
			wantError[*UnreadableError](t, err, false)
		})
	}
}

func withKeyless(t *testing.T, brokers []string, cfg Config, r *kgo.Record) *Store {
	t.Helper()
	mustTopic(t, brokers, cfg.Topic, 1)
	put(t, brokers, r)
	compact := "compact"
	if resps, err := admin(t, brokers).AlterTopicConfigs(testCtx(t), alter("cleanup.policy", compact), cfg.Topic); err != nil || resps[0].Err != nil {
		t.Fatal(err, resps)
	}
	// Open refuses it, so the store is made from one of another topic.
	other := cfg
	other.Topic += "-other"
	s := mustOpen(t, other)
	d, err := admin(t, brokers).ListTopics(testCtx(t), cfg.Topic)
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.Topic, s.id = cfg.Topic, d[cfg.Topic].ID
	return s
}

func testOverwritten(t *testing.T, brokers []string) {
	// The broker may or may not have compacted these away already: they must
	// not decide anything.
	cfg := config(t, brokers)
	cfg.Lanes = 1
	s := mustOpen(t, cfg)
	put(t, brokers,
		&kgo.Record{Topic: cfg.Topic, Key: []byte("stream/" + orgA + "/c"), Value: []byte(`{"v":2}`)},
		&kgo.Record{Topic: cfg.Topic, Key: []byte("stream/" + orgB + "/c"), Value: []byte(`{"v":1,"position":"1","source":"x"}`)},
		&kgo.Record{Topic: cfg.Topic, Key: []byte("unknown/kind"), Value: []byte(`{}`)},
		s.Record(entry("/c", "1")),
		&kgo.Record{Topic: cfg.Topic, Key: []byte("stream/" + orgB + "/c")},
		&kgo.Record{Topic: cfg.Topic, Key: []byte("unknown/kind")},
	)
	wantEntries(t, mustTakeOver(t, mustOpen(t, cfg), brokers, 0), entry("/c", "1"))
}

func testRecreated(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	s := mustOpen(t, cfg)
	c := inLane(t, s, 0, 1)[0]
	newOwner(t, brokers, unique(t, "txn")).commit(s.Record(entry(c, "1")))
	if _, err := admin(t, brokers).DeleteTopics(testCtx(t), cfg.Topic); err != nil {
		t.Fatal(err)
	}
	created := false
	for !created {
		next, err := Open(testCtx(t), cfg)
		if err == nil {
			created = next.id != s.id
			next.Close()
		}
	}
	// The barrier is in the new topic, and nothing else is: without a look at
	// the topic's id this would be a lane that starts from nothing.
	_, err := takeOver(t, s, brokers, 0)
	if e := wantError[*TopicMissingError](t, err, false, "created again"); !e.Recreated {
		t.Errorf("%+v", e)
	}
}

func testDeleted(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	s := mustOpen(t, cfg)
	if _, err := admin(t, brokers).DeleteTopics(testCtx(t), cfg.Topic); err != nil {
		t.Fatal(err)
	}
	_, err := s.Load(testCtx(t), 0, s.Barrier(0))
	wantError[*TopicMissingError](t, err, false, cfg.Topic)
	_, err = s.All(testCtx(t))
	wantError[*TopicMissingError](t, err, false, cfg.Topic)
}
