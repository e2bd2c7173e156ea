package orgsim

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
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
	if x.status != 0 {
		http.Error(w, "duplicate connect", x.status)
		return
	}
	if x.cookie != "" {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: x.cookie, Path: "/", HttpOnly: true, Secure: secure(x.r)})
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	out := x.o.newReplyWriter(w, x.r, x.cut)
	defer out.close()
	if x.o.cfg.ConnectReplyFirst {
		x.writeReplies(out)
	}
	if x.deliverable() {
		x.writeEvents(out)
	}
	if !x.o.cfg.ConnectReplyFirst {
		x.writeReplies(out)
	}
	out.finish()
}

// deliverable reports whether events go out with this response: not with a
// refusal.
func (x *exchange) deliverable() bool {
	return x.session != nil && (len(x.replies) == 0 || x.replies[len(x.replies)-1].Successful)
}

func (x *exchange) writeReplies(out *replyWriter) {
	for _, rep := range x.replies {
		raw, err := json.Marshal(rep)
		if rep.unasked {
			raw, err = json.Marshal(map[string]string{"channel": rep.Channel})
		}
		if err == nil {
			out.message(raw)
		}
	}
}

func (x *exchange) writeEvents(out *replyWriter) {
	cfg := &x.o.cfg
	events, size := 0, 0
	for events < cfg.MaxReplyEvents && size < cfg.MaxReplyBytes && out.err == nil {
		out.batch = x.session.take(x.o.bus.view(), x.held, min(takeEvents, cfg.MaxReplyEvents-events), cfg.MaxReplyBytes-size, out.batch[:0])
		if len(out.batch) == 0 {
			break
		}
		for _, d := range out.batch {
			out.event(d)
			size += len(d.data) + len(d.tail)
		}
		events += len(out.batch)
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
}

func (o *Org) newReplyWriter(w http.ResponseWriter, r *http.Request, cut int) *replyWriter {
	boxed, _ := o.buffers.Get().(*[]byte)
	out := &replyWriter{o: o, w: w, to: w, buf: (*boxed)[:0], boxed: boxed, sep: '[', cut: cut}
	if o.cfg.Gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		out.gz = gzip.NewWriter(w)
		out.to = out.gz
	}
	return out
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
	b.buf = append(b.buf, b.sep)
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
	b.buf = append(b.buf, ']')
	if b.cut >= 0 {
		b.cut = min(b.cut, b.sent+len(b.buf)-1)
	}
	b.flush(b.buf)
	b.buf = b.buf[:0]
	if b.gz != nil && b.err == nil {
		b.err = b.gz.Close()
	}
}

// close gives the buffer back.
func (b *replyWriter) close() {
	if cap(b.buf) <= 4*writeBuffer {
		*b.boxed = b.buf[:0]
		b.o.buffers.Put(b.boxed)
	}
}
