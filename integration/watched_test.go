package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// The two streams of a watched site: one that things are done to, and one beside
// it in the same session.
const (
	rowObject, rowChannel   = "Row__c", "/data/Row__ChangeEvent"
	noteObject, noteChannel = "Note__c", "/data/Note__ChangeEvent"
)

// watched is a site whose bridge runs, with what is known of it.
type watched struct {
	*site
	reader *reader
	bridge *process
	made   int // rows and notes
}

// newWatched makes a site of two small objects. policy is further text of each
// stream, such as "on_starvation: tip".
func newWatched(t *testing.T, policy string, change func(*orgsim.Config)) *watched {
	t.Helper()
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), rowChannel, noteChannel)
	s.replaceOrg(t, func(c *orgsim.Config) {
		title := []orgsim.Field{{Name: "Title__c", Type: orgsim.Text}}
		c.Objects = []orgsim.Object{{Name: rowObject, Fields: title}, {Name: noteObject, Fields: title}}
		change(c)
	})
	s.settings["lanes"], s.registry = "1", "none"
	s.settings["start"] += "\n    " + policy
	s.watch("every: 1s, delay: 2s, daily_calls: 1000000")
	return &watched{site: s, reader: s.read(t)}
}

// watch sets the section of the watchdog.
func (s *site) watch(settings string) {
	s.extra = "format: json\nwatchdog: {" + settings + "}\n"
}

// running starts the bridge and waits until both streams have had an event.
func (w *watched) running(t *testing.T) {
	t.Helper()
	w.bridge = w.start(t)
	w.ready(t)
	w.create(t, rowObject, 1)
	w.create(t, noteObject, 1)
	w.arrive(t)
}

func (w *watched) create(t *testing.T, object string, n int) {
	t.Helper()
	if err := w.org.Transact(orgsim.TxOptions{}, func(tx *orgsim.Tx) error {
		for range n {
			w.made++
			if _, err := tx.Create(object, orgsim.Fields{"Title__c": strconv.Itoa(w.made)}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// arrive waits until everything that was published was read.
func (w *watched) arrive(t *testing.T) {
	t.Helper()
	w.reader.wait(t, len(oracle.Expected(w.org.LedgerFrom(0), w.channels)), time.Minute, w.bridge.output)
}

// until polls under a deadline.
func (w *watched) until(t *testing.T, what string, every time.Duration, done func() bool) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-w.bridge.done:
			t.Fatalf("the bridge ended while waiting until %s\n%s", what, tail(w.bridge.output()))
		case <-late:
			t.Fatalf("waited in vain until %s; readyz says %+v\n%s", what, w.report(t), tail(w.bridge.output()))
		}
	}
}

const often = 20 * time.Millisecond

// reason is what /readyz says of one stream.
type reason struct{ Stream, State, Message string }

// report asks /readyz; no reasons is ready.
func (w *watched) report(t *testing.T) []reason {
	t.Helper()
	body, code, err := get(t.Context(), "http://"+w.ops+"/readyz")
	if err != nil {
		return []reason{{State: "no answer", Message: err.Error()}}
	}
	var out struct {
		Ready   bool
		Reasons []reason
	}
	if err := json.Unmarshal(body, &out); err != nil || out.Ready != (code == http.StatusOK) || out.Ready != (len(out.Reasons) == 0) {
		t.Fatalf("readyz: %d %s (%v)", code, body, err)
	}
	return out.Reasons
}

// ready waits until /readyz says so and every stream is subscribed.
func (w *watched) ready(t *testing.T) {
	t.Helper()
	w.until(t, "it is ready", often, func() bool {
		return len(w.report(t)) == 0 && w.ofStream(t, "bridge_stream_subscribed", rowChannel) == 1 && w.ofStream(t, "bridge_stream_subscribed", noteChannel) == 1
	})
}

// metric is the value of a sample; 0 if there is none.
func (w *watched) metric(t *testing.T, sample string) float64 {
	t.Helper()
	body, _, err := get(t.Context(), "http://"+w.ops+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if text, ok := strings.CutPrefix(line, sample+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

func (w *watched) ofStream(t *testing.T, metric, channel string) float64 {
	t.Helper()
	return w.metric(t, fmt.Sprintf("%s{stream=%q}", metric, channel))
}

func (w *watched) questions(t *testing.T, result string) float64 {
	t.Helper()
	return w.metric(t, fmt.Sprintf("bridge_watchdog_questions_total{result=%q}", result))
}

// streamStatus is what /status says of a stream.
type streamStatus struct{ Stream, Position, Starving string }

func (w *watched) statusOf(t *testing.T, channel string) streamStatus {
	t.Helper()
	body, _, err := get(t.Context(), "http://"+w.ops+"/status")
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Streams []streamStatus }
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(out.Streams, func(s streamStatus) bool { return s.Stream == channel })
	if i < 0 {
		t.Fatalf("no stream %s in %s", channel, body)
	}
	return out.Streams[i]
}

// event finds what the org published at a position.
func (w *watched) event(t *testing.T, position string) orgsim.Entry {
	t.Helper()
	for e := range w.org.LedgerFrom(0) {
		if strconv.FormatInt(e.ReplayID, 10) == position {
			return e
		}
	}
	t.Fatalf("no event was published at %q", position)
	return orgsim.Entry{}
}

// changed asks the org how many rows were changed after a time and up to another.
func (w *watched) changed(t *testing.T, after, upTo time.Time) int {
	t.Helper()
	token, err := w.org.Issue(orgsim.DefaultUser().Username)
	if err != nil {
		t.Fatal(err)
	}
	soql := fmt.Sprintf("SELECT COUNT() FROM %s WHERE SystemModstamp > %s AND SystemModstamp <= %s", rowObject,
		after.UTC().Format(time.RFC3339), upTo.UTC().Format(time.RFC3339))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.orgURL+"/services/data/v66.0/query?q="+url.QueryEscape(soql), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct{ TotalSize int }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the org answered %s (%v)", resp.Status, err)
	}
	return out.TotalSize
}

// alarm is what a message about a starving stream says.
type alarm struct {
	rows int
	upTo time.Time
}

func parseAlarm(t *testing.T, message string) alarm {
	t.Helper()
	m := regexp.MustCompile(`^(\d+) rows of ` + rowObject + ` changed between (\S+) and (\S+), and no event of them has come`).FindStringSubmatch(message)
	if m == nil {
		t.Fatalf("the message is %q", message)
	}
	rows, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	upTo, err := time.Parse(time.RFC3339, m[3])
	if err != nil {
		t.Fatal(err)
	}
	return alarm{rows, upTo}
}

// gap is a state of a hole in the ledger.
type gap struct {
	ID, Channel, Reason, State, Detail string
	FromPosition, ToPosition           string
	FromTime, ToTime                   time.Time
}

// gaps reads the ledger until enough of it is there, and wakes the bridge by a
// note now and then: what it has to write waits for the end of a request.
func (w *watched) gaps(t *testing.T, enough func([]gap) bool) []gap {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.ConsumeTopics(w.name+".gaps"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(250*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var out []gap
	w.until(t, "the gap ledger has what it should", often, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		for rec := range cl.PollFetches(ctx).RecordsAll() {
			var g gap
			if err := json.Unmarshal(rec.Value, &g); err != nil || g.ID != string(rec.Key) {
				t.Fatalf("ledger record %s: %s (%v)", rec.Key, rec.Value, err)
			}
			out = append(out, g)
		}
		if enough(out) {
			return true
		}
		w.create(t, noteObject, 1)
		return false
	})
	return out
}

// noGaps checks that nothing was ever entered into the ledger.
func (w *watched) noGaps(t *testing.T) {
	t.Helper()
	ends, err := kadm.NewClient(w.admin(t)).ListEndOffsets(t.Context(), w.name+".gaps")
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			t.Errorf("the gap ledger has %d records", o.Offset)
		}
	})
}

// read counts the records of one channel that were read.
func (r *reader) read(channel string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.seen {
		if r.seen[i].Channel == channel {
			n++
		}
	}
	return n
}

// missing are the records of one channel that were not read.
func (w *watched) missing(channel string) []oracle.Record {
	w.reader.mu.Lock()
	defer w.reader.mu.Unlock()
	got := make(map[oracle.Record]bool, len(w.reader.seen))
	for _, r := range w.reader.seen {
		r.Topic = ""
		got[r] = true
	}
	return slices.DeleteFunc(oracle.Expected(w.org.LedgerFrom(0), []string{channel}), func(r oracle.Record) bool { return got[r] })
}

// finish ends the bridge and checks that everything was read exactly once but for
// what is known to be missing.
func (w *watched) finish(t *testing.T, missing []oracle.Record) {
	t.Helper()
	w.reader.wait(t, len(oracle.Expected(w.org.LedgerFrom(0), w.channels))-len(missing), time.Minute, w.bridge.output)
	w.balanced(t)
	w.bridge.drain(t)
	w.reader.mu.Lock()
	defer w.reader.mu.Unlock()
	want := slices.DeleteFunc(oracle.Expected(w.org.LedgerFrom(0), w.channels), func(r oracle.Record) bool { return slices.Contains(missing, r) })
	diff := oracle.Compare(want, w.reader.seen)
	for _, d := range diff[:min(len(diff), 20)] {
		t.Error(d)
	}
	if len(diff) > 0 || w.reader.err != nil {
		t.Errorf("%d differences between %d records expected and %d read (%v)", len(diff), len(want), len(w.reader.seen), w.reader.err)
	}
}
