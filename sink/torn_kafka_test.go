package sink

import (
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

// tearing is a producer one of whose transactions is torn: some of its records are
// written so that the coordinator does not know that their partition is in it.
type tearing struct {
	*rig
	brokers []string
	at      int32      // where the transaction's records go
	by      producerID // that the torn transaction is written with
}

func newTearing(t *testing.T, c *kafkatest.Cluster) *tearing {
	t.Helper()
	r := &tearing{rig: &rig{net: &gate{}, topic: unique(t, "records")}, brokers: c.Brokers()}
	r.pos, r.position = positions(t, r.brokers)
	r.cfg = config(t, r.brokers)
	r.cfg.Client = append(r.cfg.Client, kgo.Dialer(r.net.dial))
	r.p = mustOpen(t, r.cfg)
	one := record(r.topic, "a", "1")
	mustCommit(t, r.p, []*kgo.Record{one}, r.position(0, "p1"))
	r.at = one.Partition
	return r
}

// tear makes a transaction with the records 2 and 2', the second of which it leaves
// open in a partition of topic.
func (r *tearing) tear(t *testing.T, topic string, partition int32, commit bool) {
	t.Helper()
	ctx := testCtx(t)
	if err := r.p.begin(ctx, ctx, nil); err != nil {
		t.Fatal(err)
	}
	r.by = r.p.id
	r.smuggle(t, topic, partition, "2'")
	if fail := r.p.produce(ctx, []*kgo.Record{record(r.topic, "a", "2")}, r.position(0, "p2")); fail != nil {
		t.Fatal(fail.err)
	}
	end := r.p.abort
	if commit {
		end = r.p.end
	}
	if err := end(ctx); err != nil {
		t.Fatal(err)
	}
}

// smuggle writes a record as an old client does that has added its partition to the
// transaction before, and did not.
func (r *tearing) smuggle(t *testing.T, topic string, partition int32, value string) {
	t.Helper()
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.Produce), 11)
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.MaxVersions(v))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &r.cfg.TransactionalID, -1, 10_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, transactional(r.by, value)
	of := kmsg.NewProduceRequestTopic()
	of.Topic, of.Partitions = topic, append(of.Partitions, part)
	req.Topics = append(req.Topics, of)
	resp, err := req.RequestWith(testCtx(t), cl)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// transactional is a batch of one record, the producer's first in its partition.
func transactional(by producerID, value string) []byte {
	rec := kmsg.NewRecord()
	rec.Key, rec.Value = []byte("k"), []byte(value)
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // behind a length of one byte
	b := kmsg.NewRecordBatch()
	b.PartitionLeaderEpoch, b.Magic = -1, 2
	b.Attributes = 1 << 4
	b.FirstTimestamp = time.Now().UnixMilli()
	b.MaxTimestamp = b.FirstTimestamp
	b.ProducerID, b.ProducerEpoch = by.id, by.epoch
	b.NumRecords, b.Records = 1, rec.AppendTo(nil)
	const beforeLength, beforeCRC = 8 + 4, 8 + 4 + 4 + 1 + 4
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - beforeLength)
	b.CRC = int32(crc32.Checksum(raw[beforeCRC:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

// reopen is what a process does that comes after this one.
func (r *tearing) reopen(t *testing.T) {
	t.Helper()
	_ = r.p.Close(testCtx(t))
	r.p = mustOpen(t, r.cfg)
}

// outweigh is a transaction with the partition that 2' is in, and the other outcome.
func (r *tearing) outweigh(t *testing.T, topic string, partition int32, commit bool) {
	t.Helper()
	ctx := testCtx(t)
	four := []*kgo.Record{{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte("4")}}
	if err := r.p.ensure(ctx, nil, four); err != nil {
		t.Fatal(err)
	}
	if err := r.p.begin(ctx, ctx, r.position(0, "")); err != nil {
		t.Fatal(err)
	}
	if fail := r.p.produce(ctx, nil, four); fail != nil {
		t.Fatal(fail.err)
	}
	end := r.p.abort
	if commit {
		end = r.p.end
	}
	if err := end(ctx); err != nil {
		t.Fatal(err)
	}
}

// A torn transaction ends everywhere as it ended at its coordinator: whether the
// producer goes on, another one takes over, or the coordinator has forgotten it by
// then.
func kafkaTorn(t *testing.T, c *kafkatest.Cluster) {
	for name, next := range map[string]func(r *tearing, t *testing.T){
		"goes on":       func(r *tearing, _ *testing.T) { r.net.drop() },
		"reopens":       (*tearing).reopen,
		"reopens twice": func(r *tearing, t *testing.T) { r.reopen(t); r.reopen(t) },
	} {
		for end, commit := range map[string]bool{outcomeCommit: true, outcomeAbort: false} {
			t.Run(name+" after "+end, func(t *testing.T) {
				t.Parallel()
				r := newTearing(t, c)
				elsewhere := (r.at + 1) % 3
				r.tear(t, r.topic, elsewhere, commit)
				next(r, t)
				r.outweigh(t, r.topic, elsewhere, !commit)
				mustCommit(t, r.p, []*kgo.Record{record(r.topic, "a", "3")}, r.position(0, "p3"))
				want, wantPos := []string{"1", "3", "4"}, []string{"p1", "p3"}
				if commit {
					want, wantPos = []string{"1", "2", "2'", "3"}, []string{"p1", "p2", "p3"}
				}
				wantValues(t, readAll(t, r.brokers, r.topic), want...)
				wantValues(t, readAll(t, r.brokers, r.pos), wantPos...)
			})
		}
	}
}

// What is torn where the positions are is ended as a producer takes over, since nobody
// could tell later.
func kafkaTornPositions(t *testing.T, c *kafkatest.Cluster) {
	const elsewhere = 1
	for end, commit := range map[string]bool{outcomeCommit: true, outcomeAbort: false} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			r := newTearing(t, c)
			r.cfg.Positions = Place{r.pos, elsewhere}
			r.tear(t, r.pos, elsewhere, commit)
			r.reopen(t)
			r.reopen(t)
			r.outweigh(t, r.pos, elsewhere, !commit)
			want, wantPos := []string{"1"}, []string{"p1", "4"}
			if commit {
				want, wantPos = []string{"1", "2"}, []string{"p1", "p2", "2'"}
			}
			wantValues(t, readAll(t, r.brokers, r.topic), want...)
			wantValues(t, readAll(t, r.brokers, r.pos), wantPos...)
		})
	}
}

// asking tells when a client has learnt what is open in a partition.
type asking chan struct{}

// OnBrokerRead is called by the client after each response.
func (a asking) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.DescribeProducers) {
		select {
		case a <- struct{}{}:
		default:
		}
	}
}

// An owner that knows how to end a torn transaction is not fenced by the next one
// before it has.
func kafkaTornWaits(t *testing.T, c *kafkatest.Cluster) {
	const elsewhere = 1
	r := newTearing(t, c)
	r.tear(t, r.pos, elsewhere, true)
	r.reopen(t) // from now on this producer alone knows
	second := &tearing{rig: &rig{net: r.net, topic: r.topic, pos: r.pos, position: r.position, cfg: r.cfg}, brokers: r.brokers}
	asked := make(asking, 1)
	second.cfg.Positions = Place{r.pos, elsewhere}
	second.cfg.Client = append(slices.Clone(r.cfg.Client), kgo.WithHooks(asked))
	opened := make(chan error, 1)
	go func() {
		var err error
		second.p, err = Open(testCtx(t), second.cfg)
		opened <- err
	}()
	select {
	case <-asked:
	case err := <-opened:
		t.Fatalf("it opened before it knew: %v", err)
	}
	if err := r.p.ensure(testCtx(t), nil, r.position(elsewhere, "")); err != nil {
		t.Fatal(err)
	}
	if err := r.p.begin(testCtx(t), testCtx(t), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.p.Close(testCtx(t)) }()
	second.outweigh(t, r.pos, elsewhere, false)
	wantValues(t, readAll(t, r.brokers, r.topic), "1", "2")
	wantValues(t, readAll(t, r.brokers, r.pos), "p1", "p2", "2'")
}

// An owner that is killed as it ends a torn transaction does not have it aborted by the
// next one.
func kafkaTornFinished(t *testing.T, c *kafkatest.Cluster) {
	r := newTearing(t, c)
	elsewhere := (r.at + 1) % 3
	r.tear(t, r.topic, elsewhere, true)
	r.reopen(t)
	cl, err := r.p.aside(oldEnding())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := r.p.addPartitions(testCtx(t), cl, r.p.id, []hanging{{by: r.by, topic: r.topic, partition: elsewhere}}); err != nil {
		t.Fatal(err)
	}
	r.cfg.Positions = Place{r.pos, 0}
	r.reopen(t)
	mustCommit(t, r.p, []*kgo.Record{record(r.topic, "a", "3")}, r.position(0, "p3"))
	wantValues(t, readAll(t, r.brokers, r.topic), "1", "2", "2'", "3")
	wantValues(t, readAll(t, r.brokers, r.pos), "p1", "p2", "p3")
}

// Where nobody knows the outcome any more, nothing is begun until an operator has
// ended the transaction.
func kafkaTornUnknown(t *testing.T, c *kafkatest.Cluster) {
	r := newTearing(t, c)
	const elsewhere = 1
	r.tear(t, r.pos, elsewhere, true)
	r.reopen(t)
	r.reopen(t)
	err := r.p.Commit(testCtx(t), []*kgo.Record{record(r.topic, "a", "3")}, r.position(elsewhere, "p3"))
	e := wantError[*TornError](t, err, false, r.pos, "nobody knows", "kafka-transactions.sh", "abort --topic")
	if e.Topic != r.pos || e.Partition != elsewhere || e.ProducerID != r.by.id || e.Offset != 0 || e.Outcome != "" {
		t.Errorf("%+v", e)
	}
	r.cfg.Positions, r.cfg.OpenTimeout = Place{r.pos, elsewhere}, 2*time.Second
	_, err = Open(testCtx(t), r.cfg)
	wantError[*TornError](t, err, false, r.pos, "no owner")
	r.give(t, e)
	r.cfg.OpenTimeout = 0
	r.reopen(t)
	mustCommit(t, r.p, []*kgo.Record{record(r.topic, "a", "3")}, r.position(elsewhere, "p3"))
	wantValues(t, readAll(t, r.brokers, r.topic), "1", "2", "3")
	wantValues(t, readAll(t, r.brokers, r.pos), "p1", "p2", "p3")
}

// give gives a transaction up, as kafka-transactions.sh abort does.
func (r *tearing) give(t *testing.T, e *TornError) {
	t.Helper()
	found, err := r.p.describeProducers(testCtx(t), e.Topic, e.Partition)
	if err != nil {
		t.Fatal(err)
	}
	open := found[e.Topic].Partitions[e.Partition].ActiveProducers[e.ProducerID]
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	marker.ProducerID, marker.ProducerEpoch = open.ProducerID, open.ProducerEpoch
	marker.CoordinatorEpoch = max(open.CoordinatorEpoch, 0)
	in := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	in.Topic, in.Partitions = e.Topic, []int32{e.Partition}
	marker.Topics = append(marker.Topics, in)
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Markers = append(req.Markers, marker)
	resp, err := req.RequestWith(testCtx(t), r.p.cl)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Markers[0].Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}
