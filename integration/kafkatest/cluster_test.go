package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

const patience = 60 * time.Second

func TestSharedProducesAndConsumes(t *testing.T) {
	c := Shared(t)
	t.Log(c)
	if again := Shared(t); again != c {
		t.Error("the second call made another cluster")
	}
	topic := c.Topic(t)
	createTopic(t, c, topic, 3)
	transact(t, c, topic, "aborted", 20, kgo.TryAbort)
	transact(t, c, topic, "committed", 100, kgo.TryCommit)
	got := readCommitted(t, c, topic, 100)
	for i := range 100 {
		if key := fmt.Sprintf("committed-%d", i); got[key] != 1 {
			t.Errorf("record %s was read %d times", key, got[key])
		}
	}
}

func TestKillStopRestart(t *testing.T) {
	c := Start(t, Partitions(4))
	if !c.Killable() {
		t.Fatal("a private broker must be killable")
	}
	topic, want := c.Topic(t), 0
	createTopic(t, c, topic, -1)
	for _, step := range []struct {
		name string
		down func() error // nil: Restart has to take it down itself
	}{{"kill", c.Kill}, {"stop", c.Stop}, {"nothing", nil}} {
		name := step.name
		transact(t, c, topic, name, 50, kgo.TryCommit)
		want += 50
		// Seen by a consumer first: a broker that is killed right after it said
		// yes may still owe the markers of the transaction.
		if got := readCommitted(t, c, topic, want); len(got) != want {
			t.Fatalf("before %s: %d of %d records", name, len(got), want)
		}
		if step.down != nil {
			takeDown(t, c, name, step.down)
		}
		began, before := time.Now(), c.Brokers()[0]
		if err := c.Restart(t.Context()); err != nil {
			t.Fatalf("restart after %s: %v", name, err)
		}
		t.Logf("restart after %s took %.1fs", name, time.Since(began).Seconds())
		if c.Brokers()[0] != before {
			t.Errorf("the address changed from %s to %s", before, c.Brokers()[0])
		}
		if got := readCommitted(t, c, topic, want); len(got) != want {
			t.Errorf("after %s: %d of %d records are still there", name, len(got), want)
		}
	}
	meta, err := kadm.NewClient(dial(t, c.Brokers())).Metadata(t.Context(), topic)
	if err != nil || len(meta.Topics[topic].Partitions) != 4 {
		t.Errorf("the topic has %d partitions, want 4 (%v)", len(meta.Topics[topic].Partitions), err)
	}
}

func takeDown(t *testing.T, c *Cluster, name string, down func() error) {
	t.Helper()
	for _, which := range []string{"a running broker", "one that is down"} {
		if err := down(); err != nil {
			t.Fatalf("%s %s: %v", name, which, err)
		}
	}
	if conn, err := net.DialTimeout("tcp", c.Brokers()[0], time.Second); err == nil {
		closeQuietly(conn)
		t.Fatalf("%s: the broker still accepts connections", name)
	}
}

// A broker without the rights: what a user must see is made here.
func TestAuthorizer(t *testing.T) {
	c := Start(t, Authorizer(), User("bridge", `pass"word\`), User("other", "x"))
	topic := c.Topic(t)
	createTopic(t, c, topic, 1)

	wrong := dial(t, c.SASLBrokers(), kgo.SASL(plain.Auth{User: "bridge", Pass: "wrong"}.AsMechanism()))
	if err := wrong.Ping(t.Context()); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("a wrong password: %v", err)
	}
	user := dial(t, c.SASLBrokers(), kgo.SASL(plain.Auth{User: "bridge", Pass: `pass"word\`}.AsMechanism()))
	record := kgo.KeySliceRecord([]byte("k"), []byte("v"))
	record.Topic = topic
	if err := user.ProduceSync(t.Context(), record).FirstErr(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("a user without rights: %v", err)
	}
	grant := kadm.NewACLs().Allow("User:bridge").AllowHosts("*").Topics(topic).
		ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite, kadm.OpDescribe)
	results, err := kadm.NewClient(dial(t, c.Brokers())).CreateACLs(t.Context(), grant)
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		t.Fatalf("grant: %v", err)
	}
	waitFor(t, "the granted right", func() error { return user.ProduceSync(t.Context(), record).FirstErr() })
}

func TestBrokersOfSomebodyElse(t *testing.T) {
	c, err := openExternal(t.Context(), Shared(t).Brokers()[0])
	if err != nil {
		t.Fatal(err)
	}
	if c.Killable() {
		t.Error("brokers of somebody else must not be killable")
	}
	for _, err := range []error{c.Kill(), c.Stop(), c.Restart(t.Context())} {
		if !errors.Is(err, ErrNotOurs) {
			t.Errorf("got %v, want ErrNotOurs", err)
		}
	}
}

// A broker that cannot start says why at once instead of running into a timeout.
func TestBrokerThatCannotStart(t *testing.T) {
	Shared(t)
	o, err := gather([]Option{Property("log.segment.bytes", "nonsense")})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := newLocals(t.Context(), o); err == nil || !strings.Contains(err.Error(), "log.segment.bytes") {
		t.Errorf("got %v, %v, want the broker's own words", b, err)
	}
}

func TestTopicNames(t *testing.T) {
	c := &Cluster{}
	t.Run("with spaces, ünïcode/and a "+strings.Repeat("long ", 60)+"name", func(t *testing.T) {
		a, b := c.Topic(t), c.Topic(t)
		if a == b || len(a) > 249 || strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			t.Errorf("got %q and %q", a, b)
		}
	})
}

func TestRegistry(t *testing.T) {
	url := Registry(t)
	if again := Registry(t); again != url {
		t.Errorf("the second call made another registry: %s", again)
	}
	subject := url + "/subjects/" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")) + "-value"
	schema := `{"schema":"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"f\",\"type\":\"long\"}]}"}`
	status, body := call(t, http.MethodPost, subject+"/versions", schema)
	if status != http.StatusOK || !strings.Contains(body, `"id":`) {
		t.Fatalf("register: %d %s", status, body)
	}
	id := strings.Trim(body[strings.Index(body, ":")+1:], " }\n")
	if status, body := call(t, http.MethodGet, url+"/schemas/ids/"+id, ""); status != http.StatusOK || !strings.Contains(body, `\"name\":\"A\"`) {
		t.Errorf("fetch schema %s: %d %s", id, status, body)
	}
	config := strings.Replace(subject, "/subjects/", "/config/", 1)
	if status, body := call(t, http.MethodPut, config, `{"compatibility":"BACKWARD"}`); status != http.StatusOK {
		t.Fatalf("set compatibility: %d %s", status, body)
	}
	other := strings.Replace(schema, `\"f\",\"type\":\"long\"`, `\"g\",\"type\":\"string\"`, 1)
	if status, body := call(t, http.MethodPost, subject+"/versions", other); status != http.StatusConflict {
		t.Errorf("register an incompatible schema: %d %s", status, body)
	}
}

func call(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(resp.Body)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func dial(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.AlwaysRetryEOF()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func createTopic(t *testing.T, c *Cluster, topic string, partitions int32) {
	t.Helper()
	if _, err := kadm.NewClient(dial(t, c.Brokers())).CreateTopic(t.Context(), partitions, -1, nil, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

// transact writes n records in one transaction.
func transact(t *testing.T, c *Cluster, topic, prefix string, n int, end kgo.TransactionEndTry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := dial(t, c.Brokers(), kgo.TransactionalID(c.Topic(t)))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "%s-%d", prefix, i), Value: []byte("v")}
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	// franz-go 1.22.2 ends a transaction without sending anything as long as its
	// own table of topics lacks the partitions that were written to.
	for _, r := range records {
		waitFor(t, "the partition in the client's table", func() error {
			leader, _, err := client.PartitionLeader(r.Topic, r.Partition)
			if err == nil && leader < 0 {
				err = fmt.Errorf("partition %d of %s is not in it", r.Partition, r.Topic)
			}
			return err
		})
	}
	if err := client.EndTransaction(ctx, end); err != nil {
		t.Fatalf("end the transaction: %v", err)
	}
}

// readCommitted reads until it has n records and counts them by key.
func readCommitted(t *testing.T, c *Cluster, topic string, n int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := dial(t, c.Brokers(), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got := map[string]int{}
	for read := 0; read < n; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %d of %d records: %v", read, n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got[string(r.Key)]++; read++ })
	}
	return got
}

func waitFor(t *testing.T, what string, ready func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := poll(ctx, nil, func(context.Context) error { return ready() }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
