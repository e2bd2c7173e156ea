package streaming

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/transform"
)

// judge compares what became durable with what the org published, and looks at
// what the org was asked for.
func (w *week) judge() {
	got, gaps := w.committed()
	for _, s := range w.streams {
		var published []orgsim.Entry
		for e := range w.org.LedgerFrom(0) {
			if slices.Contains(e.Channels, s.channel) {
				published = append(published, e)
			}
		}
		w.judgeStream(s, published, got[s.channel], gaps[s.channel])
	}
	for _, p := range w.processes {
		for _, n := range p.clients {
			w.ceiling("requests of a client in a minute that brought no event", n.idle.most(time.Minute), mostRequests)
		}
		w.ceiling("logins and REST requests of a process in a minute", p.calls.idle.most(time.Minute), mostCalls)
	}
	w.ceiling("times that the lane was taken up in a minute", w.reopened.most(time.Minute), mostReopened)
	w.ceiling("token requests in a week", len(w.tokens.at), mostTokensAWeek)
	if w.config.TokenLifetime >= 2*time.Hour { // else tokens lapse in the pauses after limits
		w.ceiling("tokens that were issued though none had ended", w.needless(), mostNeedless)
	}
	w.ceiling("token requests in an hour", w.tokens.most(time.Hour), mostTokens)
}

// needless is how many tokens were issued beyond one for each process and one
// for each token that the org ended.
func (w *week) needless() int {
	stats := w.org.Stats()
	return int(stats.TokensIssued-stats.TokensExpired) - len(w.processes)
}

// ceiling notes the highest that was seen.
func (w *week) ceiling(what string, n, most int) {
	w.highest[what] = max(w.highest[what], n)
	if n > most {
		w.complain("%d %s, more than %d", n, what, most)
	}
}

// durable is what became of one event in Kafka: a record, or a dead letter.
type durable struct {
	oracle.Record
	letter string // hash of the dead letter's payload
}

// hole is an entry of the gap ledger.
type hole struct{ Channel, Reason, Detail string }

// committed sorts the records by channel.
func (w *week) committed() (events map[string][]durable, gaps map[string][]hole) {
	events, gaps = make(map[string][]durable), make(map[string][]hole)
	for _, r := range w.kafka.records {
		switch r.Topic {
		case gapsTopic:
			var h hole
			if err := json.Unmarshal(r.Value, &h); err != nil {
				w.complain("entry of the gap ledger: %v", err)
			}
			gaps[h.Channel] = append(gaps[h.Channel], h)
		case letters:
			d := letter(r)
			events[d.Channel] = append(events[d.Channel], d)
		default:
			read, err := oracle.Read(r)
			if err != nil {
				w.complain("%v", err)
			}
			read.Topic = ""
			events[read.Channel] = append(events[read.Channel], durable{Record: read})
		}
	}
	return events, gaps
}

func letter(r *kgo.Record) (d durable) {
	for _, h := range r.Headers {
		switch h.Key {
		case "sf-channel":
			d.Channel = string(h.Value)
		case "sf-replay-id":
			d.ReplayID, _ = strconv.ParseInt(string(h.Value), 10, 64)
		case "bridge-payload-sha256":
			d.letter = string(h.Value)
		}
	}
	return d
}

// records are what one event has to become, if it becomes no dead letter.
func records(channel string, e *orgsim.Entry) []oracle.Record {
	return oracle.Expected(func(yield func(orgsim.Entry) bool) { yield(*e) }, []string{channel})
}

// is says how many of the durable records, from the first on, are the event.
func is(channel string, e *orgsim.Entry, got []durable) (n int, ok bool) {
	if len(got) > 0 && got[0].letter != "" {
		sum := sha256.Sum256(e.Payload)
		return 1, got[0].ReplayID == e.ReplayID && got[0].letter == hex.EncodeToString(sum[:])
	}
	want := records(channel, e)
	if len(want) > len(got) {
		return 0, false
	}
	for i, r := range want {
		if got[i].Record != r {
			return 0, false
		}
	}
	return len(want), true
}

// judgeStream demands that every event of the stream, from its start on, is
// there exactly once and in order.
func (w *week) judgeStream(s streamPlan, published []orgsim.Entry, got []durable, gaps []hole) {
	if w.twice {
		got = firsts(got)
	}
	least, most := w.starts(s, published)
	// From the earliest that it can have begun with to the latest; between them
	// the first durable record says which it was.
	from := least
	for ; from < most; from++ {
		if _, ok := is(s.channel, &published[from], got); ok {
			break
		}
	}
	at := 0
	missing := 0
	for i := from; i < len(published); i++ {
		n, ok := is(s.channel, &published[i], got[at:])
		if ok {
			at += n
			continue
		}
		if missing++; !w.holes {
			next := "nothing"
			if at < len(got) {
				next = fmt.Sprint(got[at])
			}
			e := &published[i]
			w.complain("%s: event %d of %d (began with %d..%d..%d), %s %v at replay id %d committed at %v, deliverable %v, is not where it should be: %d of %d records are right, then comes %s",
				s.channel, i, len(published), least, from, most, e.ChangeType, e.RecordIDs, e.ReplayID, e.Commit.Sub(w.began), e.Deliverable, at, len(got), next)
			return
		}
	}
	if at < len(got) {
		w.complain("%s: %v is there again, or out of order, or was never published", s.channel, got[at])
	}
	w.judgeGaps(s, published[from:], gaps)
}

// starts bounds the first event that the stream has to begin with. One that
// begins at "latest" begins after the first process did, less the margin that
// the pipeline allows for clocks, and at its first subscription at the latest.
func (w *week) starts(s streamPlan, published []orgsim.Entry) (least, most int) {
	if !s.latest {
		return 0, 0
	}
	const margin = 5*time.Minute + longestDelay
	after := func(at time.Time) int {
		i := slices.IndexFunc(published, func(e orgsim.Entry) bool { return e.Commit.After(at) })
		if i < 0 {
			return len(published)
		}
		return i
	}
	subscribed := w.begun[s.channel]
	if subscribed.IsZero() {
		w.complain("%s was never subscribed to", s.channel)
	}
	return after(w.began.Add(-margin)), after(subscribed)
}

// firsts leaves out what was there before.
func firsts(got []durable) []durable {
	seen := make(map[durable]bool, len(got))
	return slices.DeleteFunc(slices.Clone(got), func(d durable) bool {
		again := seen[d]
		seen[d] = true
		return again
	})
}

// judgeGaps demands an entry of the gap ledger for each gap event and for nothing
// else: a quiet stream's position that is too old to be taken is no hole. Where a
// proxy cuts every connect that brings nothing, it cannot be told from one.
func (w *week) judgeGaps(s streamPlan, published []orgsim.Entry, gaps []hole) {
	if w.holes || w.twice {
		return
	}
	want := 0
	for _, e := range published {
		if strings.HasPrefix(e.ChangeType, "GAP_") || slices.ContainsFunc(e.RecordIDs, func(id string) bool { return strings.HasSuffix(id, "*") }) {
			want++
		}
	}
	for _, h := range gaps {
		if h.Reason != transform.ReplayRefused && h.Reason != transform.RetentionPassed {
			want--
		} else if w.config.ProxyCut == 0 {
			w.complain("%s: a hole is claimed: %+v", s.channel, h)
		}
	}
	if want != 0 {
		w.complain("%s: the gap ledger lacks %d entries for gap events", s.channel, want)
	}
}

// summary is what all weeks have in common.
type summary struct {
	mu                               sync.Mutex
	weeks, requests, perHour, tokens int
	processes, records               int
	highest, faults                  map[string]int
}

func (s *summary) add(w *week) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.weeks++
	s.requests += len(w.requests.at)
	s.perHour = max(s.perHour, w.requests.most(time.Hour))
	s.tokens += len(w.tokens.at)
	s.processes += len(w.processes)
	s.records += len(w.kafka.records)
	for what, n := range w.highest {
		s.highest[what] = max(s.highest[what], n)
	}
	for kind, n := range w.org.FaultCounts() {
		s.faults[kind] += n
	}
}

// judge tells what the weeks were, and demands that every kind of fault came
// when there were enough of them.
func (s *summary) judge(t *testing.T, seeds int) {
	hours := max(1, s.weeks*int(lifetime/time.Hour))
	t.Logf("%d weeks, %d records, %d processes, %d token requests; %d requests an hour in the mean, %d in the busiest hour",
		s.weeks, s.records, s.processes, s.tokens, s.requests/hours, s.perHour)
	for _, what := range slices.Sorted(maps.Keys(s.highest)) {
		t.Logf("at most %d %s", s.highest[what], what)
	}
	var never []string
	for _, k := range orgsim.FaultKinds() {
		if s.faults[k.Name] == 0 {
			never = append(never, k.Name)
		}
	}
	t.Logf("faults: %v", s.faults)
	if seeds >= enough && len(never) > 0 {
		t.Errorf("faults that never happened: %v", never)
	}
}

// enough weeks have every kind of fault.
const enough = 100
