package transform

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/twmb/franz-go/pkg/kgo"
)

// deletedRow is the type of a PushTopic's event for a row that was deleted.
const deletedRow = "deleted"

// notePlan has the places of what the records of a PushTopic's and of a generic
// channel's events are made of. row is the field of the root that holds the
// selected fields, -1 for a generic event; payload that of a generic event.
type notePlan struct {
	created, typ, id int // slots
	row, payload     int
}

// compileNote finds the places in a schema that the bridge made, whose last field
// is not the event's. n is how many fields the event has.
func (cd *codec) compileNote() error {
	places := &cd.note
	places.row, places.payload = -1, -1
	root := cd.root
	event := root.find([]byte(schemas.EventField))
	n := 2
	if cd.schema.Streaming == schemas.PushTopicEvent {
		places.row = root.find([]byte(schemas.RowField))
		root.fields[n].absent = absentNullFields
	} else {
		places.payload = root.find([]byte(schemas.PayloadField))
		root.fields[places.payload].typ.raw = true
		root.fields[n].absent = absentPayloadJSON
	}
	root.hash(n)
	for _, want := range []struct {
		in   int
		name string
		at   *int
	}{{event, "createdDate", &places.created}, {event, "type", &places.typ}, {places.row, "Id", &places.id}} {
		*want.at = -1
		if want.in < 0 {
			continue
		}
		f := &root.fields[want.in]
		if i := f.typ.object.rec.find([]byte(want.name)); i >= 0 {
			*want.at = f.sub + i
		} else if cd.schema.Streaming == schemas.PushTopicEvent {
			return &schemas.SchemaError{ID: cd.schema.ID, Path: f.name + "." + want.name, Reason: "the schema of a PushTopic lacks the field"}
		}
	}
	return nil
}

// pushTopic makes the record of a PushTopic's event.
func (e *Encoder) pushTopic(ctx context.Context, dst []*kgo.Record, ev *Event, ch *channel) ([]*kgo.Record, Meta, error) {
	cd, err := e.topicValue(ctx, ev, ch)
	if err != nil {
		return dst, Meta{}, err
	}
	valueEnd := len(e.buf)
	s := &e.scan
	typ := &s.slots[cd.note.typ]
	if typ.kind != kindText {
		return dst, Meta{}, &FieldError{Path: "event.type", Field: "type", Found: "no text", Expected: "created, updated, deleted or undeleted"}
	}
	change := e.intern(s.bytes(typ))
	if err := e.putRowID(cd); err != nil {
		return dst, Meta{}, err
	}
	r, err := e.route(ctx, ch, cd, ch.object, change)
	if err != nil {
		return dst, Meta{}, err
	}
	e.putID(r)
	at := e.createdDate(ev, cd)
	meta := Meta{Object: ch.object, ChangeType: change, Time: at, Records: 1, Extras: len(s.extras)}
	if r.tombstone {
		meta.Tombstones = 1
	}
	dst = e.assemble(dst, parts{ch: ch, cd: cd, r: r, texts: e.putTexts(ev), valueEnd: valueEnd, at: at, tombstone: r.tombstone})
	return dst, meta, nil
}

// topicValue writes the value of a PushTopic's event by the schema that holds. An
// event that does not fit it is a reason to ask for the schema anew.
func (e *Encoder) topicValue(ctx context.Context, ev *Event, ch *channel) (*codec, error) {
	schema, err := e.cfg.Schemas.PushTopic(ctx, ch.pushTopic)
	if err != nil {
		return nil, err
	}
	for {
		cd, err := e.codecOf(schema, ch)
		if err != nil {
			return nil, err
		}
		ev.SchemaID = schema.ID
		misfit := e.value(ev, ch, cd)
		fields := e.misfits(misfit)
		if len(fields) == 0 {
			return cd, misfit
		}
		next, err := e.cfg.Schemas.RenewPushTopic(ctx, ch.pushTopic, schema.ID, fields)
		if err != nil {
			return nil, err
		}
		if next.ID == schema.ID {
			return cd, misfit
		}
		schema = next
	}
}

// misfits names the selected fields of the event in hand that its schema has
// not, or has with another type.
func (e *Encoder) misfits(err error) []string {
	var (
		field   *FieldError
		unknown *UnknownFieldError
		out     []string
	)
	add := func(path string) {
		if strings.HasPrefix(path, schemas.RowField+".") {
			out = append(out, path)
		}
	}
	switch {
	case errors.As(err, &unknown):
		add(unknown.Path)
	case errors.As(err, &field):
		add(field.Path)
	case err == nil:
		for _, x := range e.scan.extras {
			add(x.path)
		}
	}
	return out
}

// putRowID puts the id of the row, in the 18-character form, into buf as the
// record's key.
func (e *Encoder) putRowID(cd *codec) error {
	sl := &e.scan.slots[cd.note.id]
	found := "no text"
	if sl.kind == kindText {
		text := e.scan.bytes(sl)
		if isID(text) && len(text) >= 15 {
			e.startKey()
			key := e.put(text)
			if len(text) == 15 {
				e.buf = appendIDSuffix(e.buf, text)
				key.end = int32(len(e.buf))
			}
			e.keys = append(e.keys[:0], key)
			return nil
		}
		found = quoted("the text", text)
	}
	return &FieldError{Path: schemas.RowField + ".Id", Field: "Id", Found: found, Expected: "a record id of 18 or 15 characters"}
}

// createdDate is the event's own time, or when it was received.
func (e *Encoder) createdDate(ev *Event, cd *codec) time.Time {
	if at, err := e.scan.millis(cd.note.created); err == nil && !at.Before(time.UnixMilli(0)) {
		return at
	}
	return ev.ReceivedAt
}

// eachNullField calls yield with the name of each selected field that came as
// null, then with the parts of compound ones that did.
func (s *scan) eachNullField(yield func(string)) {
	if s.nulls == 0 {
		return
	}
	row := &s.root.fields[s.note.row]
	rec := row.typ.object.rec
	for i := range rec.fields {
		if s.slots[row.sub+i].kind == kindNull {
			yield(rec.fields[i].name)
		}
	}
	for i := range rec.fields {
		f := &rec.fields[i]
		if s.slots[row.sub+i].kind != kindObject {
			continue
		}
		for c, name := range f.children {
			s.listChild(listNulled, f.typ.object.rec, c, row.sub+f.sub, name, yield)
		}
	}
}

func (s *scan) countNullFields() int {
	n := 0
	s.eachNullField(func(string) { n++ })
	return n
}

func (s *scan) appendNullFields(dst []byte) []byte {
	n := s.countNullFields()
	if n == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, 1)
	dst = binary.AppendVarint(dst, int64(n))
	s.eachNullField(func(name string) {
		dst = binary.AppendVarint(dst, int64(len(name)))
		dst = append(dst, name...)
	})
	return append(dst, 0)
}

func (s *scan) appendNullFieldsJSON(dst []byte) []byte {
	dst = append(dst, '[')
	first := true
	s.eachNullField(func(name string) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendJSONText(dst, []byte(name))
	})
	return append(dst, ']')
}
