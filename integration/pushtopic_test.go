package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/foreign"
	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// The channels without a schema of Salesforce's, and one beside them in the same
// session.
const (
	topicChannel   = "/topic/InvoiceUpdates"
	filterChannel  = "/topic/OpenInvoices?Status__c='Open'"
	genericChannel = "/u/notifications/orders"
	invoiceChannel = "/data/Invoice__ChangeEvent"
)

// noted is a site that reads PushTopics and a generic channel.
type noted struct {
	*site
	reader *reader
	bridge *process
	load   *orgsim.Load
	pushed int
}

func newNoted(t *testing.T) *noted {
	t.Helper()
	cluster := kafkatest.Shared(t)
	n := &noted{site: newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), topicChannel, filterChannel, genericChannel, invoiceChannel)}
	n.replaceOrg(t, func(c *orgsim.Config) {
		c.PushTopics = []orgsim.PushTopic{orgsim.DefaultPushTopic(), {
			Name: "OpenInvoices", Query: "SELECT Id, Status__c, Loc__c FROM Invoice__c WHERE Status__c != 'Void'",
		}}
		c.StreamingChannels = []string{genericChannel}
	})
	load, err := n.org.NewLoad(orgsim.LoadConfig{Objects: []string{"Invoice__c"}})
	if err != nil {
		t.Fatal(err)
	}
	n.load, n.reader = load, n.read(t)
	return n
}

// publish makes changes of invoices, and pushes a text or something else for each
// second one.
func (n *noted) publish(t *testing.T, changes int) {
	t.Helper()
	for i := range changes {
		if err := n.load.Step(); err != nil {
			t.Fatal(err)
		}
		if i%2 > 0 {
			continue
		}
		n.pushed++
		payload := fmt.Sprintf(`"order %d: \"ready\" ✓"`, n.pushed)
		if n.pushed%5 == 0 {
			payload = fmt.Sprintf(`{"order":%d,"lines":[1.50,null]}`, n.pushed)
		}
		if err := n.org.PushJSON(genericChannel, json.RawMessage(payload)); err != nil {
			t.Fatal(err)
		}
	}
}

func (n *noted) expected() []oracle.Record { return oracle.Expected(n.org.LedgerFrom(0), n.channels) }

func (n *noted) arrive(t *testing.T) {
	t.Helper()
	n.reader.wait(t, len(n.expected()), time.Minute, func() string { return tail(n.bridge.output()) })
}

// PushTopics and generic channels come exactly once, through a bridge that is
// killed amid them and one that is drained, while a query is edited.
func TestPushTopicsAndGenericChannelsExactlyOnce(t *testing.T) {
	n := newNoted(t)
	n.publish(t, 200)
	n.bridge = n.start(t)
	n.reader.wait(t, 100, time.Minute, func() string { return tail(n.bridge.output()) })
	n.publish(t, 200)
	n.bridge.kill(t)
	n.publish(t, 200)
	n.bridge = n.start(t)
	n.arrive(t)
	n.balanced(t)
	n.bridge.drain(t)
	if err := n.org.EditPushTopic("InvoiceUpdates", "SELECT Id, Name, Amount__c, Notes__c, Quantity__c FROM Invoice__c"); err != nil {
		t.Fatal(err)
	}
	n.publish(t, 100)
	n.bridge = n.start(t)
	n.arrive(t)
	// A field more for a bridge that knows the schema already.
	if err := n.org.EditPushTopic("InvoiceUpdates", "SELECT Id, Name, Amount__c, Notes__c, Quantity__c, Discount__c FROM Invoice__c"); err != nil {
		t.Fatal(err)
	}
	n.publish(t, 100)
	n.arrive(t)
	n.balanced(t)
	n.deadLettered(t, 0)
	n.bridge.drain(t)
	n.exactly(t, n.reader)
	n.values(t)
	p := command(t, "schemas", "list", "--config", n.config(t))
	if code := p.exit(t, time.Minute); code != 0 || strings.Count(p.output(), "in_sync\":true")+strings.Count(p.output(), "in sync") < len(n.channels) {
		t.Errorf("schemas list: exit code %d\n%s", code, p.output())
	}
}

// deadLettered checks how many events could not become records.
func (n *noted) deadLettered(t *testing.T, want uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	st, err := n.status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range st.Streams {
		if s.DeadLettered != want {
			t.Errorf("%s: %d dead letters, want %d\n%s", s.Stream, s.DeadLettered, want, tail(n.bridge.output()))
		}
	}
}

// values reads all records of the three channels with another Avro reader and
// compares them with what the org sent.
func (n *noted) values(t *testing.T) {
	t.Helper()
	channels := []string{topicChannel, filterChannel, genericChannel}
	sent := map[string]orgsim.Entry{}
	for e := range n.org.LedgerFrom(0) {
		for _, c := range channels {
			if e.On(c) {
				sent[c+" "+strconv.FormatInt(e.ReplayID, 10)] = e
			}
		}
	}
	topics := []string{n.prefix + ".InvoiceUpdates", n.prefix + ".OpenInvoices", n.prefix + ".u.notifications.orders"}
	records := readWithGo(t, n.brokers, n.registry, topics, len(sent))
	kinds := map[string]int{}
	for _, r := range records {
		h := map[string]string{}
		for _, one := range r.Headers {
			h[one.Key] = string(one.Value)
		}
		e, ok := sent[h["sf-channel"]+" "+h["sf-replay-id"]]
		if !ok || len(h["sf-schema-id"]) != 22 || h["sf-change-type"] != e.ChangeType || r.Timestamp != e.Commit.UnixMilli() {
			t.Fatalf("no such event, or headers of another: %v", h)
		}
		got := decode(t, r.Value)
		event, _ := got["event"].(map[string]any)
		if fmt.Sprint(event["replayId"]) != h["sf-replay-id"] || fmt.Sprint(event["createdDate"]) != strconv.FormatInt(r.Timestamp, 10) {
			t.Fatalf("the event is %v at %d, headers %v", event, r.Timestamp, h)
		}
		kinds[e.ChangeType]++
		if e.ChangeType == "" {
			genericValue(t, e, got)
		} else {
			topicValue(t, e, r, event, got)
		}
	}
	for _, kind := range []string{"", "created", "updated", "deleted", "undeleted"} {
		if kinds[kind] == 0 {
			t.Errorf("there was no event of the type %q among %v", kind, kinds)
		}
	}
}

func genericValue(t *testing.T, e orgsim.Entry, got map[string]any) {
	t.Helper()
	var text string
	if json.Unmarshal(e.Payload, &text) == nil {
		if got["payload"] != text || got["payloadJson"] != nil {
			t.Errorf("payload %v, as JSON %v, sent %s", got["payload"], got["payloadJson"], e.Payload)
		}
	} else if got["payload"] != nil || got["payloadJson"] != string(e.Payload) {
		t.Errorf("payload %v, as JSON %v, sent %s", got["payload"], got["payloadJson"], e.Payload)
	}
}

func topicValue(t *testing.T, e orgsim.Entry, r foreign.Record, event, got map[string]any) {
	t.Helper()
	if event["type"] != e.ChangeType || string(r.Key) != e.RecordIDs[0] {
		t.Errorf("%s of %s, key %s, sent %s of %s", event["type"], r.Topic, r.Key, e.ChangeType, e.RecordIDs)
	}
	sobject, _ := got["sobject"].(map[string]any)
	nulls, _ := got["nullFields"].([]any)
	sent := decode(t, []byte(strings.ReplaceAll(string(e.Payload), "+0000", "Z")))
	for name, v := range sent {
		if !sameField(v, sobject[name]) {
			t.Errorf("%s.%s is %v, sent %v", r.Topic, name, sobject[name], v)
		}
		if listed := slices.Contains(nulls, any(name)); listed != (v == nil) {
			t.Errorf("%s.%s was sent as %v, nullFields %v", r.Topic, name, v, nulls)
		}
	}
	for name, v := range sobject {
		if _, ok := sent[name]; !ok && v != nil {
			t.Errorf("%s.%s is %v, and was not sent", r.Topic, name, v)
		}
	}
}

// sameField is sameValue for the parts of a compound field, too.
func sameField(sent, got any) bool {
	parts, ok := sent.(map[string]any)
	if !ok {
		return sameValue(sent, got)
	}
	all, ok := got.(map[string]any)
	for name, v := range parts {
		ok = ok && sameValue(v, all[name])
	}
	return ok
}

// A PushTopic that the org does not have ends the start, and one that the user
// may not read about halts its stream alone.
func TestPushTopicThatIsNotThere(t *testing.T) {
	cluster := kafkatest.Shared(t)
	t.Run("unknown", func(t *testing.T) {
		s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), "/topic/Nope")
		s.failsToStart(t, 2, "/topic/Nope", "unknown channel")
	})
	t.Run("unreadable", func(t *testing.T) {
		n := newNoted(t)
		n.replaceOrg(t, func(c *orgsim.Config) {
			user := orgsim.DefaultUser()
			user.Denied = []string{"PushTopic"}
			c.Users = []orgsim.User{user}
			c.PushTopics = []orgsim.PushTopic{orgsim.DefaultPushTopic()}
			c.StreamingChannels = []string{genericChannel}
		})
		n.channels = []string{topicChannel, genericChannel}
		if _, err := n.org.Create("Invoice__c", orgsim.Fields{"Status__c": "Open"}); err != nil {
			t.Fatal(err)
		}
		if err := n.org.Push(genericChannel, "still here"); err != nil {
			t.Fatal(err)
		}
		n.bridge = n.start(t)
		n.reader.wait(t, 1, time.Minute, func() string { return tail(n.bridge.output()) })
		halted := func() bool {
			out := n.bridge.output()
			return strings.Contains(out, "halted") && strings.Contains(out, "INVALID_TYPE") && strings.Contains(out, "PushTopic InvoiceUpdates")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for !halted() {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("the stream is not told to have halted:\n%s", tail(n.bridge.output()))
			}
		}
		n.bridge.kill(t)
		n.channels = []string{genericChannel}
		n.exactly(t, n.reader)
	})
}
