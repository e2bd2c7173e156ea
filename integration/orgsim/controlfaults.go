package orgsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// faultRequest holds what the smaller POST resources about faults take.
type faultRequest struct {
	Object   string        `json:"object"`
	Delay    Delay         `json:"delay"`
	For      time.Duration `json:"for"`
	Count    int           `json:"count"`
	Address  string        `json:"address"`
	Old      string        `json:"old"`
	ClientID string        `json:"clientId"`
	Instance string        `json:"instance"`
	AnyID    bool          `json:"anyId"`
}

// UnmarshalJSON takes durations as texts.
func (q *faultRequest) UnmarshalJSON(raw []byte) error {
	type plain faultRequest
	return decodeDurations(raw, (*plain)(q), "for")
}

// faultActions are the POST resources about faults.
func faultActions() map[string]func(o *Org, w http.ResponseWriter, r *http.Request) {
	return map[string]func(*Org, http.ResponseWriter, *http.Request){
		"fault":       posted(func(o *Org, f *Fault) error { return o.Inject(*f) }),
		"faults":      posted(func(o *Org, p *FaultPlan) error { return o.RunFaults(*p) }),
		"faults/stop": posted(func(o *Org, _ *faultRequest) error { o.StopFaults(); return nil }),
		"refuse":      posted(func(o *Org, f *Refusal) error { return o.Refuse(*f) }),
		"starve":      posted(func(o *Org, s *Starvation) error { return o.Starve(*s) }),
		"feed":        posted(func(o *Org, _ *faultRequest) error { o.Feed(); return nil }),
		"delay":       posted(func(o *Org, q *faultRequest) error { return o.SetDelay(q.Object, q.Delay) }),
		"outage":      posted(func(o *Org, q *faultRequest) error { o.Outage(q.For); return nil }),
		"share-ids":   posted(func(o *Org, q *faultRequest) error { o.ShareReplayID(max(q.Count, 1)); return nil }),
		"migrate":     posted(func(o *Org, q *faultRequest) error { o.MigrateInstance(q.Instance, q.AnyID); return nil }),
		"refresh":     posted(func(o *Org, _ *faultRequest) error { o.RefreshSandbox(); return nil }),
		"move":        posted(func(o *Org, q *faultRequest) error { o.MoveInstance(q.Address, q.Old); return nil }),
	}
}

// posted is a resource that takes a T.
func posted[T any](act func(*Org, *T) error) func(*Org, http.ResponseWriter, *http.Request) {
	return func(o *Org, w http.ResponseWriter, r *http.Request) {
		v := new(T)
		if decodeControl(w, r, v) {
			answerControl(w, countAnswer{1}, act(o, v))
		}
	}
}

func (o *Org) faultRoutes(mux *http.ServeMux) {
	for name, act := range faultActions() {
		mux.HandleFunc("POST /orgsim/"+name, func(w http.ResponseWriter, r *http.Request) { act(o, w, r) })
	}
	mux.HandleFunc("GET /orgsim/faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"kinds": FaultKinds(), "queryKinds": QueryFaultKinds(), "counts": o.FaultCounts(), "defaultMix": DefaultMix()})
	})
	mux.HandleFunc("GET /orgsim/faults/log", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		enc := json.NewEncoder(w)
		for _, e := range o.FaultLog() {
			if enc.Encode(e) != nil {
				return
			}
		}
	})
}
