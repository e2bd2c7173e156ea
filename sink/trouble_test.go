package sink

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// troubles has a test for each row of the table in the package comment, by the
// name that the row gives. Each shows, for the deliveries where it matters, that
// a read_committed reader misses nothing and sees nothing twice, that the error is
// the one of the table, that it takes bounded time, and that a reopened producer
// works.
func troubles() map[string]func(t *testing.T) {
	all := make(map[string]func(t *testing.T))
	for _, some := range []map[string]func(t *testing.T){passing(), refusals(), lasting()} {
		maps.Copy(all, some)
	}
	return all
}

func TestTrouble(t *testing.T) {
	for name, f := range troubles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t)
		})
	}
}

// The table of the package comment and the tests have the same rows.
func TestTroubleTable(t *testing.T) {
	inTable := make(map[string]bool)
	for _, row := range troubleTable(t) {
		inTable[row.test] = true
		if row.kafka != "" {
			inTable["kafka: "+row.kafka] = true
		}
	}
	tested := make(map[string]bool)
	for name := range troubles() {
		tested[name] = true
	}
	for _, some := range kafkaTroubles() {
		for name := range some {
			tested["kafka: "+name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inTable)) {
		if !tested[name] {
			t.Errorf("the table names the test %q, which does not exist", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tested)) {
		if !inTable[name] {
			t.Errorf("no row of the table names the test %q", name)
		}
	}
}

type troubleRow struct{ test, kafka string }

// troubleTable reads the tests' names from the last two columns of the table.
func troubleTable(t *testing.T) []troubleRow {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	return parseTable(f.Doc)
}

func parseTable(doc *ast.CommentGroup) []troubleRow {
	_, table, _ := strings.Cut(doc.Text(), "# Kafka's own trouble")
	table, _, _ = strings.Cut(table, "\n# ")
	var rows []troubleRow
	at := -1 // where the column of the tests begins
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.Contains(line, "test; on Kafka"):
			at = strings.Index(line, "test; on Kafka")
		case at < 0, len(line) <= at, strings.Contains(line, "----"):
		default:
			test, kafka, _ := strings.Cut(line[at:], "; ")
			rows = append(rows, troubleRow{test: strings.TrimSpace(test), kafka: strings.TrimSpace(kafka)})
		}
	}
	return rows
}

// both runs a test for each delivery.
func both(f func(t *testing.T, change func(*Config))) func(t *testing.T) {
	return func(t *testing.T) {
		for _, d := range []Delivery{ExactlyOnce, AtLeastOnce} {
			t.Run(d.String(), func(t *testing.T) {
				t.Parallel()
				f(t, func(c *Config) { c.Delivery, c.TransactionTimeout = d, 20*time.Second })
			})
		}
	}
}

// once is the same for ExactlyOnce alone.
func once(f func(t *testing.T, change func(*Config))) func(t *testing.T) {
	return func(t *testing.T) {
		f(t, func(c *Config) { c.TransactionTimeout = 20 * time.Second })
	}
}

// passes is trouble that the client gets over by itself, within one commit.
func passes(key kmsg.Key, errs ...*kerr.Error) func(t *testing.T, change func(*Config)) {
	return func(t *testing.T, change func(*Config)) {
		r := newRig(t, change)
		faults := make([]kfake.Fault, len(errs))
		for i, err := range errs {
			faults[i] = fault([]kmsg.Key{key}, err, 1)
		}
		h := r.c.Fault(faults...)
		if err := r.commit(t); err != nil {
			t.Fatal(err)
		}
		if h.Hits() != len(errs) {
			t.Errorf("%d faults met, want %d", h.Hits(), len(errs))
		}
		if err := r.p.usable(); err != nil {
			t.Errorf("the producer is not usable any more: %v", err)
		}
		r.reopened(t, true)
	}
}

// onRecords is a produce error for the topic of the records, until it is removed.
func (r *rig) onRecords(err *kerr.Error) kfake.Fault {
	f := fault(onProduce, err, -1)
	f.Topic = r.topic
	return f
}

// fails is trouble that a commit ends with, as an error of type T.
func fails[T error](retryable bool, errs ...*kerr.Error) func(t *testing.T, change func(*Config)) {
	return func(t *testing.T, change func(*Config)) {
		for _, cause := range errs {
			t.Run(cause.Message, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, change)
				h := r.c.Fault(r.onRecords(cause))
				err := r.commit(t)
				wantError[T](t, err, retryable, cause.Message)
				if !errors.Is(err, cause) {
					t.Errorf("%v does not wrap %v", err, cause)
				}
				if r.p.usable() == nil {
					t.Error("the producer takes another commit")
				}
				h.Remove()
				r.reopened(t, false)
			})
		}
	}
}

// stalls is trouble that outlasts the transaction's time. says is what the error
// tells of it, once the brokers have been asked.
func stalls(cause *kerr.Error, ill func(t *testing.T, r *rig) (heal func()), says ...string) func(t *testing.T, change func(*Config)) {
	return func(t *testing.T, change func(*Config)) {
		r := newRig(t, change, func(c *Config) { c.TransactionTimeout = 4 * time.Second })
		h := r.c.Fault(r.onRecords(cause))
		heal := func() {}
		if ill != nil {
			heal = ill(t, r)
		}
		began := time.Now()
		err := r.commit(t)
		took := time.Since(began)
		e := wantError[*StalledError](t, err, true, append(says, "kafka answers")...)
		if e.Doing == "" || e.Within < time.Second {
			t.Errorf("%+v", e)
		}
		if limit := bound(r.cfg); took > limit {
			t.Errorf("took %s, want less than %s", took, limit)
		}
		h.Remove()
		heal()
		r.reopened(t, false)
	}
}

// bound is how long a commit may take, on a machine that has other things to do.
func bound(cfg Config) time.Duration {
	return 2*cfg.TransactionTimeout + 4*cfg.Grace + 5*time.Second
}

// throttle answers every produce request with "not now", and makes the client
// wait.
func throttle(c *kfake.Cluster, times int, wait time.Duration) {
	c.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		if times == 0 {
			return nil, nil, false
		}
		times--
		c.KeepControl()
		req := kreq.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		resp.ThrottleMillis = int32(wait.Milliseconds())
		for _, rt := range req.Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.ConcurrentTransactions.Code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
}

// batch makes records for every partition of the topic.
func (r *rig) batch(from, n int) []*kgo.Record {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = record(r.topic, fmt.Sprint("key-", i), fmt.Sprint(from+i))
	}
	return rs
}
