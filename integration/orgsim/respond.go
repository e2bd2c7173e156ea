package orgsim

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	writeBuffer = 256 << 10
	takeEvents  = 256 // events taken off a session at a time while a reply is written
)

// respond writes the response: events in bus order and the replies, the
// connect reply last unless configured otherwise.
func (x *exchange) respond(w http.ResponseWriter) {
	if x.r.Context().Err() != nil {
		return // nobody listens: nothing may be taken off the session
	}
	if s := x.later; x.fired && (s.http != nil || s.drop) {
		x.o.stats.refusals.Add(1)
		x.o.deliver(s, w, x.r)
		return
	}
	if x.status != 0 {
		http.Error(w, "duplicate connect", x.status)
		return
	}
	x.setCookies(w)
	w.Header().Set("Content-Type", jsonType)
	place := placeLast
	if x.o.cfg.ConnectReplyFirst {
		place = placeFirst
	}
	out := x.o.newReplyWriter(w, x.r, x.cut)
	defer out.close()
	if x.fx != nil {
		x.shape(out)
		orDefault(&x.fx.place, place)
		place = x.fx.place
	}
	if place == placeFirst {
		x.writeReplies(out)
	}
	if x.deliverable() {
		out.amid = place == placeMiddle
		x.writeEvents(out)
	}
	if place == placeLast || place == placeMiddle && !out.answered {
		x.writeReplies(out)
	}
	out.finish()
}

// shape gives the response the form that faults ask for.
func (x *exchange) shape(out *replyWriter) {
	fx := x.fx
	if fx.lowerType {
		out.w.Header().Set("Content-Type", "application/json;charset=utf-8")
	}
	if fx.cut >= 0 && (out.cut < 0 || fx.cut < out.cut) {
		out.cut = fx.cut
	}
	if fx.gzip {
		out.compress(x.r)
	}
	if fx.drip > 0 {
		out.drip = &drip{bytes: fx.drip, pause: fx.pause, until: time.Now().Add(fx.dripFor), gone: x.r.Context().Done()}
	}
	out.tail = fx.tail(x.o.now())
	out.twice = fx.twice
	if fx.object && len(x.replies) == 1 {
		ready := false
		if x.deliverable() {
			ready, _ = x.session.waiting(x.o.look())
		}
		out.bare = !ready
		x.mute = out.bare // what comes meanwhile waits for the next response
	}
}

// deliverable reports whether events go out with this response: not with a
// refusal.
func (x *exchange) deliverable() bool {
	return x.session != nil && !x.mute && (len(x.replies) == 0 || x.replies[len(x.replies)-1].Successful)
}

func (x *exchange) writeReplies(out *replyWriter) {
	out.answered = true
	for _, rep := range x.replies {
		if raw, err := x.fx.dress(rep, x.o.now()); err == nil {
			out.message(raw)
		}
	}
}

func (x *exchange) writeEvents(out *replyWriter) {
	cfg := &x.o.cfg
	events, size := 0, 0
	for events < cfg.MaxReplyEvents && size < cfg.MaxReplyBytes && out.err == nil {
		most := min(takeEvents, cfg.MaxReplyEvents-events, x.o.allowance())
		if most == 0 {
			break
		}
		out.batch = x.session.take(x.o.look(), x.held, most, cfg.MaxReplyBytes-size, out.batch[:0])
		if len(out.batch) == 0 {
			break
		}
		size += out.events()
		events += len(out.batch)
		x.o.deliveries.add(x.o.now(), int64(len(out.batch)))
		if out.amid && !out.answered {
			x.writeReplies(out)
		}
	}
	x.o.stats.delivered.Add(int64(events))
}

// replyWriter writes a JSON array of messages through a pooled buffer.
type replyWriter struct {
	o     *Org
	w     http.ResponseWriter
	to    io.Writer
	gz    *gzip.Writer
	buf   []byte
	boxed *[]byte
	batch []delivery
	sep   byte
	sent  int
	cut   int // bytes after which the connection is cut; -1: never
	err   error

	drip     *drip
	bare     bool   // the one message without an array
	amid     bool   // the replies come behind the first events
	answered bool   // the replies are written
	tail     []byte // what ends a message in place of the brace
	twice    string // "each", "again": events come twice
}

// drip holds the bytes of a response back.
type drip struct {
	bytes int
	pause time.Duration
	until time.Time // when the rest comes at once
	gone  <-chan struct{}
}

// wait pauses; it is false when nobody listens any more.
func (d *drip) wait() bool {
	t := time.NewTimer(d.pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-d.gone:
		return false
	}
}

func (o *Org) newReplyWriter(w http.ResponseWriter, r *http.Request, cut int) *replyWriter {
	boxed, _ := o.buffers.Get().(*[]byte)
	out := &replyWriter{o: o, w: w, to: w, buf: (*boxed)[:0], boxed: boxed, sep: '[', cut: cut}
	if o.cfg.Gzip {
		out.compress(r)
	}
	return out
}

func (b *replyWriter) compress(r *http.Request) {
	if b.gz == nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		b.w.Header().Set("Content-Encoding", "gzip")
		b.gz, _ = b.o.zippers.Get().(*gzip.Writer)
		b.gz.Reset(b.w)
		b.to = b.gz
	}
}

// events writes the batch and returns how large it is.
func (b *replyWriter) events() int {
	size := 0
	for _, d := range b.batch {
		if b.tail != nil {
			d.tail = append(slices.Clone(d.tail[:len(d.tail)-1]), b.tail...)
		}
		b.event(d)
		if b.twice == "each" {
			b.event(d)
		}
		size += len(d.data) + len(d.tail)
	}
	if b.twice == "again" {
		b.twice = ""
		b.events()
	}
	return size
}

func (b *replyWriter) event(d delivery) {
	const head = `{"data":`
	b.room(1 + len(head) + len(d.data) + len(d.tail))
	b.buf = append(b.buf, b.sep)
	b.sep = ','
	b.buf = append(b.buf, head...)
	b.buf = append(b.buf, d.data...)
	b.buf = append(b.buf, d.tail...)
}

func (b *replyWriter) message(raw []byte) {
	b.room(1 + len(raw))
	if !b.bare {
		b.buf = append(b.buf, b.sep)
	}
	b.sep = ','
	b.buf = append(b.buf, raw...)
}

// room writes the buffer out when the next n bytes do not fit.
func (b *replyWriter) room(n int) {
	if len(b.buf)+n > cap(b.buf) && len(b.buf) > 0 {
		b.flush(b.buf)
		b.buf = b.buf[:0]
	}
}

func (b *replyWriter) flush(p []byte) {
	if b.cut >= 0 && b.sent+len(p) >= b.cut {
		p = p[:max(0, b.cut-b.sent)]
		b.write(p)
		b.abort()
	}
	b.write(p)
}

func (b *replyWriter) write(p []byte) {
	for d := b.drip; d != nil && b.err == nil && len(p) > d.bytes && time.Now().Before(d.until); {
		n, err := b.to.Write(p[:d.bytes])
		b.sent += n
		p = p[d.bytes:]
		if b.err = err; err == nil && b.gz != nil {
			b.err = b.gz.Flush()
		}
		if b.err == nil {
			_ = http.NewResponseController(b.w).Flush()
		}
		if b.err == nil && !d.wait() {
			b.err = io.ErrClosedPipe
		}
	}
	if b.err != nil || len(p) == 0 {
		return
	}
	var n int
	n, b.err = b.to.Write(p)
	b.sent += n
}

// abort cuts the connection in mid-body. What was written so far is sent
// first, so that the client sees a broken body and not a missing one.
func (b *replyWriter) abort() {
	b.o.stats.cuts.Add(1)
	if b.gz != nil {
		_ = b.gz.Flush()
	}
	_ = http.NewResponseController(b.w).Flush()
	panic(http.ErrAbortHandler)
}

// finish ends the array. A reply that is shorter than its cut loses its last byte.
func (b *replyWriter) finish() {
	if b.sep == '[' {
		b.buf = append(b.buf, '[')
	}
	if !b.bare {
		b.buf = append(b.buf, ']')
	}
	if b.cut >= 0 {
		b.cut = min(b.cut, b.sent+len(b.buf)-1)
	}
	b.flush(b.buf)
	b.buf = b.buf[:0]
	if b.gz != nil && b.err == nil {
		b.err = b.gz.Close()
	}
}

// close gives the buffers back.
func (b *replyWriter) close() {
	if b.gz != nil {
		b.o.zippers.Put(b.gz)
		b.gz = nil
	}
	if cap(b.buf) <= 4*writeBuffer {
		*b.boxed = b.buf[:0]
		b.o.buffers.Put(b.boxed)
	}
}
