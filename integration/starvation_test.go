package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// session is the one session that the org has now.
func (w *watched) session(t *testing.T) orgsim.SessionInfo {
	t.Helper()
	all := w.org.Sessions()
	live := slices.DeleteFunc(all, func(s orgsim.SessionInfo) bool { return !s.Closed.IsZero() })
	if len(live) != 1 {
		t.Fatalf("%d sessions live", len(live))
	}
	return live[0]
}

// starving makes rows change until the bridge notices that no events of them come,
// and checks everything that it tells. Nothing comes on the other stream meanwhile,
// so that the bridge's request is held and what it does about it has to wait.
func (w *watched) starving(t *testing.T) alarm {
	t.Helper()
	sessions, questions := w.org.Stats().SessionsOpened, w.questions(t, "starving")
	var found reason
	w.until(t, "readyz names the starving stream", 100*time.Millisecond, func() bool {
		w.create(t, rowObject, 1)
		reasons := w.report(t)
		if len(reasons) == 1 && reasons[0].Stream == rowChannel && reasons[0].State == "starving" {
			found = reasons[0]
			return true
		}
		if len(reasons) > 0 {
			t.Fatalf("readyz says %+v", reasons)
		}
		return false
	})
	if w.ofStream(t, "bridge_stream_starving", rowChannel) != 1 || w.ofStream(t, "bridge_stream_starving", noteChannel) != 0 ||
		w.questions(t, "starving") != questions+1 {
		t.Errorf("starving %v and %v, questions %v", w.ofStream(t, "bridge_stream_starving", rowChannel),
			w.ofStream(t, "bridge_stream_starving", noteChannel), w.questions(t, "starving"))
	}
	status := w.statusOf(t, rowChannel)
	if status.Starving != found.Message || w.statusOf(t, noteChannel).Starving != "" {
		t.Errorf("status %+v, readyz %+v", status, found)
	}
	// The session is healthy, and has its subscription.
	s := w.session(t)
	i := slices.IndexFunc(s.Subscriptions, func(sub orgsim.SubscriptionInfo) bool { return sub.Channel == rowChannel && sub.Closed.IsZero() })
	if w.org.Stats().SessionsOpened != sessions || !s.Held || i < 0 || !s.Subscriptions[i].Starved {
		t.Errorf("session %+v", s)
	}
	a := parseAlarm(t, found.Message)
	reached := w.event(t, status.Position).Commit
	if after := reached.Truncate(time.Second); after.Before(reached) {
		reached = after.Add(time.Second) // rows have whole seconds, and that of an event that came must not count
	}
	if n := w.changed(t, reached, a.upTo); n != a.rows || n == 0 {
		t.Errorf("%d rows are told of, the org has %d", a.rows, n)
	}
	return a
}

// told is the ledger of one starvation, in the states given, with the range that
// was told of.
func (w *watched) told(t *testing.T, from orgsim.Entry, a alarm, states ...string) []gap {
	t.Helper()
	var got []gap
	w.gaps(t, func(all []gap) bool {
		got = all
		return len(all) > 0 && len(all) >= len(states)
	})
	if len(got) != len(states) {
		t.Fatalf("the ledger has %+v, want states %v", got, states)
	}
	for i, g := range got {
		if g.ID != got[0].ID || g.Channel != rowChannel || g.Reason != "starvation" || g.State != states[i] ||
			g.FromPosition != strconv.FormatInt(from.ReplayID, 10) || !g.FromTime.Equal(from.Commit) {
			t.Errorf("state %d of the gap: %+v, want %s from %d at %s", i, g, states[i], from.ReplayID, from.Commit)
		}
	}
	if g := got[0]; g.ToPosition != "" || !g.ToTime.Truncate(time.Second).Equal(a.upTo) {
		t.Errorf("the gap was told as %+v, want it up to %s", g, a.upTo)
	}
	return got
}

// bulk loads rows in transactions of 200, about 60,000 rows a second, with a note
// now and then.
func (w *watched) bulk(t *testing.T, rows int) {
	t.Helper()
	const transaction = 200
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for done := 0; done < rows; done += transaction {
		w.create(t, rowObject, transaction)
		if done%10_000 == 0 {
			w.create(t, noteObject, 1)
		}
		if done%(3*transaction) == 0 {
			<-tick.C
		}
	}
}

// The scene of Salesforce's article 005321562: after a load of 300,000 rows the
// subscription gets nothing more, while its session is healthy. The bridge notices,
// and a new session brings everything that was missing.
func TestBulkLoadThatStarvesTheStream(t *testing.T) {
	const rows, late = 300_000, 3 * time.Second // which is how far delivery is behind the load
	w := newWatched(t, "on_starvation: session", func(*orgsim.Config) {})
	w.watch("every: 1s, delay: 5s, daily_calls: 1000000")
	w.running(t)
	if err := w.org.SetDelay(rowObject, orgsim.Delay{Min: late, Max: late}); err != nil {
		t.Fatal(err)
	}
	if err := w.org.Starve(orgsim.Starvation{Channel: rowChannel, Object: rowObject, Rows: rows}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.bulk(t, rows)
	loaded := time.Now()
	w.create(t, noteObject, 1) // the other stream goes on
	notes := len(oracle.Expected(w.org.LedgerFrom(0), []string{noteChannel}))
	w.until(t, "the notes came", often, func() bool { return w.reader.read(noteChannel) == notes })
	calls := w.org.Stats().RestRequests
	a := w.starving(t)
	noticed := time.Now()
	from := w.event(t, w.statusOf(t, rowChannel).Position)
	came, want := w.reader.read(rowChannel), len(oracle.Expected(w.org.LedgerFrom(0), []string{rowChannel}))

	cure := time.Now()
	w.create(t, noteObject, 1) // the request that is held ends with it
	w.until(t, "rows come again", often, func() bool { return w.reader.read(rowChannel) > came })
	cured := time.Now()
	w.until(t, "all rows have come", often, func() bool { return w.reader.read(rowChannel) == want })
	caughtUp := time.Now()
	w.ready(t)
	w.told(t, from, a, "open", "repaired")
	if w.ofStream(t, "bridge_stream_starving", rowChannel) != 0 || w.org.Stats().SessionsOpened != 2 {
		t.Errorf("starving %v, %d sessions", w.ofStream(t, "bridge_stream_starving", rowChannel), w.org.Stats().SessionsOpened)
	}
	used := w.org.Stats().RestRequests - calls
	w.finish(t, nil)
	t.Logf("%d rows in %.1f s, beside %d notes; alarm %.1f s after the load, %d rows told of, %d lacking; first row %.2f s and last %.1f s after the cure began; %d API calls since the load, one of the test",
		rows, loaded.Sub(began).Seconds(), notes, noticed.Sub(loaded).Seconds(), a.rows, want-came,
		cured.Sub(cure).Seconds(), caughtUp.Sub(cure).Seconds(), used)
}

// A new subscription of the same session is enough where only that helps, and the
// other stream does not notice.
func TestStarvingStreamIsSubscribedAnew(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_starvation: resubscribe", func(*orgsim.Config) {})
	w.running(t)
	if err := w.org.Starve(orgsim.Starvation{Channel: rowChannel, Until: orgsim.StarveSubscription}); err != nil {
		t.Fatal(err)
	}
	a := w.starving(t)
	from := w.event(t, w.statusOf(t, rowChannel).Position)
	w.create(t, noteObject, 1)
	w.arrive(t)
	w.ready(t)
	w.told(t, from, a, "open", "repaired")
	s := w.session(t)
	subscriptions := make(map[string][]string)
	for _, sub := range s.Subscriptions {
		subscriptions[sub.Channel] = append(subscriptions[sub.Channel], sub.From)
	}
	if w.org.Stats().SessionsOpened != 1 || len(subscriptions[rowChannel]) != 2 || len(subscriptions[noteChannel]) != 1 ||
		subscriptions[rowChannel][1] != strconv.FormatInt(from.ReplayID, 10) {
		t.Errorf("%d sessions, subscriptions from %v", w.org.Stats().SessionsOpened, subscriptions)
	}
	w.finish(t, nil)
}

// Where on_starvation is tip, the stream goes on with new events, and does so in
// another session too; what it lacks is in the ledger, with its end.
func TestStarvingStreamGoesOnAtTheTip(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_starvation: tip", func(*orgsim.Config) {})
	w.settings["start"] = strings.Replace(w.settings["start"], "earliest", "latest", 1)
	w.running(t)
	if err := w.org.Starve(orgsim.Starvation{Channel: rowChannel, Until: orgsim.StarveTip}); err != nil {
		t.Fatal(err)
	}
	a := w.starving(t)
	from := w.event(t, w.statusOf(t, rowChannel).Position)
	w.create(t, noteObject, 1)
	w.until(t, "the stream is subscribed at the tip", often, func() bool { return slices.Equal(w.froms(rowChannel), []string{"-1", "-1"}) })
	w.org.ForgetSessions()
	w.until(t, "it is subscribed there again", often, func() bool { return slices.Equal(w.froms(rowChannel), []string{"-1", "-1", "-1"}) })
	lost := w.missing(rowChannel)
	w.create(t, rowObject, 3)
	w.until(t, "new rows come", often, func() bool { return len(w.missing(rowChannel)) == len(lost) })
	w.ready(t)
	before := w.questions(t, "quiet") // nothing else is thought of it when the stream is silent again
	w.until(t, "the silent streams were asked about", often, func() bool { return w.questions(t, "quiet") >= before+2 })
	w.create(t, noteObject, 1)
	got := w.told(t, from, a, "open", "open")
	behind := w.event(t, got[1].ToPosition)
	at := slices.IndexFunc(oracle.Expected(w.org.LedgerFrom(0), []string{rowChannel}), func(r oracle.Record) bool { return r.ReplayID == behind.ReplayID })
	if at != 1+len(lost) || !got[1].ToTime.Equal(behind.Commit) {
		t.Errorf("the gap ends at row %d, %d were lost; %+v, %s", at, len(lost), got[1], behind.Commit)
	}
	w.finish(t, lost)
}

// Where on_starvation is alarm, nothing is done, and it is told as long as it lasts.
// What then never comes stays in the ledger.
func TestStarvingStreamIsOnlyToldOf(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_starvation: alarm", func(*orgsim.Config) {})
	w.running(t)
	if err := w.org.Starve(orgsim.Starvation{Channel: rowChannel, Until: orgsim.StarveSubscription}); err != nil {
		t.Fatal(err)
	}
	a := w.starving(t)
	from := w.event(t, w.statusOf(t, rowChannel).Position)
	w.until(t, "it was asked about again, twice", 100*time.Millisecond, func() bool {
		w.create(t, noteObject, 1)
		if reasons := w.report(t); len(reasons) != 1 || reasons[0].State != "starving" {
			t.Fatalf("readyz says %+v", reasons)
		}
		return w.questions(t, "starving") >= 3
	})
	if s := w.session(t); w.org.Stats().SessionsOpened != 1 || len(s.Subscriptions) != 2 {
		t.Errorf("%d sessions, %+v", w.org.Stats().SessionsOpened, s.Subscriptions)
	}
	w.org.Feed() // what the subscription missed it does not get
	lost := w.missing(rowChannel)
	w.create(t, rowObject, 1)
	w.until(t, "new rows come", often, func() bool { return len(w.missing(rowChannel)) == len(lost) })
	w.ready(t)
	before := w.questions(t, "quiet")
	w.until(t, "the silent stream was asked about", often, func() bool { return w.questions(t, "quiet") > before+1 })
	w.told(t, from, a, "open", "open")
	w.finish(t, lost)
}

// Questions keep to the pace that daily_calls allows, nobody is alarmed for a quiet
// table, and what the bridge counts is what the org counts.
func TestQuietTableAndTheBudgetOfCalls(t *testing.T) {
	t.Parallel()
	const perDay = 2 * 24 * 60 * 60 / 3 // every 3 s for each of two streams
	w := newWatched(t, "on_starvation: session", func(*orgsim.Config) {})
	w.watch(fmt.Sprintf("every: 1s, delay: 1s, daily_calls: %d", perDay))
	w.running(t)
	began, calls, asked := time.Now(), w.org.Stats().RestRequests, w.questions(t, "quiet")
	w.until(t, "six more questions were put", often, func() bool {
		if reasons := w.report(t); len(reasons) > 0 {
			t.Fatalf("readyz says %+v", reasons)
		}
		return w.questions(t, "quiet") >= asked+6
	})
	took := time.Since(began)
	if most := 2 * (1 + int64(took/(3*time.Second))); w.org.Stats().RestRequests-calls > most+1 { // and one for the limits
		t.Errorf("%d API calls in %s, at most %d questions are due", w.org.Stats().RestRequests-calls, took, most)
	}
	if took < 5*time.Second {
		t.Errorf("six questions in %s: daily_calls wants two every three seconds", took)
	}
	w.until(t, "the bridge has counted the API calls that the org has", often, func() bool {
		org := w.org.Stats().RestRequests
		return w.metric(t, "bridge_salesforce_api_calls_total") == float64(org) && w.org.Stats().RestRequests == org
	})
	for _, result := range []string{"starving", "withheld", "failed", "overtaken"} {
		if n := w.questions(t, result); n != 0 {
			t.Errorf("%v questions were %s", n, result)
		}
	}
	if left := w.metric(t, "bridge_salesforce_api_requests_remaining"); left < 14_900 || left > 15_000 {
		t.Errorf("%v requests remain", left)
	}
	if w.org.Stats().SessionsOpened != 1 {
		t.Errorf("%d sessions", w.org.Stats().SessionsOpened)
	}
	w.finish(t, nil)
	w.noGaps(t)
}

// The last of the org's daily requests are left to others, even if rows may be
// missing.
func TestLastRequestsAreLeftToOthers(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_starvation: session", func(c *orgsim.Config) { c.DailyAPIRequests = 100 })
	w.watch("every: 1s, delay: 1s, daily_calls: 1000000, reserve_percent: 90")
	for range 10 { // somebody else's
		w.changed(t, time.Now().Add(-time.Hour), time.Now())
	}
	w.running(t)
	if err := w.org.Starve(orgsim.Starvation{Channel: rowChannel}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "questions are withheld", often, func() bool { return w.questions(t, "withheld") >= 2 })
	calls := w.org.Stats().RestRequests
	before := w.questions(t, "withheld")
	w.until(t, "more are", 100*time.Millisecond, func() bool {
		w.create(t, rowObject, 1)
		return w.questions(t, "withheld") >= before+4
	})
	if n := w.org.Stats().RestRequests; n != calls {
		t.Errorf("%d API calls though there are none to spare", n-calls)
	}
	for _, result := range []string{"quiet", "starving", "failed"} {
		if n := w.questions(t, result); n != 0 {
			t.Errorf("%v questions were %s", n, result)
		}
	}
	if left := w.metric(t, "bridge_salesforce_api_requests_remaining"); left >= 90 || left == 0 {
		t.Errorf("%v requests remain", left)
	}
	w.org.ForgetSessions() // which is what the stream needs
	w.finish(t, nil)
}
