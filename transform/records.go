package transform

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxHeaders is how many headers a record has at most.
const maxHeaders = 13

// dummyID stands for "some records" in overflow events.
const dummyID = "000000000000000AAA"

// block is a record and its headers: one allocation for all of an event's.
type block struct {
	record  kgo.Record
	headers [maxHeaders]kgo.RecordHeader
}

// texts are the places in buf of the header values that differ from event to
// event; an empty one is left out.
type texts struct {
	position, uuid, transaction, sequence, commit span
}

// changeEvent makes the records of a change event whose value is in buf.
func (e *Encoder) changeEvent(ctx context.Context, dst []*kgo.Record, ev *Event, ch *channel, cd *codec) ([]*kgo.Record, Meta, error) {
	valueEnd := len(e.buf)
	h := &cd.header
	object, err := e.headerText(h.entity, "entityName")
	if err != nil {
		return dst, Meta{}, err
	}
	if ch.family == polledRows {
		object = ch.object // two queries of one object are two kinds of records
	}
	change, err := e.headerText(h.change, "changeType")
	if err != nil {
		return dst, Meta{}, err
	}
	at, err := e.scan.millis(h.commitT)
	if err != nil || at.Before(time.UnixMilli(0)) {
		return dst, Meta{}, headerError("commitTimestamp", "no time since 1970", "epoch milliseconds")
	}
	if err := e.putKeys(); err != nil {
		return dst, Meta{}, err
	}
	r, err := e.route(ctx, ch, cd, object, change)
	if err != nil {
		return dst, Meta{}, err
	}
	e.putID(r)
	t := e.putTexts(ev)
	if !e.scan.isOfNone(h.transaction) {
		t.transaction = e.putHeaderText(h.transaction)
		t.sequence = e.putHeaderNumber(h.sequence)
		t.commit = e.putHeaderNumber(h.commitN)
	}

	meta := Meta{Object: object, ChangeType: change, Time: at, Records: len(e.keys), Extras: len(e.scan.extras)}
	meta.Gap = e.gap(object, change, at)
	if err := e.fansOut(valueEnd); err != nil {
		return dst, Meta{}, err
	}
	tombstone := r.tombstone && meta.Gap == nil
	if tombstone {
		meta.Tombstones = len(e.keys)
	}
	dst = e.assemble(dst, parts{ch: ch, cd: cd, r: r, texts: t, valueEnd: valueEnd, at: at, tombstone: tombstone})
	return dst, meta, nil
}

// platformEvent makes the record of a platform event whose value is in buf.
func (e *Encoder) platformEvent(ctx context.Context, dst []*kgo.Record, ev *Event, ch *channel, cd *codec) ([]*kgo.Record, Meta, error) {
	valueEnd := len(e.buf)
	object := ev.APIName
	if object == "" {
		object = cd.schema.Name
	}
	at := ev.ReceivedAt
	if cd.created >= 0 {
		if created, err := e.scan.millis(cd.created); err == nil && !created.Before(time.UnixMilli(0)) {
			at = created
		}
	}
	r, err := e.route(ctx, ch, cd, object, "")
	if err != nil {
		return dst, Meta{}, err
	}
	e.putID(r)
	e.keys = e.keys[:0]
	if key, err := e.putKeyField(cd, r); err != nil {
		return dst, Meta{}, err
	} else if key.end > key.start {
		e.keys = append(e.keys, key)
	} else if ev.UUID != "" {
		e.startKey()
		e.keys = append(e.keys, e.putString(ev.UUID))
	} else {
		e.keys = append(e.keys, e.putPlace(ev, ch))
	}
	t := e.putTexts(ev)
	dst = e.assemble(dst, parts{ch: ch, cd: cd, r: r, texts: t, valueEnd: valueEnd, at: at})
	return dst, Meta{Object: object, Time: at, Records: 1, Extras: len(e.scan.extras)}, nil
}

// parts is what the records of one event are assembled from.
type parts struct {
	ch        *channel
	cd        *codec
	r         *route
	texts     texts
	valueEnd  int
	at        time.Time
	tombstone bool
}

// assemble copies buf, which holds value, keys and texts, into memory of its
// own and lays the records over it.
func (e *Encoder) assemble(dst []*kgo.Record, p parts) []*kgo.Record {
	arena := e.arena(&p)
	var shared [maxHeaders]kgo.RecordHeader
	n, indexAt := e.headers(&shared, arena, &p)

	each := 1
	if p.tombstone {
		each = 2
	}
	blocks := make([]block, each*len(e.keys))
	for i := range blocks {
		b := &blocks[i]
		b.headers = shared
		b.headers[indexAt].Value = e.decimal(i / each)
		b.record.Topic = p.r.topic
		b.record.Key = e.recordKey(arena, e.keys[i/each], p.r.keyID)
		b.record.Headers = b.headers[:n:n]
		b.record.Timestamp = p.at
		if i%each == 0 {
			b.record.Value = cut(arena, e.valueOf(i/each))
		}
		dst = append(dst, &b.record)
	}
	return dst
}

// cut returns a part of the arena that cannot grow into the next one.
func cut(arena []byte, s span) []byte { return arena[s.start:s.end:s.end] }

// headers fills in the headers that all records of an event share. It returns
// how many there are and which is the record's index.
func (e *Encoder) headers(h *[maxHeaders]kgo.RecordHeader, arena []byte, p *parts) (n, index int) {
	put := func(key string, value []byte) {
		if len(value) > 0 {
			h[n] = kgo.RecordHeader{Key: key, Value: value}
			n++
		}
	}
	put("sf-org", e.org)
	put("sf-channel", p.ch.text)
	put("sf-replay-id", cut(arena, p.texts.position))
	put("sf-object", p.r.object)
	put("sf-change-type", p.r.change)
	put("sf-schema-id", p.cd.id)
	put("sf-event-uuid", cut(arena, p.texts.uuid))
	put("sf-transaction-key", cut(arena, p.texts.transaction))
	put("sf-sequence", cut(arena, p.texts.sequence))
	put("sf-commit-number", cut(arena, p.texts.commit))
	index = n
	put("sf-record-index", e.decimal(0))
	put("sf-record-count", e.decimal(len(e.keys)))
	if e.cfg.Registry == nil && e.cfg.Format == Avro {
		put("sf-schema-fingerprint", p.cd.finger)
	}
	return n, index
}

func (e *Encoder) putTexts(ev *Event) texts {
	return texts{position: e.putString(ev.Position), uuid: e.putString(ev.UUID)}
}

func headerError(field, found, expected string) error {
	return &FieldError{Path: schemas.HeaderField + "." + field, Field: field, Found: found, Expected: expected}
}

// headerText returns a text of the header that there must be.
func (e *Encoder) headerText(at int, field string) (string, error) {
	sl := &e.scan.slots[at]
	if sl.kind != kindText || sl.start == sl.end {
		return "", headerError(field, "no text", "a text")
	}
	return e.intern(e.scan.bytes(sl)), nil
}

func (e *Encoder) putHeaderText(at int) span {
	if sl := &e.scan.slots[at]; sl.kind == kindText {
		return e.put(e.scan.bytes(sl))
	}
	return span{}
}

func (e *Encoder) putHeaderNumber(at int) span {
	sl := &e.scan.slots[at]
	if sl.kind != kindNumber {
		return span{}
	}
	v, _ := wholeNumber(e.scan.p[sl.start:sl.end]) // the value was written from it already
	start := len(e.buf)
	e.buf = strconv.AppendInt(e.buf, v, 10)
	return span{start: int32(start), end: int32(len(e.buf))}
}

// putKeys puts the record keys of a change event into buf: its record ids in
// the 18-character form.
func (e *Encoder) putKeys() error {
	e.keys = e.keys[:0]
	for i, id := range e.scan.ids {
		text := e.scan.bytes(&slot{start: id.start, end: id.end, escaped: id.escaped})
		if !isID(text) {
			return headerError("recordIds["+strconv.Itoa(i)+"]", quoted("the text", text), "a record id of 18 or 15 characters, or a wildcard such as 001*")
		}
		e.startKey()
		key := e.put(text)
		if len(text) == 15 {
			e.buf = appendIDSuffix(e.buf, text)
			key.end = int32(len(e.buf))
		}
		e.keys = append(e.keys, key)
	}
	if len(e.keys) == 0 {
		return headerError("recordIds", "no id", "at least one record id")
	}
	return nil
}

// isID accepts record ids and wildcards.
func isID(b []byte) bool {
	if n := len(b); n > 1 && n < 15 && b[n-1] == '*' {
		b = b[:n-1]
	} else if n != 15 && n != 18 {
		return false
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		default:
			return false
		}
	}
	return true
}

// appendIDSuffix appends the three characters that make an id of 15 characters
// safe where case is not kept: each tells which of five are upper-case letters
// (Salesforce object reference, "ID field type").
func appendIDSuffix(dst, id []byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	for chunk := 0; chunk < 15; chunk += 5 {
		bits := 0
		for i, c := range id[chunk : chunk+5] {
			if c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		dst = append(dst, alphabet[bits])
	}
	return dst
}

// putKeyField puts the value of the configured key field into buf; an empty
// span means that the event has none.
func (e *Encoder) putKeyField(cd *codec, r *route) (span, error) {
	if r.keyField < 0 {
		return span{}, nil
	}
	s := &e.scan
	sl := &s.slots[r.keyField]
	t := cd.root.fields[r.keyField].typ
	e.startKey()
	switch sl.kind {
	case kindText:
		return e.put(s.bytes(sl)), nil
	case kindTrue:
		return e.putString("true"), nil
	case kindFalse:
		return e.putString("false"), nil
	case kindNumber:
		text := s.p[sl.start:sl.end]
		start := len(e.buf)
		if t.number.op == opInt || t.number.op == opLong {
			v, err := integer(t, &t.number, text)
			if err != nil {
				return span{}, within(cd.root.fields[r.keyField].name, err)
			}
			e.buf = strconv.AppendInt(e.buf, v, 10)
		} else {
			f, _ := double(text)
			e.buf = strconv.AppendFloat(e.buf, f, 'f', -1, 64)
		}
		return span{start: int32(start), end: int32(len(e.buf))}, nil
	}
	return span{}, nil
}

// gap tells what a change event leaves open, nil if nothing.
func (e *Encoder) gap(object, change string, at time.Time) *Gap {
	var reason GapReason
	switch {
	case change == "GAP_OVERFLOW":
		reason = GapOverflow
	case strings.HasPrefix(change, "GAP_"):
		reason = GapEvent
	}
	for _, key := range e.keys {
		id := e.buf[key.start:key.end]
		if string(id) == dummyID {
			reason = GapOverflow
		} else if id[len(id)-1] == '*' {
			reason = max(reason, GapWildcard)
		}
	}
	if reason == 0 {
		return nil
	}
	g := &Gap{Reason: reason, Entity: object, ChangeType: change, Time: at}
	for _, key := range e.keys {
		g.RecordIDs = append(g.RecordIDs, string(e.buf[key.start:key.end]))
	}
	return g
}
