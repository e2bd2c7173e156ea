package orgsim

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// rendered is one change event in the making.
type rendered struct {
	ob      *object
	change  string
	body    []byte // members of the payload after the header, with a leading comma
	changed []string
	ids     []string
	uuid    string
	sameID  bool  // shares the replay id of the event before it
	gapSeq  int   // sequence numbers left out before it
	note    *note // in place of all others
}

// commit turns what the transaction touched into events on the bus.
func (tx *Tx) commit() {
	var out []rendered
	var done []settled
	bodies := tx.o.bodies[:0]
	for _, s := range tx.staged {
		var change string
		var changed []string
		at := len(bodies)
		if s.event != nil {
			bodies = appendEventBody(bodies, s.ob, s.event)
			out = append(out, rendered{ob: s.ob, body: bodies[at:len(bodies):len(bodies)], uuid: s.uuid})
			continue
		}
		if change = s.settle(); change != "" && len(tx.o.topics) > 0 {
			done = append(done, settled{s, change})
		}
		if change == "" || s.ob.def.NoCapture {
			continue
		}
		bodies, changed = s.body(bodies, change, tx.o)
		body := bodies[at:len(bodies):len(bodies)]
		if n := len(out) - 1; n >= 0 && tx.o.cfg.merges() && out[n].ob == s.ob && out[n].change == change &&
			bytes.Equal(out[n].body, body) && slices.Equal(out[n].changed, changed) {
			out[n].ids = append(out[n].ids, s.rec.id)
			continue
		}
		out = append(out, rendered{ob: s.ob, change: change, body: body, changed: changed, ids: []string{s.rec.id}})
	}
	out = append(out, tx.notes(done)...)
	tx.o.put(tx.user.id, tx.origin, out)
	tx.o.bodies = bodies
}

// settle updates the list of live records and says what happened to the
// record over the whole transaction; "" when nothing did.
func (s *staged) settle() string {
	r := s.rec
	wasLive := s.existed && !s.wasDeleted
	switch {
	case !wasLive && !r.deleted:
		s.ob.addLive(r)
	case wasLive && r.deleted:
		s.ob.removeLive(r)
	}
	switch {
	case !s.existed && !r.deleted:
		return "CREATE"
	case !s.existed, s.wasDeleted && r.deleted:
		return ""
	case s.wasDeleted:
		return "UNDELETE"
	case r.deleted:
		return "DELETE"
	case s.quiet:
		return ""
	default:
		return "UPDATE"
	}
}

// body appends the fields of a change event: all that are not empty for
// CREATE and UNDELETE, the changed ones for UPDATE, none for DELETE (Change
// Data Capture guide, Change Event Fields).
func (s *staged) body(body []byte, change string, o *Org) (_ []byte, changed []string) {
	switch change {
	case "CREATE", "UNDELETE":
		for i, f := range s.ob.fields {
			if v := s.rec.val(i); v != nil {
				body = appendMember(body, f, v)
			}
		}
	case "UPDATE":
		for i, f := range s.ob.fields {
			body, changed = s.changedField(body, changed, i, f, o)
		}
	}
	return body, changed
}

func appendMember(dst []byte, f *field, v any) []byte {
	dst = append(dst, ',')
	dst = append(dst, f.key...)
	return f.appendValue(dst, v)
}

func (s *staged) changedField(body []byte, changed []string, i int, f *field, o *Org) ([]byte, []string) {
	var old any
	if i < len(s.before) {
		old = s.before[i]
	}
	v := s.rec.val(i)
	if sameValue(old, v) && i != s.ob.sys.modified {
		return body, changed
	}
	oldParts, wasParts := old.([]any)
	parts, isParts := v.([]any)
	if f.Type != Geolocation && f.parts != nil && (wasParts || old == nil) && (isParts || v == nil) {
		return changedParts(body, changed, f, oldParts, parts)
	}
	changed = append(changed, f.Name)
	if diff := s.diff(i, f, old, v, o); diff != "" {
		body = append(append(append(body, ','), f.key...), `{"diff":`...)
		return append(appendString(body, diff), '}'), changed
	}
	return appendMember(body, f, v), changed
}

// changedParts renders only the components that changed, cleared ones as null.
func changedParts(body []byte, changed []string, f *field, old, now []any) ([]byte, []string) {
	at := func(vals []any, i int) any {
		if i < len(vals) {
			return vals[i]
		}
		return nil
	}
	take := func(i int) bool { return at(old, i) != at(now, i) }
	for i, p := range f.parts {
		if take(i) {
			changed = append(changed, f.Name+"."+p.name)
		}
	}
	body = append(append(body, ','), f.key...)
	return f.appendParts(body, now, take), changed
}

func appendEventBody(dst []byte, ob *object, vals []any) []byte {
	for i, f := range ob.fields {
		var v any
		if i < len(vals) {
			v = vals[i]
		}
		dst = appendMember(dst, f, v)
	}
	return dst
}

// put gives events their ids and appends them to the bus. The caller holds o.mu.
func (o *Org) put(user, origin string, events []rendered) {
	if len(events) == 0 {
		return
	}
	key := transactionKey(o.keyRand)
	commit := o.commitTime()
	o.commitNumber += 1 + o.keyRand.Int64N(40)
	batch := make([]logged, 0, len(events))
	seq := 0
	shares := o.shares(len(events))
	for i := range events {
		e := &events[i]
		if e.note != nil || !e.sameID && (!shares || i == 0) {
			o.replay += o.gap()
		}
		if e.note != nil {
			batch = append(batch, e.note.log(o, o.replay, commit, key))
			continue
		}
		seq += 1 + e.gapSeq
		entry := logged{replay: o.replay, commit: commit, typ: e.ob.typ, change: e.change, ids: e.ids,
			uuid: e.uuid, key: key, sequence: seq, schema: e.ob.schema.id}
		o.scratch, entry.payload = o.appendData(o.scratch[:0], e, &entry, user, origin)
		entry.data = o.bus.keep(o.scratch)
		batch = append(batch, entry)
	}
	o.delay(batch)
	o.loaded(batch)
	o.bus.append(batch)
	o.stats.published.Add(int64(len(batch)))
}

// gap is the distance to the next replay id: mostly small, now and then large,
// since other tenants' events lie between.
func (o *Org) gap() int64 {
	switch n := o.gapRand.IntN(100); {
	case n < 60:
		return 1
	case n < 95:
		return 2 + o.gapRand.Int64N(20)
	default:
		return 100 + o.gapRand.Int64N(5000)
	}
}

// appendData renders the data member of the message.
func (o *Org) appendData(dst []byte, e *rendered, entry *logged, user, origin string) (out []byte, payload [2]int) {
	dst = append(dst, `{"schema":"`...)
	dst = append(dst, entry.schema...)
	dst = append(dst, `","payload":`...)
	payload[0] = len(dst)
	dst = append(dst, '{')
	if e.ob.def.IsEvent() {
		dst = append(dst, e.body[1:]...)
	} else {
		dst = o.appendHeader(dst, e, entry, user, origin)
		dst = append(dst, e.body...)
	}
	dst = append(dst, '}')
	payload[1] = len(dst)
	dst = append(dst, `,"event":{`...)
	if entry.uuid != "" {
		dst = append(append(append(dst, `"EventUuid":"`...), entry.uuid...), `",`...)
	}
	dst = append(dst, `"replayId":`...)
	dst = strconv.AppendInt(dst, entry.replay, 10)
	if e.ob.def.IsEvent() {
		dst = append(append(append(dst, `,"EventApiName":"`...), e.ob.def.Name...), '"')
	}
	return append(dst, "}}"...), payload
}

func (o *Org) appendHeader(dst []byte, e *rendered, entry *logged, user, origin string) []byte {
	dst = append(dst, `"ChangeEventHeader":{"commitNumber":`...)
	dst = strconv.AppendInt(dst, o.commitNumber, 10)
	dst = append(append(append(dst, `,"commitUser":"`...), user...), `","sequenceNumber":`...)
	dst = strconv.AppendInt(dst, int64(entry.sequence), 10)
	dst = append(append(append(dst, `,"entityName":"`...), e.ob.def.Name...), `","changeType":"`...)
	dst = append(append(dst, e.change...), '"')
	if !o.cfg.OmitChangedFields {
		dst = appendStrings(append(dst, `,"changedFields":`...), e.changed)
	}
	dst = appendString(append(dst, `,"changeOrigin":`...), origin)
	dst = append(append(append(dst, `,"transactionKey":"`...), entry.key...), `","commitTimestamp":`...)
	dst = strconv.AppendInt(dst, entry.commit, 10)
	dst = appendStrings(append(dst, `,"recordIds":`...), e.ids)
	return append(dst, '}')
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

// Emit publishes a change event that says what the store does not: GAP_CREATE,
// GAP_UPDATE, GAP_DELETE, GAP_UNDELETE, GAP_OVERFLOW, or an UPDATE for ids such
// as "001*". Its body is the header alone (Change Data Capture guide, Gap
// Events). Without ids GAP_OVERFLOW gets the documented dummy id.
func (o *Org) Emit(object, changeType string, ids ...string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	ob := o.objects[object]
	if ob == nil || ob.def.IsEvent() {
		return errNoObject(object)
	}
	known := []string{"CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW"}
	if !slices.Contains(known, changeType) {
		return &RequestError{Status: 400, Code: "INVALID_INPUT", Message: fmt.Sprintf("unknown change type %q, one of %v", changeType, known)}
	}
	if len(ids) == 0 {
		if changeType != "GAP_OVERFLOW" {
			return &RequestError{Status: 400, Code: "INVALID_INPUT", Message: changeType + " needs record ids"}
		}
		ids = []string{"000000000000000AAA"}
	}
	o.put(o.users[0].id, "", []rendered{{ob: ob, change: changeType, ids: slices.Clone(ids)}})
	return nil
}

// EmitWildcard publishes the UPDATE for all records of an object that a lossy
// change of a field's type gives: recordIds is the key prefix and a star.
func (o *Org) EmitWildcard(object string) error {
	o.mu.Lock()
	ob := o.objects[object]
	o.mu.Unlock()
	if ob == nil {
		return errNoObject(object)
	}
	return o.Emit(object, "UPDATE", ob.prefix+"*")
}

// UpdateUngrouped makes one change to several records and publishes it as
// separate events that share one replay id, as channel enrichment does with a
// merged event.
func (o *Org) UpdateUngrouped(object string, ids []string, fields Fields) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	tx := &Tx{o: o, user: o.users[0]}
	for _, id := range ids {
		if err := tx.Update(object, id, fields); err != nil {
			tx.undo()
			return err
		}
	}
	var out []rendered
	for i, s := range tx.staged {
		body, changed := s.body(nil, s.settle(), o)
		out = append(out, rendered{ob: s.ob, change: "UPDATE", body: body, changed: changed, ids: []string{s.rec.id}, sameID: i > 0})
	}
	o.put(tx.user.id, "", out)
	return nil
}
