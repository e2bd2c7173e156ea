package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

const (
	// redWithin is how soon after the last answer of Kafka the probe has to say
	// so: the time that it gives a commit, and what this machine takes.
	redWithin = 20 * time.Second
	// greenWithin is how soon after Kafka's return the bridge has to be at work:
	// the longest backoff of a lane, and one try that was under way.
	greenWithin = 2 * time.Minute
)

// stallPlan is how many events wait, and for how long Kafka answers nothing.
// `make chaos` asks for the long form through the environment.
func stallPlan(tb testing.TB) (events int, stall time.Duration) {
	tb.Helper()
	events, stall = 60_000, 15*time.Second
	var err error
	if text := os.Getenv("BRIDGE_STALL_EVENTS"); text != "" {
		if events, err = strconv.Atoi(text); err != nil {
			tb.Fatalf("BRIDGE_STALL_EVENTS: %v", err)
		}
	}
	if text := os.Getenv("BRIDGE_STALL_FOR"); text != "" {
		if stall, err = time.ParseDuration(text); err != nil {
			tb.Fatalf("BRIDGE_STALL_FOR: %v", err)
		}
	}
	return events, stall
}

// Kafka stops answering in the middle of a catch-up, with its connections open:
// nothing fails, everything hangs. The bridge, in its default configuration,
// keeps its memory, says in its probe what is wrong, and when Kafka goes on,
// brings everything exactly once, what was published meanwhile too.
func TestStalledKafka(t *testing.T) {
	events, stall := stallPlan(t)
	cluster := kafkatest.Start(t)
	s := newSite(t, "stall", cluster.Brokers(), fourChannels...)
	s.settings["lanes"] = "4" // the default
	objects := []string{"Account", "Contact", "Invoice__c", "Order__e"}
	for _, object := range objects {
		if err := s.org.Bulk(orgsim.Bulk{Object: object, Count: events / len(objects), Bytes: catchUpBytes, Batch: 100}); err != nil {
			t.Fatal(err)
		}
	}
	r := s.read(t)
	began := time.Now()
	p := s.start(t)
	r.wait(t, 5000, 2*time.Minute, p.output) // some were committed, most wait

	w := &stalled{site: s, bridge: p, cluster: cluster}
	w.pause(t)
	load, err := s.org.NewLoad(orgsim.LoadConfig{Events: events / 20, Rate: float64(events/20) / stall.Seconds(), Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() { loaded <- load.Run(t.Context()) }()
	w.until(t, false, redWithin)
	w.during(t, stall-time.Since(w.since))
	before := r.count()
	w.until(t, false, 0) // still
	w.resume(t)
	w.until(t, true, greenWithin)
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	want := len(oracle.Expected(s.org.LedgerFrom(0), s.channels))
	w.all(t, r, want, 15*time.Minute)
	s.balanced(t)
	_, w.peaks[2] = p.memory(t)
	took := time.Since(began)
	p.drain(t)
	s.exactly(t, r)
	stats := s.org.Stats()
	t.Logf("%d events, %d records, Kafka silent for %s after %d records: all once and in order, %s in all; readyz red after %s, green %s after Kafka's return; peak MiB before the stall %d, by its end %d, by the end %d; org: %d sessions for %d lanes, %d events delivered",
		events+load.Published(), want, w.stall.Round(time.Second), before, took.Round(time.Second), w.red.Round(100*time.Millisecond), w.green.Round(100*time.Millisecond),
		w.peaks[0]>>10, w.peaks[1]>>10, w.peaks[2]>>10, stats.SessionsOpened, w.lanes, stats.EventsDelivered)
	if w.peaks[2] > memoryLimit {
		t.Errorf("the bridge had %d KiB resident at its peak, more than %d", w.peaks[2], memoryLimit)
	}
}

// stalled is a bridge whose Kafka pauses.
type stalled struct {
	site    *site
	bridge  *process
	cluster *kafkatest.Cluster
	since   time.Time
	stall   time.Duration
	// red and green are how long the probe took to say that Kafka had gone, and
	// that it had come back.
	red, green time.Duration
	peaks      [3]int // KiB: at the pause, at its end, at the end
	lanes      int    // with streams, when Kafka paused
}

func (w *stalled) pause(tb testing.TB) {
	tb.Helper()
	_, w.peaks[0] = w.bridge.memory(tb)
	w.lanes = strings.Count(w.bridge.output(), `"message":"lane runs"`)
	if err := w.cluster.Pause(); err != nil {
		tb.Fatal(err)
	}
	w.since = time.Now()
	tb.Cleanup(func() { _ = w.cluster.Resume() }) // a container cannot be removed while it is paused
}

func (w *stalled) resume(tb testing.TB) {
	tb.Helper()
	_, w.peaks[1] = w.bridge.memory(tb)
	if err := w.cluster.Resume(); err != nil {
		tb.Fatal(err)
	}
	w.stall = time.Since(w.since)
	w.since = time.Now()
}

// during watches the bridge for a while: it lives, and keeps its memory.
func (w *stalled) during(tb testing.TB, d time.Duration) {
	tb.Helper()
	end := time.After(max(d, 0))
	for {
		w.lean(tb)
		select {
		case <-end:
			return
		case <-time.After(time.Second):
		case <-w.bridge.done:
			tb.Fatalf("the bridge ended by itself\n%s", tail(w.bridge.output()))
		}
	}
}

// lean ends a long test at once when the memory is beyond its limit.
func (w *stalled) lean(tb testing.TB) {
	tb.Helper()
	if now, peak := w.bridge.memory(tb); peak > memoryLimit {
		tb.Fatalf("the bridge has %d KiB resident and had %d, more than %d\n%s", now, peak, memoryLimit, tail(w.bridge.output()))
	}
}

// until asks the probe until it says what is wanted. What it says when it is red
// has to name Kafka.
func (w *stalled) until(tb testing.TB, green bool, within time.Duration) {
	tb.Helper()
	late := time.After(within)
	for {
		body, code, err := get(tb.Context(), "http://"+w.site.ops+"/readyz")
		if err != nil {
			tb.Fatalf("%v\n%s", err, tail(w.bridge.output()))
		}
		if (code == http.StatusOK) == green {
			if green {
				w.green = time.Since(w.since)
				return
			}
			if w.red == 0 {
				w.red = time.Since(w.since)
			}
			w.named(tb, body)
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-w.bridge.done:
			tb.Fatalf("the bridge ended by itself\n%s", tail(w.bridge.output()))
		case <-late:
			tb.Fatalf("readyz says %d %s to a Kafka that pauses (%t), after %s\n%s", code, body, !green, within, tail(w.bridge.output()))
		}
	}
}

// named checks that a red probe tells the operator where to look.
func (w *stalled) named(tb testing.TB, body []byte) {
	tb.Helper()
	var report struct {
		Reasons []struct{ State, Message string }
	}
	if err := json.Unmarshal(body, &report); err != nil {
		tb.Fatalf("%v in %s", err, body)
	}
	for _, reason := range report.Reasons {
		if strings.Contains(reason.Message, "kafka") {
			tb.Logf("readyz: %s: %s", reason.State, reason.Message)
			return
		}
	}
	tb.Errorf("no reason of a red readyz names kafka: %s", body)
}

// all waits for the last record.
func (w *stalled) all(tb testing.TB, r *reader, n int, within time.Duration) {
	tb.Helper()
	late := time.After(within)
	for r.count() < n {
		select {
		case <-r.moved:
		case <-w.bridge.done:
			tb.Fatalf("the bridge ended by itself\n%s", tail(w.bridge.output()))
		case <-late:
			tb.Fatalf("%d of %d records after %s\n%s", r.count(), n, within, tail(w.bridge.output()))
		}
	}
}
