package orgsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// The control API lies under /orgsim/ and asks for no token: it stands for the
// people who use and run the org. Bodies and answers are JSON.

// controlRequest holds what the POST resources take; each uses its own part.
type controlRequest struct {
	Object     string   `json:"object"`
	ID         string   `json:"id"`
	IDs        []string `json:"ids"`
	Fields     Fields   `json:"fields"`
	ChangeType string   `json:"changeType"`
	Field      Field    `json:"field"`
	AfterBytes int      `json:"afterBytes"`
	Advance    string   `json:"advance"`
	Keep       *int     `json:"keep"`
	User       string   `json:"user"`

	Topic   PushTopic       `json:"topic"`
	Channel string          `json:"channel"`
	Payload json.RawMessage `json:"payload"`
}

func (q *controlRequest) ids() []string {
	if q.ID != "" {
		return append([]string{q.ID}, q.IDs...)
	}
	return q.IDs
}

// controlAction does what a POST asks for and returns the answer.
type controlAction func(o *Org, q *controlRequest) (any, error)

type countAnswer struct {
	Count int `json:"count"`
}

func controlActions() map[string]controlAction {
	all := publicActions()
	maps.Copy(all, systemActions())
	return all
}

// systemActions are what the service does to records and to who reads them.
func systemActions() map[string]controlAction {
	return map[string]controlAction{
		"touch": func(o *Org, q *controlRequest) (any, error) {
			return countAnswer{len(q.ids())}, o.Touch(q.Object, q.ids()...)
		},
		"empty-bin": func(o *Org, q *controlRequest) (any, error) {
			n, err := o.EmptyBin(q.Object, q.ids()...)
			return countAnswer{n}, err
		},
		"close-cursors": func(o *Org, _ *controlRequest) (any, error) { return countAnswer{o.CloseCursors()}, nil },
	}
}

// publicActions are what people and administrators do.
func publicActions() map[string]controlAction {
	return map[string]controlAction{
		"create": func(o *Org, q *controlRequest) (any, error) {
			id, err := o.Create(q.Object, q.Fields)
			return map[string]string{"id": id}, err
		},
		"update": func(o *Org, q *controlRequest) (any, error) {
			return countAnswer{len(q.ids())}, o.UpdateAll(q.Object, q.ids(), q.Fields)
		},
		"update-ungrouped": func(o *Org, q *controlRequest) (any, error) {
			return countAnswer{len(q.ids())}, o.UpdateUngrouped(q.Object, q.ids(), q.Fields)
		},
		"update-diff": (*Org).controlDiff,
		"delete":      (*Org).controlDelete,
		"undelete":    (*Org).controlUndelete,
		"publish": func(o *Org, q *controlRequest) (any, error) {
			uuid, err := o.Publish(q.Object, q.Fields)
			return map[string]string{"uuid": uuid}, err
		},
		"push-topic": func(o *Org, q *controlRequest) (any, error) {
			id, err := o.CreatePushTopic(q.Topic)
			return map[string]string{"id": id}, err
		},
		"push-topic/query": func(o *Org, q *controlRequest) (any, error) {
			return countAnswer{1}, o.EditPushTopic(q.Topic.Name, q.Topic.Query)
		},
		"streaming-channel": func(o *Org, q *controlRequest) (any, error) {
			id, err := o.CreateStreamingChannel(q.Channel)
			return map[string]string{"id": id}, err
		},
		"push": func(o *Org, q *controlRequest) (any, error) {
			return countAnswer{1}, o.PushJSON(q.Channel, q.Payload)
		},
		"emit": func(o *Org, q *controlRequest) (any, error) {
			return countAnswer{1}, o.Emit(q.Object, q.ChangeType, q.ids()...)
		},
		"field": func(o *Org, q *controlRequest) (any, error) {
			if err := o.AddField(q.Object, q.Field); err != nil {
				return nil, err
			}
			id, err := o.SchemaID(q.Object)
			return map[string]string{"schemaId": id}, err
		},
		"token": func(o *Org, q *controlRequest) (any, error) {
			access, err := o.Issue(q.User)
			return map[string]string{"access_token": access}, err
		},
		"clock":               (*Org).controlClock,
		"trim":                (*Org).controlTrim,
		"expire-tokens":       func(o *Org, _ *controlRequest) (any, error) { return countAnswer{o.ExpireTokens()}, nil },
		"forget-sessions":     func(o *Org, _ *controlRequest) (any, error) { return countAnswer{o.ForgetSessions()}, nil },
		"disconnect-sessions": func(o *Org, _ *controlRequest) (any, error) { return countAnswer{o.DisconnectSessions()}, nil },
		"cut-connections": func(o *Org, q *controlRequest) (any, error) {
			return countAnswer{o.CutConnections(q.AfterBytes)}, nil
		},
		"reset-bus": func(o *Org, _ *controlRequest) (any, error) { o.ResetBus(); return countAnswer{}, nil },
		"load/stop": func(o *Org, _ *controlRequest) (any, error) { return countAnswer{}, o.StopLoad() },
	}
}

func (o *Org) controlRoutes(mux *http.ServeMux) {
	for name, act := range controlActions() {
		mux.HandleFunc("POST /orgsim/"+name, func(w http.ResponseWriter, r *http.Request) {
			var q controlRequest
			if decodeControl(w, r, &q) {
				answer, err := act(o, &q)
				answerControl(w, answer, err)
			}
		})
	}
	mux.HandleFunc("POST /orgsim/bulk", func(w http.ResponseWriter, r *http.Request) {
		var b Bulk
		if decodeControl(w, r, &b) {
			answerControl(w, countAnswer{b.Count}, o.Bulk(b))
		}
	})
	o.faultRoutes(mux)
	mux.HandleFunc("POST /orgsim/load/start", func(w http.ResponseWriter, r *http.Request) {
		var c LoadConfig
		if decodeControl(w, r, &c) {
			answerControl(w, countAnswer{}, o.StartLoad(c))
		}
	})
	mux.HandleFunc("GET /orgsim/sessions", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, o.Sessions()) })
	mux.HandleFunc("GET /orgsim/stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, o.Stats()) })
	mux.HandleFunc("GET /orgsim/ledger", o.serveLedger)
	mux.HandleFunc("GET /orgsim/rows/{object}", o.serveRows)
	mux.HandleFunc("GET /orgsim/{$}", o.serveIndex)
}

// decodeControl reads a strict JSON body; an empty one means all defaults.
func decodeControl(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		answerControl(w, nil, &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Message: err.Error()})
		return false
	}
	return true
}

func answerControl(w http.ResponseWriter, answer any, err error) {
	if err == nil {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	status := http.StatusBadRequest
	var re *RequestError
	if errors.As(err, &re) {
		status = re.Status
	}
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

// controlDiff takes one long text field in fields.
func (o *Org) controlDiff(q *controlRequest) (any, error) {
	for _, name := range sortedKeys(q.Fields) {
		text, _ := q.Fields[name].(string)
		if err := o.UpdateDiff(q.Object, q.ID, name, text); err != nil {
			return nil, err
		}
	}
	return countAnswer{len(q.Fields)}, nil
}

func (o *Org) controlDelete(q *controlRequest) (any, error) {
	return countAnswer{len(q.ids())}, o.Transact(TxOptions{}, func(tx *Tx) error {
		for _, id := range q.ids() {
			if err := tx.Delete(q.Object, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *Org) controlUndelete(q *controlRequest) (any, error) {
	return countAnswer{len(q.ids())}, o.Transact(TxOptions{}, func(tx *Tx) error {
		for _, id := range q.ids() {
			if err := tx.Undelete(q.Object, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *Org) controlClock(q *controlRequest) (any, error) {
	d, err := time.ParseDuration(q.Advance)
	if err != nil || d < 0 {
		return nil, &RequestError{Status: 400, Code: "INVALID_INPUT", Message: fmt.Sprintf("advance is %q, want a duration such as 72h", q.Advance)}
	}
	o.AdvanceClock(d)
	return map[string]time.Time{"clock": o.now().UTC()}, nil
}

func (o *Org) controlTrim(q *controlRequest) (any, error) {
	if q.Keep == nil {
		return nil, &RequestError{Status: 400, Code: "INVALID_INPUT", Message: "keep is missing: how many events stay"}
	}
	return countAnswer{o.Trim(*q.Keep)}, nil
}

// serveRows is the record store as the org sees it, one row a line.
func (o *Org) serveRows(w http.ResponseWriter, r *http.Request) {
	rows, err := o.Rows(r.PathValue("object"))
	if err != nil {
		answerControl(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for _, row := range rows {
		if enc.Encode(row.Fields) != nil {
			return
		}
	}
}

// serveLedger streams ledger entries, one JSON object a line: from=<index>
// (default 0), limit=<n> (default all there are), follow=true goes on with what
// comes until the limit or until the client goes.
func (o *Org) serveLedger(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, errFrom := number(q.Get("from"), 0)
	limit, errLimit := number(q.Get("limit"), -1)
	if errFrom != nil || errLimit != nil {
		answerControl(w, nil, &RequestError{Status: 400, Code: "INVALID_INPUT", Message: "from and limit are whole numbers"})
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for {
		changed := o.bus.changed()
		for e := range o.LedgerFrom(from) {
			if limit == 0 || enc.Encode(e) != nil {
				return
			}
			limit--
			from = e.Index + 1
		}
		if q.Get("follow") != "true" || limit == 0 {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func number(s string, d int) (int, error) {
	if s == "" {
		return d, nil
	}
	return strconv.Atoi(s)
}

// serveIndex says what the org is and what can be asked of it.
func (o *Org) serveIndex(w http.ResponseWriter, r *http.Request) {
	var users, clients []string
	for _, u := range o.users {
		users = append(users, u.Username)
	}
	for id := range o.apps {
		clients = append(clients, id)
	}
	objects := map[string]any{}
	o.mu.Lock()
	for _, ob := range o.order {
		objects[ob.def.Name] = map[string]any{"event": ob.def.EventName(), "channel": ob.def.Channel(), "schemaId": ob.schema.id, "records": len(ob.live)}
	}
	o.mu.Unlock()
	posts := append(sortedKeys(controlActions()), "bulk", "load/start")
	posts = append(posts, sortedKeys(faultActions())...)
	writeJSON(w, http.StatusOK, map[string]any{
		"orgId": o.ID(), "url": o.baseURL(r), "cometd": o.baseURL(r) + "/cometd/" + o.cfg.Versions[len(o.cfg.Versions)-1],
		"clientIds": clients, "users": users, "channels": o.Channels(), "objects": objects,
		"get": []string{"sessions", "stats", "faults", "faults/log", "ledger?from=&limit=&follow=", "rows/{object}"}, "post": posts,
	})
}
