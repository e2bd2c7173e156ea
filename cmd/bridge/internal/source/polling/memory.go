package polling

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

const (
	nameBytes   = 12
	digestBytes = 8
)

// name stands for a row of a time, or for a deletion.
type name [nameBytes]byte

// digest stands for the fields of a row.
type digest [digestBytes]byte

// kind is what an entry of the memory is of.
type kind uint8

const (
	ofRow kind = iota
	ofDeletion
)

// entry is something that was handed out and may come again.
type entry struct {
	at     time.Time
	kind   kind
	digest digest // of a row
}

// memory holds what was handed out and is not settled.
type memory struct{ entries map[name]entry }

func rowName(id string, at time.Time) name      { return named("row", id, at) }
func deletionName(id string, at time.Time) name { return named("deletion", id, at) }

func named(what, id string, at time.Time) name {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(what+" "+id+" "), uint64(at.Unix()))) //nolint:gosec // only a hash of it is kept
	return name(sum[:nameBytes])
}

func digestOf(r *row) digest {
	text := r.json
	if r.gone {
		text = []byte("deleted")
	}
	sum := sha256.Sum256(text)
	return digest(sum[:digestBytes])
}

func (m *memory) get(n name) (entry, bool) {
	e, ok := m.entries[n]
	return e, ok
}

func (m *memory) put(n name, e entry) {
	if m.entries == nil {
		m.entries = make(map[name]entry)
	}
	m.entries[n] = e
}

func (m *memory) drop(n name) { delete(m.entries, n) }

// forget drops rows from before a time, and deletions from before another.
func (m *memory) forget(rows, deletions time.Time) {
	for n, e := range m.entries {
		until := rows
		if e.kind == ofDeletion {
			until = deletions
		}
		if e.at.Before(until) {
			delete(m.entries, n)
		}
	}
}

// appendTo writes the memory, the same one always in the same way.
func (m *memory) appendTo(dst []byte) []byte {
	names := make([]name, 0, len(m.entries))
	for n := range m.entries {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b name) int {
		if c := m.entries[a].at.Compare(m.entries[b].at); c != 0 {
			return c
		}
		return bytes.Compare(a[:], b[:])
	})
	last := int64(0)
	for _, n := range names {
		e := m.entries[n]
		dst = binary.AppendVarint(dst, e.at.Unix()-last)
		last = e.at.Unix()
		dst = append(append(dst, byte(e.kind)), n[:]...)
		if e.kind == ofRow {
			dst = append(dst, e.digest[:]...)
		}
	}
	return dst
}

var errMemory = errors.New("what it remembers is damaged")

// readFrom reads what appendTo has written.
func (m *memory) readFrom(text []byte) error {
	last := int64(0)
	for len(text) > 0 {
		delta, n := binary.Varint(text)
		if n <= 0 || len(text) < n+1+nameBytes {
			return errMemory
		}
		last += delta
		e := entry{at: time.Unix(last, 0).UTC(), kind: kind(text[n])}
		if e.kind > ofDeletion { // I5
			return errMemory
		}
		text = text[n+1:]
		key := name(text[:nameBytes])
		text = text[nameBytes:]
		if e.kind == ofRow {
			if len(text) < digestBytes {
				return errMemory
			}
			e.digest = digest(text[:digestBytes])
			text = text[digestBytes:]
		}
		m.put(key, e)
	}
	return nil
}
