package transform

import (
	"encoding/binary"
	"strconv"
	"time"
)

// connectorName is what Debezium's source calls the connector.
const connectorName = "salesforce"

// operation is Debezium's letter for a change type (Debezium documentation,
// "Change events"). What a gap event says of a record is the operation that it
// was; there is none for "some record", so that wildcards and overflows are
// updates of a record that no table has.
func operation(change string) byte {
	switch change {
	case "CREATE", "UNDELETE", "GAP_CREATE", "GAP_UNDELETE", "":
		return 'c'
	case "DELETE", "GAP_DELETE":
		return 'd'
	case snapshotRow:
		return 'r'
	}
	return 'u'
}

// appendDebezium writes the value in Debezium's envelope. A deleted record's
// image is what the event has of it; that of an updated one is its id alone,
// since Salesforce tells no old values and readers want an image.
func (e *Encoder) appendDebezium(dst []byte, ev *Event, ch *channel, cd *codec) ([]byte, error) {
	s := &e.scan
	change := ""
	if s.header != nil {
		sl := &s.slots[s.header.change]
		if sl.kind != kindText {
			return dst, headerError("changeType", "no text", "a text")
		}
		change = e.intern(s.bytes(sl))
	}
	op := operation(change)
	dst, err := s.appendImages(dst, cd.env, op)
	if err != nil {
		return dst, err
	}
	if dst, err = e.appendSource(dst, ev, ch, cd, change); err != nil {
		return dst, err
	}
	dst = s.appendTransaction(dst)
	seen := ev.ReceivedAt
	if seen.IsZero() {
		seen = e.happened(ev, cd)
	}
	if s.json {
		dst = append(dst, `,"op":"`...)
		dst = append(dst, op)
		dst = append(dst, `","ts_ms":`...)
		dst = s.appendTail(strconv.AppendInt(dst, seen.UnixMilli(), 10), cd)
		return append(dst, '}'), nil
	}
	dst = append(dst, 2, op, 2)
	return s.appendTail(binary.AppendVarint(dst, seen.UnixMilli()), cd), nil
}

// appendImages writes before and after.
func (s *scan) appendImages(dst []byte, p *envelopePlan, op byte) ([]byte, error) {
	var err error
	switch op {
	case 'd':
		dst, err = s.appendRow(s.beginRow(dst, `{"before":`, true), p)
		dst = s.endRow(dst, true)
	case 'u':
		dst = s.appendIDHole(s.beginRow(dst, `{"before":`, true))
		if !s.json {
			dst = append(dst, p.nulls...)
		}
		dst = s.endRow(dst, true)
	default:
		dst = s.beginRow(dst, `{"before":`, false)
	}
	if err != nil {
		return dst, err
	}
	dst = s.beginRow(dst, `,"after":`, op != 'd')
	if op != 'd' {
		dst, err = s.appendRow(dst, p)
		dst = s.endRow(dst, true)
	}
	return dst, err
}

func (s *scan) beginRow(dst []byte, key string, is bool) []byte {
	switch {
	case s.json && is:
		return append(append(dst, key...), '{')
	case s.json:
		return append(append(dst, key...), "null"...)
	case is:
		return append(dst, 2)
	}
	return append(dst, 0)
}

func (s *scan) endRow(dst []byte, is bool) []byte {
	if s.json && is {
		return append(dst, '}')
	}
	return dst
}

// happened is when the change was committed, or the event made.
func (e *Encoder) happened(ev *Event, cd *codec) time.Time {
	at := cd.created
	if e.scan.header != nil {
		at = e.scan.header.commitT
	}
	if at >= 0 {
		if t, err := e.scan.millis(at); err == nil {
			return t
		}
	}
	return ev.ReceivedAt
}

// appendSource writes where the change comes from; the names and their order are
// [schemas.SourceFields].
func (e *Encoder) appendSource(dst []byte, ev *Event, ch *channel, cd *codec, change string) ([]byte, error) {
	s := &e.scan
	if s.json {
		dst = append(dst, `,"source":{`...)
	}
	name := e.cfg.SourceName
	if name == "" {
		name = e.cfg.OrgID
	}
	dst = s.appendMember(dst, "version", e.cfg.Version)
	dst = s.appendMember(dst, "connector", connectorName)
	dst = s.appendMember(dst, "name", name)
	at := e.happened(ev, cd).UnixMilli()
	if s.json {
		dst = strconv.AppendInt(append(dst, `,"ts_ms":`...), at, 10)
	} else {
		dst = binary.AppendVarint(dst, at)
	}
	dst = s.appendMember(dst, "snapshot", strconv.FormatBool(change == snapshotRow))
	dst = s.appendMember(dst, "db", e.cfg.OrgID)
	dst = s.appendMember(dst, "table", e.table(ev, cd))
	dst = s.appendMember(dst, "channel", ch.name)
	dst = s.appendMember(dst, "replayId", ev.Position)
	dst = s.appendMember(dst, "schemaId", ev.SchemaID)
	dst, err := s.appendOut(dst, cd.env.header)
	if s.json {
		dst = append(dst, '}')
	}
	return dst, err
}

// table is the entity of a change, the API name of a platform event.
func (e *Encoder) table(ev *Event, cd *codec) string {
	if h := e.scan.header; h != nil {
		if sl := &e.scan.slots[h.entity]; sl.kind == kindText {
			return e.intern(e.scan.bytes(sl))
		}
		return ""
	}
	if ev.APIName != "" {
		return ev.APIName
	}
	return cd.schema.Name
}

// appendMember writes a text.
func (s *scan) appendMember(dst []byte, key, text string) []byte {
	if !s.json {
		return append(binary.AppendVarint(dst, int64(len(text))), text...)
	}
	dst = append(append(comma(dst), '"'), key...)
	return appendJSONText(append(dst, '"', ':'), text)
}

// appendTransaction writes the transaction that a change is of. Salesforce counts
// its events, and not those of one entity, so that both orders are that number. Rows
// are of no transaction.
func (s *scan) appendTransaction(dst []byte) []byte {
	if s.json {
		dst = append(dst, `,"transaction":`...)
	}
	if s.header == nil || s.slots[s.header.transaction].kind != kindText || s.isOfNone(s.header.transaction) || s.slots[s.header.sequence].kind != kindNumber {
		if s.json {
			return append(dst, "null"...)
		}
		return append(dst, 0)
	}
	order := &s.slots[s.header.sequence]
	v, _ := wholeNumber(s.p[order.start:order.end]) // the source was written from it already
	key := &s.slots[s.header.transaction]
	if s.json {
		dst = append(dst, `{"id":"`...)
		dst = append(dst, s.p[key.start:key.end]...)
		dst = strconv.AppendInt(append(dst, `","total_order":`...), v, 10)
		dst = strconv.AppendInt(append(dst, `,"data_collection_order":`...), v, 10)
		return append(dst, '}')
	}
	id := s.bytes(key)
	dst = append(binary.AppendVarint(append(dst, 2), int64(len(id))), id...)
	return binary.AppendVarint(binary.AppendVarint(dst, v), v)
}
