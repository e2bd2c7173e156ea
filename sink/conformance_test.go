package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// suite is what must hold on every broker. It is run against the in-process
// fake here, and takes brokers so that it can be run against a real Kafka.
var suite = map[string]func(t *testing.T, brokers []string){
	"CommitIsVisibleAsAWhole":    testCommit,
	"OrderPerKey":                testOrder,
	"ManyRecords":                testManyRecords,
	"PositionsOnly":              testPositionsOnly,
	"NothingToCommit":            testNothing,
	"PartitionOfPositions":       testFixedPartition,
	"SameRecordsAgain":           testSameRecordsAgain,
	"OpenFencesTheOlderOwner":    testFencing,
	"OpenAbortsTheOpenOne":       testTakeover,
	"TooLargeForItsTopic":        testTooLarge,
	"TooLargeByTheBroker":        testTooLargeAtBroker,
	"ManySmallInSmallTopic":      testSmallTopic,
	"CancelledContext":           testCancelled,
	"MissingTopicIsCreated":      testCreates,
	"MissingTopicIsRefused":      testMissingTopic,
	"MissingPositionTopic":       testMissingPositionTopic,
	"TwoCreators":                testTwoCreators,
	"BadTopicName":               testBadTopicName,
	"TopicSettings":              testTopicSettings,
	"SpecialTopic":               testSpecialTopic,
	"RejectedByCompactedTopic":   testRejected,
	"AtLeastOnce":                testAtLeastOnce,
	"AtLeastOnceHoldsPositions":  testAtLeastOnceFailure,
	"CloseTwiceThenCommit":       testClose,
	"EveryCompression":           testCompression,
	"FirstCommits":               testFirstCommits,
	"TimeoutAboveBrokersMaximum": testTimeoutTooLong,
}

func TestOnFake(t *testing.T) {
	for name, f := range suite {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newFake(t).ListenAddrs())
		})
	}
}

func testCommit(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	pos, position := positions(t, brokers)
	p := mustOpen(t, config(t, brokers))
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "1"), record(topic, "b", "2")}, position(1, "p2"))
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "3")}, position(1, "p3"))
	wantValues(t, readAll(t, brokers, topic), "1", "2", "3")
	wantValues(t, readAll(t, brokers, pos), "p2", "p3")
}

func testOrder(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	_, position := positions(t, brokers)
	p := mustOpen(t, config(t, brokers))
	for i := range 5 {
		rs := make([]*kgo.Record, 200)
		for j := range rs {
			rs[j] = record(topic, fmt.Sprintf("key-%d", j%7), fmt.Sprintf("%06d", i*200+j))
		}
		mustCommit(t, p, rs, position(0, "p"))
	}
	last := make(map[string]string)
	where := make(map[string]int32)
	got := readAll(t, brokers, topic)
	for _, r := range got {
		k := string(r.Key)
		if prev := last[k]; prev >= string(r.Value) {
			t.Fatalf("key %s: %s comes after %s", k, r.Value, prev)
		}
		last[k] = string(r.Value)
		if p, ok := where[k]; ok && p != r.Partition {
			t.Fatalf("key %s is in partitions %d and %d", k, p, r.Partition)
		}
		where[k] = r.Partition
	}
	if len(got) != 1000 {
		t.Fatalf("%d records, want 1000", len(got))
	}
}

func testManyRecords(t *testing.T, brokers []string) {
	// More than the client buffers at once.
	const n = 25_000
	topic := unique(t, "records")
	pos, position := positions(t, brokers)
	p := mustOpen(t, config(t, brokers))
	mustCommit(t, p, records(topic, n), position(2, "p"))
	if got := len(readAll(t, brokers, topic)); got != n {
		t.Fatalf("%d records, want %d", got, n)
	}
	wantValues(t, readAll(t, brokers, pos), "p")
}

func testPositionsOnly(t *testing.T, brokers []string) {
	pos, position := positions(t, brokers)
	p := mustOpen(t, config(t, brokers))
	mustCommit(t, p, nil, position(3, "barrier"))
	wantValues(t, readAll(t, brokers, pos), "barrier")

	topic := unique(t, "records")
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "1")}, nil)
	wantValues(t, readAll(t, brokers, topic), "1")
}

func testNothing(t *testing.T, brokers []string) {
	p := mustOpen(t, config(t, brokers))
	mustCommit(t, p, nil, nil)
	pos, position := positions(t, brokers)
	mustCommit(t, p, nil, position(0, "p"))
	wantValues(t, readAll(t, brokers, pos), "p")
}

func testFixedPartition(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	mustTopic(t, brokers, topic, 4)
	pos, position := positions(t, brokers)
	p := mustOpen(t, config(t, brokers))
	for part := range int32(4) {
		// The record's own Partition field is not a wish: its key decides.
		r := record(topic, "k", "r")
		r.Partition = part
		mustCommit(t, p, []*kgo.Record{r}, position(part, fmt.Sprintf("p%d", part)))
	}
	for _, r := range readAll(t, brokers, pos) {
		if want := fmt.Sprintf("p%d", r.Partition); string(r.Value) != want {
			t.Errorf("partition %d has %s", r.Partition, r.Value)
		}
	}
	by := kgo.StickyKeyPartitioner(nil).ForTopic(topic).Partition(record(topic, "k", ""), 4)
	for _, r := range readAll(t, brokers, topic) {
		if int(r.Partition) != by {
			t.Errorf("record is in partition %d, its key belongs in %d", r.Partition, by)
		}
	}
}

func testSameRecordsAgain(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	mustTopic(t, brokers, topic, 1, "max.message.bytes", "2000")
	pos, position := positions(t, brokers)
	p := mustOpen(t, config(t, brokers))
	rs := []*kgo.Record{record(topic, "a", "1"), record(topic, "b", strings.Repeat("x", 5000)), record(topic, "c", "3")}
	ps := position(0, "p")

	// Every attempt has a context of its own, and the ones before have ended.
	for range 2 {
		ctx, cancel := context.WithCancel(testCtx(t))
		err := p.Commit(ctx, rs, ps)
		cancel()
		if e := wantError[*RecordTooLargeError](t, err, false); e.Index != 1 {
			t.Fatalf("index %d, want 1", e.Index)
		}
	}
	rs[1] = record(topic, "b", "2")
	mustCommit(t, p, rs, ps)
	mustCommit(t, p, rs, ps)
	wantValues(t, readAll(t, brokers, topic), "1", "1", "2", "2", "3", "3")
	wantValues(t, readAll(t, brokers, pos), "p", "p")
}

func testFencing(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	pos, position := positions(t, brokers)
	cfg := config(t, brokers)
	older := mustOpen(t, cfg)
	mustCommit(t, older, []*kgo.Record{record(topic, "a", "old")}, position(0, "p1"))

	newer := mustOpen(t, cfg)
	err := older.Commit(testCtx(t), []*kgo.Record{record(topic, "a", "zombie")}, position(0, "p-zombie"))
	if !errors.Is(err, ErrFenced) {
		t.Fatalf("older owner's commit: %v, want ErrFenced", err)
	}
	if e := wantError[*FencedError](t, err, false, cfg.TransactionalID); e.Outlived {
		t.Error("it did not outlive its timeout")
	}
	if err := older.Close(testCtx(t)); err != nil {
		t.Errorf("closing a fenced producer: %v", err)
	}
	mustCommit(t, newer, []*kgo.Record{record(topic, "a", "new")}, position(0, "p2"))
	wantValues(t, readAll(t, brokers, topic), "old", "new")
	wantValues(t, readAll(t, brokers, pos), "p1", "p2")
}

func testTakeover(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	mustTopic(t, brokers, topic, 1)
	cfg := config(t, brokers)

	// An owner that was killed in the middle of a transaction.
	dead, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID(cfg.TransactionalID), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := dead.ProduceSync(testCtx(t), record(topic, "a", "dead")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	dead.Close()

	mustOpen(t, cfg)
	// Readable to the end: the open transaction does not hold it back.
	wantValues(t, readAll(t, brokers, topic))
}

func testTooLarge(t *testing.T, brokers []string) {
	small, big := unique(t, "small"), unique(t, "big")
	mustTopic(t, brokers, small, 1, "max.message.bytes", "10000")
	mustTopic(t, brokers, big, 1, "max.message.bytes", "3000000")
	pos, position := positions(t, brokers)
	p := mustOpen(t, config(t, brokers))

	rs := []*kgo.Record{record(small, "a", "ok"), record(big, "b", strings.Repeat("x", 2_000_000)), record(small, "c", strings.Repeat("y", 10_000))}
	err := p.Commit(testCtx(t), rs, position(0, "p"))
	e := wantError[*RecordTooLargeError](t, err, false, small, "10000")
	if e.Index != 2 || e.Topic != small || e.Limit != 10000 || e.Size < 10_000 {
		t.Fatalf("%+v", e)
	}
	mustCommit(t, p, rs[:2], position(0, "p"))
	if got := readAll(t, brokers, small, big); len(got) != 2 {
		t.Fatalf("%d records, want 2", len(got))
	}
	wantValues(t, readAll(t, brokers, pos), "p")
}

func testTooLargeAtBroker(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	mustTopic(t, brokers, topic, 1)
	pos, position := positions(t, brokers)
	cfg := config(t, brokers)
	cfg.Compression = CompressNone
	p := mustOpen(t, cfg)
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "0")}, position(0, "p0"))
	alterTopic(t, brokers, topic, "max.message.bytes", "2000")

	// Each of them fits alone, together they do not: nobody is at fault.
	rs := make([]*kgo.Record, 10)
	for i := range rs {
		rs[i] = record(topic, "a", fmt.Sprint(i)+strings.Repeat("x", 1000))
	}
	mustCommit(t, p, rs, position(0, "p1"))

	rs[7] = record(topic, "a", strings.Repeat("y", 3000))
	err := p.Commit(testCtx(t), rs, position(0, "p2"))
	if e := wantError[*RecordTooLargeError](t, err, false, topic); e.Index != 7 || e.Limit != 0 {
		t.Fatalf("%+v", e)
	}
	mustCommit(t, p, rs[:7], position(0, "p3"))
	if got := readAll(t, brokers, topic); len(got) != 1+10+7 {
		t.Fatalf("%d records, want 18", len(got))
	}
	wantValues(t, readAll(t, brokers, pos), "p0", "p1", "p3")
}

func testSmallTopic(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	mustTopic(t, brokers, topic, 1, "max.message.bytes", "2000")
	_, position := positions(t, brokers)
	cfg := config(t, brokers)
	cfg.Compression = CompressNone
	p := mustOpen(t, cfg)
	rs := make([]*kgo.Record, 50)
	for i := range rs {
		rs[i] = record(topic, "a", strings.Repeat("x", 900))
	}
	mustCommit(t, p, rs, position(0, "p"))
	if got := readAll(t, brokers, topic); len(got) != 50 {
		t.Fatalf("%d records, want 50", len(got))
	}
}

func testCancelled(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	pos, position := positions(t, brokers)
	cfg := config(t, brokers)
	p := mustOpen(t, cfg)
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "1")}, position(0, "p1"))

	stop := errors.New("lane lost")
	ctx, cancel := context.WithCancelCause(testCtx(t))
	cancel(stop)
	err := p.Commit(ctx, []*kgo.Record{record(topic, "a", "2")}, position(0, "p2"))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, stop) {
		t.Fatalf("commit: %v, want the context's error and its cause", err)
	}
	if err := p.Commit(testCtx(t), nil, position(0, "p3")); !errors.Is(err, ErrClosed) {
		t.Fatalf("commit after an error: %v, want ErrClosed", err)
	}
	p = mustOpen(t, cfg)
	mustCommit(t, p, nil, position(0, "p4"))
	wantValues(t, readAll(t, brokers, topic), "1")
	wantValues(t, readAll(t, brokers, pos), "p1", "p4")
}

func testCreates(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	cfg := config(t, brokers)
	cfg.Topics = TopicConfig{Create: true, Partitions: 5, ReplicationFactor: 1, Settings: map[string]string{"cleanup.policy": "compact", "max.message.bytes": "70000"}}
	p := mustOpen(t, cfg)
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "1")}, nil)
	got, err := p.Topic(testCtx(t), topic)
	want := Topic{Name: topic, Partitions: 5, MaxMessageBytes: 70000, CleanupPolicy: "compact"}
	if err != nil || got != want || !got.Compacted() {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
}

func testMissingTopic(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	pos, position := positions(t, brokers)
	cfg := config(t, brokers)
	cfg.Topics.Create = false
	p := mustOpen(t, cfg)
	err := p.Commit(testCtx(t), []*kgo.Record{record(topic, "a", "1")}, position(0, "p"))
	wantError[*TopicError](t, err, false, topic, "create it")
	wantValues(t, readAll(t, brokers, pos))
	if d, err := admin(t, brokers).ListTopics(testCtx(t), topic); err != nil || d.Has(topic) {
		t.Fatalf("topic exists now (%v)", err)
	}
}

func testMissingPositionTopic(t *testing.T, brokers []string) {
	topic, pos := unique(t, "records"), unique(t, "positions")
	p := mustOpen(t, config(t, brokers))
	err := p.Commit(testCtx(t), []*kgo.Record{record(topic, "a", "1")}, []*kgo.Record{{Topic: pos, Key: []byte("k")}})
	wantError[*TopicError](t, err, false, pos)
	if d, err := admin(t, brokers).ListTopics(testCtx(t), pos); err != nil || d.Has(pos) {
		t.Fatalf("position topic was created (%v)", err)
	}
}

func testTwoCreators(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	errs := make(chan error)
	for range 4 {
		p := mustOpen(t, config(t, brokers))
		go func() { errs <- p.Commit(t.Context(), []*kgo.Record{record(topic, "a", "1")}, nil) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wantValues(t, readAll(t, brokers, topic), "1", "1", "1", "1")
}

func testBadTopicName(t *testing.T, brokers []string) {
	for _, name := range []string{"no spaces allowed", ""} {
		p := mustOpen(t, config(t, brokers))
		err := p.Commit(testCtx(t), []*kgo.Record{record(name, "a", "1")}, nil)
		wantError[*TopicError](t, err, false, name)
	}
}

func testTopicSettings(t *testing.T, brokers []string) {
	p := mustOpen(t, config(t, brokers))
	name := unique(t, "existing")
	mustTopic(t, brokers, name, 2, "cleanup.policy", "compact,delete")
	got, err := p.Topic(testCtx(t), name)
	if err != nil || got.Partitions != 2 || !got.Compacted() {
		t.Fatalf("%+v, %v", got, err)
	}
}

func testRejected(t *testing.T, brokers []string) {
	// What a broker refuses for other reasons than size is a matter of the
	// broker; a position for a partition that does not exist is one of ours.
	pos, position := positions(t, brokers)
	cfg := config(t, brokers)
	p := mustOpen(t, cfg)
	err := p.Commit(testCtx(t), nil, position(99, "p"))
	if e := wantError[*RejectedError](t, err, false, pos); e.Index != -1 {
		t.Errorf("index %d of a position, want -1", e.Index)
	}
	p = mustOpen(t, cfg)
	mustCommit(t, p, nil, position(1, "p"))
	wantValues(t, readAll(t, brokers, pos), "p")
}

func testAtLeastOnce(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	mustTopic(t, brokers, topic, 1, "max.message.bytes", "5000")
	pos, position := positions(t, brokers)
	cfg := config(t, brokers)
	cfg.Delivery, cfg.TransactionalID = AtLeastOnce, ""
	p := mustOpen(t, cfg)
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "1")}, position(2, "p1"))
	err := p.Commit(testCtx(t), []*kgo.Record{record(topic, "a", "2"), record(topic, "a", strings.Repeat("x", 6000))}, position(2, "p2"))
	if e := wantError[*RecordTooLargeError](t, err, false); e.Index != 1 {
		t.Fatalf("index %d, want 1", e.Index)
	}
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "2")}, position(2, "p3"))
	wantValues(t, readAll(t, brokers, topic), "1", "2")
	wantValues(t, readAll(t, brokers, pos), "p1", "p3")
}

func testAtLeastOnceFailure(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	pos, position := positions(t, brokers)
	cfg := config(t, brokers)
	cfg.Delivery = AtLeastOnce
	p := mustOpen(t, cfg)
	ctx, cancel := context.WithCancel(testCtx(t))
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "1")}, nil)
	cancel()
	if err := p.Commit(ctx, []*kgo.Record{record(topic, "a", "2")}, position(0, "p")); !errors.Is(err, context.Canceled) {
		t.Fatalf("commit: %v, want context.Canceled", err)
	}
	wantValues(t, readAll(t, brokers, pos))
}

func testClose(t *testing.T, brokers []string) {
	p := mustOpen(t, config(t, brokers))
	for range 2 {
		if err := p.Close(testCtx(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Commit(testCtx(t), records("t", 1), nil); !errors.Is(err, ErrClosed) || Retryable(err) {
		t.Fatalf("commit after close: %v", err)
	}
	if _, err := p.Topic(testCtx(t), "t"); !errors.Is(err, ErrClosed) {
		t.Fatalf("topic after close: %v", err)
	}
}

func testCompression(t *testing.T, brokers []string) {
	topic := unique(t, "records")
	want := []string{}
	for _, c := range []Compression{CompressNone, CompressGzip, CompressSnappy, CompressLZ4, CompressZstd, ""} {
		cfg := config(t, brokers)
		cfg.Compression = c
		p := mustOpen(t, cfg)
		v := string(c) + strings.Repeat("v", 3000)
		mustCommit(t, p, []*kgo.Record{record(topic, "a", v)}, nil)
		want = append(want, v)
	}
	wantValues(t, readAll(t, brokers, topic), want...)
}

func testTimeoutTooLong(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	cfg.TransactionTimeout = 300 * time.Hour
	_, err := Open(testCtx(t), cfg)
	if e := wantError[*ConfigError](t, err, false); e.Field != "TransactionTimeout" {
		t.Fatalf("field %q", e.Field)
	}
}
