package cometd

import "io"

// decoder cuts the body of a reply into messages while it arrives. It holds one
// chunk; what it hands out points into the chunk, so bytes that were handed out
// are never written again: new bytes go behind them, and when the chunk is full
// the unparsed rest moves to a fresh one. A chunk of which nothing was handed
// out is used again.
type decoder struct {
	chunkSize  int // size of a fresh chunk
	maxMessage int // limit of one message
	names      interner

	buf      []byte // buf[:len] holds bytes of the body, buf[len:cap] is free
	next     int    // index of the first byte that is not parsed
	base     int64  // offset of buf[0] in the body
	shared   int    // bytes below this index were handed out
	place    place
	partial  bool // the message at next is known to be unfinished; tail looks for its end
	tail     boundary
	scanned  int // how far tail has looked, as an index of buf
	complete int // where the message ends, once tail has found it; else 0
}

// place is where in the reply the decoder stands.
type place uint8

const (
	atStart place = iota // nothing but white space so far
	inArray              // behind '[': a message or ']'
	afterMessage
	afterComma
	atEnd // behind the reply
)

// verdict is what the decoder finds in the bytes that it has.
type verdict uint8

const (
	needMore verdict = iota
	gotFrame
	gotEnd
)

// reset prepares the decoder for another reply; the chunk stays.
func (d *decoder) reset() {
	d.place, d.partial, d.complete = atStart, false, 0
	d.next = len(d.buf)
	d.base = -int64(d.next)
	if d.shared == 0 {
		d.buf, d.next, d.base = d.buf[:0], 0, 0
	}
}

// offset is the position in the body of the byte at index i.
func (d *decoder) offset(i int) int64 { return d.base + int64(i) }

// decode takes the next message out of the bytes at hand.
func (d *decoder) decode(f *frame) (verdict, error) {
	for {
		d.next = skipSpace(d.buf, d.next)
		if d.next >= len(d.buf) {
			return d.exhausted(), nil
		}
		c := d.buf[d.next]
		switch d.place {
		case atStart:
			switch c {
			case '[':
				d.place = inArray
				d.next++
			case '{': // a server may send one message without an array
				v, err := d.message(f)
				if v == gotFrame {
					d.place = atEnd
				}
				return v, err
			default:
				return needMore, d.fault(d.next, "a reply must be an array of messages")
			}
		case inArray, afterComma:
			if c == ']' && d.place == inArray {
				d.place = atEnd
				d.next++
				continue
			}
			v, err := d.message(f)
			if v == gotFrame {
				d.place = afterMessage
			}
			return v, err
		case afterMessage:
			switch c {
			case ',':
				d.place = afterComma
			case ']':
				d.place = atEnd
			default:
				return needMore, d.fault(d.next, "a comma or the end of the array must follow a message")
			}
			d.next++
		case atEnd:
			return needMore, d.fault(d.next, "nothing may follow the reply")
		}
	}
}

func (d *decoder) exhausted() verdict {
	if d.place == atEnd {
		return gotEnd
	}
	return needMore
}

func (d *decoder) message(f *frame) (verdict, error) {
	if d.partial && d.complete == 0 {
		end := d.tail.find(d.buf, d.scanned)
		d.scanned = len(d.buf)
		if end == short {
			return needMore, d.tooLong(len(d.buf) - d.next)
		}
		d.complete = end
	}
	end := f.parse(d.buf, d.next, d.names)
	switch {
	case end >= 0:
		if err := d.tooLong(end - d.next); err != nil {
			return needMore, err
		}
		d.next, d.partial, d.complete = end, false, 0
		if f.hasData && !f.meta() {
			d.shared = end
		}
		return gotFrame, nil
	case end == short && !d.partial:
		d.partial, d.tail = true, boundary{}
		d.scanned = len(d.buf)
		d.complete = max(d.tail.find(d.buf, d.next), 0)
		return needMore, d.tooLong(len(d.buf) - d.next)
	case end == short:
		// Brackets balance and the grammar wants more: they do not match.
		return needMore, d.fault(d.complete-1, "invalid JSON")
	}
	problem := "invalid JSON, or nested too deeply"
	if f.problem != "" && badPosition(end) == f.problemAt {
		problem = f.problem
	}
	return needMore, d.fault(badPosition(end), problem)
}

func (d *decoder) tooLong(n int) error {
	if n <= d.maxMessage {
		return nil
	}
	return &FrameError{Offset: d.offset(d.next), Problem: "a message is larger than the limit", Limit: d.maxMessage}
}

func (d *decoder) fault(i int, problem string) error {
	return &FrameError{Offset: d.offset(i), Problem: problem}
}

// fill reads once from r into the chunk. It returns the number of bytes and
// the reader's error, as io.Reader does.
func (d *decoder) fill(r io.Reader) (int, error) {
	d.makeRoom()
	have := len(d.buf)
	n, err := r.Read(d.buf[have:cap(d.buf)])
	d.buf = d.buf[:have+n]
	return n, err
}

// makeRoom sees to it that a read is worth its call. The rest of a message that
// fills most of a chunk goes to one of twice its size, so that moving a large
// message costs no more than reading it.
func (d *decoder) makeRoom() {
	rest := len(d.buf) - d.next
	if rest == 0 && d.shared == 0 && cap(d.buf) > 0 {
		d.base += int64(d.next)
		d.buf, d.next, d.scanned = d.buf[:0], 0, 0
		return
	}
	if room := cap(d.buf) - len(d.buf); room > 0 && room >= min(d.chunkSize/8, 4096) {
		return
	}
	size := d.chunkSize
	if rest > size/2 {
		size = 2 * rest
	}
	fresh := make([]byte, rest, size)
	copy(fresh, d.buf[d.next:])
	d.base += int64(d.next)
	d.scanned -= d.next
	d.complete = max(d.complete-d.next, 0)
	d.buf, d.next, d.shared = fresh, 0, 0
}
