package audit_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/audit"
	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

const (
	object  = "Widget__c"
	channel = "/data/Widget__ChangeEvent"
	topic   = "salesforce.Widget__c"
)

// world is an org and a Kafka, and between them something that writes the org's events
// into the topic, late, and leaves some of them out.
type world struct {
	org     *orgsim.Org
	client  *salesforce.Client
	encoder *transform.Encoder
	brokers []kgo.Opt
	writer  *kgo.Client
	late    time.Duration
	ahead   time.Duration // of the org's clock

	mu   sync.Mutex
	lose func(e *orgsim.Entry) bool
	next int // entry of the org's ledger
	hold int // newest entries that are not written yet
}

type issuing struct{ o *orgsim.Org }

func (i issuing) Exchange(context.Context) (salesforce.Token, error) {
	access, err := i.o.Issue("")
	return salesforce.Token{Access: salesforce.Secret(access), InstanceURL: "https://org.invalid", OrgID: i.o.ID()}, err
}

type fetcher struct{ client *salesforce.Client }

func (f fetcher) EventSchema(ctx context.Context, id string) ([]byte, error) {
	return f.client.EventSchema(ctx, id)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, late time.Duration) *world {
	t.Helper()
	w := &world{late: late, lose: func(*orgsim.Entry) bool { return false }}
	text := func(name string) orgsim.Field { return orgsim.Field{Name: name, Type: orgsim.Text, Length: 80} }
	var err error
	w.org, err = orgsim.New(orgsim.Config{Seed: 3, Retention: -1, Objects: []orgsim.Object{{
		Name: object, KeyPrefix: "a01",
		Fields: []orgsim.Field{{Name: "Name", Type: orgsim.AutoNumber, Format: "W-"}, text("Site__c"), text("Sic__c"), {Name: "Note__c", Type: orgsim.LongText, Length: 32000}},
	}}})
	check(t, err)
	t.Cleanup(func() { check(t, w.org.Close()) })
	w.client, err = salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issuing{w.org}), APIVersion: "66.0", HTTP: &http.Client{Transport: w.org.RoundTripper()},
	})
	check(t, err)
	w.encoder, err = w.newEncoder()
	check(t, err)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topic))
	check(t, err)
	t.Cleanup(kafka.Close)
	w.brokers = []kgo.Opt{kgo.SeedBrokers(kafka.ListenAddrs()...)}
	w.writer, err = kgo.NewClient(append(w.brokers, kgo.ProducerLinger(0))...)
	check(t, err)
	t.Cleanup(w.writer.Close)
	return w
}

func (w *world) newEncoder() (*transform.Encoder, error) {
	return transform.NewEncoder(transform.Config{
		OrgID: w.org.ID(), Schemas: schemas.NewCatalog(fetcher{w.client}), Format: transform.JSON,
		Tombstone: func(string) bool { return true },
	})
}

// loses says which events are never written.
func (w *world) loses(which func(e *orgsim.Entry) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = which
}

// pump writes what the org has published until ctx ends, and then the rest.
func (w *world) pump(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		last := ctx.Err() != nil
		var records []*kgo.Record
		for e := range w.org.LedgerFrom(w.next) {
			if e.Index >= w.org.LedgerLen()-w.hold {
				break
			}
			if !last && time.Since(e.Commit)+w.ahead < w.late {
				break
			}
			w.next = e.Index + 1
			w.mu.Lock()
			lost := w.lose(&e)
			w.mu.Unlock()
			if lost {
				continue
			}
			var err error
			if records, _, err = w.encoder.Encode(context.Background(), records, &transform.Event{
				Channel: channel, Position: strconv.FormatInt(e.ReplayID, 10), SchemaID: e.SchemaID, Payload: e.Payload,
			}); err != nil {
				return err
			}
		}
		if err := w.writer.ProduceSync(context.Background(), records...).FirstErr(); err != nil || last {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// spin does something until the returned function is called, which tells what it said.
func spin(do func(ctx context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

// change changes records 200 times a second until ctx ends: makes, deletes and brings
// some back, and changes some of them much more often than others.
func (w *world) change(ids []string) func(ctx context.Context) error {
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	gone := make(map[string]bool)
	return func(ctx context.Context) error {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			id := ids[min(rnd.IntN(len(ids)), rnd.IntN(len(ids)), rnd.IntN(len(ids)))]
			var err error
			switch n := rnd.IntN(12); {
			case gone[id]:
				err, gone[id] = w.org.Undelete(object, id), false
			case n == 0:
				err, gone[id] = w.org.Delete(object, id), true
			case n == 1:
				var made string
				made, err = w.org.Create(object, orgsim.Fields{"Site__c": "new"})
				ids = append(ids, made)
			case n == 2:
				err = w.org.Update(object, id, orgsim.Fields{"Sic__c": nil})
			case n == 3:
				err = w.org.Touch(object, id)
			default:
				err = w.org.Update(object, id, orgsim.Fields{"Site__c": strconv.Itoa(i), "Sic__c": strconv.Itoa(i % 7)})
			}
			if err != nil {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		return nil
	}
}

func (w *world) create(t *testing.T, n int) (ids []string) {
	t.Helper()
	for i := range n {
		id, err := w.org.Create(object, orgsim.Fields{"Site__c": "s" + strconv.Itoa(i), "Sic__c": "c"})
		check(t, err)
		ids = append(ids, id)
	}
	return ids
}

// config is an audit of the world that lets a doubt last so long.
func (w *world) config(t *testing.T, settle time.Duration) audit.Config {
	t.Helper()
	shape, err := snapshot.NewShape(t.Context(), snapshot.ShapeConfig{Client: w.client, Org: w.org.ID(), Channel: channel, Object: object})
	check(t, err)
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{Client: w.client, PageRows: 50})
	check(t, err)
	encoder, err := w.newEncoder()
	check(t, err)
	consumer, err := kgo.NewClient(append(w.brokers, fold.ClientOptions()...)...)
	check(t, err)
	t.Cleanup(consumer.Close)
	return audit.Config{
		Reader: reader, Sampler: reader, Shape: shape, Encoder: encoder, Settle: settle, Draw: rand.IntN,
		Topic: fold.Config{Client: consumer, Topics: []string{topic}, Object: object, Org: w.org.ID(), Format: transform.JSON},
	}
}
