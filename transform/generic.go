package transform

import (
	"context"
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
)

// generic makes the record of an event of a generic channel. Such events have
// neither a key of their own nor a type: the record is keyed as a platform event
// without an EventUuid is.
func (e *Encoder) generic(ctx context.Context, dst []*kgo.Record, ev *Event, ch *channel) ([]*kgo.Record, Meta, error) {
	schema, err := e.cfg.Schemas.Generic()
	if err != nil {
		return dst, Meta{}, err
	}
	cd, err := e.codecOf(schema, ch)
	if err != nil {
		return dst, Meta{}, err
	}
	ev.SchemaID = schema.ID
	if err := e.value(ev, ch, cd); err != nil {
		return dst, Meta{}, err
	}
	valueEnd := len(e.buf)
	r, err := e.route(ctx, ch, cd, ch.object, "")
	if err != nil {
		return dst, Meta{}, err
	}
	e.putID(r)
	at := e.createdDate(ev, cd)
	e.keys = append(e.keys[:0], e.putPlace(ev, ch))
	dst = e.assemble(dst, parts{ch: ch, cd: cd, r: r, texts: e.putTexts(ev), valueEnd: valueEnd, at: at})
	return dst, Meta{Object: ch.object, Time: at, Records: 1, Extras: len(e.scan.extras)}, nil
}

// putPlace puts channel and position into buf: the key of an event without
// another.
func (e *Encoder) putPlace(ev *Event, ch *channel) span {
	e.startKey()
	key := e.putString(ch.name)
	e.putString("#")
	key.end = e.putString(ev.Position).end
	return key
}

// raw takes a value of any kind into slot at, as the text that it is.
func (s *scan) raw(i, at int) (int, error) {
	end, err := s.skip(i, 1)
	if err != nil {
		return i, err
	}
	s.slots[at] = slot{kind: kindRaw, start: int32(i), end: int32(end)}
	return end, nil
}

// rawPayload is the JSON text of a payload that is no text; nil for one that is.
func (s *scan) rawPayload() []byte {
	if sl := &s.slots[s.note.payload]; sl.kind == kindRaw {
		return s.p[sl.start:sl.end]
	}
	return nil
}

func (s *scan) appendRawPayload(dst []byte) []byte {
	text := s.rawPayload()
	if text == nil {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, 1)
	dst = binary.AppendVarint(dst, int64(len(text)))
	return append(dst, text...)
}
