package transform

import (
	"context"
	"strings"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The slots of what format raw reads of a payload.
const (
	rawEntity = iota
	rawChange
	rawTransaction
	rawSequence
	rawCommitTime
	rawCommitNumber
	rawIDs // never a value: the ids are in scan.ids
	rawCreated
	rawKey
	rawType
	rawRow
	rawSlots
)

// rawField is one of the keys that are looked for. Keys of a nested object are
// those of in.
type rawField struct {
	key string
	at  int
	in  []rawField
}

// rawFields are the keys that topic, key, headers and timestamp of a channel's
// events are made of. key is the field that a platform event's record is keyed by.
func rawFields(ch *channel, key string) []rawField {
	switch ch.family {
	case pushTopics:
		return []rawField{
			{key: schemas.EventField, in: []rawField{{key: "createdDate", at: rawCreated}, {key: "type", at: rawType}}},
			{key: schemas.RowField, in: []rawField{{key: "Id", at: rawRow}}},
		}
	case genericChannels:
		return []rawField{{key: schemas.EventField, in: []rawField{{key: "createdDate", at: rawCreated}}}}
	case platformEvents:
		fields := []rawField{{key: "CreatedDate", at: rawCreated}}
		if key != "" && key != "CreatedDate" {
			fields = append(fields, rawField{key: key, at: rawKey})
		}
		return fields
	}
	return []rawField{{key: schemas.HeaderField, in: []rawField{
		{key: "entityName", at: rawEntity}, {key: "changeType", at: rawChange}, {key: "recordIds", at: rawIDs},
		{key: "transactionKey", at: rawTransaction}, {key: "sequenceNumber", at: rawSequence},
		{key: "commitTimestamp", at: rawCommitTime}, {key: "commitNumber", at: rawCommitNumber},
	}}}
}

// raw makes the records of an event whose value is its payload. No schema is
// asked for, and no more of the payload is read than what topic, key and headers
// are made of: what else is in it may be anything.
func (e *Encoder) raw(ctx context.Context, dst []*kgo.Record, ev *Event, ch *channel) ([]*kgo.Record, Meta, error) {
	object, key := ch.object, ""
	var err error
	if ch.family == platformEvents {
		if object, err = e.rawObject(ctx, ev, ch); err != nil {
			return dst, Meta{}, err
		}
		key = ch.key(object)
	}
	if err := e.rawScan(ev, ch, key); err != nil {
		return dst, Meta{}, err
	}
	e.buf = append(e.buf[:0], ev.Payload...)
	if ch.change {
		return e.rawChangeEvent(ctx, dst, ev, ch)
	}
	s := &e.scan
	cd := e.rawCodec(ev.SchemaID)
	valueEnd := len(e.buf)
	change := ""
	switch {
	case ch.family == pushTopics:
		change = e.rawText(rawType)
		cd.note.id = rawRow
		err = e.putRowID(cd)
	case ch.family == platformEvents:
		e.putRawKey(ev, ch, key)
	default:
		e.keys = append(e.keys[:0], e.putPlace(ev, ch))
	}
	if err != nil {
		return dst, Meta{}, err
	}
	r, err := e.route(ctx, ch, cd, object, change)
	if err != nil {
		return dst, Meta{}, err
	}
	at := ev.ReceivedAt
	if created, err := s.millis(rawCreated); err == nil && !created.Before(time.UnixMilli(0)) {
		at = created
	}
	meta := Meta{Object: object, ChangeType: change, Time: at, Records: 1}
	if r.tombstone {
		meta.Tombstones = 1
	}
	return e.assemble(dst, parts{ch: ch, cd: cd, r: r, texts: e.putTexts(ev), valueEnd: valueEnd, at: at, tombstone: r.tombstone}), meta, nil
}

// rawChangeEvent makes the records of a change event.
func (e *Encoder) rawChangeEvent(ctx context.Context, dst []*kgo.Record, ev *Event, ch *channel) ([]*kgo.Record, Meta, error) {
	cd := e.rawCodec(ev.SchemaID)
	valueEnd := len(e.buf)
	object, err := e.headerText(rawEntity, "entityName")
	if err != nil {
		return dst, Meta{}, err
	}
	if err := e.putKeys(); err != nil {
		return dst, Meta{}, err
	}
	change := e.rawText(rawChange)
	r, err := e.route(ctx, ch, cd, object, change)
	if err != nil {
		return dst, Meta{}, err
	}
	at := ev.ReceivedAt
	if committed, err := e.scan.millis(rawCommitTime); err == nil && !committed.Before(time.UnixMilli(0)) {
		at = committed
	}
	t := e.putTexts(ev)
	if !e.scan.isOfNone(rawTransaction) {
		t.transaction = e.putHeaderText(rawTransaction)
		t.sequence = e.putRawNumber(rawSequence)
		t.commit = e.putRawNumber(rawCommitNumber)
	}
	meta := Meta{Object: object, ChangeType: change, Time: at, Records: len(e.keys), Gap: e.gap(object, change, at)}
	tombstone := r.tombstone && meta.Gap == nil
	if tombstone {
		meta.Tombstones = len(e.keys)
	}
	return e.assemble(dst, parts{ch: ch, cd: cd, r: r, texts: t, valueEnd: valueEnd, at: at, tombstone: tombstone}), meta, nil
}

// rawCodec stands for a schema of which nothing is known but its id.
func (e *Encoder) rawCodec(id string) *codec {
	key := codecKey{id: id}
	cd, ok := e.codecs[key]
	if !ok {
		cd = &codec{schema: &schemas.Schema{ID: id}, id: []byte(id)}
		e.codecs[key] = cd
	}
	return cd
}

// rawObject is the API name of a platform event. Events of old endpoints do not
// say it: then the channel does, or for a custom one the schema.
func (e *Encoder) rawObject(ctx context.Context, ev *Event, ch *channel) (string, error) {
	if ev.APIName != "" {
		return ev.APIName, nil
	}
	if !strings.HasSuffix(ch.short, "__chn") {
		return ch.short, nil
	}
	s, err := e.cfg.Schemas.Schema(ctx, ev.SchemaID)
	if err != nil {
		return "", err
	}
	return s.Name, nil
}

// putRawKey puts the key of a platform event's record into buf.
func (e *Encoder) putRawKey(ev *Event, ch *channel, field string) {
	s := &e.scan
	at := rawKey
	if field == "CreatedDate" {
		at = rawCreated
	}
	var key span
	e.startKey()
	switch sl := &s.slots[at]; {
	case field == "":
	case sl.kind == kindText:
		key = e.put(s.bytes(sl))
	case sl.kind != kindAbsent:
		key = e.put(s.p[sl.start:sl.end])
	}
	switch {
	case key.end > key.start:
	case ev.UUID != "":
		key = e.putString(ev.UUID)
	default:
		key = e.putPlace(ev, ch)
	}
	e.keys = append(e.keys[:0], key)
}

// rawText is a text that need not be there.
func (e *Encoder) rawText(at int) string {
	if sl := &e.scan.slots[at]; sl.kind == kindText {
		return e.intern(e.scan.bytes(sl))
	}
	return ""
}

// putRawNumber puts a whole number into buf, and nothing if there is none.
func (e *Encoder) putRawNumber(at int) span {
	if sl := &e.scan.slots[at]; sl.kind == kindNumber {
		if _, why := wholeNumber(e.scan.p[sl.start:sl.end]); why != "" {
			return span{}
		}
	}
	return e.putHeaderNumber(at)
}

// rawScan reads what is looked for into the slots.
func (e *Encoder) rawScan(ev *Event, ch *channel, key string) error {
	s := &e.scan
	s.p, s.header = ev.Payload, nil
	s.ids, s.holes, s.extras = s.ids[:0], s.holes[:0], s.extras[:0]
	s.slots = append(s.slots[:0], make([]slot, rawSlots)...)
	fields, ok := ch.raw[key]
	if !ok {
		if ch.raw == nil {
			ch.raw = make(map[string][]rawField)
		}
		fields = rawFields(ch, key)
		ch.raw[key] = fields
	}
	i := s.space(0)
	if s.at(i) != '{' {
		return s.syntax(i, "an event's payload is an object")
	}
	_, err := s.look(i, fields)
	return err
}

// look reads the keys that are wanted of the object at i, and passes over the
// others. It ends with the object, or as soon as it has seen all of them.
func (s *scan) look(i int, want []rawField) (int, error) {
	i = s.space(i + 1)
	for left := len(want); s.at(i) == '"'; {
		start := i + 1
		end, escaped, err := s.text(start)
		if err != nil {
			return i, err
		}
		key := s.bytes(&slot{start: int32(start), end: int32(end), escaped: escaped})
		if i = s.space(end + 1); s.at(i) != ':' {
			return i, s.syntax(i, "expected a colon")
		}
		i = s.space(i + 1)
		if f := wanted(want, key); f == nil {
			i, err = s.pass(i)
		} else if i, err = s.lookAt(i, f); err == nil {
			if left--; left == 0 && f.in != nil {
				return i, nil
			}
		}
		if err != nil {
			return i, err
		}
		if i = s.space(i); s.at(i) == ',' {
			i = s.space(i + 1)
		}
	}
	if s.at(i) != '}' {
		return i, s.syntax(i, "expected a key or a closing brace")
	}
	return i + 1, nil
}

func wanted(want []rawField, key []byte) *rawField {
	for i := range want {
		if want[i].key == string(key) {
			return &want[i]
		}
	}
	return nil
}

// lookAt reads one value that is wanted. One of another kind than any that is of
// use is passed over.
func (s *scan) lookAt(i int, f *rawField) (int, error) {
	c := s.at(i)
	if f.in != nil {
		if c == '{' {
			return s.look(i, f.in)
		}
		return s.pass(i)
	}
	if c == '[' && f.at == rawIDs {
		return s.lookIDs(i)
	}
	if s.slots[f.at].kind != kindAbsent {
		return i, within(f.key, &FieldError{Found: "the key twice", Expected: "each key once"})
	}
	switch c {
	case '"':
		end, escaped, err := s.text(i + 1)
		s.slots[f.at] = slot{kind: kindText, start: int32(i + 1), end: int32(end), escaped: escaped}
		return end + 1, err
	case '{', '[', 'n':
		return s.pass(i)
	}
	end, err := s.pass(i)
	text := string(s.p[i:min(end, len(s.p))])
	if n, ok := s.number(i); ok && n == end {
		s.slots[f.at] = slot{kind: kindNumber, start: int32(i), end: int32(end)}
	} else if text == "true" || text == "false" {
		s.slots[f.at] = slot{kind: kindTrue, start: int32(i), end: int32(end)}
	}
	return end, err
}

// lookIDs reads the ids of a change event's records.
func (s *scan) lookIDs(i int) (int, error) {
	for i = s.space(i + 1); s.at(i) == '"'; {
		end, escaped, err := s.text(i + 1)
		if err != nil {
			return i, err
		}
		s.ids = append(s.ids, span{int32(i + 1), int32(end), escaped})
		if i = s.space(end + 1); s.at(i) == ',' {
			i = s.space(i + 1)
		}
	}
	if s.at(i) != ']' {
		return i, headerError("recordIds", s.kindAt(i), "texts")
	}
	return i + 1, nil
}

// pass returns the place after the value at i, of which it sees no more than
// where it ends.
func (s *scan) pass(i int) (int, error) {
	depth, start := 0, i
	for ; i < len(s.p); i++ {
		switch s.p[i] {
		case '"':
			for i++; i < len(s.p) && s.p[i] != '"'; i++ {
				if s.p[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(s.p)), nil
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i, s.emptyValue(start, i)
			}
			if depth--; depth == 0 {
				return i + 1, nil
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i, s.emptyValue(start, i)
			}
		}
	}
	return i, s.syntax(i, "a value that does not end")
}

func (s *scan) emptyValue(start, end int) error {
	if start == end {
		return s.syntax(start, "expected a value")
	}
	return nil
}
