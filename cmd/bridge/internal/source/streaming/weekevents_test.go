package streaming

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// happen lets actions happen for a time, each as often as it is to.
func (w *week) happen(d time.Duration, actions []action) {
	weekly := 0.0
	for _, a := range actions {
		weekly += a.weekly
	}
	for end := time.Now().Add(d); ; {
		pause := time.Duration(w.rnd.ExpFloat64() / weekly * float64(lifetime))
		if left := time.Until(end); pause > left {
			w.pass(left)
			return
		}
		w.pass(pause)
		if !w.rough.IsZero() && time.Now().After(w.rough) {
			w.stormy(true)
		}
		at := w.rnd.Float64() * weekly
		for _, a := range actions {
			if at -= a.weekly; at < 0 {
				w.do(a.do)
				break
			}
		}
	}
}

func (w *week) do(f func(*week) error) {
	if err := f(w); err != nil {
		w.complain("the org refuses what the test asks for: %v", err)
	}
}

// pass lets virtual time go by. A process that ends meanwhile is started again,
// after a pause that grows as that of an orchestrator does.
func (w *week) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		var ended <-chan struct{}
		if w.now != nil {
			ended = w.now.ended
		}
		select {
		case <-timer.C:
			return
		case <-ended:
			w.now.settled(false)
			w.failures++
			if w.now.subscribed {
				w.failures = 0
			}
			<-time.After(10 * time.Second << min(w.failures, 5))
			w.now = w.start()
		}
	}
}

// stormy lets faults come, of a new plan each time, or none.
func (w *week) stormy(on bool) {
	w.kafka.set(on)
	w.storm.Store(on)
	w.rough = time.Time{}
	if !on {
		w.org.StopFaults()
		return
	}
	plan := w.faults
	plan.Seed = w.rnd.Uint64()
	w.do(func(w *week) error { return w.org.RunFaults(plan) })
}

func (w *week) upTo(d time.Duration) time.Duration {
	return time.Duration(w.rnd.Int64N(int64(d)))
}

// What happens in the org.

func (w *week) burst(object string) error {
	return w.org.Bulk(orgsim.Bulk{
		Object: object, Count: 1 + w.rnd.IntN(400), Records: 1 + w.rnd.IntN(100), Batch: oneOf(w.rnd, 1, 20, 200), Bytes: oneOf(w.rnd, 0, 0, 2_000, 20_000),
	})
}

func (w *week) redelay(object string) error {
	return w.org.SetDelay(object, orgsim.Delay{Max: w.upTo(oneOf(w.rnd, time.Nanosecond, 2*time.Second, longestDelay))})
}

func (w *week) gap(object string) error {
	switch kind := oneOf(w.rnd, "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW", "*"); kind {
	case "*":
		return w.org.EmitWildcard(object)
	case "GAP_OVERFLOW":
		return w.org.Emit(object, kind)
	default:
		return w.org.Emit(object, kind, fmt.Sprintf("001%012dAAA", w.rnd.IntN(1000)))
	}
}

// ungrouped makes events that share one replay id.
func (w *week) ungrouped(object string) error {
	rows, err := w.org.Rows(object)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r orgsim.Row) bool { return r.Deleted })
	var ids []string
	for _, row := range rows[:min(len(rows), 2+w.rnd.IntN(4))] {
		ids = append(ids, row.ID)
	}
	field := "Description"
	if object == "Invoice__c" {
		field = "Notes__c"
	}
	return w.org.UpdateUngrouped(object, ids, orgsim.Fields{field: fmt.Sprint("of ", w.rnd.Uint64())})
}

func (w *week) addField(object string) error {
	w.fields++
	return w.org.AddField(object, orgsim.Field{Name: fmt.Sprintf("Extra%d__c", w.fields), Type: oneOf(w.rnd, orgsim.Text, orgsim.Number, orgsim.Checkbox, orgsim.DateTime)})
}

// What happens to the bridge.

func (w *week) calm() error {
	w.stormy(false)
	w.rough = time.Now().Add(w.upTo(12 * time.Hour))
	return nil
}

func (w *week) outage() error {
	w.org.Outage(w.upTo(oneOf(w.rnd, 10*time.Minute, 4*time.Hour)))
	return nil
}

func (w *week) everywhere() error {
	w.org.MoveInstance("", "")
	return nil
}

// garbageTaken is how many replies a process gets that are no JSON: the fifth
// halts the lane if no event came between.
const garbageTaken = 4

// garbage is a reply that is no JSON.
func (w *week) garbage() error {
	if w.now.garbage++; w.now.garbage > garbageTaken {
		return nil
	}
	return w.org.Inject(orgsim.Fault{Kind: "http", On: "cometd", Status: http.StatusOK, ContentType: "application/json", Body: oneOf(w.rnd, "[{]", "{", "[nul", `[{"channel":"/meta/connect",}]`)})
}

// refusal is a failed reply as nobody has seen one, oddity a good one with such
// an advice.
func (w *week) refusal() error {
	return w.org.Inject(orgsim.Fault{
		Kind: "reply", On: oneOf(w.rnd, "/meta/handshake", "/meta/connect"),
		Error:  oneOf(w.rnd, "", "500::Internal server error", "999::Who knows", "401::Request requires authentication", "no code at all", "403:a,b:Restricted"),
		Advice: json.RawMessage(oneOf(w.rnd, `{}`, `null`, `{"reconnect":"none"}`, `{"reconnect":"handshake","interval":5000}`, `{"reconnect":"retry","interval":-1}`)),
	})
}

func (w *week) oddity() error {
	return w.org.Inject(orgsim.Fault{Kind: "advice", Advice: json.RawMessage(oneOf(w.rnd, `{"reconnect":"none"}`, `[]`, `7`, `"retry"`, `{"interval":600000}`, `{"reconnect":"retry","timeout":1}`))})
}

func (w *week) stall() error {
	w.kafka.stall(w.upTo(30 * time.Minute))
	return nil
}

// crash ends the process at once: not even a farewell gets out.
func (w *week) crash() error {
	w.now.killed.Store(true)
	w.now.cancel()
	w.now.settled(true)
	return w.restart()
}

func (w *week) redeploy() error {
	w.now.drain()
	w.now.settled(true)
	return w.restart()
}

func (w *week) restart() error {
	w.now = nil
	w.pass(w.upTo(oneOf(w.rnd, time.Second, 10*time.Minute)))
	w.now = w.start()
	return nil
}

// overlap starts a process while an older one runs, which does not know.
func (w *week) overlap() error {
	old := w.now
	w.now = w.start()
	old.overlapped, w.now.overlapped = true, true
	w.pass(w.upTo(10 * time.Minute))
	old.drain()
	old.settled(true)
	return nil
}

// recover ends all trouble and gives the bridge the time that it needs at the most.
func (w *week) recover() {
	w.stormy(false)
	w.kafka.stall(0)
	w.org.Outage(0)
	w.org.Feed()
	w.pass(time.Hour)
	for _, object := range objects() {
		w.do(func(w *week) error { return w.load[object].Step() })
	}
	w.pass(time.Hour)
}
