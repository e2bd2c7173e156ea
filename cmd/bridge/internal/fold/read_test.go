package fold_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
)

// cluster is a Kafka with a topic t.
func cluster(t *testing.T, partitions int32) []kgo.Opt {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
}

func client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// transact writes records in a transaction that ends so.
func transact(t *testing.T, cl *kgo.Client, end kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// What was aborted never was; what is open comes later; and a second Read goes on.
func TestReadCommitted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	brokers := cluster(t, 3)
	producer := client(t, append(brokers, kgo.TransactionalID("p"))...)
	cfg := everything()
	cfg.Object, cfg.Org = "", "" // whatever is in the topic, the ends of transactions are no records
	cfg.Topics, cfg.Client = []string{"t", "absent"}, client(t, append(brokers, fold.ClientOptions()...)...)
	var done, of int64
	cfg.Progress = func(d, o int64) { done, of = d, o }
	f := made(t, cfg)

	read := func(want string, others bool) {
		t.Helper()
		if err := f.Read(ctx); err != nil {
			t.Fatal(err)
		}
		if got := shown(f, one); got != want || f.Has(two) != others {
			t.Errorf("folds to %s, others %v; want %s, %v", got, f.Has(two), want, others)
		}
	}
	read("gone", false)
	transact(t, producer, kgo.TryCommit, said("CREATE", one, 0, "", `"A":1`), said("CREATE", two, 0, "", ``))
	transact(t, producer, kgo.TryAbort, said("UPDATE", one, 1, "", `"A":2`), said("DELETE", two, 1, "", ``))
	read("A=1", true)
	if done != of || of == 0 {
		t.Errorf("progress ends with %d of %d", done, of)
	}
	read("A=1", true) // nothing more
	transact(t, producer, kgo.TryCommit, said("UPDATE", one, 2, "", `"A":3`), said("DELETE", two, 2, "", ``))
	read("A=3", false)

	if err := producer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := producer.ProduceSync(ctx, said("UPDATE", one, 3, "", `"A":4`)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	read("A=3", false)
	if err := producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	read("A=4", false)
}

// The end of the context ends a Read, and the next one goes on.
func TestReadEnds(t *testing.T) {
	brokers := cluster(t, 1)
	producer := client(t, brokers...)
	if err := producer.ProduceSync(t.Context(), said("CREATE", one, 0, "", `"A":1`)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := everything()
	cfg.Topics, cfg.Client = []string{"t"}, client(t, append(brokers, fold.ClientOptions()...)...)
	f := made(t, cfg)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Read(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	if err := f.Read(t.Context()); err != nil || shown(f, one) != "A=1" {
		t.Errorf("afterwards: %v, %s", err, shown(f, one))
	}
}

// While a partition gets another leader its offsets cannot be listed.
func TestReadOutlastsAnElection(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	brokers := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
	if err := client(t, brokers...).ProduceSync(t.Context(), said("CREATE", one, 0, "", `"A":1`)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	refuse := func(code int16) {
		c.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive,staticcheck // the signature is kfake's
			answer, ok := r.ResponseKind().(*kmsg.ListOffsetsResponse)
			if !ok {
				return nil, nil, false
			}
			partition := kmsg.NewListOffsetsResponseTopicPartition()
			partition.ErrorCode = code
			answer.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsResponseTopicPartition{partition}}}
			return answer, nil, true
		})
	}
	cfg := everything()
	cfg.Topics, cfg.Client = []string{"t"}, client(t, append(brokers, fold.ClientOptions()...)...)
	f := made(t, cfg)
	refuse(kerr.LeaderNotAvailable.Code)
	if err := f.Read(t.Context()); err != nil || shown(f, one) != "A=1" {
		t.Errorf("after an election: %v, %s", err, shown(f, one))
	}
	refuse(kerr.TopicAuthorizationFailed.Code)
	if err := f.Read(t.Context()); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("a topic that may not be read: %v", err)
	}
}

// A record that cannot be folded ends it for good: what is behind it was lost.
func TestReadStaysFailed(t *testing.T) {
	brokers := cluster(t, 1)
	producer := client(t, brokers...)
	strange := said("CREATE", "no id", 0, "", "")
	if err := producer.ProduceSync(t.Context(), strange, said("CREATE", one, 0, "", "")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := everything()
	cfg.Topics, cfg.Client = []string{"t"}, client(t, append(brokers, fold.ClientOptions()...)...)
	f := made(t, cfg)
	first := f.Read(t.Context())
	if _, ok := errors.AsType[*fold.RecordError](first); !ok {
		t.Fatal(first)
	}
	if again := f.Read(t.Context()); !errors.Is(again, first) {
		t.Errorf("again: %v", again)
	}
}

// What was fetched beside an error is not fetched again, and is folded.
func TestReadKeepsWhatCameWithAnError(t *testing.T) {
	f := made(t, everything())
	err := f.Fetched(t.Context(), kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "t", Partitions: []kgo.FetchPartition{
		{Partition: 0, Records: []*kgo.Record{said("CREATE", one, 0, "", `"A":1`)}},
		{Partition: 1, Err: kerr.TopicAuthorizationFailed},
	}}}}})
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || shown(f, one) != "A=1" {
		t.Errorf("%v, %s", err, shown(f, one))
	}
}
